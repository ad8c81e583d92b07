"""The opening handshake: what two HTTP parsers could read differently is refused, on both legs."""

import socket
import time

import pytest

from support.inspector import agent_block, free_port
from support.peers import (
    ConnectionEnded,
    Head,
    RawPeer,
    as_head,
    exchange,
    open_pair,
    switching_protocols,
    unique_path,
    upgrade_lines,
)
from support.wire import TEXT, Framer

ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, agent_block("handshake { timeout-ms 4000 }"))


@pytest.fixture(scope="module")
def strict_inspector(start_once, shared_backend):
    policy = f'handshake {{ allow-origins "{ORIGIN}"; subprotocols "chat.v1" "chat.v2" }}'
    return start_once(shared_backend.port, agent_block(policy))


@pytest.fixture
def connected(inspector):
    client = RawPeer.connect(inspector.address)
    yield client
    client.close()


def answer_to(client: RawPeer, request: bytes) -> int | None:
    """The status of the answer; None when the connection ended without one."""
    try:
        client.sock.sendall(request)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before it was all sent; the answer is still there to be read
    try:
        return client.read_head().status
    except ConnectionEnded:
        return None


def with_line(path, line):
    return as_head(upgrade_lines(path) + [line])


def replaced(path, name, *lines):
    """The upgrade request with the header `name` replaced by `lines`."""
    kept = [line for line in upgrade_lines(path) if not line.lower().startswith(name.lower() + ":")]
    return as_head(kept + list(lines))


def start_line(line):
    return lambda path: as_head([line.format(path=path), *upgrade_lines(path)[1:]])


# Requests from the client.

