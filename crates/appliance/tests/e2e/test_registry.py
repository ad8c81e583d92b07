"""The schema registry: which schema holds for a message, by type, subprotocol, direction and opcode, and what is said of it."""

import json

import msgpack
import pytest

from support.agent_client import Followed, Proxy, wait_for_socket
from support.inspector import agent_block, run_binary
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import BINARY, TEXT

SCHEMAS = {
    "order": {"required": ["price"], "properties": {"price": {"type": "number", "minimum": 1}}},
    "chat": {"properties": {"text": {"maxLength": 12}}, "required": ["text"]},
    "all": {"properties": {"seq": {"type": "integer"}}, "patternProperties": {"^xx": {"maximum": 5}}},
    "quote": {"required": ["bid"], "properties": {"bid": {"maximum": 100}}},
}

PROTO = """
syntax = "proto3";
package trade;
message Envelope { uint64 seq = 1; oneof body { Order order = 2; Chat chat = 3; Admin admin = 4; } }
message Head { Kind kind = 1; }
message Order { Kind kind = 1; int32 price = 2; }
message Chat { Kind kind = 1; string text = 2; }
message Admin { string command = 1; }
enum Kind { NONE = 0; ORDER = 1; CHAT = 2; }
"""

SECRET = "secret-word-of-the-payload"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemas")
    for name, schema in SCHEMAS.items():
        (folder / f"{name}.json").write_text(json.dumps(schema))
    (folder / "envelope-order.json").write_text(json.dumps({"properties": {"order": SCHEMAS["order"]}}))
    (folder / "trade.proto").write_text(PROTO)
    return folder


@pytest.fixture
def opened(start, backend):
    """opened(policy, *headers, answer=..., **settings) -> (inspector, pair)"""
    pairs = []

    def open_with(policy: str, *headers: str, answer: tuple[str, ...] = (), **settings):
        inspector = start(backend.port, agent_block(policy, **settings))
        pairs.append(open_pair(inspector, backend, *headers, answer=answer))
        return inspector, pairs[-1]

    yield open_with
    for pair in pairs:
        pair.close()


def by_type(folder, options: str = 'action "drop"', *, schema_type: str = "json", all_path: bool = True) -> str:
    return f"""
    discriminator "/head/type"
    validation {{
        schema-type "{schema_type}"
        {f'schema-path "{folder / "all.json"}"' if all_path else ""}
        schema "order" path="{folder / "order.json"}"
        schema "chat" path="{folder / "chat.json"}"
        {options}
    }}"""


def message(kind, **members) -> dict:
    return {"head": {"type": kind}, **members}


GOOD = [message("order", price=1), message("chat", text="hello"), message("order", price=1.5, text=SECRET, seq=2)]

REFUSED = [
    (message("order", price=0.5, note=SECRET), '"/price" breaks "minimum" at "/properties/price/minimum" of the schema "order"'),
    (message("order", price=SECRET), '"/price" breaks "type" at "/properties/price/type" of the schema "order"'),
    (message("chat", text=SECRET), '"/text" breaks "maxLength" at "/properties/text/maxLength" of the schema "chat"'),
    (message("order"), '"" breaks "required" at "/required" of the schema "order"'),
    (message(SECRET, price=1), '"/head/type" breaks "discriminator": it names no type that has a schema'),
    (message({"order": 1}, price=1), '"/head/type" breaks "discriminator": it names no type that has a schema'),
    ({"price": 1, "type": "order"}, '"/head/type" breaks "discriminator": it names no type that has a schema'),
    (message("order", price=1, seq=SECRET), '"/seq" breaks "type" at "/properties/seq/type" of the schema'),
]


def send_all(pair, direction: str, wires: list[bytes], expected: int) -> list[bytes]:
    sender, receiver = pair.ends(direction)
    sender.queue(b"".join(wires))
    pair.exchange(until=lambda: len(receiver.heard.messages) == expected or receiver.heard.ended)
    return receiver.heard.payloads


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("schema_type", ["json", "msgpack"])
def test_each_type_has_its_schema_and_each_violation_says_where(opened, folder, schema_type, direction):
    inspector, pair = opened(by_type(folder, schema_type=schema_type))
    sender, _ = pair.ends(direction)

    def wire(message: dict) -> bytes:
        if schema_type == "json":
            return sender.framer.text(json.dumps(message))
        return sender.framer.binary(msgpack.packb(message))

    sent = [wire(GOOD[0])]
    for bad, _ in REFUSED:
        sent += [wire(bad), wire(GOOD[1])]
    passed = send_all(pair, direction, sent, 1 + len(REFUSED))
    assert len(passed) == 1 + len(REFUSED)
    verdicts = inspector.wait_verdicts(len(REFUSED))
    assert [verdict["reason"] for verdict in verdicts] == [reason for _, reason in REFUSED]
    assert {(v["rule"], v["action"], v["direction"]) for v in verdicts} == {("validation-1", "drop", direction)}
    assert SECRET not in json.dumps(inspector.audit()) and SECRET not in inspector.log


