"""JSON validation: what the schema allows passes as it was written, what it does not is acted upon."""

import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import BINARY, TEXT

ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["type", "quantity"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["buy", "sell"]},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
        "symbol": {"$ref": "#/$defs/symbol"},
        "note": {"type": "string", "maxLength": 5},
    },
    "$defs": {"symbol": {"type": "string", "pattern": "^[A-Z]{1,5}$"}},
}

VALID = b'{"type":"buy","quantity":10}'

ALLOWED = [
    VALID,
    b' {\n "quantity" : 1000 , "type":"sell", "symbol":"ACME"}\n',
    b'{"type":"buy","quantity":1.0}',
    '{"type":"buy","quantity":1,"note":"👩👩👩👩👩"}'.encode(),
    b'{"t\\u0079pe":"b\\u0075y","quantity":1}',
]

REFUSED = {
    "missing": b'{"type":"buy"}',
    "additional": b'{"type":"buy","quantity":1,"admin":true}',
    "enum": b'{"type":"gift","quantity":1}',
    "type": b'{"type":"buy","quantity":"1"}',
    "fraction": b'{"type":"buy","quantity":1.5}',
    "minimum": b'{"type":"buy","quantity":0}',
    "maximum": b'{"type":"buy","quantity":1001}',
    "ref-and-pattern": b'{"type":"buy","quantity":1,"symbol":"acme"}',
    "length-in-characters": b'{"type":"buy","quantity":1,"note":"123456"}',
    "not-an-object": b"[]",
    "not-json": b"buy 10",
    "duplicate-keys": b'{"type":"buy","quantity":1,"quantity":1}',
    "two-documents": VALID + VALID,
    "too-deep": b'{"type":' + b"[" * 100 + b"]" * 100 + b',"quantity":1}',
}


@pytest.fixture(scope="module")
def schema_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "order.json"
    path.write_text(json.dumps(ORDER))
    return path


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend, schema_path):
    return start_once(shared_backend.port, validating(schema_path))


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


def validating(schema_path, options: str = "") -> str:
    return agent_block(f'validation {{ schema-type "json"; schema-path "{schema_path}"; {options} }}')


both = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)


@both
def test_valid_messages_pass_as_they_were_written(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(b"".join(map(sender.framer.text, ALLOWED)))
    pair.exchange(until=lambda: len(receiver.heard.messages) == len(ALLOWED) or receiver.heard.ended)
    assert receiver.heard.payloads == ALLOWED


@both
@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_message_closes_with_1007(inspector, pair, name, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text(VALID) + sender.framer.text(REFUSED[name]) + sender.framer.text(VALID))
    assert pair.exchange()
    assert receiver.heard.payloads == [VALID]
    assert sender.heard.close_code == 1007
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["action"], verdict["code"], verdict["direction"]) == ("close", 1007, direction)
    assert verdict["rule"].startswith(("validation-1", "limits/"))
    assert verdict["reason"]


@both
def test_legal_json_in_three_fragments_passes(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.fragments(TEXT, [VALID[:9], VALID[9:20], VALID[20:]]))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [VALID]


@both
def test_invalid_json_in_three_valid_looking_fragments_is_refused(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.fragments(TEXT, [VALID, b" ", VALID]))
    assert pair.exchange()
    assert receiver.heard.messages == [] and sender.heard.close_code == 1007


@both
def test_a_text_schema_leaves_binary_alone(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.binary(b"\x00\xff"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(BINARY, b"\x00\xff")]


@both
def test_the_drop_action_drops_the_message_alone(start, backend, schema_path, direction):
    inspector = start(backend.port, validating(schema_path, 'action "drop"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    sender.queue(b"".join(map(sender.framer.text, [VALID, REFUSED["enum"], REFUSED["not-json"], ALLOWED[1]])))
    pair.exchange(until=lambda: len(receiver.heard.messages) == 2 or receiver.heard.ended)
    assert receiver.heard.payloads == [VALID, ALLOWED[1]] and sender.heard.close is None
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(2)] == [("validation-1", "drop")] * 2
    pair.close()


@both
def test_reject_invalid_false_only_audits(start, backend, schema_path, direction):
    inspector = start(backend.port, validating(schema_path, "reject-invalid false"))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    sent = [VALID, REFUSED["enum"], REFUSED["not-json"], VALID]
    sender.queue(b"".join(map(sender.framer.text, sent)))
    pair.exchange(until=lambda: len(receiver.heard.messages) == 4 or receiver.heard.ended)
    assert receiver.heard.payloads == sent
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(2)] == [("validation-1", "alert")] * 2
    pair.close()


@pytest.mark.parametrize("only, other", [("to-server", "to_client"), ("to-client", "to_server")])
def test_a_schema_of_one_direction_leaves_the_other_alone(start, backend, schema_path, only, other):
    inspector = start(backend.port, validating(schema_path, f'direction "{only}"'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(other)
    sender.queue(sender.framer.text("no json"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [b"no json"]
    receiver.queue(receiver.framer.text("no json"))
    assert pair.exchange()
    assert receiver.heard.close_code == 1007 and sender.heard.messages == []
    pair.close()


def test_two_schemas_are_both_required(start, backend, schema_path, tmp_path):
    short = tmp_path / "short.json"
    short.write_text('{"required":["symbol"]}')
    blocks = "".join(f'validation {{ schema-type "json"; schema-path "{p}" }}\n' for p in (schema_path, short))
    inspector = start(backend.port, agent_block(blocks))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text(ALLOWED[1]) + pair.client.framer.text(VALID))
    assert pair.exchange()
    assert pair.server.heard.payloads == [ALLOWED[1]] and pair.client.heard.close_code == 1007
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"].startswith("validation-2")
    pair.close()


def test_a_reference_to_a_file_beside_the_schema_works(start, backend, tmp_path):
    (tmp_path / "quantity.json").write_text('{"type":"integer","maximum":10}')
    (tmp_path / "main.json").write_text('{"properties":{"quantity":{"$ref":"quantity.json"}}}')
    inspector = start(backend.port, validating(tmp_path / "main.json"))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text('{"quantity":10}') + pair.client.framer.text('{"quantity":11}'))
    assert pair.exchange()
    assert pair.server.heard.payloads == [b'{"quantity":10}'] and pair.client.heard.close_code == 1007
    pair.close()
