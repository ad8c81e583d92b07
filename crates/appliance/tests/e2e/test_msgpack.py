"""MessagePack validation: what the schema allows passes byte for byte, what it does not is acted upon."""

import json
import struct

import msgpack
import pytest

from support.backends import LibraryBackend, library_pair
from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import BINARY, TEXT

READING = {
    "type": "object",
    "required": ["device", "values"],
    "additionalProperties": False,
    "properties": {
        "device": {"type": "string", "pattern": "^[a-z]{2}-[0-9]{1,4}$"},
        "values": {"type": "array", "maxItems": 4, "items": {"type": "number", "minimum": -40, "maximum": 125}},
        "sequence": {"type": "integer", "maximum": 18446744073709551614},
        "key": {"type": "object", "required": ["$bin"], "properties": {"$bin": {"maxLength": 8}}},
        "at": {"type": "object", "required": ["$ext"], "properties": {"$ext": {"const": -1}}},
        "7": {"type": "boolean"},
        "note": {"type": "string", "maxLength": 40000},
    },
}

GOOD = {"device": "ab-12", "values": [1, -1.5, 124.5]}
VALID = msgpack.packb(GOOD)


def with_(**members) -> bytes:
    return msgpack.packb({**GOOD, **members})


ALLOWED = [
    VALID,
    with_(sequence=2**64 - 2),
    with_(key=b"\x00\xff\x10"),
    with_(at=msgpack.Timestamp(1700000000, 5)),
    msgpack.packb({**GOOD, 7: True}),
    with_(note="é" * 20000),
    # Longer than need be: a str 8 for the name, a 64-bit integer, an array 32.
    b"\x82\xd9\x06device\xa5ab-12\xa6values\xdd\x00\x00\x00\x01\xd3\x00\x00\x00\x00\x00\x00\x00\x05",
]


def nested(depth: int) -> bytes:
    return b"\x82\xa6device\xa5ab-12\xa6values" + b"\x91" * depth + b"\x01"


REFUSED = {
    "missing": msgpack.packb({"device": "ab-12"}),
    "additional": with_(admin=True),
    "pattern": with_(device="AB-12"),
    "maximum": with_(values=[126]),
    "too-many": with_(values=[1] * 5),
    "integer-beyond-the-maximum": with_(sequence=2**64 - 1),
    "fraction": with_(sequence=1.5),
    "bin-is-no-string": with_(device=b"ab-12"),
    "bin-too-long": with_(key=b"1234567"),
    "string-is-no-bin": with_(key="abc"),
    "wrong-ext": with_(at=msgpack.ExtType(5, b"1234")),
    "integer-key": msgpack.packb({**GOOD, 7: 1}),
    "not-an-object": msgpack.packb([GOOD]),
    "empty": b"",
    "json": json.dumps(GOOD).encode(),
    "trailing-byte": VALID + b"\xc0",
    "two-values": VALID + VALID,
    "cut-off": VALID[:-1],
    "invalid-utf8": VALID.replace(b"ab-12", b"ab\xff12"),
    "utf8-surrogate": with_(note="abc").replace(b"abc", b"\xed\xa0\x80"),
    "reserved-byte": VALID.replace(b"\x93\x01", b"\x93\xc1"),
    "same-key-twice": b"\x83" + VALID[1:] + b"\xa6device\xa5ab-12",
    "same-key-as-text-and-number": b"\x84" + VALID[1:] + b"\x07\xc3\xa17\xc3",
    "nil-key": b"\x83" + VALID[1:] + b"\xc0\xc0",
    "not-a-number": with_(values=[float("nan")]),
    "infinite": with_(values=[float("inf")]),
    "too-deep": nested(100),
    "far-too-deep": nested(200000),
    "array-bomb": b"\xdd\xff\xff\xff\xff\x01",
    "map-bomb": b"\xdf\xff\xff\xff\xff\x01\x01",
    "str-bomb": b"\xdb\xff\xff\xff\xffa",
    "bin-bomb": b"\xc6\xff\xff\xff\xffa",
    "bombs-in-bombs": b"\xdd\xff\xff\xff\xff" * 1000,
    "bin-that-looks-like-it-is": with_(key={"$bin": "AAAA"}),
}


