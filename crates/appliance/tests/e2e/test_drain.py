"""SIGTERM drains: what is open is told to go, what is new is refused, and the process ends in time."""

import signal
import time

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import ConnectionEnded, RawPeer, as_head, exchange, open_pair, upgrade_lines


def test_sigterm_closes_both_sides_with_1001_and_exits_0(start, backend):
    inspector = start(backend.port, drain_timeout_s=10)
    pairs = [open_pair(inspector, backend) for _ in range(5)]
    inspector.signal(signal.SIGTERM)
    for pair in pairs:
        assert pair.exchange(), "the session ends"
        assert pair.client.heard.close_code == 1001
        assert pair.server.heard.close_code in (1001, None)
        pair.close()
    assert inspector.wait_exit(10) == 0


def test_sigterm_without_connections_exits_at_once(start, backend):
    inspector = start(backend.port, drain_timeout_s=30)
    inspector.signal(signal.SIGTERM)
    assert inspector.wait_exit(10) == 0


def test_messages_sent_before_sigterm_arrive(start, backend):
    inspector = start(backend.port, drain_timeout_s=10)
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("before"))
    pair.exchange(until=lambda: pair.server.heard.messages)
    inspector.signal(signal.SIGTERM)
    assert pair.exchange()
    assert pair.server.heard.payloads == [b"before"]
    pair.close()


def test_a_peer_that_does_not_answer_is_cut_off_after_the_drain_timeout(start, backend):
    inspector = start(backend.port, drain_timeout_s=2)
    pair = open_pair(inspector, backend)
    for peer in (pair.client, pair.server):
        peer.answers_close = False
        peer.reads = False
    inspector.signal(signal.SIGTERM)
    assert inspector.wait_exit(12) == 0
    pair.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_session_in_the_middle_of_a_message_is_drained_too(start, backend, direction):
    inspector = start(backend.port, drain_timeout_s=2)
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text("half", fin=False) + sender.framer.ping(b"mark"))
    pair.exchange(until=lambda: receiver.heard.pings)
    inspector.signal(signal.SIGTERM)
    assert pair.exchange()
    assert receiver.heard.messages == []
    assert inspector.wait_exit(12) == 0
    pair.close()


def test_new_connections_are_refused_while_draining(start, backend):
    inspector = start(backend.port, drain_timeout_s=6)
    pair = open_pair(inspector, backend)
    pair.client.answers_close = pair.server.answers_close = False
    inspector.signal(signal.SIGTERM)
    assert pair.exchange(until=lambda: pair.client.heard.close is not None)
    assert inspector.process.poll() is None, "the session that does not answer keeps it up"
    assert refused(inspector.address)
    pair.close()
    assert inspector.wait_exit(12) == 0


def test_readyz_says_no_while_draining(start, backend):
    inspector = start(backend.port, drain_timeout_s=6)
    pair = open_pair(inspector, backend)
    pair.client.answers_close = pair.server.answers_close = False
    inspector.signal(signal.SIGTERM)
    assert pair.exchange(until=lambda: pair.client.heard.close is not None)
    try:
        status, _ = inspector.get("/readyz")
    except OSError:
        status = None  # the admin server is gone: not ready either
    assert status in (503, None)
    pair.close()


def test_the_audit_stream_is_complete_after_the_exit(start, backend):
    inspector = start(backend.port, agent_block(), drain_timeout_s=5)
    pairs = [open_pair(inspector, backend) for _ in range(20)]
    clients = {pair.client.local_address for pair in pairs}
    inspector.signal(signal.SIGTERM)
    exchange(*(peer for pair in pairs for peer in (pair.client, pair.server)))
    assert inspector.wait_exit(12) == 0
    closes = [r for r in inspector.audit() if r["event"] == "ws_close"]
    assert {r["client"] for r in closes} == clients
    assert {(r["code"], r["initiator"]) for r in closes} == {(1001, "inspector")}
    for pair in pairs:
        pair.close()


def test_sighup_does_not_end_the_process(start, backend):
    inspector = start(backend.port)
    pair = open_pair(inspector, backend)
    inspector.signal(signal.SIGHUP)
    pair.client.queue(pair.client.framer.text("after"))
    pair.exchange(until=lambda: pair.server.heard.messages)
    assert pair.server.heard.payloads == [b"after"]
    assert inspector.wait_exit(0.3) is None
    pair.close()


def refused(address) -> bool:
    """True when a new client is not served: no connection, no 101. Asks for up to 3 seconds."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            client = RawPeer.connect(address)
        except (TimeoutError, ConnectionRefusedError):
            return True
        try:
            client.sock.sendall(as_head(upgrade_lines("/late")))
            if client.read_head(timeout=1).status == 503:
                return True
        except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
            return True
        except AssertionError:
            pass
        finally:
            client.close()
    return False
