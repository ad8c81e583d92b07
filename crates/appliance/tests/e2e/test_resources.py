"""Resource attacks: what one connection costs is bounded, and so is what all of them cost together."""

import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS
from support.peers import RawPeer, as_head, exchange, open_pair, unique_path, upgrade_lines
from support.wire import BINARY, TEXT, FrameReader

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
QUIET = ("ws_close",)

WRITE_TIMEOUT = "limits/write-timeout-ms"
MEMORY = "limits/max-memory"


def wait_until(holds, what: str, timeout: float = 10.0):
    """Polls until `holds()` gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def flood(peer: RawPeer, wire: bytes, total: int) -> None:
    """Has `wire` sent until there are `total` bytes of it; it lies in memory once."""
    peer.outbox.extend([wire] * (total // len(wire)))


def verdicts_total(inspector, rule: str) -> float:
    samples = inspector.metrics().items()
    return sum(count for name, count in samples if name.startswith("wsi_verdicts_total") and f'rule="{rule}"' in name)


# Readers that stop, and readers that are slow.


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_reader_that_stops_is_given_up(start, backend, direction):
    policy = agent_block("limits { write-timeout-ms 700 }", events=QUIET)
    inspector = start(backend.port, policy)
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    receiver.reads = False
    flood(sender, sender.framer.binary(b"x" * (64 * KIB)), GIB)
    assert pair.exchange(until=lambda: sender.heard.close is not None), "still held"
    stalled = receiver.role
    assert (sender.heard.close_code, sender.heard.close_reason) == (1001, f"{stalled} does not read".encode())
    [verdict] = inspector.wait_verdicts(1)
    assert (verdict["rule"], verdict["direction"]) == (WRITE_TIMEOUT, direction)
    assert f"the {stalled} did not read" in verdict["reason"]
    wait_until(lambda: verdicts_total(inspector, WRITE_TIMEOUT) == 1, "the verdict is not counted")
    wait_until(lambda: inspector.metrics()["wsi_connections_open"] == 0, "it lingers although nobody reads")
    wait_until(lambda: inspector.metrics()["wsi_held_bytes"] == 0, "something is still held for it")
    pair.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_reader_that_is_slow_is_not_given_up(start, backend, direction):
    policy = agent_block("limits { write-timeout-ms 700 }", events=QUIET)
    inspector = start(backend.port, policy)
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    receiver.reads = False
    message = b"x" * (64 * KIB)
    flood(sender, sender.framer.binary(message), 32 * MIB)
    began, whole = time.monotonic(), len(sender.outbox)
    # Less in the time of a deadline than a third of the kernel's buffer, so that it doesn't call the socket writable.
    while time.monotonic() - began < 2.5:
        pair.exchange(until=lambda: False, timeout=0.1)
        receiver.sock.setblocking(False)
        receiver.read_some()
    assert sender.outbox, "everything was taken, so nobody waited"
    assert sender.heard.close is None and receiver.heard.close is None
    receiver.reads = True
    assert pair.exchange(until=lambda: len(receiver.heard.messages) == whole, timeout=15)
    assert receiver.heard.messages == [(BINARY, message)] * whole
    assert inspector.audit() == []
    pair.close()


def test_a_reader_that_stops_does_not_outlive_a_verdict(start, backend):
    """The close frame can't be delivered: the connection goes all the same."""
    policy = agent_block('content-filter { block-patterns "evil"; direction "to-server" }', events=QUIET)
    inspector = start(backend.port, policy)
    pair = open_pair(inspector, backend)
    pair.client.reads = False
    flood(pair.server, pair.server.framer.binary(b"x" * (64 * KIB)), 64 * MIB)
    pair.exchange(until=lambda: inspector.metrics()["wsi_backpressure_pauses_total"] > 0)
    pair.client.queue(pair.client.framer.text("evil"))
    pair.exchange(until=lambda: pair.server.heard.close is not None)
    assert pair.server.heard.close_code == 1008
    wait_until(lambda: inspector.metrics()["wsi_connections_open"] == 0, "it lingers although nobody reads")
    pair.close()


