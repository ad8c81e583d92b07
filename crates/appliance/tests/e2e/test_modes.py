"""Detect mode and failure modes: what happens to a message that a rule, or nothing, could judge."""

import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import RSV1, TEXT

MIB = 1024 * 1024


@pytest.fixture
def detecting(start, backend, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type":"object"}')
    policy = f"""
    validation {{ schema-type "json"; schema-path "{schema}" }}
    rate-limit {{ messages-per-second 1; burst 8; direction "both" }}
    content-filter {{ block-patterns "/eval\\\\(/"; rules "xss"; max-message-size 1000 }}
    """
    inspector = start(backend.port, agent_block(policy, mode="detect"))
    pair = open_pair(inspector, backend)
    yield inspector, pair
    pair.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_detect_passes_what_enforce_would_block_and_records_it(detecting, direction):
    inspector, pair = detecting
    sender, receiver = pair.ends(direction)
    bad = {
        "validation-1": b"not json",
        "content-filter-1/block-patterns-1": b'{"v":"eval(1)"}',
        "content-filter-1/xss/": b'{"v":"<script>x()</script>"}',
        "content-filter-1/max-message-size": b'{"v":"%s"}' % (b"x" * 2000),
    }
    sent = [b"{}", *bad.values()]
    sender.queue(b"".join(map(sender.framer.text, sent)))
    pair.exchange(until=lambda: len(receiver.heard.messages) == len(sent) or receiver.heard.ended)
    assert receiver.heard.payloads == sent
    assert sender.heard.close is None and receiver.heard.close is None
    verdicts = inspector.wait_verdicts(len(bad))
    for prefix in bad:
        matching = [v for v in verdicts if v["rule"].startswith(prefix)]
        assert len(matching) == 1, f"one verdict of {prefix} in {verdicts}"
        assert matching[0]["action"] == "close" and matching[0]["mode"] == "detect"
        assert matching[0]["direction"] == direction


def test_detect_passes_what_is_over_the_rate(detecting):
    inspector, pair = detecting
    pair.client.queue(pair.client.framer.text("{}") * 20)
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 20 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [b"{}"] * 20
    verdicts = inspector.wait_verdicts(11)
    assert {(v["rule"], v["mode"]) for v in verdicts} == {("rate-limit-1", "detect")}


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_detect_does_not_pass_broken_frames(detecting, direction):
    inspector, pair = detecting
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text("{}") + sender.framer.text("{}", rsv=RSV1) + sender.framer.text("{}"))
    assert pair.exchange()
    assert receiver.heard.payloads == [b"{}"] and sender.heard.close_code == 1002
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"].startswith("protocol/")


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("failure_mode", ["open", "closed"])
@pytest.mark.parametrize("shape", ["wide", "deep"])
def test_a_message_that_takes_too_long_has_one_of_two_ends(start, backend, tmp_path, direction, failure_mode, shape):
    """Inspected in time and passed, or not and treated as failure-mode says; never a hang."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type":"array"}')
    policy = f"""
    limits {{ max-frame-size "16MiB"; max-json-depth 64 }}
    validation {{ schema-type "json"; schema-path "{schema}" }}
    content-filter {{ rules "xss" "sqli" "command-injection"; max-message-size "16MiB" }}
    """
    inspector = start(backend.port, agent_block(policy, timeout_ms=1, failure_mode=failure_mode))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    nested = {"wide": b'{"k":"some words","n":12345.678}', "deep": b"[" * 60 + b'"word"' + b"]" * 60}[shape]
    message = b"[" + b",".join([nested] * (8 * MIB // (len(nested) + 1))) + b"]"
    sender.queue(sender.framer.text(message) + sender.framer.text("[]"))
    finished = pair.exchange(until=lambda: len(receiver.heard.messages) == 2 or sender.heard.ended, timeout=20)
    assert finished, "neither passed nor refused"
    if receiver.heard.messages:
        assert receiver.heard.messages == [(TEXT, message), (TEXT, b"[]")]
    else:
        assert failure_mode == "closed", "failure-mode open lets a message pass that could not be inspected"
        assert sender.heard.close_code == 1011
    verdicts = [r for r in inspector.audit() if r["event"] == "verdict"]
    assert all(v["rule"].startswith("could-not-inspect/") for v in verdicts), verdicts
    pair.close()


def test_failure_mode_open_still_blocks_what_was_inspected(start, backend):
    policy = 'content-filter { block-patterns "/eval\\\\(/" }'
    inspector = start(backend.port, agent_block(policy, failure_mode="open"))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text(json.dumps("eval(1)")))
    assert pair.exchange()
    assert pair.server.heard.messages == [] and pair.client.heard.close_code == 1008
    pair.close()
