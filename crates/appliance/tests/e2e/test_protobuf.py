"""Protobuf validation: what the type and its constraints allow passes byte for byte, what they do not is acted upon."""

import json

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from support.backends import LibraryBackend, library_pair
from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import BINARY, TEXT

PROTO = """
syntax = "proto3";
package trade;
import "party.proto";

message Order {
    string symbol = 1;
    Side side = 2;
    uint32 quantity = 3;
    repeated sint32 legs = 4;
    Party party = 5;
    oneof kind { double limit = 6; Party broker = 7; }
    map<string, uint64> tags = 8;
    bytes nonce = 9;
    Order next = 10;
}
enum Side { NONE = 0; BUY = 1; SELL = 2; }
"""

PARTY = 'syntax = "proto3"; package trade; message Party { string name = 1; int32 level = 2; }'

CONSTRAINTS = {
    "required": ["side", "quantity"],
    "properties": {
        "symbol": {"pattern": "^[A-Z]{1,5}$"},
        "side": {"enum": ["BUY", "SELL"]},
        "quantity": {"minimum": 1, "maximum": 1000},
        "legs": {"maxItems": 3},
        "party": {"properties": {"level": {"maximum": 3}}},
        "limit": {"type": "number", "minimum": 0},
        "tags": {"additionalProperties": {"maximum": 10}},
        "nonce": {"maxLength": 8},
    },
}


def file_descriptors() -> list[descriptor_pb2.FileDescriptorProto]:
    """What protoc makes of the files above, as far as a test needs it."""
    kinds = descriptor_pb2.FieldDescriptorProto

    def field(name, number, kind, type_name="", label=kinds.LABEL_OPTIONAL, **more):
        options = {"type_name": type_name} if type_name else {}
        return kinds(name=name, number=number, type=kind, label=label, **options, **more)

    party = descriptor_pb2.FileDescriptorProto(name="party.proto", package="trade", syntax="proto3")
    party.message_type.add(
        name="Party", field=[field("name", 1, kinds.TYPE_STRING), field("level", 2, kinds.TYPE_INT32)]
    )
    order = descriptor_pb2.FileDescriptorProto(
        name="order.proto", package="trade", syntax="proto3", dependency=["party.proto"]
    )
    side = order.enum_type.add(name="Side")
    for number, name in enumerate(("NONE", "BUY", "SELL")):
        side.value.add(name=name, number=number)
    entry = descriptor_pb2.DescriptorProto(
        name="TagsEntry",
        field=[field("key", 1, kinds.TYPE_STRING), field("value", 2, kinds.TYPE_UINT64)],
        options=descriptor_pb2.MessageOptions(map_entry=True),
    )
    order.message_type.add(
        name="Order",
        nested_type=[entry],
        oneof_decl=[descriptor_pb2.OneofDescriptorProto(name="kind")],
        field=[
            field("symbol", 1, kinds.TYPE_STRING),
            field("side", 2, kinds.TYPE_ENUM, ".trade.Side"),
            field("quantity", 3, kinds.TYPE_UINT32),
            field("legs", 4, kinds.TYPE_SINT32, label=kinds.LABEL_REPEATED),
            field("party", 5, kinds.TYPE_MESSAGE, ".trade.Party"),
            field("limit", 6, kinds.TYPE_DOUBLE, oneof_index=0),
            field("broker", 7, kinds.TYPE_MESSAGE, ".trade.Party", oneof_index=0),
            field("tags", 8, kinds.TYPE_MESSAGE, ".trade.Order.TagsEntry", label=kinds.LABEL_REPEATED),
            field("nonce", 9, kinds.TYPE_BYTES),
            field("next", 10, kinds.TYPE_MESSAGE, ".trade.Order"),
        ],
    )
    return [party, order]


POOL = descriptor_pool.DescriptorPool()
for each in file_descriptors():
    POOL.Add(each)
Order = message_factory.GetMessageClass(POOL.FindMessageTypeByName("trade.Order"))


def order(**fields) -> bytes:
    return Order(**{"symbol": "ACME", "side": "BUY", "quantity": 10, **fields}).SerializeToString()


VALID = order()

ALLOWED = [
    VALID,
    order(legs=[-1, 0, 2**31 - 1], tags={"a": 1, "b": 10}, nonce=b"\x00\xff\x10\x80\x90\xa0", limit=1.5),
    order(party={"name": "é" * 100, "level": -1}, broker={"name": "x"}),
    order(next={"symbol": "whatever it is"}),
    # Unpacked, and in another order.
    b"\x20\x01\x20\x02" + VALID[6:] + VALID[:6],
]

