"""What is done to a WebSocket in either deployment."""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from chain import Chain
from support.peers import Pair
from support.wire import BINARY, TEXT, Framer
from transcript import Transcript, seen

BAD = b"exec(1)"
DROPPED = b"card 4111"
CLIENT = Framer(masked=True)
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
    chain: Chain,
    transcript: Transcript,
    direction: str,
    *,
    blocked: Ending,
    dropped_in_fragments: tuple[str, Ending],
    end: Callable[[Pair, str, bytes], str],
) -> None:
    """`end` sends the sender's frames, which end the WebSocket, and tells how it ended; see `ends`."""
    receiver = "server" if direction == "to_server" else "client"
    transcript.compare(
        f"{direction}: a message passes",
        OPEN.expected(receiver, "[hello]"),
        lambda: carries(chain.open(), direction, b"hello"),
    )

    def good_then_bad() -> str:
        pair = chain.open()
        carries(pair, direction, b"good")
        framer = pair.ends(direction)[0].framer
        return end(pair, direction, framer.text(BAD) + framer.text("late"))

    transcript.compare(f"{direction}: a blocked pattern ends it", blocked.expected(receiver, "[good]"), good_then_bad)
    transcript.compare(
        f"{direction}: the pattern split over three frames, with a ping between them",
        blocked.expected(receiver, "[] ping p"),
        lambda: _split(chain.open(), direction, end),
    )
    transcript.compare(
        f"{direction}: a pattern that drops, and a message after it",
        OPEN.expected(receiver, "[after]"),
        lambda: _drops(chain.open(), direction),
    )
    heard, ending = dropped_in_fragments

    def in_fragments() -> str:
        pair = chain.open()
        framer = pair.ends(direction)[0].framer
        wire = framer.fragments(BINARY, [b"card", b" 41", b"11"])
        if ending == OPEN:
            return carries(pair, direction, b"after", before=wire)
        return end(pair, direction, wire + framer.text("after"))

    transcript.compare(f"{direction}: the same in fragments", ending.expected(receiver, heard), in_fragments)


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
        lambda: ends(chain.open(), "to_server", CLIENT.close(4001, b"bye")),
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


def carries(pair: Pair, direction: str, payload: bytes, before: bytes = b"") -> str:
    """Sends a message after the frames of `before`, waits until it arrives."""
    sender, receiver = pair.ends(direction)
    sender.queue(before + sender.framer.text(payload))
    pair.exchange(
        until=lambda: receiver.heard.payloads[-1:] == [payload] or (pair.client.heard.ended and pair.server.heard.ended)
    )
    return seen(pair)


def ends(pair: Pair, direction: str, wire: bytes) -> str:
    """Sends frames that are to end the WebSocket, waits until both sides have ended."""
    pair.ends(direction)[0].queue(wire)
    pair.exchange()
    return seen(pair)


def deflated(payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _drops(pair: Pair, direction: str) -> str:
    return carries(pair, direction, b"after", before=pair.ends(direction)[0].framer.text(DROPPED))


def _split(pair: Pair, direction: str, end: Callable[[Pair, str, bytes], str]) -> str:
    """The first frames arrive before the last are sent."""
    sender, receiver = pair.ends(direction)
    framer = sender.framer
    sender.queue(framer.frame(TEXT, b"ex", fin=False) + framer.ping(b"p"))
    pair.exchange(until=lambda: receiver.heard.pings)
    return end(pair, direction, framer.more(b"e", fin=False) + framer.more(b"c(1)", fin=True))