def test_good_messages_pass_as_they_were_written(opened, folder):
    _, pair = opened(by_type(folder))
    sent = [json.dumps(each).encode() for each in GOOD]
    assert send_all(pair, "to_server", [pair.client.framer.text(each) for each in sent], len(sent)) == sent


def test_an_invalid_type_closes_with_1007(opened, folder):
    inspector, pair = opened(by_type(folder, "", all_path=False))
    pair.client.queue(pair.client.framer.fragments(TEXT, [b'{"head":{"type":"or', b'der"},"price":0}']))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1007 and pair.server.heard.messages == []
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["rule"], verdict["code"]) == ("validation-1", 1007)
    assert verdict["reason"].endswith('of the schema "order"')


def test_a_long_name_hides_neither_keyword_nor_schema(opened, folder):
    inspector, pair = opened(by_type(folder))
    sent = [message("order", price=1) | {"x" * 5000: 6}, GOOD[0]]
    assert len(send_all(pair, "to_server", [pair.client.framer.text(json.dumps(each)) for each in sent], 1)) == 1
    [verdict] = inspector.wait_verdicts(1)
    assert verdict["reason"].endswith('…" breaks "maximum" at "/patternProperties/^xx/maximum" of the schema')


def test_unknown_types_may_pass_and_then_only_they(opened, folder):
    inspector, pair = opened(by_type(folder, 'unknown-types "allow"; action "drop"'))
    sent = [message("other"), message("order", price=0), {"seq": 1}, message("other", seq="x")]
    wires = [pair.client.framer.text(json.dumps(each)) for each in sent]
    passed = send_all(pair, "to_server", wires, 2)
    assert [json.loads(each) for each in passed] == [sent[0], sent[2]]
    assert len(inspector.wait_verdicts(2)) == 2


def test_detect_mode_tells_of_each_and_stops_none(opened, folder):
    inspector, pair = opened(by_type(folder), mode="detect")
    wires = [pair.client.framer.text(json.dumps(each)) for each, _ in REFUSED]
    assert len(send_all(pair, "to_server", wires, len(REFUSED))) == len(REFUSED)
    assert [v["reason"] for v in inspector.wait_verdicts(len(REFUSED))] == [reason for _, reason in REFUSED]


def two_versions(folder) -> str:
    return f"""
    handshake {{ subprotocols "desk.v1" "desk.v2" }}
    discriminator "/type"
    validation {{
        schema-type "json"; subprotocol "desk.v1"
        schema "order" path="{folder / "order.json"}"
        action "drop"
    }}
    validation {{
        schema-type "json"; subprotocol "desk.v2"; direction "to-client"
        schema "quote" path="{folder / "quote.json"}"
        action "drop"
    }}"""


@pytest.mark.parametrize(
    "spoken, direction, passing",
    [
        ("desk.v1", "to_server", ["order"]),
        ("desk.v1", "to_client", ["order"]),
        ("desk.v2", "to_client", ["quote"]),
        ("desk.v2", "to_server", ["order", "quote", "free"]),
        (None, "to_server", ["order", "quote", "free"]),
    ],
)
def test_the_agreed_subprotocol_chooses(opened, folder, spoken, direction, passing):
    headers = ("Sec-WebSocket-Protocol: desk.v2, desk.v1",) if spoken else ()
    answer = (f"Sec-WebSocket-Protocol: {spoken}",) if spoken else ()
    inspector, pair = opened(two_versions(folder), *headers, answer=answer)
    sender, _ = pair.ends(direction)
    sent = {"order": {"type": "order", "price": 1}, "quote": {"type": "quote", "bid": 1}, "free": {"any": 1}}
    wires = [sender.framer.text(json.dumps(each)) for each in sent.values()]
    passed = send_all(pair, direction, [*wires, sender.framer.ping(b"")], len(passing))
    assert [json.loads(each) for each in passed] == [sent[name] for name in passing]
    assert len(inspector.wait_verdicts(3 - len(passing))) == 3 - len(passing)


def test_behind_a_proxy_the_subprotocol_chooses_too(start, backend, folder, tmp_path):
    path = tmp_path / "agent.sock"
    start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}" }}' + two_versions(folder)))
    wait_for_socket(path)
    proxy = Proxy(path)
    for spoken, verdict in (("desk.v1", "drop"), ("desk.v2", "allow")):
        own, answer = proxy.request(headers={"sec-websocket-protocol": ["desk.v1, desk.v2"]})
        assert answer["decision"] == "allow"
        assert proxy.response(own, headers={"Sec-WebSocket-Protocol": [spoken]})["decision"] == "allow"
        followed = Followed(proxy, own)
        assert followed.text(True, b'{"type":"order","price":0}') == verdict
        assert followed.text(True, b'{"type":"order","price":1}') == "allow"
    proxy.close()


