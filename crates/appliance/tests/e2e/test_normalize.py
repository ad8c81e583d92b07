"""Disguised tokens: what a reader behind would undo is undone before matching, in text and binary, both ways."""

import base64
import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, TOKEN, Attack, assert_blocked, assert_passes, send_attack
from support.peers import open_pair
from support.wire import BINARY, TEXT


def policy(normalize: str = "", limits: str = "", **settings) -> str:
    return agent_block(
        f"""
    {limits}
    content-filter {{ block-patterns "/eval\\\\(/i"; {normalize} }}
    """,
        **settings,
    )


def every(write) -> str:
    return "".join(write(octet) for octet in TOKEN)


def percent(text: str) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())


def units(text: str) -> str:
    return "".join(f"\\u{octet:04x}" for octet in text.encode())


PERCENT = every(lambda octet: f"%{octet:02x}")
DISGUISES = {
    "percent": PERCENT,
    "percent-of-one-letter": "ev%61l(",
    "percent-of-unicode": every(lambda octet: f"%u{octet:04x}"),
    "html-decimal": every(lambda octet: f"&#{octet};"),
    "html-without-semicolons": "e&#118al&#x28",
    "html-zeros": "e&#x0000000000000000000000000000000000000000000000076;al(",
    "html-names": "eval&lpar;1&rpar;",
    "fullwidth": every(lambda octet: chr(octet + 0xFEE0)),
    "mathematical": "".join(chr(0x1D41A + ord(letter) - ord("a")) for letter in "eval") + "(",
    "zero-width": "e\u200bv\u2060a\ufeffl\u00ad(",
    "cyrillic": "\u0435v\u0430l(",
    "nul-in-the-word": "ev\0al\0(",
    "nul-in-the-word-in-json": json.dumps({"text": "ev\0al("}),
    "struck-through": "e\u0336v\u0336a\u0336l\u0336(",
    "zero-width-in-percent": "%6\u200b5val(",
    "zero-width-in-json": '{"text":"\\u00\u200b65val("}',
    "json-of-zero-width-in-percent": json.dumps({"text": "%6\u200b5val("}),
    "fullwidth-percent": "\uff0565val(",
    "fullwidth-ampersand": "\uff06#101;val(",
    "json-in-json": json.dumps({"body": json.dumps({"text": units("eval(")})}),
    "percent-in-json": json.dumps({"text": units(PERCENT)}),
    "json-in-percent": percent(json.dumps({"text": units("eval(")})),
    "html-in-percent-in-json": json.dumps({"text": percent("e&#118;al(")}),
    "fullwidth-in-json": json.dumps({"text": every(lambda octet: chr(octet + 0xFEE0))}),
    "zero-width-in-html": "e&#x200b;val(",
    "four-times-percent": "ev%25252561l(",
}
TOO_DEEP = "ev%2525252561l("
BASE64 = '{"data":"' + base64.b64encode(b"  run eval(1) now").decode() + '"}'
BASE64_SHORT = '{"data":"' + base64.b64encode(b"eval(1)").decode() + '"}'
BASE64_WRAPPED = json.dumps({"body": base64.encodebytes(b"x" * 55 + b"eval(1)" + b"y" * 40).decode()})

BENIGN = [
    "50% off; 100%25 of %zz",
    "AT&T; a && b &unknown; &",
    "C:\\Users\\new",
    "https://example.com/?q=%D0%BF%D1%80%D0%B8&a=%20b",
    "Привет, как дела",
    "你好；（再见）",
    "👩‍👩‍👧‍👦 family",
    json.dumps({"html": "<b>&lt;tag&gt;</b>", "text": "é\n", "nested": json.dumps({"x": "\u0001"})}),
    "information_schema_of_a_long_identifier",
    "ev\0 al( \0 e\0 val \0",
    "１００％ ＆ more； 50\uff05 off",
    base64.b64encode(bytes(range(256))).decode(),
]


def attack(text, rule="content-filter-1/", code=1008, opcode=TEXT):
    return Attack("disguised", lambda f: f.frame(opcode, text.encode()), (code,), (rule,))


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, policy())


@pytest.fixture(scope="module")
def everything(start_once, shared_backend):
    return start_once(shared_backend.port, policy('normalize "json" "percent" "html" "unicode" "base64"'))


both = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
opcodes = pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])


def attempt(inspector, backend, made, direction, delivery="one-write"):
    pair = open_pair(inspector, backend)
    send_attack(pair, made, direction, delivery)
    assert_blocked(inspector, pair, made, direction)
    pair.close()


@both
@opcodes
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("text", DISGUISES.values(), ids=DISGUISES)
def test_a_disguised_token_is_found(inspector, shared_backend, text, opcode, delivery, direction):
    attempt(inspector, shared_backend, attack(text, opcode=opcode), direction, delivery)


@both
@opcodes
@pytest.mark.parametrize("text", [BASE64, BASE64_SHORT, BASE64_WRAPPED], ids=["long", "short", "wrapped"])
def test_base64_is_decoded_where_asked_for(everything, inspector, shared_backend, text, opcode, direction):
    attempt(everything, shared_backend, attack(text, opcode=opcode), direction)
    pair = open_pair(inspector, shared_backend)
    sender, _ = pair.ends(direction)
    octets = text.encode()
    assert_passes(pair, direction, sender.framer.frame(opcode, octets), [(opcode, octets)])
    pair.close()


@both
@opcodes
@pytest.mark.parametrize("text", BENIGN, ids=ascii)
def test_what_only_looks_encoded_passes_as_it_is(everything, shared_backend, text, opcode, direction):
    pair = open_pair(everything, shared_backend)
    sender, _ = pair.ends(direction)
    octets = text.encode()
    assert_passes(pair, direction, sender.framer.frame(opcode, octets), [(opcode, octets)])
    pair.close()


@both
def test_nothing_is_undone_where_so_configured(start, backend, direction):
    inspector = start(backend.port, policy('normalize "none"'))
    pair = open_pair(inspector, backend)
    sender, _ = pair.ends(direction)
    sent = [text.encode() for text in [*DISGUISES.values(), TOO_DEEP]]
    wire = b"".join(map(sender.framer.text, sent))
    assert_passes(pair, direction, wire, [(TEXT, octets) for octets in sent])
    pair.close()


@both
def test_the_verdict_says_what_was_undone(start, backend, direction):
    inspector = start(backend.port, policy())
    pair = open_pair(inspector, backend)
    made = attack(DISGUISES["json-in-percent"])
    send_attack(pair, made, direction, "one-write")
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["reason"] == "matches a blocked pattern in json+percent-decoded text"
    pair.close()


@both
@opcodes
def test_what_hides_too_deep_is_not_inspected_and_closes(inspector, shared_backend, opcode, direction):
    made = attack(TOO_DEEP, "could-not-inspect/over-depth", 1011, opcode)
    attempt(inspector, shared_backend, made, direction)


@both
def test_what_hides_too_deep_passes_where_failure_is_open(start, backend, direction):
    inspector = start(backend.port, policy(failure_mode="open"))
    pair = open_pair(inspector, backend)
    sender, _ = pair.ends(direction)
    octets = TOO_DEEP.encode()
    assert_passes(pair, direction, sender.framer.text(octets), [(TEXT, octets)])
    [verdict] = inspector.wait_verdicts(1)
    assert verdict["rule"] == "could-not-inspect/over-depth"
    pair.close()


@both
def test_the_depth_is_configurable(start, backend, direction):
    inspector = start(backend.port, policy(limits="limits { max-normalize-depth 5 }"))
    attempt(inspector, backend, attack(TOO_DEEP), direction)
