"""A reader that stops: the inspector holds a bounded amount, and loses nothing when reading goes on."""

import socket
import threading
import time

import pytest

from support.inspector import agent_block
from support.peers import open_pair
from support.wire import FrameReader

MIB = 1024 * 1024
PAYLOAD = 64 * 1024 - 16
FLOOD = 256 * MIB
HELD_MAX = 64 * MIB


class Flood(threading.Thread):
    """Sends numbered messages until there are `total` bytes of them, or it is told to stop."""

    def __init__(self, peer, total: int):
        super().__init__(daemon=True)
        self.sock = peer.sock
        self.framer = peer.framer
        self.count = total // PAYLOAD
        self.sent = 0
        self.failure: OSError | None = None

    def run(self):
        self.sock.settimeout(50)
        try:
            for number in range(self.count):
                self.sock.sendall(self.framer.binary(numbered(number)))
                self.sent += 1
        except OSError as failure:
            self.failure = failure

    def wait_until_stuck(self, inspector, bound: int) -> int:
        """Waits until nothing more is taken; returns the inspector's largest growth meanwhile."""
        before, last, since, growth = inspector.rss_bytes(), -1, time.monotonic(), 0
        began = since
        while time.monotonic() - since < 1.0 and self.is_alive():
            assert time.monotonic() - began < 30, "never stuck"
            if self.sent != last:
                last, since = self.sent, time.monotonic()
            growth = max(growth, inspector.rss_bytes() - before)
            assert growth < bound, f"the inspector grew by {growth} bytes after {self.sent} messages"
            time.sleep(0.01)
        return growth


def numbered(number: int) -> bytes:
    return number.to_bytes(8, "big") * (PAYLOAD // 8)


def read_all(peer, flood: Flood) -> int:
    """Reads until every message of the flood has come, each in its turn; returns their number."""
    reader, count = FrameReader(), 0
    peer.sock.settimeout(10)
    while count < flood.count:
        chunk = peer.sock.recv(MIB)
        assert chunk, f"ended after {count} messages ({flood.failure})"
        for frame in reader.feed(chunk):
            assert frame.payload == numbered(count), f"message {count} is not in its place"
            count += 1
    return count


@pytest.fixture
def stopped_reader(start, backend):
    """open(direction) -> (inspector, sender, receiver); the receiver does not read."""
    pairs = []

    def open_in(direction: str):
        policy = agent_block(
            'content-filter { block-patterns "never-here"; max-message-size "1MiB" }', events=("ws_close",)
        )
        inspector = start(backend.port, policy)
        pairs.append(open_pair(inspector, backend))
        sender, receiver = pairs[0].ends(direction)
        # Small buffers at the kernel, so that it is the inspector that has to hold back.
        receiver.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        return inspector, sender, receiver

    yield open_in
    for pair in pairs:
        pair.close()


@pytest.mark.parametrize("direction, total", [("to_client", FLOOD), ("to_server", 64 * MIB)])
def test_memory_stays_bounded_and_all_arrives_when_reading_resumes(stopped_reader, direction, total):
    inspector, sender, receiver = stopped_reader(direction)
    flood = Flood(sender, total)
    flood.start()
    flood.wait_until_stuck(inspector, HELD_MAX)
    assert flood.is_alive(), "the sender is held back, not the messages kept"
    assert read_all(receiver, flood) == flood.count
    flood.join(10)
    assert flood.failure is None


def test_a_stuck_session_does_not_hold_up_another(stopped_reader, backend):
    inspector, sender, _ = stopped_reader("to_client")
    flood = Flood(sender, 64 * MIB)
    flood.start()
    flood.wait_until_stuck(inspector, HELD_MAX)
    for _ in range(4):  # on every shard
        other = open_pair(inspector, backend)
        other.client.queue(other.client.framer.text("hello"))
        heard = other.server.heard
        other.exchange(until=lambda heard=heard: heard.messages)
        assert heard.payloads == [b"hello"]
        other.close()
    sender.reset()


def test_a_stuck_direction_does_not_hold_up_the_other(stopped_reader):
    inspector, sender, receiver = stopped_reader("to_client")
    flood = Flood(sender, 64 * MIB)
    flood.start()
    flood.wait_until_stuck(inspector, HELD_MAX)
    receiver.sock.sendall(receiver.framer.text("still heard"))
    reader = FrameReader()
    sender.sock.settimeout(5)
    frames = []
    while not frames:
        frames = reader.feed(sender.sock.recv(65536))
    assert [frame.payload for frame in frames] == [b"still heard"]
    sender.reset()
