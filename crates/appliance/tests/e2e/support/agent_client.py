"""A Sentinel proxy's side of the agent protocol, strict: version 2 and version 1 over a unix socket.

Written from what real proxies (Zentinel 0.6.54) send and accept, not from the inspector's own code."""

import base64
import json
import random
import socket
import struct
import time

HANDSHAKE, HANDSHAKE_ANSWER = 0x01, 0x02
REQUEST_HEADERS, RESPONSE_HEADERS, FRAME, CONFIGURE = 0x10, 0x12, 0x15, 0x17
ANSWER, CANCEL, PING, PONG = 0x20, 0x40, 0x41, 0x42

FEATURES = {
    "streaming_body": bool, "websocket": bool, "guardrails": bool, "config_push": bool, "metrics_export": bool,
    "concurrent_requests": int, "cancellation": bool, "flow_control": bool, "health_reporting": bool,
}
LIMITS = {"max_body_size": int, "max_concurrency": int, "preferred_chunk_size": int}

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

TIMEOUT_S = 8.0
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Closed(Exception):
    """The agent ended the connection."""


class Link:
    """One connection to the agent."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(path))

    def close(self) -> None:
        self.socket.close()

    def send_raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """One message, without its length."""
        (size,) = struct.unpack("!I", self._exactly(4))
        assert 0 < size <= 16 * 1024 * 1024
        return self._exactly(size)

    def is_closed(self) -> bool:
        """Waits for the agent to end the connection, without a byte before."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            data += part
        return bytes(data)


class LinkV1(Link):
    """Strictly one question at a time; no ids."""

    def ask(self, kind: str, payload: dict) -> dict:
        body = json.dumps({"version": 1, "event_type": kind, "payload": payload}).encode()
        self.send_raw(struct.pack("!I", len(body)) + body)
        answer = json.loads(self.receive())
        assert answer["version"] == 1 and "decision" in answer
        return answer


class LinkV2(Link):
    def __init__(self, path, *, config=None, encodings=("json",), shake_hands=True):
        super().__init__(path)
        if shake_hands:
            answer = self.shake_hands(config=config, encodings=encodings)
            assert answer["success"] is True and answer["error"] is None, answer

    def send(self, kind: int, body) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body, sort_keys=True).encode()
        self.send_raw(struct.pack("!IB", len(raw) + 1, kind) + raw)

    def shake_hands(self, *, config=None, encodings=("json",)) -> dict:
        body = {"supported_versions": [2], "proxy_id": "zentinel-proxy", "proxy_version": "0.6.54", "config": config}
        self.send(HANDSHAKE, body | ({"supported_encodings": list(encodings)} if encodings else {}))
        raw = self.receive()
        assert raw[0] == HANDSHAKE_ANSWER
        answer = json.loads(raw[1:])
        capabilities = answer["capabilities"]
        assert answer["protocol_version"] == 2 and answer["encoding"] in encodings
        assert {name: type(value) for name, value in capabilities["features"].items()} == FEATURES
        assert {name: type(value) for name, value in capabilities["limits"].items()} == LIMITS
        assert all(type(capabilities[name]) is str and capabilities[name] for name in ("agent_id", "name", "version"))
        assert set(capabilities["supported_events"]) >= {0, 1, 3, 6}
        return answer

    def answer(self, correlation_id: str) -> dict:
        """The next answer, which must be to this event."""
        raw = self.receive()
        assert raw[0] == ANSWER, hex(raw[0])
        answer = json.loads(raw[1:])
        assert type(answer["version"]) is int and "decision" in answer
        assert answer["audit"]["custom"]["correlation_id"] == correlation_id
        return answer

    def ask(self, kind: int, body: dict) -> dict:
        self.send(kind, body)
        return self.answer(body["correlation_id"])


