"""What is done to a WebSocket in either deployment."""

import time
import zlib
from dataclasses import dataclass

from chain import Chain
from support.peers import Pair
from support.wire import BINARY, TEXT
from transcript import Transcript, seen

BAD = b"exec(1)"
DROPPED = b"card 4111"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"

SILENT_S = 65
"""The proxy's defaults cut off a WebSocket whose server was silent for 30 s, or its client for 60 s."""


@dataclass
class Ending:
    """How a WebSocket ends on either side when a message is blocked."""

    server: str
    client: str

    def expected(self, receiver: str, heard: str) -> str:
        of = {"server": "[]", "client": "[]", receiver: heard}
        return f"server {of['server']} {self.server}; client {of['client']} {self.client}"


OPEN = Ending("open", "open")


def messages(
    chain: Chain, transcript: Transcript, direction: str, blocked: Ending, dropped_in_fragments: tuple[str, Ending]
) -> None:
    receiver = "server" if direction == "to_server" else "client"
    transcript.compare(
        f"{direction}: a message passes",
        OPEN.expected(receiver, "[hello]"),
        lambda: carries(chain.open(), direction, b"hello"),
    )

    def good_then_bad() -> str:
        pair = chain.open()
        carries(pair, direction, b"good")
        return ends(pair, direction, lambda framer: framer.text(BAD) + framer.text("late"))

    transcript.compare(f"{direction}: a blocked pattern ends it", blocked.expected(receiver, "[good]"), good_then_bad)
    transcript.compare(
        f"{direction}: the pattern split over three frames, with a ping between them",
        blocked.expected(receiver, "[] ping p"),
        lambda: _split(chain.open(), direction),
    )
    transcript.compare(
        f"{direction}: a pattern that drops, and a message after it",
        OPEN.expected(receiver, "[after]"),
        lambda: carries(chain.open(), direction, b"after", before=lambda framer: framer.text(DROPPED)),
    )
    heard, ending = dropped_in_fragments
    transcript.compare(
        f"{direction}: the same in fragments",
        ending.expected(receiver, heard),
        lambda: carries(
            chain.open(), direction, b"after", before=lambda framer: framer.fragments(BINARY, [b"card", b" 41", b"11"])
        ),
    )


def control_frames(chain: Chain, transcript: Transcript) -> None:
    def pings() -> str:
        pair = chain.open()
        pair.client.queue(pair.client.framer.ping(b"a"))
        pair.server.queue(pair.server.framer.ping(b"b"))
        pair.exchange(until=lambda: pair.client.heard.pings and pair.server.heard.pings)
        pair.client.queue(pair.client.framer.pong(b"b"))
        pair.server.queue(pair.server.framer.pong(b"a"))
        pair.exchange(until=lambda: pair.client.heard.pongs and pair.server.heard.pongs)
        return seen(pair)

    transcript.compare(
        "pings and pongs pass, both ways", "server [] ping a pong b open; client [] ping b pong a open", pings
    )
    transcript.compare(
        "a client's close arrives and is answered",
        "server [] close 4001; client [] close 4001",
        lambda: ends(chain.open(), "to_server", lambda framer: framer.close(4001, b"bye")),
    )


def foreign_origin(chain: Chain, transcript: Transcript) -> None:
    transcript.compare(
        "an upgrade of a foreign origin",
        "HTTP 403",
        lambda: f"HTTP {chain.status(origin='Origin: https://evil.example')}",
    )


def silence(transcript: Transcript, quiet: Pair, opened: float) -> None:
    """`quiet` was opened at `opened` (of time.monotonic) and left alone since."""

    def awake() -> str:
        time.sleep(max(0, opened + SILENT_S - time.monotonic()))
        return carries(quiet, "to_client", b"awake")

    transcript.compare(f"a WebSocket that was silent for {SILENT_S} s", "server [] open; client [awake] open", awake)


def carries(pair: Pair, direction: str, payload: bytes, before=lambda framer: b"") -> str:
    """Sends a message after `before`, waits until it arrives."""
    sender, receiver = pair.ends(direction)
    sender.queue(before(sender.framer) + sender.framer.text(payload))
    both_ended = lambda: pair.client.heard.ended and pair.server.heard.ended
    pair.exchange(until=lambda: receiver.heard.payloads[-1:] == [payload] or both_ended())
    return seen(pair)


def ends(pair: Pair, direction: str, wire) -> str:
    """Sends frames that are to end the session, waits until both sides have ended."""
    sender, _ = pair.ends(direction)
    sender.queue(wire(sender.framer))
    pair.exchange()
    return seen(pair)


def deflated(payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _split(pair: Pair, direction: str) -> str:
    """Each frame arrives before the next is sent, so that the last one is read alone."""
    sender, receiver = pair.ends(direction)
    sender.queue(sender.framer.frame(TEXT, b"ex", fin=False) + sender.framer.ping(b"p"))
    pair.exchange(until=lambda: receiver.heard.pings)
    return ends(pair, direction, lambda framer: framer.more(b"e", fin=False) + framer.more(b"c(1)", fin=True))