MERGED = [
    # The last value counts, and what is merged is within bounds.
    order(quantity=2000) + b"\x18\x05",
    order(party={"name": "a", "level": 9}) + b"\x2a\x02\x10\x01",
    order(limit=-1) + b"\x3a\x00",
    order(tags={"a": 11}) + b"\x42\x05\x0a\x01a\x10\x01",
]


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        size, length = len(inner), []
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        inner = b"\x52" + bytes([*length, size]) + inner
    return VALID + inner


REFUSED = {
    # What the constraints refuse.
    "enum": order(side="NONE"),
    "pattern": order(symbol="acme"),
    "maximum": order(quantity=1001),
    "minimum": order(quantity=0),
    "left-out": b"\x0a\x04ACME\x10\x01",
    "empty": b"",
    "too-many": order(legs=[1, 2, 3, 4]),
    "not-a-number": order(limit=float("nan")),
    "map-value": order(tags={"a": 11}),
    "bytes-too-long": order(nonce=b"1234567"),
    "last-value": VALID + b"\x18\xe9\x07",
    "merged-sub-message": order(party={"name": "a", "level": 1}) + b"\x2a\x02\x10\x04",
    "merged-in-pieces": order(party={"name": "a"}) + b"\x2a\x02\x10\x04" + b"\x2a\x03\x0a\x01b",
    "oneof-last": order(broker={"name": "a"}) + b"\x31\x00\x00\x00\x00\x00\x00\xf0\xbf",
    "map-last-entry": order(tags={"a": 1}) + b"\x42\x05\x0a\x01a\x10\x0b",
    "list-in-two-forms": order(legs=[1, 2]) + b"\x20\x01\x20\x01",
    # What the wire refuses.
    "cut-off": VALID[:-1],
    "length-beyond": b"\x0a\x7fACME",
    "length-bomb": VALID + b"\x4a\xff\xff\xff\xff\x07",
    "length-of-64-bits": VALID + b"\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "sub-message-beyond": VALID + b"\x2a\x02\x0a\x05abcde",
    "overlong-varint": b"\x0a\x04ACME\x10\x01\x18\x8a\x00",
    "overlong-tag": b"\x8a\x00\x04ACME\x10\x01\x18\x0a",
    "overlong-length": b"\x0a\x84\x00ACME\x10\x01\x18\x0a",
    "varint-of-eleven": VALID + b"\x18" + b"\xff" * 10 + b"\x01",
    "varint-beyond-64-bits": VALID + b"\x18" + b"\xff" * 9 + b"\x7f",
    "cut-to-fit": b"\x0a\x04ACME\x10\x01\x18\x8a\x80\x80\x80\x10",
    "field-0": VALID + b"\x00\x01",
    "wire-type": VALID + b"\x08\x01",
    "wire-type-7": VALID + b"\x0f",
    "group": VALID + b"\x2b\x2c",
    "end-of-no-group": VALID + b"\x0c",
    "group-bomb": VALID + b"\xa3\x06" * 100_000,
    "invalid-utf8": VALID + b"\x0a\x01\xff" + b"\x0a\x04ACME",
    "invalid-utf8-below": VALID + b"\x2a\x03\x0a\x01\xff",
    "unknown-field": VALID + b"\xa0\x06\x01",
    "unknown-field-below": VALID + b"\x2a\x03\xa0\x06\x01",
    "unknown-enum": VALID + b"\x10\x07\x10\x01",
    "too-deep": nested(100),
    "far-too-deep": nested(5000),
    "json": b'{"symbol":"ACME"}',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protos")
    (folder / "order.proto").write_text(PROTO)
    (folder / "party.proto").write_text(PARTY)
    (folder / "order.json").write_text(json.dumps(CONSTRAINTS))
    (folder / "order.binpb").write_bytes(
        descriptor_pb2.FileDescriptorSet(file=file_descriptors()).SerializeToString()
    )
    return folder


def validating(folder, options: str = "", *, file: str = "order.proto", constraints: bool = True, more="", mode="enforce") -> str:
    path = f'schema-path "{folder / file}" message="trade.Order"'
    path += f' constraints="{folder / "order.json"}"' if constraints else ""
    return agent_block(f'validation {{ schema-type "protobuf"; {path}; {options} }}\n{more}', mode=mode)


@pytest.fixture(scope="module", params=["order.proto", "order.binpb"])
def inspector(request, start_once, shared_backend, folder):
    return start_once(shared_backend.port, validating(folder, file=request.param))


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


both = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)


