"""Raw peers: a client and a backend that can send any bytes and note what they hear."""

import base64
import hashlib
import itertools
import os
import selectors
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field

from support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Framer, FrameReader

WAIT_S = 8.0
"""How long a test waits for something that should happen at once."""

HEAD_MAX = 64 * 1024


@dataclass(repr=False)
class Heard:
    """What one peer received since the handshake."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    frame_counts: list[int] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: bytes | None = None
    after_close: int = 0
    ended: str | None = None  # "eof" or "reset"

    def __str__(self) -> str:
        """Short enough for the message of a failed test."""
        shown = [f"{len(payload)} bytes {payload[:40]!r}" for payload in self.payloads[:8]]
        return f"{len(self.messages)} messages {shown}, close {self.close!r}, ended {self.ended}"

    __repr__ = __str__

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.messages]

    @property
    def close_code(self) -> int | None:
        """The code in the close frame; 1005 for an empty one, None when none came (RFC 6455 7.1.5)."""
        if self.close is None:
            return None
        return struct.unpack("!H", self.close[:2])[0] if self.close else 1005

    @property
    def close_reason(self) -> bytes:
        return (self.close or b"")[2:]


class RawPeer:
    """One end of one connection. `exchange` moves its bytes."""

    _used: set = set()

    def __init__(self, sock: socket.socket, role: str):
        self.sock = sock
        self.role = role
        self.local_address = "{}:{}".format(*sock.getsockname()[:2])
        self.framer = Framer(masked=role == "client")
        self.heard = Heard()
        self.outbox: deque[bytes] = deque()
        self.answers_close = True
        self.reads = True
        self._ends_after_answer = False
        self._reader = FrameReader()
        self._partial: list[bytes] = []
        self._partial_opcode = TEXT
        self._head = bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(WAIT_S)

    @classmethod
    def connect(cls, address: tuple[str, int]) -> "RawPeer":
        # Records are told apart by the client's address, and the kernel soon gives a port again.
        sock = socket.create_connection(address, timeout=WAIT_S)
        while (address, sock.getsockname()) in cls._used:
            again = socket.create_connection(address, timeout=WAIT_S)
            sock.close()
            sock = again
        cls._used.add((address, sock.getsockname()))
        return cls(sock, "client")

    @property
    def open_message(self) -> bytes | None:
        """What has come of a message whose last fragment has not."""
        return b"".join(self._partial) if self._partial else None

    def queue(self, wire: bytes, *, bytewise: bool = False) -> None:
        """Has `wire` sent by the next `exchange`, in one write or one byte per write."""
        if bytewise:
            self.outbox.extend(wire[i : i + 1] for i in range(len(wire)))
        elif wire:
            self.outbox.append(wire)

    def read_head(self, timeout: float = WAIT_S) -> "Head":
        """Reads one HTTP head; what follows it counts as frames."""
        deadline = time.monotonic() + timeout
        while b"\r\n\r\n" not in self._head:
            if len(self._head) > HEAD_MAX:
                raise AssertionError("an HTTP head without an end")
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                chunk = self.sock.recv(65536)
            except TimeoutError:
                raise AssertionError(f"no HTTP head within {timeout} s; so far {bytes(self._head)!r}") from None
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self.heard.ended = "eof"
                raise ConnectionEnded(bytes(self._head))
            self._head += chunk
        head, _, rest = bytes(self._head).partition(b"\r\n\r\n")
        parsed = Head.parse(head)
        parsed.rest = rest
        if parsed.status in (None, 101):
            self._take(rest)
        return parsed

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Ends the connection with a TCP RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # What `exchange` calls.

    def write_some(self) -> None:
        chunk = self.outbox.popleft()
        try:
            sent = self.sock.send(chunk)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            # The other end has had enough. What it said before that is still there to be read.
            self.outbox.clear()
            return
        if sent < len(chunk):
            self.outbox.appendleft(chunk[sent:])
        elif not self.outbox and self._ends_after_answer:
            self.end_writing()

    def end_writing(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was gone already

    def read_some(self) -> None:
        try:
            chunk = self.sock.recv(262144)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.heard.ended = "reset"
            return
        if chunk:
            self._take(chunk)
        else:
            self.heard.ended = "eof"
            self.end_writing()

    def _take(self, chunk: bytes) -> None:
        for frame in self._reader.feed(chunk):
            assert frame.masked == (self.role == "server"), f"wrong masking towards the {self.role}: {frame}"
            assert frame.rsv == 0, f"RSV bits towards the {self.role}: {frame}"
            self._note(frame)

    def _note(self, frame) -> None:
        heard = self.heard
        if heard.close is not None:
            heard.after_close += 1
        if frame.opcode in (TEXT, BINARY):
            assert not self._partial, "a new message inside an open one"
            self._partial_opcode = frame.opcode
            self._partial = [frame.payload]
        elif frame.opcode == CONTINUATION:
            assert self._partial, "a continuation of nothing"
            self._partial.append(frame.payload)
        elif frame.opcode == PING:
            heard.pings.append(frame.payload)
        elif frame.opcode == PONG:
            heard.pongs.append(frame.payload)
        elif frame.opcode == CLOSE:
            heard.close = frame.payload
            if self.answers_close:
                self.outbox.clear()
                self.queue(self.framer.frame(CLOSE, frame.payload[:2]))
                # The server is the one to end the TCP connection (RFC 6455 7.1.1).
                self._ends_after_answer = self.role == "server"
        else:
            raise AssertionError(f"reserved opcode towards the {self.role}: {frame}")
        if frame.fin and frame.opcode in (CONTINUATION, TEXT, BINARY):
            heard.messages.append((self._partial_opcode, b"".join(self._partial)))
            heard.frame_counts.append(len(self._partial))
            self._partial = []


class ConnectionEnded(Exception):
    """The connection ended before an HTTP head was complete; holds what had come."""


def exchange(*peers: RawPeer, until=None, timeout: float = WAIT_S) -> bool:
    """Sends what is queued and notes what comes, until `until()` holds (default: all peers
    ended). Returns False when the time ran out first."""
    until = until or (lambda: all(peer.heard.ended for peer in peers))
    deadline = time.monotonic() + timeout
    for peer in peers:
        if peer.sock.fileno() >= 0:
            peer.sock.setblocking(False)
    while not until():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        with selectors.DefaultSelector() as ready:
            for peer in peers:
                if peer.heard.ended or peer.sock.fileno() < 0:
                    continue
                events = selectors.EVENT_READ if peer.reads else 0
                events |= selectors.EVENT_WRITE if peer.outbox else 0
                if events:
                    ready.register(peer.sock, events, peer)
            for key, events in ready.select(min(left, 0.1)):
                if events & selectors.EVENT_READ:
                    key.data.read_some()
                if events & selectors.EVENT_WRITE and key.data.outbox:
                    key.data.write_some()
    return True


# The opening handshake, by hand.


@dataclass
class Head:
    start_line: str
    headers: list[tuple[str, str]]
    rest: bytes = b""

    @classmethod
    def parse(cls, head: bytes) -> "Head":
        start, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, [(name.strip().lower(), value.strip()) for name, _, value in pairs])

    @property
    def status(self) -> int | None:
        parts = self.start_line.split(" ")
        return int(parts[1]) if parts[0].startswith("HTTP/") else None

    @property
    def path(self) -> str:
        return self.start_line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


_paths = itertools.count(1)


def unique_path() -> str:
    return f"/peer-{os.getpid()}-{next(_paths)}"


def upgrade_lines(path: str, key: str = "dGhlIHNhbXBsZSBub25jZQ==") -> list[str]:
    """The lines of a right upgrade request, for a test to spoil."""
    return [
        f"GET {path} HTTP/1.1",
        "Host: app.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]


def as_head(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def accept_for(key: str) -> str:
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def switching_protocols(request: Head, *extra: str, accept: str | None = None) -> bytes:
    return as_head(
        [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept or accept_for(request.one('sec-websocket-key'))}",
            *extra,
        ]
    )


class RawBackend:
    """A listening socket. Tests accept its connections themselves."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = self.sock.getsockname()
        self.port = self.address[1]
        self._accepted: list[RawPeer] = []

    def accept(self, path: str, *, client: RawPeer | None = None, timeout: float = WAIT_S) -> tuple[RawPeer, Head]:
        """The connection that asked for `path`. Fails at once when `client` is answered first."""
        deadline = time.monotonic() + timeout
        while True:
            with selectors.DefaultSelector() as ready:
                ready.register(self.sock, selectors.EVENT_READ)
                if client is not None:
                    ready.register(client.sock, selectors.EVENT_READ, client)
                events = ready.select(max(deadline - time.monotonic(), 0))
            if not events:
                raise AssertionError(f"no upgrade of {path} reached the backend within {timeout} s")
            if any(key.fileobj is self.sock for key, _ in events):
                peer = RawPeer(self.sock.accept()[0], "server")
                self._accepted.append(peer)
                try:
                    request = peer.read_head()
                except ConnectionEnded:
                    continue
                if request.path.partition("?")[0] == path.partition("?")[0]:
                    return peer, request
            else:
                try:
                    answer = client.read_head().start_line
                except ConnectionEnded as ended:
                    answer = f"the end after {ended.args[0]!r}"
                raise AssertionError(f"the upgrade of {path} was not passed on; the client got {answer}")

    def heard_nothing_of(self, path: str) -> bool:
        """True when no upgrade of `path` waits here. Ask after the client has its answer."""
        try:
            self.accept(path, timeout=0.05)
        except AssertionError:
            return True
        return False

    def close(self) -> None:
        for peer in self._accepted:
            peer.close()
        self.sock.close()


@dataclass
class Pair:
    """Both ends of one session through the inspector."""

    client: RawPeer
    server: RawPeer
    request: Head
    response: Head

    def ends(self, direction: str) -> tuple[RawPeer, RawPeer]:
        """(sender, receiver) of a direction."""
        to_server = direction == "to_server"
        return (self.client, self.server) if to_server else (self.server, self.client)

    def exchange(self, **options) -> bool:
        return exchange(self.client, self.server, **options)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def open_pair(
    inspector, backend: RawBackend, *headers: str, answer: tuple[str, ...] = (), path: str | None = None
) -> Pair:
    """A session that is open on both legs."""
    path = path or unique_path()
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(as_head(upgrade_lines(path) + list(headers)))
    server, request = backend.accept(path, client=client)
    server.sock.sendall(switching_protocols(request, *answer))
    response = client.read_head()
    assert response.status == 101, response.start_line
    return Pair(client, server, request, response)
