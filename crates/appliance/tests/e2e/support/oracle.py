"""What "blocked" and "passed" mean: on the wire of both peers and in the audit stream."""

from collections.abc import Callable
from dataclasses import dataclass

from support.inspector import Inspector
from support.peers import Pair
from support.wire import TEXT, Framer

BOTH_DIRECTIONS = ("to_server", "to_client")
DELIVERIES = ("one-write", "bytewise")

GOOD = b'{"good":"before"}'
LATE = b'{"good":"after"}'

TOKEN = b"eval("
"""What the block pattern of the attack tests names."""

BYTEWISE_MAX = 8192
"""Longer attacks are sent in one write only: a write per byte would take the suite's time."""


@dataclass(frozen=True)
class Attack:
    """Bytes that must end the session. `wire` writes them for the role of the sender."""

    name: str
    wire: Callable[[Framer], bytes]
    codes: tuple[int, ...]
    rules: tuple[str, ...]
    """Prefixes of the rule that the verdict may name."""
    then_silence: bool = False
    """Nothing is sent after the attack: the verdict may not wait for more."""

    def __str__(self):
        return self.name


def send_attack(pair: Pair, attack: Attack, direction: str, delivery: str) -> None:
    """A good message, the attack, a later message: in one segment or one byte per write."""
    sender, _ = pair.ends(direction)
    wire = sender.framer.text(GOOD) + attack.wire(sender.framer)
    if not attack.then_silence:
        wire += sender.framer.text(LATE)
    sender.queue(wire, bytewise=delivery == "bytewise" and len(wire) <= BYTEWISE_MAX)
    ended = pair.exchange()
    assert ended, f"the session did not end: client {pair.client.heard}, server {pair.server.heard}"


def assert_blocked(inspector: Inspector, pair: Pair, attack: Attack, direction: str, *, good=(GOOD,)) -> None:
    """The session has ended as a blocked one must: on both legs, with one verdict."""
    sender, receiver = pair.ends(direction)
    assert receiver.heard.payloads == list(good), "what arrived at the other side"
    assert sender.heard.close_code in attack.codes, f"close code to the sender ({sender.heard})"
    assert receiver.heard.close_code in (sender.heard.close_code, None), "close code to the other side"
    assert sender.heard.payloads == [], "the sender was sent a message"
    assert sender.heard.after_close == receiver.heard.after_close == 0, "frames after the close frame"

    verdicts = inspector.verdicts_of(pair.client.local_address)
    assert len(verdicts) == 1, f"exactly one verdict, not {verdicts}"
    verdict = verdicts[0]
    assert verdict["action"] == "close"
    assert verdict["direction"] == direction
    assert verdict["code"] == sender.heard.close_code
    assert verdict["rule"].startswith(attack.rules), verdict["rule"]


def assert_passes(pair: Pair, direction: str, wire: bytes, messages: list[tuple[int, bytes]], *, bytewise=False):
    """`wire` arrives as exactly `messages`, and the session is still of use afterwards."""
    sender, receiver = pair.ends(direction)
    sender.queue(wire, bytewise=bytewise)
    sender.queue(sender.framer.text("the end"))
    expected = messages + [(TEXT, b"the end")]
    pair.exchange(until=lambda: len(receiver.heard.messages) >= len(expected) or receiver.heard.ended)
    assert receiver.heard.messages == expected
    assert sender.heard.close is None and receiver.heard.close is None
