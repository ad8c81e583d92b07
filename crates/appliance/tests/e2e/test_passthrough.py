"""Allowed traffic between `websockets` peers arrives as it was sent, in order, in both directions."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed

from support.backends import LibraryBackend, library_pair
from support.inspector import DIRECT, agent_block
from support.peers import open_pair
from support.wire import BINARY, TEXT

pytestmark = pytest.mark.direct

MIB = 1024 * 1024

ROOMY = agent_block(
    """
    limits { max-frame-size "16MiB" }
    content-filter { block-patterns "/never-in-these-tests/"; max-message-size "16MiB" }
    """
)

FAMILY = "👨‍👩‍👧 שלום"


@pytest.fixture(scope="module")
def library_backend():
    backend = LibraryBackend(select_subprotocol=lambda _, offered: "chat.v1" if "chat.v1" in offered else None)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def inspector(start_once, library_backend):
    return start_once(library_backend.port, ROOMY)


@pytest.fixture(scope="module")
def raw_inspector(start_once, shared_backend):
    return start_once(shared_backend.port, ROOMY)


@pytest.fixture
def pair(inspector, library_backend):
    with library_pair(inspector, library_backend) as both:
        yield both


@pytest.fixture
def raw_pair(raw_inspector, shared_backend):
    pair = open_pair(raw_inspector, shared_backend)
    yield pair
    pair.close()


def carried(pair, direction: str, *messages):
    """What arrives when `messages` are sent in `direction`."""
    sender, receiver = pair if direction == "to_server" else reversed(pair)
    with ThreadPoolExecutor(1) as sending:
        done = sending.submit(lambda: [sender.send(message) for message in messages])
        arrived = [receiver.recv(timeout=20) for _ in messages]
        done.result()
    return arrived


both_directions = pytest.mark.parametrize("direction", ["to_server", "to_client"])


@both_directions
@pytest.mark.parametrize("message", ["hello", "", FAMILY, "\x00", b"\x00\xff\xfe", b""], ids=repr)
def test_a_message_arrives_with_its_type(pair, direction, message):
    assert carried(pair, direction, message) == [message]


@both_directions
@pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536, 65537])
def test_sizes_around_the_length_forms_arrive(pair, direction, size):
    message = b"%d" % size * size
    assert carried(pair, direction, message[:size]) == [message[:size]]


@both_directions
def test_fragments_arrive_as_one_message(pair, direction):
    assert carried(pair, direction, ["in ", "", "three ", "parts"]) == ["in three parts"]
    assert carried(pair, direction, [b"\x00", b"\xff", b""]) == [b"\x00\xff"]


@both_directions
def test_a_character_cut_between_fragments_arrives_whole(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    text = FAMILY.encode()
    for cut in range(len(text) + 1):
        sender.queue(sender.framer.fragments(TEXT, [text[:cut], text[cut:]]))
    raw_pair.exchange(until=lambda: len(receiver.heard.messages) > len(text))
    assert receiver.heard.messages == [(TEXT, text)] * (len(text) + 1)


@pytest.mark.skipif(DIRECT, reason="joining is the inspector's doing")
@both_directions
def test_fragments_are_joined_into_one_frame(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    sender.queue(sender.framer.fragments(TEXT, [b"a", b"b", b"c"]))
    raw_pair.exchange(until=lambda: receiver.heard.messages)
    assert receiver.heard.messages == [(TEXT, b"abc")]
    assert receiver.heard.frame_counts == [1]


def test_a_ping_is_answered_with_its_payload_both_ways(pair):
    client, server = pair
    assert client.ping(b"from the client").wait(5)
    assert server.ping(b"from the server").wait(5)


@both_directions
def test_a_ping_reaches_the_other_side_and_its_pong_returns(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    payload = bytes(range(125))
    sender.queue(sender.framer.ping(payload) + sender.framer.ping(b""))
    raw_pair.exchange(until=lambda: len(receiver.heard.pings) == 2)
    assert receiver.heard.pings == [payload, b""]
    receiver.queue(receiver.framer.pong(payload) + receiver.framer.pong(b""))
    raw_pair.exchange(until=lambda: len(sender.heard.pongs) >= 2)
    assert sender.heard.pongs == [payload, b""], "the answer of the other side, once"


@both_directions
def test_a_ping_between_fragments_overtakes_the_message(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    sender.queue(sender.framer.text("a", fin=False) + sender.framer.ping(b"between"))
    raw_pair.exchange(until=lambda: receiver.heard.pings)
    assert receiver.heard.pings == [b"between"] and receiver.heard.messages == []
    sender.queue(sender.framer.more("b", fin=True))
    raw_pair.exchange(until=lambda: receiver.heard.messages)
    assert receiver.heard.messages == [(TEXT, b"ab")]


@both_directions
def test_an_unsolicited_pong_does_no_harm(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    sender.queue(sender.framer.pong(b"nobody asked") + sender.framer.text("after"))
    raw_pair.exchange(until=lambda: receiver.heard.messages)
    assert receiver.heard.messages == [(TEXT, b"after")]
    assert receiver.heard.pongs == [b"nobody asked"]


@both_directions
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_ten_mebibytes_arrive_equal(pair, direction, kind):
    octets = b"".join(b"%07d " % n for n in range(10 * MIB // 8))
    message = octets.decode() if kind == "text" else octets
    [arrived] = carried(pair, direction, message)
    assert type(arrived) is type(message) and len(arrived) == len(message)
    seen = arrived.encode() if kind == "text" else arrived
    assert hashlib.sha256(seen).digest() == hashlib.sha256(octets).digest()


@both_directions
def test_ten_mebibytes_in_fragments_arrive_equal(pair, direction):
    pieces = [b"%07d " % n * 8192 for n in range(160)]
    [arrived] = carried(pair, direction, pieces)
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(b"".join(pieces)).digest()


@both_directions
def test_five_thousand_pipelined_messages_keep_their_order(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    messages = [b"message %d" % n for n in range(5000)]
    sender.queue(b"".join(sender.framer.frame(TEXT if n % 3 else BINARY, m) for n, m in enumerate(messages)))
    raw_pair.exchange(until=lambda: len(receiver.heard.messages) == 5000, timeout=30)
    assert receiver.heard.messages == [(TEXT if n % 3 else BINARY, m) for n, m in enumerate(messages)]


def test_both_directions_at_once_keep_their_order(raw_pair):
    messages = [b"message %d" % n for n in range(2000)]
    for peer in (raw_pair.client, raw_pair.server):
        peer.queue(b"".join(peer.framer.text(m) for m in messages))
    heard = (raw_pair.client.heard, raw_pair.server.heard)
    raw_pair.exchange(until=lambda: all(len(h.messages) == 2000 for h in heard), timeout=30)
    assert [h.payloads for h in heard] == [messages, messages]


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "going"), (3000, "büro zu"), (4999, "r" * 123)])
def test_a_close_code_and_its_reason_pass_through(pair, closer, code, reason):
    client, server = pair
    first, second = (client, server) if closer == "client" else (server, client)
    first.close(code, reason)
    with pytest.raises(ConnectionClosed) as ended:
        second.recv(timeout=5)
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (code, reason)
    assert first.close_code == code, "the answer that came back"


@both_directions
def test_a_close_without_a_body_passes_without_a_body(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    sender.answers_close = False
    sender.queue(sender.framer.close())
    raw_pair.exchange(until=lambda: sender.heard.close is not None)
    assert receiver.heard.close == b""
    assert sender.heard.close == b""


@both_directions
def test_messages_before_a_close_in_the_same_segment_arrive(raw_pair, direction):
    sender, receiver = raw_pair.ends(direction)
    sender.answers_close = False
    sender.queue(sender.framer.text("last words") + sender.framer.close(1000))
    raw_pair.exchange(until=lambda: receiver.heard.close is not None)
    assert receiver.heard.messages == [(TEXT, b"last words")]
    assert receiver.heard.close_code == 1000


def test_the_subprotocol_that_the_backend_chose_reaches_the_client(inspector, library_backend):
    with library_pair(inspector, library_backend, subprotocols=["chat.v1", "other"]) as (client, server):
        assert client.subprotocol == server.subprotocol == "chat.v1"


def test_no_subprotocol_is_made_up(inspector, library_backend):
    with library_pair(inspector, library_backend) as (client, server):
        assert client.subprotocol is None and server.subprotocol is None


def test_request_headers_reach_the_backend(inspector, library_backend):
    sent = {"Cookie": "session=abc; theme=dark", "Authorization": "Bearer t0ken", "X-Request-Id": "42"}
    options = dict(additional_headers=sent, origin="https://app.example.com", user_agent_header="suite/1")
    with library_pair(inspector, library_backend, **options) as (_, server):
        seen = server.request.headers
        assert {name: seen.get_all(name) for name in sent} == {name: [value] for name, value in sent.items()}
        assert seen["Origin"] == "https://app.example.com"
        assert seen["User-Agent"] == "suite/1"


@pytest.mark.skipif(DIRECT, reason="the inspector adds the header")
def test_the_backend_is_told_the_address_of_the_client(inspector, library_backend):
    with library_pair(inspector, library_backend) as (_, server):
        assert server.request.headers["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.skipif(DIRECT, reason="the inspector adds the header")
def test_a_client_cannot_make_up_its_address(inspector, library_backend):
    claim = {"X-Forwarded-For": "203.0.113.9"}
    with library_pair(inspector, library_backend, additional_headers=claim) as (_, server):
        last = ", ".join(server.request.headers.get_all("X-Forwarded-For")).split(",")[-1].strip()
        assert last == "127.0.0.1"


def test_path_and_query_reach_the_backend_as_they_were(raw_inspector, shared_backend):
    pair = open_pair(raw_inspector, shared_backend, path="/a%20b/..c//d?q=%C3%A9&r=1+2")
    assert pair.request.path == "/a%20b/..c//d?q=%C3%A9&r=1+2"
    pair.close()


@pytest.mark.skipif(DIRECT, reason="both libraries would agree on the extension")
def test_permessage_deflate_is_stripped_from_the_offer(inspector, library_backend):
    with library_pair(inspector, library_backend, compression="deflate") as (client, server):
        assert "Sec-WebSocket-Extensions" not in server.request.headers
        assert "Sec-WebSocket-Extensions" not in client.response.headers


@pytest.mark.skipif(DIRECT, reason="nobody is between to notice")
def test_a_backend_that_vanishes_ends_the_client_with_1011(raw_pair):
    raw_pair.server.reset()
    raw_pair.server.heard.ended = "gone"
    assert raw_pair.exchange()
    assert raw_pair.client.heard.close_code in (1011, None)


@pytest.mark.skipif(DIRECT, reason="nobody is between to notice")
def test_a_client_that_vanishes_ends_the_backend(raw_pair):
    raw_pair.client.reset()
    raw_pair.client.heard.ended = "gone"
    assert raw_pair.exchange()
    assert raw_pair.server.heard.close_code in (1001, None)
