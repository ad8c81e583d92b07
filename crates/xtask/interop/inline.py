"""client <-> zentinel <-> inspector <-> backend."""

import time
import zlib

from chain import Chain
from support.peers import Pair
from support.wire import BINARY, RSV1, TEXT
from transcript import Transcript, seen

BAD = b"exec(1)"
DROPPED = b"card 4111"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"

IDLE_S = 65
"""The proxy's defaults cut off a WebSocket whose server was silent for 30 s, or its client for 60 s."""


def run(chain: Chain, transcript: Transcript) -> None:
    quiet, opened = chain.open(), time.monotonic()
    for direction in ("to_server", "to_client"):
        _messages(chain, transcript, direction)
    _control(chain, transcript)
    _handshake(chain, transcript)
    _compression(chain, transcript)
    _hidden_from_an_agent(chain, transcript)

    def survives() -> str:
        time.sleep(max(0, opened + IDLE_S - time.monotonic()))
        return _carries(quiet, "to_client", b"awake")

    transcript.compare(
        f"a WebSocket that was silent for {IDLE_S} s", "server [] open; client [awake] open", survives
    )
    _restart(chain, transcript)


def _messages(chain: Chain, transcript: Transcript, direction: str) -> None:
    receiver = "server" if direction == "to_server" else "client"

    def result(heard: str, end: str) -> str:
        of = {"server": "[]", "client": "[]", receiver: heard}
        return f"server {of['server']} {end}; client {of['client']} {end}"

    transcript.compare(
        f"{direction}: a message passes",
        result("[hello]", "open"),
        lambda: _carries(chain.open(), direction, b"hello"),
    )
    transcript.compare(
        f"{direction}: a blocked pattern closes both sides, what came before it has arrived",
        result("[good]", "close 1008"),
        lambda: _ends(chain.open(), direction, lambda framer: framer.text("good") + framer.text(BAD)),
    )
    transcript.compare(
        f"{direction}: split over three frames, with a ping between them",
        result("[] ping p", "close 1008"),
        lambda: _ends(
            chain.open(),
            direction,
            lambda framer: framer.frame(TEXT, b"ex", fin=False)
            + framer.ping(b"p")
            + framer.more(b"e", fin=False)
            + framer.more(b"c(1)", fin=True),
        ),
    )
    transcript.compare(
        f"{direction}: a message of the pattern that drops vanishes, the next one passes",
        result("[after]", "open"),
        lambda: _carries(chain.open(), direction, b"after", before=lambda framer: framer.text(DROPPED)),
    )
    transcript.compare(
        f"{direction}: the same in fragments",
        result("[after]", "open"),
        lambda: _carries(
            chain.open(), direction, b"after", before=lambda framer: framer.fragments(BINARY, [b"card", b" 41", b"11"])
        ),
    )


def _control(chain: Chain, transcript: Transcript) -> None:
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
        lambda: _ends(chain.open(), "to_server", lambda framer: framer.close(4001, b"bye")),
    )


def _handshake(chain: Chain, transcript: Transcript) -> None:
    transcript.compare(
        "an upgrade of a foreign origin",
        "HTTP 403",
        lambda: f"HTTP {chain.status(origin='Origin: https://evil.example')}",
    )

    def same_id() -> str:
        first, second = (chain.open("X-Request-Id: same") for _ in range(2))
        _ends(second, "to_server", lambda framer: framer.text(BAD))
        _carries(first, "to_server", b"mine")
        return f"{seen(first)} / {seen(second)}"

    transcript.compare(
        "two WebSockets with one X-Request-Id are judged apart",
        "server [mine] open; client [] open / server [] close 1008; client [] close 1008",
        same_id,
    )


def _compression(chain: Chain, transcript: Transcript) -> None:
    def agreed() -> str:
        pair = chain.open(DEFLATE, answer=(DEFLATE,))
        names = [(head.one("sec-websocket-extensions") or "none").split(";")[0] for head in (pair.request, pair.response)]
        return f"server was offered {names[0]}; client got {names[1]}"

    transcript.compare(
        "an offer of compression passes the proxy, and is agreed on with each side",
        "server was offered permessage-deflate; client got permessage-deflate",
        agreed,
    )
    transcript.compare(
        "a blocked pattern in a compressed message, towards a server without compression",
        "server [good] close 1008; client [] close 1008",
        lambda: _ends(
            chain.open(DEFLATE),
            "to_server",
            lambda framer: framer.text(_deflated(b"good"), rsv=RSV1) + framer.text(_deflated(BAD), rsv=RSV1),
        ),
    )


def _hidden_from_an_agent(chain: Chain, transcript: Transcript) -> None:
    transcript.compare(
        "a compressed frame that nobody agreed on",
        "server [] close 1002; client [] close 1002",
        lambda: _ends(chain.open(), "to_server", lambda framer: framer.text(_deflated(BAD), rsv=RSV1)),
    )
    transcript.compare(
        "a blocked pattern at the end of a frame of 2 MiB",
        "server [] close 1008; client [] close 1008",
        lambda: _ends(chain.open(), "to_server", lambda framer: framer.text(b"a" * (2 << 20) + BAD)),
    )
    transcript.compare(
        "a good message of 2 MiB",
        f"server [{2 << 20} bytes] open; client [] open",
        lambda: _carries(chain.open(), "to_server", b"a" * (2 << 20)),
    )


def _restart(chain: Chain, transcript: Transcript) -> None:
    def restart() -> str:
        chain.inspector.stop()
        stopped = time.monotonic()
        status = chain.status()
        chain.start_inspector()
        while chain.status() != 101:
            assert time.monotonic() - stopped < 60, "no upgrade passes 60 s after the stop"
            time.sleep(0.02)
        transcript.measured("stop to the first upgrade that passes", f"{time.monotonic() - stopped:.2f} s")
        return f"HTTP {status} while it is away"

    transcript.compare("a restart of the inspector", "HTTP 503 while it is away", restart)


def _carries(pair: Pair, direction: str, payload: bytes, before=lambda framer: b"") -> str:
    """Sends a message after `before`, waits until it arrives."""
    sender, receiver = pair.ends(direction)
    sender.queue(before(sender.framer) + sender.framer.text(payload))
    pair.exchange(until=lambda: receiver.heard.payloads[-1:] == [payload] or receiver.heard.ended)
    return seen(pair)


def _ends(pair: Pair, direction: str, wire) -> str:
    """Sends frames that are to end the session, waits until both sides have ended."""
    sender, _ = pair.ends(direction)
    sender.queue(wire(sender.framer))
    pair.exchange()
    return seen(pair)


def _deflated(payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