AMBIGUOUS_REQUESTS = {
    "a body by length": lambda p: with_line(p, "Content-Length: 5") + b"hello",
    "a body in chunks": lambda p: with_line(p, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "length and chunks": lambda p: as_head(upgrade_lines(p) + ["Content-Length: 5", "Transfer-Encoding: chunked"]),
    "two lengths": lambda p: as_head(upgrade_lines(p) + ["Content-Length: 0", "Content-Length: 5"]),
    "two keys": lambda p: with_line(p, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "no key": lambda p: replaced(p, "Sec-WebSocket-Key"),
    "a short key": lambda p: replaced(p, "Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="),
    "a key that is not base64": lambda p: replaced(
        p, "Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="
    ),
    "two hosts": lambda p: with_line(p, "Host: other.example.com"),
    "no host": lambda p: replaced(p, "Host"),
    "two versions": lambda p: with_line(p, "Sec-WebSocket-Version: 8"),
    "version 8": lambda p: replaced(p, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
    "no version": lambda p: replaced(p, "Sec-WebSocket-Version"),
    "a folded line": lambda p: with_line(p, "X-Folded: one\r\n two"),
    "a folded key": lambda p: replaced(p, "Sec-WebSocket-Key", "Sec-WebSocket-Key:\r\n dGhlIHNhbXBsZSBub25jZQ=="),
    "bare LF": lambda p: as_head(upgrade_lines(p)).replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "one bare LF": lambda p: with_line(p, "X-A: b\nX-Smuggled: c"),
    "a bare CR": lambda p: with_line(p, "X-A: b\rX-Smuggled: c"),
    "a NUL in a value": lambda p: with_line(p, "X-A: b\x00c"),
    "a space before the colon": lambda p: with_line(p, "X-A : b"),
    "a space before the colon of Transfer-Encoding": lambda p: with_line(p, "Transfer-Encoding : chunked"),
    "a name with a space": lambda p: with_line(p, "X A: b"),
    "an empty name": lambda p: with_line(p, ": b"),
    "a line without a colon": lambda p: with_line(p, "nothing"),
    "HTTP/1.0": start_line("GET {path} HTTP/1.0"),
    "HTTP/0.9": start_line("GET {path}"),
    "HTTP/2.0": start_line("GET {path} HTTP/2.0"),
    "POST": start_line("POST {path} HTTP/1.1"),
    "two spaces in the request line": start_line("GET  {path} HTTP/1.1"),
    "a tab in the request line": start_line("GET\t{path} HTTP/1.1"),
    "a path without a slash": start_line("GET peer HTTP/1.1"),
    "upgrade to something else": lambda p: replaced(p, "Upgrade", "Upgrade: h2c"),
    "connection without upgrade": lambda p: replaced(p, "Connection", "Connection: keep-alive"),
    "early data": lambda p: as_head(upgrade_lines(p)) + Framer(True).text("early"),
    "a second request behind": lambda p: as_head(upgrade_lines(p)) * 2,
}


@pytest.mark.parametrize("name", AMBIGUOUS_REQUESTS)
def test_an_ambiguous_request_is_refused(connected, shared_backend, name):
    path = unique_path()
    status = answer_to(connected, AMBIGUOUS_REQUESTS[name](path))
    assert status is None or 400 <= status < 500 or status in (501, 505)
    assert shared_backend.heard_nothing_of(path)


@pytest.mark.parametrize("name", ["a body by length", "two keys", "two hosts", "a folded line", "early data"])
def test_the_refusal_is_400(connected, name):
    assert answer_to(connected, AMBIGUOUS_REQUESTS[name](unique_path())) == 400


def test_a_request_that_is_no_upgrade_is_told_so(connected):
    assert answer_to(connected, as_head(["GET / HTTP/1.1", "Host: app.example.com"])) in (400, 426)


def test_another_version_is_told_which_one_is_spoken(connected):
    connected.sock.sendall(AMBIGUOUS_REQUESTS["version 8"](unique_path()))
    answer = connected.read_head()
    assert answer.status in (400, 426)
    assert answer.one("Sec-WebSocket-Version") == "13"  # RFC 6455 4.4


@pytest.mark.parametrize(
    "request_of",
    [
        lambda p: replaced(p, "Connection", "Connection: keep-alive, Upgrade"),
        lambda p: replaced(p, "Connection", "connection:upgrade"),
        lambda p: replaced(p, "Connection", "Connection: keep-alive", "Connection: Upgrade"),
        lambda p: replaced(p, "Upgrade", "UPGRADE: WebSocket"),
        lambda p: with_line(p, "Content-Length: 0"),
    ],
    ids=["list", "lower-case", "two-lines", "upper-case", "no-body"],
)
def test_legal_variants_are_understood(connected, shared_backend, request_of):
    path = unique_path()
    connected.sock.sendall(request_of(path))
    server, request = shared_backend.accept(path, client=connected)
    server.sock.sendall(switching_protocols(request))
    assert connected.read_head().status == 101


def test_the_request_may_come_a_byte_at_a_time(connected, shared_backend):
    path = unique_path()
    for octet in as_head(upgrade_lines(path)):
        connected.sock.send(bytes([octet]))
    server, request = shared_backend.accept(path, client=connected)
    for octet in switching_protocols(request):
        server.sock.send(bytes([octet]))
    assert connected.read_head().status == 101


def test_hop_by_hop_headers_are_not_passed_on(connected, shared_backend):
    path = unique_path()
    extra = ["Connection: Upgrade, X-Hop", "X-Hop: secret", "Proxy-Authorization: Basic eA==", "TE: trailers"]
    connected.sock.sendall(replaced(path, "Connection", *extra))
    _, request = shared_backend.accept(path, client=connected)
    assert request.all("x-hop") == request.all("proxy-authorization") == request.all("te") == []


# Origin and subprotocol.

FOREIGN_ORIGINS = {
    "suffix": [f"{ORIGIN}.evil.example"],
    "prefix": ["https://evil-app.example.com"],
    "subdomain": ["https://x.app.example.com"],
    "parent": ["https://example.com"],
    "userinfo": [f"{ORIGIN}@evil.example"],
    "null": ["null"],
    "scheme": ["http://app.example.com"],
    "port": [f"{ORIGIN}:8443"],
    "path": [f"{ORIGIN}/"],
    "trailing dot": [f"{ORIGIN}."],
    "empty": [""],
    "a list": [f"{ORIGIN} https://evil.example"],
    "twice, the good one first": [ORIGIN, "https://evil.example"],
    "twice, the good one last": ["https://evil.example", ORIGIN],
}


@pytest.mark.parametrize("name", FOREIGN_ORIGINS)
def test_a_foreign_origin_gets_403(strict_inspector, shared_backend, name):
    path = unique_path()
    client = RawPeer.connect(strict_inspector.address)
    status = answer_to(client, as_head(upgrade_lines(path) + [f"Origin: {value}" for value in FOREIGN_ORIGINS[name]]))
    assert shared_backend.heard_nothing_of(path)
    # Two Origin lines are a broken request as well.
    assert status == 403 or (len(FOREIGN_ORIGINS[name]) > 1 and status == 400)
    client.close()


def test_the_right_origin_is_let_in(strict_inspector, shared_backend):
    open_pair(strict_inspector, shared_backend, f"Origin: {ORIGIN}").close()


def test_only_listed_subprotocols_reach_the_backend(strict_inspector, shared_backend):
    headers = (f"Origin: {ORIGIN}", "Sec-WebSocket-Protocol: admin, chat.v2")
    pair = open_pair(strict_inspector, shared_backend, *headers, answer=("Sec-WebSocket-Protocol: chat.v2",))
    assert pair.request.one("Sec-WebSocket-Protocol") == "chat.v2"
    assert pair.response.one("Sec-WebSocket-Protocol") == "chat.v2"
    pair.close()


# Answers from the upstream.


def outcome_of(inspector, backend, respond, *headers):
    """The client's answer when the backend sends `respond(request)` and ends."""
    path = unique_path()
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(as_head(upgrade_lines(path) + list(headers)))
    server, request = backend.accept(path, client=client)
    server.sock.sendall(respond(request))
    server.end_writing()
    answer = client.read_head()
    rest = answer.rest
    client.sock.settimeout(5)
    try:
        while chunk := client.sock.recv(65536):
            rest += chunk
    except ConnectionResetError:
        pass
    client.close()
    return answer, rest


def without(response: bytes, name: bytes) -> bytes:
    return b"\r\n".join(line for line in response.split(b"\r\n") if not line.lower().startswith(name.lower()))


WRONG_ANSWERS = {
    "wrong accept": lambda r: switching_protocols(r, accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "accept of no key": lambda r: switching_protocols(r, accept="2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    "accept in lower case": lambda r: switching_protocols(
        r,
        accept=next(value for name, value in head_of(switching_protocols(r)) if name == "sec-websocket-accept").lower(),
    ),
    "no accept": lambda r: without(switching_protocols(r), b"Sec-WebSocket-Accept"),
    "two accepts": lambda r: switching_protocols(r, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "no upgrade": lambda r: without(switching_protocols(r), b"Upgrade"),
    "no connection": lambda r: without(switching_protocols(r), b"Connection"),
    "upgrade to something else": lambda r: switching_protocols(r).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "extension not offered": lambda r: switching_protocols(r, "Sec-WebSocket-Extensions: permessage-deflate"),
    "unknown extension": lambda r: switching_protocols(r, "Sec-WebSocket-Extensions: x-rot13"),
    "subprotocol not offered": lambda r: switching_protocols(r, "Sec-WebSocket-Protocol: admin"),
    "HTTP/1.0": lambda r: switching_protocols(r).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a folded line": lambda r: switching_protocols(r, "X-A: b\r\n c"),
    "bare LF": lambda r: switching_protocols(r).replace(b"\r\n", b"\n"),
    "a body": lambda r: switching_protocols(r, "Content-Length: 5") + b"hello",
    "not HTTP": lambda r: b"220 mail.example.com ESMTP\r\n\r\n",
    "nothing": lambda r: b"",
    "half a head": lambda r: switching_protocols(r)[:40],
    "an endless head": lambda r: b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-A: b\r\n" * 20_000,
}


def head_of(response: bytes) -> list[tuple[str, str]]:
    return Head.parse(response.partition(b"\r\n\r\n")[0]).headers


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_wrong_101_becomes_502(inspector, shared_backend, name):
    answer, _ = outcome_of(inspector, shared_backend, WRONG_ANSWERS[name])
    assert answer.status == 502


def test_two_subprotocols_in_the_101_become_502(inspector, shared_backend):
    answer, _ = outcome_of(
        inspector,
        shared_backend,
        lambda r: switching_protocols(r, "Sec-WebSocket-Protocol: a, b"),
        "Sec-WebSocket-Protocol: a, b",
    )
    assert answer.status == 502


def test_an_offered_extension_that_was_stripped_may_not_come_back(inspector, shared_backend):
    answer, _ = outcome_of(
        inspector,
        shared_backend,
        lambda r: switching_protocols(r, "Sec-WebSocket-Extensions: permessage-deflate"),
        "Sec-WebSocket-Extensions: permessage-deflate",
    )
    assert answer.status == 502


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "503 Service Unavailable"])
def test_a_refusal_of_the_upstream_is_passed_on_without_its_body(inspector, shared_backend, status):
    body = b"internal details" + Framer(False).text("pipelined frame")
    head = as_head([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"])
    answer, rest = outcome_of(inspector, shared_backend, lambda _: head + body)
    assert answer.status == int(status[:3])
    assert b"internal details" not in rest and b"pipelined" not in rest


def test_frames_behind_an_answer_that_is_no_101_do_not_arrive(inspector, shared_backend):
    reply = as_head(["HTTP/1.1 200 OK", "Content-Length: 0"]) + Framer(False).text("pipelined frame")
    answer, rest = outcome_of(inspector, shared_backend, lambda _: reply)
    assert answer.status != 101
    assert b"pipelined" not in rest


def test_a_first_frame_in_the_segment_of_the_101_arrives(connected, shared_backend):
    path = unique_path()
    connected.sock.sendall(as_head(upgrade_lines(path)))
    server, request = shared_backend.accept(path, client=connected)
    server.sock.sendall(switching_protocols(request) + server.framer.text("welcome") + server.framer.text("again"))
    assert connected.read_head().status == 101
    exchange(connected, server, until=lambda: len(connected.heard.messages) == 2 or connected.heard.ended)
    assert connected.heard.messages == [(TEXT, b"welcome"), (TEXT, b"again")]


def test_a_bad_frame_in_the_segment_of_the_101_is_judged(inspector, connected, shared_backend):
    path = unique_path()
    connected.sock.sendall(as_head(upgrade_lines(path)))
    server, request = shared_backend.accept(path, client=connected)
    server.sock.sendall(switching_protocols(request) + server.framer.text("masked", masked=True))
    connected.read_head()
    assert exchange(connected, server)
    assert connected.heard.messages == [] and server.heard.close_code == 1002
    [verdict] = inspector.verdicts_of(connected.local_address)
    assert verdict["direction"] == "to_client"


def test_raw_http_after_the_upgrade_is_a_protocol_fault(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    pair.client.queue(as_head(["GET /admin HTTP/1.1", "Host: app.example.com"]))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1002 and pair.server.heard.messages == []
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"].startswith("protocol/")
    pair.close()


# Routes, upstreams, counts and sizes.


def test_no_route_gets_404(start, backend):
    inspector = start(backend.port, route="/chat/*")
    client = RawPeer.connect(inspector.address)
    assert answer_to(client, as_head(upgrade_lines("/other"))) == 404
    client.close()
    open_pair(inspector, backend, path="/chat/room").close()


def test_an_upstream_that_is_down_gets_502(start):
    inspector = start(free_port())
    client = RawPeer.connect(inspector.address)
    assert answer_to(client, as_head(upgrade_lines("/"))) == 502
    client.close()


def test_one_connection_too_many_gets_503_until_another_ends(start, backend):
    inspector = start(backend.port, runtime="max-connections 2", shards=1)
    pairs = [open_pair(inspector, backend) for _ in range(2)]
    client = RawPeer.connect(inspector.address)
    assert answer_to(client, as_head(upgrade_lines("/third"))) == 503
    client.close()
    pairs[0].client.queue(pairs[0].client.framer.close(1000))
    pairs[0].client.answers_close = False
    assert pairs[0].exchange()
    pairs[0].close()
    deadline = time.monotonic() + 5
    while True:
        try:
            pairs.append(open_pair(inspector, backend))
            break
        except (AssertionError, ConnectionEnded):
            assert time.monotonic() < deadline, "the place of an ended connection is free again"
    for pair in pairs:
        pair.close()


@pytest.mark.parametrize(
    "headers",
    [
        lambda: [f"X-{n}: {n}" for n in range(10_000)],
        lambda: ["X-Long: " + "x" * 20_000_000],
        lambda: ["X-Name" * 200_000 + ": x"],
    ],
    ids=["10000-headers", "20-megabytes", "a-long-name"],
)
def test_an_oversize_head_is_refused(inspector, connected, shared_backend, headers):
    path = unique_path()
    status = answer_to(connected, as_head(upgrade_lines(path) + headers()))
    assert status in (400, 413, 431, None)
    assert shared_backend.heard_nothing_of(path)
    open_pair(inspector, shared_backend).close()


def test_an_endless_request_line_is_refused(connected):
    status = answer_to(connected, b"GET /" + b"a" * 2_000_000)
    assert status in (400, 414, 431, None)


def test_a_head_that_dribbles_is_given_up(start, backend):
    inspector = start(backend.port, agent_block("handshake { timeout-ms 1000 }"))
    client = socket.create_connection(inspector.address, timeout=1)
    path = unique_path()
    client.settimeout(0.5)
    answer = None
    began = time.monotonic()
    for octet in as_head(upgrade_lines(path)):
        try:
            client.send(bytes([octet]))
            answer = client.recv(4096)
            break
        except TimeoutError:
            assert time.monotonic() - began < 10, "a byte now and then keeps the handshake alive"
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
            break
    assert answer is not None
    assert answer == b"" or answer.split(b" ")[1] in (b"408", b"400")
    assert backend.heard_nothing_of(path)
    client.close()


def test_a_client_that_says_nothing_is_given_up(start, backend):
    inspector = start(backend.port, agent_block("handshake { timeout-ms 500 }"))
    client = socket.create_connection(inspector.address, timeout=8)
    assert client.recv(4096)[:12] in (b"", b"HTTP/1.1 408")
    client.close()


def test_a_backend_that_never_answers_becomes_504_or_502(start, backend):
    inspector = start(backend.port, agent_block("handshake { timeout-ms 500 }"))
    client = RawPeer.connect(inspector.address)
    path = unique_path()
    client.sock.sendall(as_head(upgrade_lines(path)))
    backend.accept(path)
    assert client.read_head().status in (502, 504)
    client.close()
