"""client <-> zentinel <-> inspector <-> backend."""

import time
from pathlib import Path

from chain import Chain
from play import (
    BAD,
    CLIENT,
    DEFLATE,
    OPEN,
    Ending,
    carries,
    control_frames,
    deflated,
    ends,
    foreign_origin,
    messages,
    silence,
)
from support.wire import RSV1
from transcript import Transcript, seen

CLOSED = Ending("close 1008", "close 1008")


def run(folder: Path, transcript: Transcript) -> None:
    with Chain("inline", folder) as chain:
        quiet, opened = chain.open(), time.monotonic()
        for direction in ("to_server", "to_client"):
            messages(chain, transcript, direction, blocked=CLOSED, dropped_in_fragments=("[after]", OPEN), end=ends)
        control_frames(chain, transcript)
        foreign_origin(chain, transcript)
        _same_id(chain, transcript)
        _compression(chain, transcript)
        _hidden_from_an_agent(chain, transcript)
        silence(transcript, quiet, opened)
        _restart(chain, transcript)


def _same_id(chain: Chain, transcript: Transcript) -> None:
    def same_id() -> str:
        first, second = (chain.open("X-Request-Id: same") for _ in range(2))
        ends(second, "to_server", CLIENT.text(BAD))
        carries(first, "to_server", b"mine")
        return f"{seen(first)} / {seen(second)}"

    transcript.compare(
        "two WebSockets with one X-Request-Id are judged apart",
        "server [mine] open; client [] open / server [] close 1008; client [] close 1008",
        same_id,
    )


def _compression(chain: Chain, transcript: Transcript) -> None:
    def agreed() -> str:
        pair = chain.open(DEFLATE, answer=(DEFLATE,))
        names = [
            (head.one("sec-websocket-extensions") or "none").split(";")[0] for head in (pair.request, pair.response)
        ]
        return f"server was offered {names[0]}; client got {names[1]}"

    transcript.compare(
        "an offer of compression passes the proxy, and is agreed on with each side",
        "server was offered permessage-deflate; client got permessage-deflate",
        agreed,
    )
    transcript.compare(
        "a blocked pattern in a compressed message, towards a server without compression",
        "server [good] close 1008; client [] close 1008",
        lambda: ends(
            chain.open(DEFLATE),
            "to_server",
            CLIENT.text(deflated(b"good"), rsv=RSV1) + CLIENT.text(deflated(BAD), rsv=RSV1),
        ),
    )


def _hidden_from_an_agent(chain: Chain, transcript: Transcript) -> None:
    transcript.compare(
        "a compressed frame that nobody agreed on",
        "server [] close 1002; client [] close 1002",
        lambda: ends(chain.open(), "to_server", CLIENT.text(deflated(BAD), rsv=RSV1)),
    )
    transcript.compare(
        "a blocked pattern at the end of a frame of 2 MiB",
        "server [] close 1008; client [] close 1008",
        lambda: ends(chain.open(), "to_server", CLIENT.text(b"a" * (2 << 20) + BAD)),
    )
    transcript.compare(
        "a good message of 2 MiB",
        f"server [{2 << 20} bytes] open; client [] open",
        lambda: carries(chain.open(), "to_server", b"a" * (2 << 20)),
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