def test_the_library_reads_what_is_meant():
    """The messages are what their names say, for a receiver of Google's."""
    merged = [Order.FromString(message) for message in MERGED]
    assert (merged[0].quantity, merged[1].party.level, merged[1].party.name) == (5, 1, "a")
    assert merged[2].WhichOneof("kind") == "broker" and merged[3].tags["a"] == 1
    assert Order.FromString(REFUSED["merged-in-pieces"]).party.level == 4
    assert Order.FromString(REFUSED["oneof-last"]).limit == -1
    assert Order.FromString(REFUSED["list-in-two-forms"]).legs == [1, 2, -1, -1]
    assert Order.FromString(REFUSED["overlong-varint"]).quantity == 10
    assert Order.FromString(REFUSED["cut-to-fit"]).quantity == 10


@both
def test_valid_messages_pass_as_they_were_written(pair, direction):
    sender, receiver = pair.ends(direction)
    sent = ALLOWED + MERGED
    sender.queue(b"".join(map(sender.framer.binary, sent)))
    pair.exchange(until=lambda: len(receiver.heard.messages) == len(sent) or receiver.heard.ended)
    assert receiver.heard.messages == [(BINARY, payload) for payload in sent]


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
    pair.client.queue(pair.client.framer.binary(order(symbol="secret-word")))
    assert pair.exchange()
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert all(part in verdict["reason"] for part in ("/symbol", "pattern", "/properties/symbol/pattern"))
    assert "secret-word" not in json.dumps(inspector.audit())


@both
def test_a_message_in_fragments_is_judged_as_a_whole(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.fragments(BINARY, [VALID[:3], b"", VALID[3:]]))
    sender.queue(sender.framer.fragments(BINARY, [VALID, b"\x18\xe9\x07"]))
    assert pair.exchange()
    assert receiver.heard.payloads == [VALID] and sender.heard.close_code == 1007