class Proxy:
    """As many connections as a proxy opens, and WebSockets whose events go over them in turn."""

    def __init__(self, path, *, links: int = 4, config=None):
        self.path = path
        self.links = [LinkV2(path, config=config) for _ in range(links)]
        self._turn = 0

    def close(self) -> None:
        for link in self.links:
            link.close()

    def next_link(self) -> LinkV2:
        self._turn += 1
        return self.links[self._turn % len(self.links)]

    def new_id(self) -> str:
        return "".join(random.choices(ALPHABET, k=11))

    def request(self, correlation_id: str | None = None, *, headers: dict | None = None, uri: str = "/chat") -> tuple[str, dict]:
        own = correlation_id or self.new_id()
        fields = {
            "connection": ["Upgrade"], "host": ["lab.test"], "upgrade": ["websocket"], "sec-websocket-key": [KEY],
            "sec-websocket-version": ["13"], "x-correlation-id": [own], "x-forwarded-by": ["Zentinel"],
            "x-forwarded-for": ["127.0.0.1"], "x-forwarded-host": ["lab.test"], "x-forwarded-proto": ["http"],
        }
        metadata = {
            "client_ip": "203.0.113.5", "client_port": 5000, "correlation_id": own, "protocol": "HTTP/1.1",
            "request_id": "ecbe6dbe-0025-4af4-af66-3e27166843af", "route_id": "ws", "server_name": None,
            "timestamp": "2026-11-22T11:01:36.389427298+00:00", "tls_cipher": None, "tls_version": None, "upstream_id": None,
        }
        body = {"correlation_id": own, "headers": fields | (headers or {}), "metadata": metadata, "method": "GET", "uri": uri}
        return own, self.next_link().ask(REQUEST_HEADERS, body)

    def response(self, correlation_id: str, *, headers: dict | None = None, status: int = 101) -> dict:
        fields = {"connection": ["Upgrade"], "upgrade": ["websocket"], "sec-websocket-accept": [ACCEPT]}
        body = {"correlation_id": correlation_id, "headers": fields | (headers or {}), "status": status}
        return self.next_link().ask(RESPONSE_HEADERS, body)

    def open(self, correlation_id: str | None = None) -> "Followed":
        own, answer = self.request(correlation_id)
        assert answer["decision"] == "allow", answer
        assert self.response(own)["decision"] == "allow"
        return Followed(self, own)


def frame_event(correlation_id: str, to_server: bool, index: int, opcode: str, payload: bytes, fin: bool = True) -> dict:
    return {
        "client_ip": "203.0.113.5", "client_to_server": to_server, "correlation_id": correlation_id,
        "data": base64.b64encode(payload).decode(), "fin": fin, "frame_index": index, "opcode": opcode, "route_id": "ws",
    }


class Followed:
    """A WebSocket that the proxy tells of, and what each side of it has received."""

    def __init__(self, proxy: Proxy, correlation_id: str):
        self.proxy, self.id = proxy, correlation_id
        self.index = {True: 0, False: 0}
        self.passed = {True: [], False: []}

    def ask(self, to_server: bool, opcode: str, payload: bytes = b"", fin: bool = True):
        """The verdict: "allow", "drop" or the close code."""
        event = frame_event(self.id, to_server, self.index[to_server], opcode, payload, fin)
        self.index[to_server] += 1
        answer = self.proxy.next_link().ask(FRAME, event)
        assert answer["decision"] == "allow", "a proxy ignores it, and the frame passes"
        verdict = answer["websocket_decision"]
        if verdict == "allow":
            self.passed[to_server].append((opcode, payload, fin))
        if verdict in ("allow", "drop"):
            return verdict
        assert set(verdict) == {"close"} and len(verdict["close"]["reason"].encode()) <= 123
        return verdict["close"]["code"]

    def text(self, to_server: bool, payload: bytes):
        return self.ask(to_server, "text", payload)

    def end_of(self, to_server: bool, verdict):
        """The close code that a verdict on this direction's frame comes to for the client."""
        if to_server:
            assert verdict == "drop"
            return self.text(False, b"anything")
        return verdict

    def messages(self, to_server: bool) -> list[bytes]:
        """Complete messages that the receiver has."""
        done, parts = [], []
        for opcode, payload, fin in self.passed[to_server]:
            if opcode in ("text", "binary", "continuation"):
                parts.append(payload)
                if fin:
                    done.append(b"".join(parts))
                    parts = []
        return done


def wait_for_socket(path, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            Link(path).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError(f"nobody listens at {path}")
