"""The suite's own raw peers, tried against the `websockets` package with no inspector between."""

import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.backends import LibraryBackend
from support.peers import (
    RawBackend,
    RawPeer,
    as_head,
    exchange,
    open_pair,
    switching_protocols,
    unique_path,
    upgrade_lines,
)
from support.wire import BINARY, RSV1, TEXT, Framer, FrameReader

pytestmark = pytest.mark.direct


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70001])
def test_a_frame_reads_back_as_it_was_written(masked, size):
    payload = bytes(i % 251 for i in range(size))
    [frame] = FrameReader().feed(Framer(masked).binary(payload))
    assert (frame.opcode, frame.payload, frame.fin, frame.masked) == (BINARY, payload, True, masked)


def test_a_frame_reads_back_from_single_bytes():
    reader = FrameReader()
    frames = [f for byte in Framer(True).text("héllo") for f in reader.feed(bytes([byte]))]
    assert [f.payload for f in frames] == ["héllo".encode()]


def test_a_wrong_frame_is_as_wrong_as_asked():
    wire = Framer(True).frame(TEXT, b"ab", fin=False, rsv=RSV1, masked=False, length_bits=64)
    assert wire == bytes([0x41, 127, 0, 0, 0, 0, 0, 0, 0, 2]) + b"ab"
    assert Framer(False).frame(BINARY, b"", declared=1 << 63)[2:10] == bytes([0x80, 0, 0, 0, 0, 0, 0, 0])


def test_the_raw_client_speaks_to_a_library_server():
    backend = LibraryBackend()
    client = RawPeer.connect(("127.0.0.1", backend.port))
    try:
        client.sock.sendall(as_head(upgrade_lines(unique_path())))
        assert client.read_head().status == 101
        server = backend.take()
        client.queue(client.framer.fragments(TEXT, [b"on", b"e"]) + client.framer.ping(b"p"), bytewise=True)
        assert exchange(client, until=lambda: client.heard.pongs == [b"p"])
        assert server.recv(timeout=5) == "one"
        server.send(["a", "b"])
        assert exchange(client, until=lambda: client.heard.messages)
        assert client.heard.messages == [(TEXT, b"ab")]
        assert client.heard.frame_counts == [3]
        client.queue(client.framer.close(3001, b"bye"))
        assert exchange(client), "the library answers a close and ends"
        assert client.heard.close_code == 3001
    finally:
        client.close()
        backend.close()


def test_a_library_server_finds_fault_with_an_unmasked_frame():
    backend = LibraryBackend()
    client = RawPeer.connect(("127.0.0.1", backend.port))
    try:
        client.sock.sendall(as_head(upgrade_lines(unique_path())))
        client.read_head()
        client.queue(client.framer.text("x", masked=False))
        assert exchange(client)
        assert client.heard.close_code == 1002
        client.close()
        with pytest.raises(ConnectionClosed):
            backend.take().recv(timeout=5)
    finally:
        client.close()
        backend.close()


def test_the_raw_backend_serves_a_library_client():
    backend = RawBackend()
    path = unique_path()
    got = []

    def converse():
        with connect(f"ws://127.0.0.1:{backend.port}{path}", compression=None, proxy=None) as client:
            client.send("up")
            got.append(client.recv(timeout=5))

    thread = threading.Thread(target=converse)
    thread.start()
    server, request = backend.accept(path)
    server.sock.sendall(switching_protocols(request) + server.framer.text("with the 101"))
    assert exchange(server), "the client closes and ends"
    thread.join(5)
    assert got == ["with the 101"]
    assert server.heard.messages == [(TEXT, b"up")]
    assert server.heard.close_code == 1000
    backend.close()


def test_two_raw_peers_open_a_session():
    backend = RawBackend()

    class Straight:
        address = backend.address

    pair = open_pair(Straight, backend, "Sec-WebSocket-Protocol: chat", answer=("Sec-WebSocket-Protocol: chat",))
    assert pair.response.one("sec-websocket-protocol") == "chat"
    pair.client.queue(pair.client.framer.text("up"))
    pair.server.queue(pair.server.framer.binary(b"down"))
    assert pair.exchange(until=lambda: pair.client.heard.messages and pair.server.heard.messages)
    pair.client.reset()
    assert exchange(pair.server)
    assert pair.server.heard.ended == "reset"
    pair.close()
    backend.close()
