"""The attack matrix, framing: every broken frame ends the session, in both directions, however it is cut."""

import struct

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, GOOD, TOKEN, Attack, assert_blocked, send_attack
from support.peers import open_pair
from support.wire import BINARY, PING, PONG, RSV1, RSV2, RSV3, TEXT

POLICY = agent_block(
    """
    limits { max-frame-size "64KiB" }
    content-filter { block-patterns "/eval\\\\(/"; max-message-size "128KiB" }
    """
)

PROTOCOL = ("protocol/",)
TOO_LARGE = ("limits/", "content-filter-1/max-message-size", "protocol/")


def fault(name, wire, **options):
    return Attack(name, wire, (1002,), PROTOCOL, **options)


def close_body(name, body, code=1002):
    return Attack(f"close-{name}", lambda f: f.frame(0x8, body), (code,), PROTOCOL)


ATTACKS = [
    fault("wrong-masking", lambda f: f.text(b"{}", masked=not f.masked)),
    fault("wrong-masking-of-a-ping", lambda f: f.ping(b"x", masked=not f.masked)),
    fault("rsv1", lambda f: f.text(b"{}", rsv=RSV1)),
    fault("rsv2", lambda f: f.text(b"{}", rsv=RSV2)),
    fault("rsv3", lambda f: f.text(b"{}", rsv=RSV3)),
    fault("rsv1-on-a-ping", lambda f: f.ping(rsv=RSV1)),
    fault("rsv1-on-a-continuation", lambda f: f.text(b"a", fin=False) + f.more(b"b", fin=True, rsv=RSV1)),
    *[fault(f"reserved-opcode-{n:x}", lambda f, n=n: f.frame(n, b"x")) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    fault("reserved-opcode-empty", lambda f: f.frame(3)),
    fault("length-5-in-16-bits", lambda f: f.text(b"12345", length_bits=16)),
    fault("length-125-in-16-bits", lambda f: f.text(b"x" * 125, length_bits=16)),
    fault("length-5-in-64-bits", lambda f: f.text(b"12345", length_bits=64)),
    fault("length-65535-in-64-bits", lambda f: f.text(b"x" * 65535, length_bits=64)),
    fault("length-top-bit-set", lambda f: f.binary(b"", declared=1 << 63)),
    fault("length-all-bits-set", lambda f: f.binary(b"", declared=(1 << 64) - 1), then_silence=True),
    Attack("length-63-bits", lambda f: f.binary(b"", declared=(1 << 63) - 1), (1009, 1002), TOO_LARGE),
    Attack("four-gigabytes-then-silence", lambda f: f.binary(b"", declared=1 << 32), (1009,), TOO_LARGE, True),
    Attack("a-byte-over-the-frame-limit", lambda f: f.binary(b"", declared=65537), (1009,), TOO_LARGE, True),
    Attack(
        "valid-frames-inside-an-oversize-frame",
        lambda f: f.binary(f.text(b"inside") * 20_000),
        (1009,),
        TOO_LARGE,
    ),
    Attack(
        "oversize-ping-of-64-bits", lambda f: f.ping(b"", declared=1 << 40), (1002, 1009), PROTOCOL + TOO_LARGE, True
    ),
    fault("orphan-continuation", lambda f: f.more(b"x", fin=True)),
    fault("orphan-continuation-without-fin", lambda f: f.more(b"x", fin=False)),
    fault("text-after-a-ping-inside-an-open-text", lambda f: f.text(b"a", fin=False) + f.ping() + f.text(b"b")),
    fault("text-inside-an-open-text", lambda f: f.text(b"a", fin=False) + f.text(b"b", fin=True)),
    fault("binary-inside-an-open-text", lambda f: f.text(b"a", fin=False) + f.binary(b"b", fin=False)),
    fault("fragmented-ping", lambda f: f.frame(PING, b"a", fin=False)),
    fault("fragmented-pong", lambda f: f.frame(PONG, b"a", fin=False)),
    fault("fragmented-close", lambda f: f.close(1000, fin=False)),
    fault("ping-of-126-bytes", lambda f: f.ping(b"x" * 126)),
    fault("pong-of-126-bytes", lambda f: f.pong(b"x" * 126)),
    fault("close-of-126-bytes", lambda f: f.close(1000, b"x" * 124)),
    close_body("of-one-byte", b"\x03"),
    *[
        close_body(f"code-{code}", struct.pack("!H", code))
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
    close_body("reason-not-utf8", struct.pack("!H", 1000) + b"\xff\xfe", 1007),
    close_body("reason-cut-inside-a-character", struct.pack("!H", 1000) + "é".encode()[:1], 1007),
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
def test_a_broken_frame_ends_the_session(inspector, pair, attack, direction, delivery):
    send_attack(pair, attack, direction, delivery)
    assert_blocked(inspector, pair, attack, direction)


def test_the_verdict_names_the_unmasked_frame_of_a_client(inspector, pair):
    attack = Attack("unmasked", lambda f: f.text(b"{}", masked=False), (1002,), ("protocol/unmasked-by-client",))
    send_attack(pair, attack, "to_server", "one-write")
    assert_blocked(inspector, pair, attack, "to_server")


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
def test_a_token_in_a_control_payload_never_arrives(inspector, pair, opcode, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text(GOOD) + sender.framer.frame(opcode, b"x " + TOKEN) + sender.framer.ping(b"late"))
    pair.exchange(until=lambda: sender.heard.ended or receiver.heard.ended or b"late" in receiver.heard.pings)
    assert receiver.heard.messages == [(TEXT, GOOD)]
    assert not any(TOKEN in payload for payload in receiver.heard.pings + receiver.heard.pongs)
    [verdict] = inspector.wait_verdicts(1, client=pair.client.local_address)
    assert verdict["rule"].startswith("content-filter-1/")
    assert verdict["direction"] == direction


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_token_in_a_close_reason_never_arrives(inspector, pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.text(GOOD) + sender.framer.close(1000, TOKEN))
    sender.answers_close = False
    pair.exchange(until=lambda: receiver.heard.ended or receiver.heard.close is not None)
    assert receiver.heard.messages == [(TEXT, GOOD)]
    assert TOKEN not in (receiver.heard.close or b"")
    [verdict] = inspector.wait_verdicts(1, client=pair.client.local_address)
    assert verdict["rule"].startswith("content-filter-1/")


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_nothing_passes_after_a_close(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.answers_close = False
    sender.queue(sender.framer.close(1000) + sender.framer.text(TOKEN) + sender.framer.ping(b"p"))
    pair.exchange(until=lambda: receiver.heard.ended or receiver.heard.close is not None)
    assert receiver.heard.close_code == 1000
    pair.exchange(until=lambda: sender.heard.close is not None)
    assert receiver.heard.after_close == 0 and receiver.heard.messages == []


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_a_frame_at_the_limit_passes(pair, direction):
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.binary(b"x" * 65536))
    pair.exchange(until=lambda: receiver.heard.messages or receiver.heard.ended)
    assert receiver.heard.messages == [(BINARY, b"x" * 65536)]