@pytest.fixture(scope="module")
def schema_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "reading.json"
    path.write_text(json.dumps(READING))
    return path


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend, schema_path):
    return start_once(shared_backend.port, validating(schema_path))


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


def validating(schema_path, options: str = "", more: str = "") -> str:
    return agent_block(f'validation {{ schema-type "msgpack"; schema-path "{schema_path}"; {options} }}\n{more}')


both = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)


@both
def test_valid_messages_pass_as_they_were_written(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(b"".join(map(sender.framer.binary, ALLOWED)))
    pair.exchange(until=lambda: len(receiver.heard.messages) == len(ALLOWED) or receiver.heard.ended)
    assert receiver.heard.messages == [(BINARY, payload) for payload in ALLOWED]


@both
@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_message_closes_with_1007(inspector, pair, name, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.binary(VALID) + sender.framer.binary(REFUSED[name]) + sender.framer.binary(VALID))
    assert pair.exchange()
    assert receiver.heard.payloads == [VALID]
    assert sender.heard.close_code == 1007
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["action"], verdict["code"], verdict["direction"]) == ("close", 1007, direction)
    assert verdict["rule"] == "validation-1"
    assert verdict["reason"]


def test_a_violation_says_where_and_not_what(inspector, pair):
    pair.client.queue(pair.client.framer.binary(with_(device="secret-word")))
    assert pair.exchange()
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert all(part in verdict["reason"] for part in ("/device", "pattern", "/properties/device/pattern"))
    assert "secret-word" not in json.dumps(inspector.audit())


@both
def test_a_message_in_fragments_is_judged_as_a_whole(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.fragments(BINARY, [VALID[:3], b"", VALID[3:9], VALID[9:]]))
    sender.queue(sender.framer.fragments(BINARY, [VALID, VALID]))
    assert pair.exchange()
    assert receiver.heard.payloads == [VALID] and sender.heard.close_code == 1007


@both
def test_text_is_left_alone_unless_asked_for(pair, start, backend, schema_path, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text("no msgpack"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(TEXT, b"no msgpack")]

    inspector = start(backend.port, validating(schema_path, 'opcode "any"'))
    other = open_pair(inspector, backend)
    sender, receiver = other.ends(direction)
    sender.queue(sender.framer.text("no msgpack"))
    assert other.exchange()
    assert receiver.heard.messages == [] and sender.heard.close_code == 1007
    other.close()


@both
def test_the_drop_action_drops_the_message_alone(start, backend, schema_path, direction):
    inspector = start(backend.port, validating(schema_path, 'action "drop"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    bad = [REFUSED[name] for name in ("pattern", "array-bomb", "trailing-byte", "far-too-deep")]
    sender.queue(b"".join(map(sender.framer.binary, [VALID, *bad, ALLOWED[1]])))
    pair.exchange(until=lambda: len(receiver.heard.messages) == 2 or receiver.heard.ended)
    assert receiver.heard.payloads == [VALID, ALLOWED[1]] and sender.heard.close is None
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(4)] == [("validation-1", "drop")] * 4
    pair.close()


def test_reject_invalid_false_only_audits(start, backend, schema_path):
    inspector = start(backend.port, validating(schema_path, "reject-invalid false"))
    pair = open_pair(inspector, backend)
    sent = [VALID, REFUSED["pattern"], REFUSED["cut-off"], VALID]
    pair.client.queue(b"".join(map(pair.client.framer.binary, sent)))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 4 or pair.server.heard.ended)
    assert pair.server.heard.payloads == sent
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(2)] == [("validation-1", "alert")] * 2
    pair.close()