# Memory of the whole process.


def step_max(message_size: int) -> int:
    """What one step may hold beyond the bound: two messages and two reads."""
    return 2 * message_size + 2 * 64 * KIB


@contextmanager
def bystander(inspector, backend):
    """A connection that must not notice anything; asked again at the end."""
    pair = open_pair(inspector, backend)

    def ask(text: bytes):
        pair.client.queue(pair.client.framer.text(text))
        assert pair.exchange(until=lambda: text in pair.server.heard.payloads), f"no {text!r}: {pair.server.heard}"

    ask(b"before")
    yield
    ask(b"after")
    pair.close()


def test_messages_that_are_never_finished_fill_no_more_than_the_bound(start, backend):
    bound, part = MIB, 24 * KIB
    policy = agent_block('limits { max-message-size "64KiB" }', events=QUIET)
    inspector = start(backend.port, policy, runtime='max-memory "1MiB"')
    with bystander(inspector, backend), ExitStack() as held:
        refused = 0
        for _ in range(200):
            try:
                pair = open_pair(inspector, backend)
            except AssertionError as answer:
                assert "503" in str(answer)
                break
            held.callback(pair.close)
            client, server = pair.client.heard, pair.server.heard
            pair.client.queue(pair.client.framer.binary(b"x" * part, fin=False))
            # A ping in the read of the part passes before the part is too much: the second one is sent after that read.
            for ping in (b"with", b"after"):
                pair.client.queue(pair.client.framer.ping(ping))
                pair.exchange(
                    until=lambda ping=ping, client=client, server=server: (
                        ping in server.pings or (client.ended and server.ended)
                    )
                )
            if client.close is not None:
                assert (client.close_code, server.close_code) == (1013, 1013)
                refused += 1
                part = max(part // 2, 256)
        else:
            pytest.fail("no upgrade was refused, however much was held")
        # Counters are published a few times a second.
        wait_until(lambda: inspector.metrics()["wsi_held_bytes"] > bound // 2, "what is held is not published")
        assert inspector.metrics()["wsi_held_bytes"] <= bound + 2 * step_max(64 * KIB)
        assert refused > 0
        wait_until(lambda: verdicts_total(inspector, MEMORY) == refused, "refusals are not counted one by one")
        assert any(record["rule"] == "handshake/max-memory" for record in inspector.wait_verdicts(refused + 1))
    wait_until(lambda: inspector.metrics()["wsi_held_bytes"] == 0, "what has ended is still counted")
    open_pair(inspector, backend).close()


def test_readers_that_stop_together_fill_no_more_than_the_bound(start, backend):
    bound, message = MIB, 64 * KIB - 16
    policy = agent_block('limits { max-message-size "64KiB" }', events=QUIET)
    inspector = start(backend.port, policy, runtime='max-memory "1MiB"')
    most = 0

    def is_refused():
        nonlocal most
        samples = inspector.metrics()
        most = max(most, samples["wsi_held_bytes"])
        return any(name.startswith("wsi_verdicts_total") and MEMORY in name for name in samples)

    with bystander(inspector, backend), ExitStack() as held:
        pairs = []
        for _ in range(24):
            pairs.append(open_pair(inspector, backend))
            held.callback(pairs[-1].close)
            pairs[-1].client.reads = False
            flood(pairs[-1].server, pairs[-1].server.framer.binary(b"x" * message), 16 * MIB)
        peers = [peer for pair in pairs for peer in (pair.client, pair.server)]
        assert exchange(*peers, until=lambda: any(pair.server.heard.close is not None for pair in pairs), timeout=15)
        wait_until(is_refused, "the refusal is not counted")
        assert {pair.server.heard.close_code for pair in pairs} <= {None, 1013}
        for _ in range(10):
            exchange(*peers, until=lambda: False, timeout=0.1)
            is_refused()
        assert bound // 2 < most <= bound + 2 * step_max(64 * KIB)
        assert inspector.rss_bytes() < 256 * MIB
    wait_until(lambda: inspector.metrics()["wsi_held_bytes"] == 0, "what has ended is still counted")


def test_an_idle_connection_holds_nothing(start, backend):
    inspector = start(backend.port, agent_block(events=QUIET))
    pair = open_pair(inspector, backend)
    for direction in BOTH_DIRECTIONS:
        sender, receiver = pair.ends(direction)
        sender.queue(sender.framer.fragments(BINARY, [b"x" * (256 * KIB)] * 3))
        pair.exchange(until=lambda receiver=receiver: receiver.heard.messages)
    wait_until(lambda: inspector.metrics()["wsi_held_bytes"] == 0, "an idle connection holds something")
    pair.close()


# Turns: what one connection does in its own does not keep another waiting.


class Sink(threading.Thread):
    """Reads and throws away until the connection ends."""

    def __init__(self, peer: RawPeer):
        super().__init__(daemon=True)
        self.sock, self.received = peer.sock, 0
        self.start()

    def run(self):
        self.sock.settimeout(30)
        try:
            while chunk := self.sock.recv(MIB):
                self.received += len(chunk)
        except OSError:
            pass


class Source(threading.Thread):
    """Sends the same bytes again and again until it is told to stop."""

    def __init__(self, peer: RawPeer, wire: bytes):
        super().__init__(daemon=True)
        self.sock, self.wire, self.goes_on = peer.sock, wire, True
        self.start()

    def run(self):
        self.sock.settimeout(30)
        try:
            while self.goes_on:
                self.sock.sendall(self.wire)
        except OSError:
            pass


HEAVY = agent_block(
    """
    limits { max-message-size "2MiB" }
    content-filter { rules "xss" "sqli" "command-injection"; block-patterns "/(a[^b]{1,40}){2}never/" }
    """,
    events=QUIET,
)
FRAMES_PER_TURN_MAX = 2048
"""Of one direction of a connection: an allowance, overdrawn by one step."""


@pytest.mark.parametrize("kind", ["tiny-messages", "large-messages-under-heavy-patterns"])
def test_a_flood_does_not_keep_another_connection_waiting(start, backend, kind):
    inspector = start(backend.port, HEAVY, shards=1)
    noisy, quiet = open_pair(inspector, backend), open_pair(inspector, backend)
    framer = noisy.client.framer
    text = b'{"a":"' + b"\\u0061b a-b; " * 80_000 + b'"}'
    wire = framer.text(b"") * 100_000 if kind == "tiny-messages" else framer.text(text[: MIB - 2] + b'"}')
    sink, source = Sink(noisy.server), Source(noisy.client, wire)
    wait_until(lambda: sink.received > 0, "the flood does not flow")
    before, received = inspector.metrics(), sink.received
    for number in range(12):
        ping = b"%d" % number
        quiet.client.queue(quiet.client.framer.ping(ping))
        assert quiet.exchange(until=lambda ping=ping: quiet.server.heard.pings[-1:] == [ping]), f"no ping {number}"
        quiet.server.queue(quiet.server.framer.pong(ping))
        assert quiet.exchange(until=lambda ping=ping: quiet.client.heard.pongs[-1:] == [ping]), f"no pong {number}"
    # What is published is of one moment, up to 50 ms old.
    wait_until(lambda: sink.received > received, "the flood did not go on")
    after = wait_until(lambda: moved(before, inspector.metrics()), "nothing was published")
    source.goes_on = False
    noisy.client.reset()
    turns = after["wsi_shard_turns_total"] - before["wsi_shard_turns_total"]
    messages = sum(after[name] - before[name] for name in after if name.startswith("wsi_messages_total"))
    size = sum(after[name] - before[name] for name in after if name.startswith("wsi_message_bytes_total"))
    print(f"{messages} messages, {size} bytes in {turns} turns")
    assert messages > 0
    assert messages <= turns * FRAMES_PER_TURN_MAX
    # The allowance of inspected bytes, overdrawn by a message.
    assert size <= turns * (256 * KIB + MIB)
    noisy.close()
    quiet.close()


def moved(before: dict, after: dict) -> dict | None:
    moves = after["wsi_shard_turns_total"] > before["wsi_shard_turns_total"] + 10
    messages = [name for name in after if name.startswith("wsi_messages_total")]
    return after if moves and any(after[name] > before[name] for name in messages) else None


def test_a_flood_that_is_cut_anywhere_arrives_in_order(start, backend):
    """What a turn leaves of a read is the first that the next turn takes."""
    inspector = start(backend.port, agent_block(events=QUIET), shards=1)
    pair = open_pair(inspector, backend)
    payloads = [b"%d" % number + b"x" * (number % 7) for number in range(30_000)]
    payloads[12_345] = b"y" * (200 * KIB)
    wires = {peer: b"".join(peer.framer.text(each) for each in payloads) for peer in (pair.client, pair.server)}
    for peer, wire in wires.items():
        peer.queue(wire)
    done = [pair.client.heard.messages, pair.server.heard.messages]
    assert pair.exchange(until=lambda: all(len(each) == len(payloads) for each in done), timeout=20)
    assert done == [[(TEXT, each) for each in payloads]] * 2
    pair.close()


def test_last_messages_before_an_end_arrive_although_turns_are_short(start, backend):
    """The sender is gone before the inspector has dealt with what it sent."""
    inspector = start(backend.port, agent_block(events=QUIET), shards=1)
    pair = open_pair(inspector, backend)
    count = 20_000
    pair.server.sock.settimeout(8)
    pair.server.sock.sendall(pair.server.framer.text(b"z") * count + pair.server.framer.close(4001))
    pair.server.sock.shutdown(2)
    pair.exchange(until=lambda: pair.client.heard.close is not None)
    assert (len(pair.client.heard.messages), pair.client.heard.close_code) == (count, 4001)
    pair.close()


# Connections that come and go, or come and stay.


def test_a_thousand_short_connections_leave_nothing(start, backend):
    inspector = start(backend.port, agent_block(events=QUIET))
    before = inspector.rss_bytes()
    for _ in range(1000):
        pair = open_pair(inspector, backend)
        pair.client.reset()
        pair.server.close()
    samples = wait_until(lambda: closed_all(inspector, 1000), "connections are left")
    assert samples["wsi_held_bytes"] == 0
    assert samples["wsi_panics_total"] == 0
    assert inspector.rss_bytes() - before < 32 * MIB
    open_pair(inspector, backend).close()


def closed_all(inspector, count: int) -> dict | None:
    samples = inspector.metrics()
    is_closed = samples["wsi_connections_open"] == 0 and samples["wsi_sessions_closed_total"] == count
    return samples if is_closed else None


def test_connections_that_stay_half_open_after_a_close_are_let_go(start, backend):
    inspector = start(backend.port, agent_block(events=QUIET))
    pairs = [open_pair(inspector, backend) for _ in range(8)]
    for pair in pairs:
        # Both exchange their close frames, and neither ends its TCP connection.
        pair.client.sock.sendall(pair.client.framer.close(1000))
        reader = FrameReader()
        while not reader.feed(pair.server.sock.recv(4096)):
            pass
        pair.server.sock.sendall(pair.server.framer.close(1000))
    wait_until(lambda: closed_all(inspector, 8), "half-open connections are kept")
    for pair in pairs:
        pair.close()


def test_a_session_that_says_nothing_is_closed_after_its_idle_time(start, backend):
    inspector = start(backend.port, agent_block("limits { idle-timeout-s 1 }", events=QUIET))
    pair = open_pair(inspector, backend)
    assert pair.exchange(), "kept although nobody speaks"
    assert (pair.client.heard.close_code, pair.client.heard.close_reason) == (1001, b"idle")
    assert pair.server.heard.close_code == 1001
    wait_until(lambda: closed_all(inspector, 1), "it is not closed")
    pair.close()