@both
def test_text_is_left_alone(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text("no protobuf"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(TEXT, b"no protobuf")]


@both
def test_the_drop_action_drops_the_message_alone(start, backend, folder, direction):
    inspector = start(backend.port, validating(folder, 'action "drop"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    bad = [REFUSED[name] for name in ("enum", "group-bomb", "far-too-deep", "cut-off")]
    sender.queue(b"".join(map(sender.framer.binary, [VALID, *bad, ALLOWED[1]])))
    pair.exchange(until=lambda: len(receiver.heard.messages) == 2 or receiver.heard.ended)
    assert receiver.heard.payloads == [VALID, ALLOWED[1]] and sender.heard.close is None
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(4)] == [("validation-1", "drop")] * 4
    pair.close()


@pytest.mark.parametrize("only, other", [("to-server", "to_client"), ("to-client", "to_server")])
def test_a_schema_of_one_direction_leaves_the_other_alone(start, backend, folder, only, other):
    inspector = start(backend.port, validating(folder, f'direction "{only}"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(other)
    sender.queue(sender.framer.binary(b"\x00"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [b"\x00"]
    receiver.queue(receiver.framer.binary(b"\x00"))
    assert pair.exchange()
    assert receiver.heard.close_code == 1007 and sender.heard.messages == []
    pair.close()


def test_without_constraints_the_type_alone_decides(start, backend, folder):
    inspector = start(backend.port, validating(folder, 'action "drop"', constraints=False))
    pair = open_pair(inspector, backend)
    sent = [REFUSED["enum"], REFUSED["overlong-varint"], b"", REFUSED["unknown-field"], VALID]
    pair.client.queue(b"".join(map(pair.client.framer.binary, sent)))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 3 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [REFUSED["enum"], b"", VALID]
    pair.close()


@pytest.mark.parametrize("constraints", [True, False])
def test_unknown_fields_may_pass_and_obey_the_wire(start, backend, folder, constraints):
    options = 'unknown-fields "allow"; action "drop"'
    inspector = start(backend.port, validating(folder, options, constraints=constraints))
    pair = open_pair(inspector, backend)
    allowed = [REFUSED["unknown-field"], REFUSED["unknown-field-below"], VALID + b"\xa3\x06\x08\x01\xa4\x06", VALID]
    refused = [REFUSED["group-bomb"], VALID + b"\xa0\x06\x81\x00", VALID + b"\xa3\x06", VALID + b"\xa2\x06\x05a"]
    both_kinds = [message for pair_ in zip(refused, allowed) for message in pair_]
    pair.client.queue(b"".join(map(pair.client.framer.binary, both_kinds)))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == len(allowed) or pair.server.heard.ended)
    assert pair.server.heard.payloads == allowed
    assert len(inspector.wait_verdicts(len(refused))) == len(refused)
    pair.close()


@pytest.mark.parametrize("mode", ["enforce", "detect"])
def test_unknown_fields_are_stripped(start, backend, folder, mode):
    inspector = start(backend.port, validating(folder, 'unknown-fields "strip"; action "drop"', mode=mode))
    pair = open_pair(inspector, backend)
    sent = [REFUSED["unknown-field"], REFUSED["unknown-field-below"], VALID + b"\xa3\x06\x08\x01\xa4\x06", VALID]
    refused = [REFUSED["unknown-enum"], REFUSED["group-bomb"]]
    expected = [VALID, VALID + b"\x2a\x00", VALID, VALID]
    if mode == "detect":
        expected = sent[:1] + refused + sent[1:]
    pair.client.queue(b"".join(map(pair.client.framer.binary, sent[:1] + refused + sent[1:])))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == len(expected) or pair.server.heard.ended)
    assert pair.server.heard.payloads == expected
    assert {verdict["rule"] for verdict in inspector.wait_verdicts(len(refused))} == {"validation-1"}
    pair.close()


def test_several_schemas_are_all_required(start, backend, folder, tmp_path):
    (tmp_path / "small.json").write_text('{"properties": {"quantity": {"maximum": 50}}}')
    path = f'schema-type "protobuf"; schema-path "{folder / "order.proto"}" message="trade.Order"'
    blocks = "".join(
        f'validation {{ {path} constraints="{file}" }}\n' for file in (folder / "order.json", tmp_path / "small.json")
    )
    inspector = start(backend.port, agent_block(blocks))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.binary(VALID) + pair.client.framer.binary(order(quantity=51)))
    assert pair.exchange()
    assert pair.server.heard.payloads == [VALID] and pair.client.heard.close_code == 1007
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"] == "validation-2"
    pair.close()


def test_bombs_take_bounded_memory(start, backend, folder):
    inspector = start(backend.port, validating(folder, 'action "drop"; unknown-fields "allow"'))
    pair = open_pair(inspector, backend)
    before = inspector.rss_bytes()
    bombs = [
        VALID + b"\x22" + b"\x80\x80\x20" + b"\x01" * (512 * 1024),  # half a million legs in one list
        VALID + b"\x42\x00" * 250_000,
        VALID + b"\x2a\x00" * 250_000,
        VALID + b"\xa3\x06" * 250_000,
        VALID + b"\x4a\xff\xff\xff\xff\x07",
    ]
    for _ in range(3):
        pair.client.queue(b"".join(map(pair.client.framer.binary, [*bombs, VALID])))
    pair.exchange(until=lambda: pair.server.heard.payloads.count(VALID) == 3 or pair.server.heard.ended)
    # Empty entries and empty parts are what they say, once they are merged.
    assert pair.server.heard.payloads == [bombs[1], bombs[2], VALID] * 3
    assert inspector.rss_bytes() - before < 200 << 20
    pair.close()


@both
@pytest.mark.parametrize("hidden", ["string", "bytes", "key", "below", "unknown", "replaced"])
def test_the_length_of_a_string_hides_no_word(start, backend, folder, hidden, direction):
    """A string of 65 bytes has an `A` before it, so that in the raw message no word begins where it does."""
    policy = 'content-filter { block-patterns "/\\\\bdrop table\\\\b/i" }'
    inspector = start(
        backend.port, validating(folder, 'unknown-fields "allow"', constraints=False, more=policy)
    )
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    text = "drop table users" + " " * 49
    message = {
        "string": order(symbol=text),
        "bytes": order(nonce=text.encode()),
        "key": order(tags={text: 1}),
        "below": order(party={"name": text}),
        "unknown": VALID + b"\xa2\x06\x41" + text.encode(),
        "replaced": b"\x0a\x41" + text.encode() + VALID,
    }[hidden]
    good = order(symbol="drop tables")
    sender.queue(sender.framer.binary(good) + sender.framer.binary(message))
    assert pair.exchange()
    assert receiver.heard.payloads == [good] and sender.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"] == "content-filter-1/block-patterns-1"
    pair.close()


def test_a_library_client_and_server_understand_each_other(start, folder):
    backend = LibraryBackend()
    inspector = start(backend.port, validating(folder))
    with library_pair(inspector, backend) as (client, server):
        client.send(order(legs=[1, -1]))
        assert Order.FromString(server.recv(timeout=5)).legs == [1, -1]
        server.send(VALID)
        assert Order.FromString(client.recv(timeout=5)).symbol == "ACME"
    backend.close()
