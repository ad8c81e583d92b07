"""The rate limit counts whole messages, per connection, in its own direction."""

import time

import pytest

from support.inspector import agent_block
from support.peers import open_pair
from support.wire import TEXT


@pytest.fixture
def opened(start, backend):
    """opened(body) -> (inspector, pair) with one rate-limit block of that body."""
    pairs = []

    def open_with(body: str):
        inspector = start(backend.port, agent_block(f"rate-limit {{ {body} }}"))
        pairs.append(open_pair(inspector, backend))
        return inspector, pairs[-1]

    yield open_with
    for pair in pairs:
        pair.close()


def numbered(peer, count: int, size: int = 8) -> bytes:
    return b"".join(peer.framer.text(b"%0*d" % (size, n)) for n in range(count))


def test_a_burst_passes_whole(opened):
    _, pair = opened("messages-per-second 1; burst 50")
    pair.client.queue(numbered(pair.client, 50))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 50 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [b"%08d" % n for n in range(50)]
    assert pair.client.heard.close is None


def test_the_message_after_the_burst_closes_with_1008(opened):
    inspector, pair = opened("messages-per-second 1; burst 5")
    pair.client.queue(numbered(pair.client, 12))
    assert pair.exchange()
    assert pair.server.heard.payloads == [b"%08d" % n for n in range(5)]
    assert pair.client.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["rule"], verdict["action"], verdict["code"]) == ("rate-limit-1", "close", 1008)


def test_the_byte_limit_closes_with_1008(opened):
    inspector, pair = opened("bytes-per-second 200000; messages-per-second 100000; burst 100000")
    pair.client.queue(numbered(pair.client, 1000, 1000))
    assert pair.exchange()
    passed = pair.server.heard.payloads
    assert passed == [b"%01000d" % n for n in range(len(passed))]
    assert 100 <= len(passed) <= 600, "about the bytes of one second"
    assert pair.client.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"].startswith("rate-limit-1")


def test_a_limit_on_bytes_alone_is_enough(opened):
    _, pair = opened("bytes-per-second 5000")
    pair.client.queue(numbered(pair.client, 100, 1000))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008


def test_a_limit_on_messages_leaves_bytes_alone(opened):
    _, pair = opened("messages-per-second 10; burst 10")
    pair.client.queue(numbered(pair.client, 5, 60000))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 5 or pair.server.heard.ended)
    assert len(pair.server.heard.messages) == 5


def test_drop_drops_the_excess_and_keeps_the_connection(opened):
    inspector, pair = opened('messages-per-second 2; burst 5; action "drop"')
    pair.client.queue(numbered(pair.client, 20) + pair.client.framer.ping(b"still here"))
    pair.exchange(until=lambda: pair.server.heard.pings or pair.server.heard.ended)
    assert pair.server.heard.payloads[:5] == [b"%08d" % n for n in range(5)]
    passed = len(pair.server.heard.payloads)
    assert passed < 20 and pair.client.heard.close is None
    verdicts = inspector.wait_verdicts(20 - passed)
    assert {(v["rule"], v["action"], v["direction"]) for v in verdicts} == {("rate-limit-1", "drop", "to_server")}
    assert len(verdicts) == 20 - passed, "one verdict for each dropped message"


def test_the_bucket_fills_again(opened):
    _, pair = opened('messages-per-second 4; burst 2; action "drop"')
    pair.client.queue(numbered(pair.client, 10) + pair.client.framer.ping(b"sent"))
    pair.exchange(until=lambda: pair.server.heard.pings or pair.server.heard.ended)
    deadline = time.monotonic() + 8
    while b"again" not in pair.server.heard.payloads and time.monotonic() < deadline:
        pair.client.queue(pair.client.framer.text("again"))
        pair.exchange(until=lambda: b"again" in pair.server.heard.payloads, timeout=0.2)
    assert b"again" in pair.server.heard.payloads


def test_server_pushes_do_not_punish_the_client(opened):
    _, pair = opened("messages-per-second 1; burst 5")
    pair.server.queue(numbered(pair.server, 200))
    pair.exchange(until=lambda: len(pair.client.heard.messages) == 200 or pair.client.heard.ended)
    assert pair.client.heard.payloads == [b"%08d" % n for n in range(200)]
    pair.client.queue(numbered(pair.client, 5))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 5 or pair.server.heard.ended)
    assert len(pair.server.heard.messages) == 5 and pair.client.heard.close is None


def test_a_limit_to_the_client_counts_what_the_server_sends(opened):
    inspector, pair = opened('messages-per-second 1; burst 5; direction "to-client"')
    pair.client.queue(numbered(pair.client, 50))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 50 or pair.server.heard.ended)
    assert len(pair.server.heard.messages) == 50
    pair.server.queue(numbered(pair.server, 12))
    assert pair.exchange()
    assert len(pair.client.heard.messages) == 5 and pair.server.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["rule"], verdict["direction"]) == ("rate-limit-1", "to_client")


def test_a_message_in_a_hundred_fragments_counts_once(opened):
    _, pair = opened("messages-per-second 1; burst 5")
    pair.client.queue(pair.client.framer.fragments(TEXT, [b"x"] * 100) * 5)
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 5 or pair.server.heard.ended)
    assert pair.server.heard.payloads == [b"x" * 100] * 5
    assert pair.client.heard.close is None


def test_each_connection_has_a_bucket_of_its_own(start, backend):
    inspector = start(backend.port, agent_block("rate-limit { messages-per-second 1; burst 5 }"))
    pairs = [open_pair(inspector, backend) for _ in range(3)]
    for pair in pairs:
        pair.client.queue(numbered(pair.client, 5))
        heard = pair.server.heard
        pair.exchange(until=lambda heard=heard: len(heard.messages) == 5 or heard.ended)
    assert [len(pair.server.heard.messages) for pair in pairs] == [5, 5, 5]
    for pair in pairs:
        pair.close()