@pytest.mark.parametrize("only, other", [("to-server", "to_client"), ("to-client", "to_server")])
def test_a_schema_of_one_direction_leaves_the_other_alone(start, backend, schema_path, only, other):
    inspector = start(backend.port, validating(schema_path, f'direction "{only}"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(other)
    sender.queue(sender.framer.binary(b"\xc1"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [b"\xc1"]
    receiver.queue(receiver.framer.binary(b"\xc1"))
    assert pair.exchange()
    assert receiver.heard.close_code == 1007 and sender.heard.messages == []
    pair.close()


def test_the_depth_limit_holds_for_msgpack(start, backend, tmp_path):
    anything = tmp_path / "anything.json"
    anything.write_text("{}")
    inspector = start(backend.port, validating(anything, more="limits { max-json-depth 3 }"))
    pair = open_pair(inspector, backend)
    allowed, refused = msgpack.packb([[[1]]]), msgpack.packb([[[[1]]]])
    pair.client.queue(pair.client.framer.binary(allowed) + pair.client.framer.binary(refused))
    assert pair.exchange()
    assert pair.server.heard.payloads == [allowed] and pair.client.heard.close_code == 1007
    pair.close()


def test_bombs_take_no_memory(start, backend, tmp_path):
    anything = tmp_path / "anything.json"
    anything.write_text("{}")
    inspector = start(backend.port, validating(anything, 'action "drop"'))
    pair = open_pair(inspector, backend)
    half_mib = 512 * 1024
    widest = b"\xdd" + struct.pack("!I", half_mib) + b"\xc0" * half_mib
    before = inspector.rss_bytes()
    bombs = [b"\xdd\xff\xff\xff\xff" * 100_000, b"\x91" * half_mib, b"\xdf\x7f\xff\xff\xff\x01" * 80_000]
    for _ in range(5):
        pair.client.queue(b"".join(map(pair.client.framer.binary, [*bombs, widest])))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 5 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [widest] * 5
    assert inspector.rss_bytes() - before < 100 << 20
    pair.close()


# Patterns beside schemas.

FILTER = """
content-filter {
    block-patterns "/\\\\bdrop table\\\\b/i" "/\\\\bshutdown\\\\b/"
    normalize "json"
}
"""


@both
@pytest.mark.parametrize("hidden", ["str", "key", "bin", "ext", "escaped"])
def test_the_length_of_a_string_hides_no_word(start, backend, tmp_path, hidden, direction):
    """A string of 65 bytes has an `A` before it, so that in the raw message no word begins where it does."""
    anything = tmp_path / "anything.json"
    anything.write_text("{}")
    inspector = start(backend.port, validating(anything, more=FILTER))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    text = "drop table users" + " " * 49
    message = {
        "str": msgpack.packb({"query": text}),
        "key": msgpack.packb({text: 1}),
        "bin": msgpack.packb([text.encode()]),
        "ext": msgpack.packb([msgpack.ExtType(0x41, text.encode())]),
        "escaped": msgpack.packb(["drop\\u0020table users" + " " * 44]),
    }[hidden]
    good = msgpack.packb({"query": "drop tables"})
    sender.queue(sender.framer.binary(good) + sender.framer.binary(message))
    assert pair.exchange()
    assert receiver.heard.payloads == [good] and sender.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"] == "content-filter-1/block-patterns-1"
    pair.close()


def test_what_precedes_a_fault_is_looked_at(start, backend, schema_path):
    inspector = start(backend.port, validating(schema_path, "reject-invalid false", more=FILTER))
    pair = open_pair(inspector, backend)
    message = msgpack.packb(["drop table users" + " " * 49]) + b"\xc1"
    pair.client.queue(pair.client.framer.binary(message))
    assert pair.exchange()
    assert pair.server.heard.messages == [] and pair.client.heard.close_code == 1008
    pair.close()


def test_a_library_client_and_server_understand_each_other(start, schema_path):
    backend = LibraryBackend()
    inspector = start(backend.port, validating(schema_path))
    with library_pair(inspector, backend) as (client, server):
        client.send(VALID)
        assert msgpack.unpackb(server.recv(timeout=5)) == GOOD
        server.send(with_(sequence=5))
        assert msgpack.unpackb(client.recv(timeout=5))["sequence"] == 5
    backend.close()
