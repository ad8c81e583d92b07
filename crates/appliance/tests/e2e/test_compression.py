"""permessage-deflate (RFC 7692), ended at each leg: negotiated apart, inspected inflated, compressed anew."""

import json
import random
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

from support.backends import LibraryBackend, library_pair
from support.inspector import agent_block
from support.oracle import DELIVERIES, GOOD, TOKEN, Attack, assert_blocked, send_attack
from support.peers import open_pair
from support.wire import RSV1, TEXT

HERE = Path(__file__).parent
FAMILY = "👨‍👩‍👧 שלום"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
DECLINED = "Sec-WebSocket-Extensions: permessage-deflate; no-such-parameter"


def policy(action: str = "close", compression: str = "inspect", limits: str = "") -> str:
    return agent_block(
        f"""
    handshake {{ compression "{compression}" }}
    limits {{ max-message-size "4MiB"; {limits} }}
    content-filter {{ block-patterns "{TOKEN.decode()}"; action "{action}" }}
    """
    )


@pytest.fixture(scope="module")
def library_backend():
    backend = LibraryBackend()
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def inspector(start_once, library_backend):
    return start_once(library_backend.port, policy())


@pytest.fixture(scope="module")
def dropping(start_once, library_backend):
    return start_once(library_backend.port, policy("drop"))


@pytest.fixture(scope="module")
def raw_inspector(start_once, shared_backend):
    return start_once(shared_backend.port, policy())


def quote(i: int) -> str:
    return json.dumps({"type": "quote", "symbol": f"SYM{i % 40}", "bid": i * 1.25, "venue": "XETRA", "text": FAMILY})


def carries(client, server):
    """All kinds of messages, both ways."""
    noise = random.Random(7).randbytes(100_000)
    for sender, receiver in ((client, server), (server, client)):
        for message in ("", "short", quote(1), quote(2), noise, "".join(map(quote, range(1000))), quote(3)):
            sender.send(message)
            assert receiver.recv(timeout=8) == message
        sender.send(["{", *(quote(i) for i in range(50)), FAMILY, "}"])
        assert receiver.recv(timeout=8) == "{" + "".join(quote(i) for i in range(50)) + FAMILY + "}"


def extensions(connection) -> list[str]:
    return [extension.name for extension in connection.protocol.extensions]


def test_both_sides(inspector, library_backend):
    with library_pair(inspector, library_backend) as (client, server):
        assert extensions(client) == extensions(server) == ["permessage-deflate"]
        carries(client, server)


def test_the_client_alone(start):
    backend = LibraryBackend(compression=None)
    with library_pair(start(backend.port, policy()), backend) as (client, server):
        assert (extensions(client), extensions(server)) == (["permessage-deflate"], [])
        carries(client, server)
    backend.close()


def test_no_offer_is_no_offer(inspector, library_backend):
    with library_pair(inspector, library_backend, compression=None) as (client, server):
        assert extensions(client) == extensions(server) == []
        carries(client, server)


@pytest.mark.parametrize("server_bits", (9, 12, 15))
@pytest.mark.parametrize("client_bits", (9, 15))
@pytest.mark.parametrize("takeover", (True, False))
def test_parameters(start, client_bits, server_bits, takeover):
    """Each peer asks its own leg for what it likes; zlib refuses what does not fit its window."""
    asked = dict(
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        server_max_window_bits=client_bits,
        client_max_window_bits=client_bits,
    )
    answers = dict(asked, server_max_window_bits=server_bits, client_max_window_bits=server_bits)
    backend = LibraryBackend(compression=None, extensions=[ServerPerMessageDeflateFactory(**answers)])
    offers = [ClientPerMessageDeflateFactory(**asked)]
    with library_pair(start(backend.port, policy()), backend, compression=None, extensions=offers) as pair:
        client, server = pair
        own, other = client.protocol.extensions[0], server.protocol.extensions[0]
        assert (own.remote_max_window_bits, other.remote_max_window_bits) == (client_bits, server_bits)
        assert own.remote_no_context_takeover is other.remote_no_context_takeover is not takeover
        for _ in range(3):
            carries(client, server)
    backend.close()


@pytest.mark.parametrize("direction", ("to_server", "to_client"))
def test_five_thousand_messages_with_takeover(inspector, library_backend, direction):
    with library_pair(inspector, library_backend) as pair:
        sender, receiver = pair if direction == "to_server" else reversed(pair)
        for start in range(0, 5000, 100):
            for i in range(start, start + 100):
                sender.send(quote(i))
            for i in range(start, start + 100):
                assert receiver.recv(timeout=8) == quote(i)


@pytest.mark.parametrize("direction", ("to_server", "to_client"))
def test_a_dropped_message_breaks_neither_side(dropping, library_backend, direction):
    with library_pair(dropping, library_backend) as pair:
        sender, receiver = pair if direction == "to_server" else reversed(pair)
        secret = quote(77) + " and what nothing else has in it: zyxwvutsrqponmlk"
        for i in range(20):
            sender.send(quote(i))
            sender.send(secret + TOKEN.decode())
            sender.send(secret)
            assert receiver.recv(timeout=8) == quote(i)
            assert receiver.recv(timeout=8) == secret


def test_the_audit_tells_inflated_sizes(start, library_backend):
    inspector = start(library_backend.port, policy())
    with library_pair(inspector, library_backend) as (client, server):
        client.send("a" * 1000)
        server.recv(timeout=8)
        address = "{}:{}".format(*client.socket.getsockname()[:2])
    sizes = [record["size"] for record in inspector.records_of(address) if record["event"] == "ws_message"]
    assert sizes == [1000]


# By hand: what is negotiated, and what a peer must not do.