def test_a_oneof_of_an_envelope_names_the_type(opened, folder):
    inspector, pair = opened(
        f"""validation {{
        schema-type "protobuf"; schema-path "{folder / "trade.proto"}" message="trade.Envelope"
        discriminator oneof="body"
        schema "order" constraints="{folder / "envelope-order.json"}"
        schema "chat"
        action "drop"
    }}"""
    )
    good = [b"\x12\x02\x10\x05", b"\x08\x07\x1a\x04\x12\x02hi", b"\x22\x00\x12\x02\x10\x05"]
    bad = [b"\x12\x00", b"\x22\x06\x0a\x04kill", b"\x08\x01", b"\x12\x02\x10\x05\x22\x00", b"\x2a\x00"]
    wires = [pair.client.framer.binary(each) for pair_ in zip(bad, good + good) for each in pair_]
    assert send_all(pair, "to_server", wires, 5) == (good + good)[:5]
    unknown = '"body" breaks "discriminator": it names no type that has a schema'
    reasons = [verdict["reason"] for verdict in inspector.wait_verdicts(5)]
    at = "/properties/order/properties/price/minimum"
    assert reasons[:4] == [f'"/order/price" breaks "minimum" at "{at}" of the schema "order"', unknown, unknown, unknown]
    assert reasons[4].startswith("field 5 at byte 0 is unknown")
    assert "kill" not in json.dumps(inspector.audit())


def test_a_common_head_says_what_a_message_is(opened, folder):
    proto = folder / "trade.proto"
    inspector, pair = opened(
        f"""validation {{
        schema-type "protobuf"; schema-path "{proto}" message="trade.Head"
        discriminator "/kind"
        schema "ORDER" path="{proto}" message="trade.Order" constraints="{folder / "order.json"}"
        schema "CHAT" path="{proto}" message="trade.Chat" constraints="{folder / "chat.json"}"
        action "drop"
    }}
    content-filter {{ block-patterns "/\\\\bdrop table\\\\b/" }}"""
    )
    good = [b"\x08\x01\x10\x05", b"\x08\x02\x12\x02hi"]
    bad = [b"\x08\x01", b"\x08\x02\x12\x0dthirteen char", b"\x10\x05", b"\x08\x03", b"\x08\x02\x10\x05"]
    assert send_all(pair, "to_server", [pair.client.framer.binary(each) for each in bad + good], 2) == good
    assert [v["rule"] for v in inspector.wait_verdicts(5)] == ["validation-1"] * 5
    # Its length, 65, is a letter beside the word: the string is looked at apart because the type says that it is one.
    hidden = b"\x08\x02\x12\x41" + b"drop table users".ljust(65)
    pair.client.queue(pair.client.framer.binary(hidden))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008


@pytest.mark.parametrize(
    "body, line, message",
    [
        ('discriminator "type"; schema "a" path="{f}/all.json"', 3, "is not the place of a field"),
        ('schema "a" path="{f}/all.json"', 3, "`schema` needs a `discriminator`"),
        ('discriminator "/t"\n schema "a" path="{f}/none.json"', 4, "is missing"),
        ('discriminator "/t"\n\n schema "a" path="{f}/trade.proto"', 5, "not JSON"),
    ],
)
def test_mistakes_point_at_their_line(tmp_path, folder, body, line, message):
    path = tmp_path / "c.kdl"
    body = body.replace("{f}", str(folder))
    path.write_text(f'agent "a" {{ type "websocket_inspector"\nvalidation {{ schema-type "json"\n{body}\n}}\n}}\n')
    result = run_binary("check", "-c", str(path))
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert message in output and f"c.kdl:{line}:" in output, output


def test_a_place_that_the_type_lacks_is_a_mistake_with_its_line(tmp_path, folder):
    path = tmp_path / "c.kdl"
    path.write_text(
        f"""agent "a" {{ type "websocket_inspector"
        validation {{ schema-type "protobuf"; schema-path "{folder / "trade.proto"}" message="trade.Envelope"
            discriminator oneof="content"
            schema "order" }} }}"""
    )
    result = run_binary("check", "-c", str(path))
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert 'trade.Envelope has no oneof "content"; it has body' in output and "c.kdl:3:" in output, output


def test_text_and_binary_have_registries_of_their_own(opened, folder):
    policy = f"""
    discriminator "/type"
    validation {{ schema-type "json"; schema "order" path="{folder / "order.json"}"; action "drop" }}
    validation {{ schema-type "msgpack"; schema "quote" path="{folder / "quote.json"}"; action "drop" }}"""
    inspector, pair = opened(policy)
    order, quote = {"type": "order", "price": 1}, {"type": "quote", "bid": 1}
    framer = pair.client.framer
    wires = [framer.text(json.dumps(order)), framer.text(json.dumps(quote))]
    wires += [framer.binary(msgpack.packb(order)), framer.binary(msgpack.packb(quote))]
    send_all(pair, "to_server", wires, 2)
    assert [opcode for opcode, _ in pair.server.heard.messages] == [TEXT, BINARY]
    assert [v["rule"] for v in inspector.wait_verdicts(2)] == ["validation-1", "validation-2"]
