"""The attack matrix, fragmentation: a message is judged whole, however it is cut into frames and segments."""

import time

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, GOOD, TOKEN, Attack, assert_blocked, assert_passes, send_attack
from support.peers import open_pair
from support.wire import BINARY, TEXT

POLICY = agent_block(
    """
    limits { max-frame-size "128KiB"; max-fragments 1024; message-timeout-ms 60000 }
    content-filter { block-patterns "/eval\\\\(/"; max-message-size "128KiB" }
    """
)

PATTERN = ("content-filter-1/block-patterns-1",)
SIZE = ("content-filter-1/max-message-size", "limits/")
LIMIT = ("limits/", "protocol/")

CARRIER = b"x eval(1) y"


def pattern(name, wire):
    return Attack(name, wire, (1008,), PATTERN)


def cut(message: bytes, *places: int) -> list[bytes]:
    edges = [0, *places, len(message)]
    return [message[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def singles(message: bytes) -> list[bytes]:
    return [message[i : i + 1] for i in range(len(message))]


ATTACKS = [
    pattern("whole", lambda f: f.text(CARRIER)),
    *[pattern(f"cut-at-{n}", lambda f, n=n: f.fragments(TEXT, cut(CARRIER, n))) for n in range(len(CARRIER) + 1)],
    pattern("one-byte-fragments", lambda f: f.fragments(TEXT, singles(CARRIER))),
    pattern("one-byte-fragments-binary", lambda f: f.fragments(BINARY, singles(CARRIER))),
    pattern("empty-first-fragment", lambda f: f.fragments(TEXT, [b"", CARRIER])),
    pattern("empty-middle-fragments", lambda f: f.fragments(TEXT, [b"x ev", b"", b"", b"al("])),
    pattern("empty-last-fragment", lambda f: f.fragments(TEXT, [CARRIER, b""])),
    pattern(
        "ping-inside-the-token",
        lambda f: f.text(b"x ev", fin=False) + f.ping(b"p") + f.pong(b"q") + f.more(b"al(", fin=True),
    ),
    pattern("after-70000-bytes-of-filler", lambda f: f.text(b"a" * 70000 + TOKEN)),
    pattern("after-70000-bytes-in-fragments", lambda f: f.fragments(TEXT, [b"a" * 70000, b"ev", b"al("])),
    pattern("across-the-16-bit-length", lambda f: f.fragments(TEXT, [b"a" * 65533 + b"ev", b"al("])),
    Attack(
        "sum-over-the-limit",
        lambda f: f.fragments(BINARY, [b"a" * 50000] * 3),
        (1009,),
        SIZE,
    ),
    Attack("a-byte-over-the-limit", lambda f: f.fragments(BINARY, [b"a" * 65536] * 2 + [b"b"]), (1009,), SIZE),
    Attack(
        "131000-one-byte-fragments",
        lambda f: f.fragments(BINARY, [b"x"] * 131_000),
        (1008, 1009),
        LIMIT,
    ),
    Attack(
        "endless-empty-continuations",
        lambda f: f.text(b"a", fin=False) + f.more(b"", fin=False) * 100_000,
        (1008, 1009),
        LIMIT,
    ),
    Attack("a-character-cut-for-good", lambda f: f.fragments(TEXT, [b"a\xf0\x9f", b"b"]), (1007,), ("protocol/",)),
    Attack("a-character-without-its-end", lambda f: f.fragments(TEXT, [b"a\xf0\x9f", b""]), (1007,), ("protocol/",)),
]


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, POLICY)


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_cut_message_is_judged_whole(inspector, pair, attack, direction, delivery):
    send_attack(pair, attack, direction, delivery)
    assert_blocked(inspector, pair, attack, direction)


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("bytewise", [False, True], ids=DELIVERIES)
def test_legal_json_in_three_fragments_passes(pair, direction, bytewise):
    sender, _ = pair.ends(direction)
    message = '{"note":"día 🎉","n":[1,2,3]}'.encode()
    wire = sender.framer.fragments(TEXT, cut(message, 11, 17))
    assert_passes(pair, direction, wire, [(TEXT, message)], bytewise=bytewise)


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_as_many_fragments_as_allowed_pass(pair, direction):
    sender, _ = pair.ends(direction)
    wire = sender.framer.fragments(BINARY, [b"x"] * 1024)
    assert_passes(pair, direction, wire, [(BINARY, b"x" * 1024)])


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_message_at_the_size_limit_passes(pair, direction):
    sender, _ = pair.ends(direction)
    wire = sender.framer.fragments(BINARY, [b"a" * 65536] * 2)
    assert_passes(pair, direction, wire, [(BINARY, b"a" * 131072)])


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_no_fragment_is_passed_on_before_the_last_one_is_judged(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text(b"x ev", fin=False) + sender.framer.ping(b"mark"))
    pair.exchange(until=lambda: receiver.heard.pings)
    assert receiver.heard.pings == [b"mark"]
    assert receiver.open_message is None


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_drop_takes_the_whole_message_and_nothing_else(start, backend, direction, delivery):
    inspector = start(backend.port, agent_block('content-filter { block-patterns "/eval\\\\(/"; action "drop" }'))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    f = sender.framer
    wire = (
        f.text(GOOD)
        + f.fragments(TEXT, [b"first ", b"ev", b"al(", b" last"])
        + f.text(b"next")
        + f.text(TOKEN)
        + f.text(b"end")
    )
    sender.queue(wire, bytewise=delivery == "bytewise")
    pair.exchange(until=lambda: b"end" in receiver.heard.payloads or receiver.heard.ended)
    assert receiver.heard.payloads == [GOOD, b"next", b"end"]
    assert sender.heard.close is None
    verdicts = inspector.wait_verdicts(2)
    assert [(v["action"], v["direction"]) for v in verdicts] == [("drop", direction)] * 2
    pair.close()


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("stalled", ["inside-a-header", "inside-a-payload", "between-fragments"])
def test_a_message_that_never_ends_is_given_up(start, backend, direction, stalled):
    inspector = start(backend.port, agent_block("limits { message-timeout-ms 500 }"))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    start_of = {
        "inside-a-header": sender.framer.text(b"x" * 200)[:3],
        "inside-a-payload": sender.framer.text(b"hello")[:-2],
        "between-fragments": sender.framer.text(b"hello", fin=False),
    }[stalled]
    sender.queue(start_of)
    assert pair.exchange(), f"not given up: {pair.client.heard} {pair.server.heard}"
    assert receiver.heard.messages == []
    assert sender.heard.close_code in (1002, 1008, 1001, 1011)
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"].startswith("limits/")
    pair.close()


def test_a_dribbled_frame_is_given_up_although_bytes_keep_coming(start, backend):
    inspector = start(backend.port, agent_block("limits { message-timeout-ms 500 }"))
    pair = open_pair(inspector, backend)
    wire = pair.client.framer.text(b"x" * 120)
    began = time.monotonic()
    for byte in wire:
        pair.client.queue(bytes([byte]))
        if pair.exchange(timeout=0.1) or time.monotonic() - began > 8:
            break
    assert pair.client.heard.ended, "bytes that dribble do not extend the time of a message"
    assert pair.server.heard.messages == []
    pair.close()