def test_each_leg_is_answered_for_itself(raw_inspector, shared_backend):
    offer = "Sec-WebSocket-Extensions: x, permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=10"
    pair = open_pair(raw_inspector, shared_backend, offer)
    assert pair.request.all("sec-websocket-extensions") == ["permessage-deflate; client_max_window_bits"]
    assert pair.response.all("sec-websocket-extensions") == ["permessage-deflate; server_max_window_bits=10"]
    pair.close()
    pair = open_pair(raw_inspector, shared_backend, DECLINED, answer=("Sec-WebSocket-Extensions: permessage-deflate",))
    assert pair.response.all("sec-websocket-extensions") == []
    pair.close()


@pytest.mark.parametrize(
    "answer",
    (
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        "permessage-deflate; x",
        "x-webkit-deflate-frame",
        "",
    ),
)
def test_an_answer_that_does_not_follow_from_the_offer(raw_inspector, shared_backend, answer):
    with pytest.raises(AssertionError, match="502"):
        open_pair(raw_inspector, shared_backend, OFFER, answer=(f"Sec-WebSocket-Extensions: {answer}",))


def compressed(payload: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def in_fragments(framer, payload: bytes, size: int) -> bytes:
    """RSV1 stands on an empty first frame."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    wire = framer.text(b"", fin=False, rsv=RSV1)
    return wire + b"".join(framer.more(piece, fin=at == len(pieces) - 1) for at, piece in enumerate(pieces))


A = b'{"x":"' + TOKEN + b'1)"}'
FINAL = zlib.compressobj(6, zlib.DEFLATED, -15)
FINAL = FINAL.compress(A) + FINAL.flush(zlib.Z_FINISH)
EMPTY = b"\x00\x00\x00\xff\xff" * 100_000
MATCHED = ("content-filter-1",)

ATTACKS = [
    Attack("compressed", lambda f: f.text(compressed(A), rsv=RSV1), (1008,), MATCHED),
    Attack("stored", lambda f: f.text(compressed(A, 0), rsv=RSV1), (1008,), MATCHED),
    Attack("fragmented", lambda f: in_fragments(f, compressed(A), 1), (1008,), MATCHED),
    Attack("BFINAL", lambda f: f.text(FINAL + b"\x00", rsv=RSV1), (1008,), MATCHED),
    Attack("BFINAL without the byte after it", lambda f: f.text(FINAL, rsv=RSV1), (1008,), MATCHED),
    Attack("after a final block", lambda f: f.text(b"\x03\x00" + compressed(A), rsv=RSV1), (1008,), MATCHED),
    Attack("after empty blocks", lambda f: f.text(EMPTY + compressed(A), rsv=RSV1), (1008,), MATCHED),
    Attack("ratio", lambda f: f.text(compressed(b"a" * 1_000_000), rsv=RSV1), (1008,), ("limits/max-inflate-ratio",)),
    Attack(
        "size",
        lambda f: f.binary(compressed(bytes(range(256)) * 20_000, 1), rsv=RSV1),
        (1008, 1009),
        ("limits/",),
    ),
    Attack("not deflate", lambda f: f.text(A, rsv=RSV1), (1007,), ("protocol/",)),
    Attack("not UTF-8", lambda f: f.text(compressed(b"ok \xff" + A), rsv=RSV1), (1007,), ("protocol/invalid-utf8",)),
    Attack(
        "RSV1 on a continuation",
        lambda f: f.text(compressed(A)[:3], fin=False, rsv=RSV1) + f.more(compressed(A)[3:], fin=True, rsv=RSV1),
        (1002,),
        ("protocol/reserved-bits",),
    ),
    Attack("RSV1 on a ping", lambda f: f.ping(b"", rsv=RSV1), (1002,), ("protocol/reserved-bits",)),
    Attack("RSV2", lambda f: f.text(compressed(A), rsv=RSV1 | 0x20), (1002,), ("protocol/reserved-bits",)),
]


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("direction", ("to_server", "to_client"))
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacks(start, shared_backend, attack, direction, delivery):
    """The leg of the attacker compresses, the other is plain, so that the oracle reads what arrives."""
    # One for each: the kernel may give the port of a client that is gone to the next, and records are found by it.
    inspector = start(shared_backend.port, policy())
    answer = ("Sec-WebSocket-Extensions: permessage-deflate",)
    offer, answer = (OFFER, ()) if direction == "to_server" else (DECLINED, answer)
    pair = open_pair(inspector, shared_backend, offer, answer=answer)
    try:
        send_attack(pair, attack, direction, delivery)
        assert_blocked(inspector, pair, attack, direction)
    finally:
        pair.close()


def test_a_message_that_is_only_a_reference_to_a_dropped_one(start, shared_backend):
    pair = open_pair(start(shared_backend.port, policy("drop")), shared_backend, OFFER)
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    for payload in (GOOD, A, A, b"last"):
        wire = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        pair.client.queue(pair.client.framer.text(wire[:-4], rsv=RSV1))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 2)
    assert pair.server.heard.messages == [(TEXT, GOOD), (TEXT, b"last")]
    pair.close()


# Node's ws on both ends.


def test_node_both_sides(start):
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is not installed: these tests need Node 18 or later", pytrace=False)
    server = subprocess.Popen([node, str(HERE / "node" / "server.js")], stdout=subprocess.PIPE, text=True)
    try:
        inspector = start(json.loads(server.stdout.readline())["port"], policy())
        command = [node, str(HERE / "node" / "deflate.js"), inspector.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        server.wait(5)
        opens = [line for line in map(json.loads, server.stdout) if line["event"] == "open"]
        server.stdout.close()
    assert opens and all(line["extensions"].startswith("permessage-deflate") for line in opens)
