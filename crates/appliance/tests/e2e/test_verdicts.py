"""Each close code where it belongs, on the wire and in the audit stream, with the good messages around it."""

import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, GOOD, Attack, assert_blocked, send_attack
from support.peers import open_pair
from support.wire import RSV2, TEXT

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": True}

VERDICTS = [
    Attack("1002-rsv", lambda f: f.text(b"{}", rsv=RSV2), (1002,), ("protocol/",)),
    Attack("1007-utf8", lambda f: f.text(b'{"s":"\xff"}'), (1007,), ("protocol/",)),
    Attack("1007-schema", lambda f: f.text('{"n":"one"}'), (1007,), ("validation-1",)),
    Attack("1008-first-pattern", lambda f: f.text('{"s":"exec(1)"}'), (1008,), ("content-filter-1/block-patterns-1",)),
    Attack("1008-second-pattern", lambda f: f.text('{"s":"EVAL(1)"}'), (1008,), ("content-filter-1/block-patterns-2",)),
    Attack("1008-literal", lambda f: f.text('{"s":"a.b"}'), (1008,), ("content-filter-1/block-patterns-3",)),
    Attack(
        "1008-second-filter", lambda f: f.text('{"s":"forbidden"}'), (1008,), ("content-filter-2/block-patterns-1",)
    ),
    Attack("1008-built-in", lambda f: f.text('{"s":"<script>x()</script>"}'), (1008,), ("content-filter-1/xss/",)),
    Attack("1008-rate", lambda f: f.text(b"{}") * 40, (1008,), ("rate-limit-1",)),
    Attack(
        "1009-size", lambda f: f.text(b'{"s":"%s"}' % (b"x" * 5000)), (1009,), ("content-filter-1/max-message-size",)
    ),
]


@pytest.fixture(scope="module")
def schema_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return path


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend, schema_path):
    policy = f"""
    validation {{ schema-type "json"; schema-path "{schema_path}" }}
    rate-limit {{ messages-per-second 1; burst 20; direction "both" }}
    content-filter {{
        block-patterns "/exec\\\\(/" "/eval\\\\(/i" "a.b"
        rules "xss"
        max-message-size 4096
    }}
    content-filter {{ block-patterns "forbidden" }}
    """
    return start_once(shared_backend.port, agent_block(policy))


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("attack", VERDICTS, ids=str)
def test_a_bad_message_among_good_ones(inspector, pair, attack, direction, delivery):
    send_attack(pair, attack, direction, delivery)
    # The burst of 20 lets the good message and 19 of the flood through.
    good = (GOOD, *[b"{}"] * 19) if attack.name == "1008-rate" else (GOOD,)
    assert_blocked(inspector, pair, attack, direction, good=good)


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_literal_pattern_is_no_regex(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text('{"s":"axb"}'))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [b'{"s":"axb"}']


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_message_that_cannot_be_inspected_in_time_closes_with_1011(start, backend, direction, schema_path):
    policy = f"""
    limits {{ max-frame-size "16MiB" }}
    validation {{ schema-type "json"; schema-path "{schema_path}" }}
    content-filter {{ rules "xss" "sqli" "command-injection"; max-message-size "16MiB" }}
    """
    inspector = start(backend.port, agent_block(policy, timeout_ms=1, failure_mode="closed"))
    pair = open_pair(inspector, backend)
    # Eight megabytes of small JSON values cannot be parsed, scanned and validated in a millisecond.
    big = b'{"v":[' + b",".join(b'{"k":"%07d"}' % n for n in range(500_000)) + b"]}"
    attack = Attack("1011", lambda f: f.text(big), (1011,), ("could-not-inspect/",))
    send_attack(pair, attack, direction, "one-write")
    assert_blocked(inspector, pair, attack, direction)
    pair.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_blocked_session_leaves_the_others_alone(inspector, shared_backend, direction):
    bad, other = open_pair(inspector, shared_backend), open_pair(inspector, shared_backend)
    send_attack(bad, VERDICTS[3], direction, "one-write")
    sender, receiver = other.ends(direction)
    sender.queue(sender.framer.text(GOOD))
    other.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(TEXT, GOOD)]
    bad.close()
    other.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_bad_message_stops_only_what_follows_it_in_its_own_direction(inspector, pair, direction):
    """What the other side had sent before the verdict is still whole when it arrives."""
    sender, receiver = pair.ends(direction)
    receiver.queue(receiver.framer.text(GOOD))
    pair.exchange(until=lambda: sender.heard.messages)
    sender.queue(sender.framer.text('{"s":"exec(1)"}'))
    assert pair.exchange()
    assert sender.heard.payloads == [GOOD] and receiver.heard.payloads == []
    assert sender.heard.close_code == 1008


def test_the_alert_action_passes_the_message_and_records_it(start, backend):
    inspector = start(backend.port, agent_block('content-filter { block-patterns "/eval\\\\(/"; action "alert" }'))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("eval(1)") + pair.client.framer.text("end"))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 2 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [b"eval(1)", b"end"]
    [verdict] = inspector.wait_verdicts(1)
    assert (verdict["action"], verdict["rule"]) == ("alert", "content-filter-1/block-patterns-1")
    pair.close()


@pytest.mark.parametrize("only, other", [("to-server", "to_client"), ("to-client", "to_server")])
def test_a_filter_of_one_direction_leaves_the_other_alone(start, backend, only, other):
    policy = f'content-filter {{ block-patterns "/eval\\\\(/"; direction "{only}" }}'
    inspector = start(backend.port, agent_block(policy))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(other)
    sender.queue(sender.framer.text("eval(1)"))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.payloads == [b"eval(1)"]
    receiver.queue(receiver.framer.text("eval(2)"))
    assert pair.exchange(), "the filtered direction is blocked"
    assert receiver.heard.close_code == 1008 and sender.heard.messages == []
    pair.close()
