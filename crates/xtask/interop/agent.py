"""client <-> zentinel <-> backend, and zentinel asks the inspector over a unix socket."""

import struct
import time
from collections import Counter
from pathlib import Path

import restart
from chain import Chain
from play import (
    BAD,
    CLIENT,
    DEFLATE,
    Ending,
    carries,
    control_frames,
    ends,
    foreign_origin,
    messages,
    silence,
)
from support.peers import Pair
from support.wire import TEXT
from transcript import Transcript, seen

CRASH_MAX_S = 90
AT_ONCE = 1000
GRACE_S = 5.5
"""How long a client that was blocked may go on before the proxy is made to cut it off, and a little more."""

# Having written the close frame to the client, the proxy does not pass on the client's answer.
CLOSED = Ending("cut off", "close 1008")
PROXY_TIMEOUT = "timeout-ms 5000"
IN_USE, NOT_THE_PROXYS = "X-Request-Id: ccF9ysBDDXr", "X-Request-Id: mine"


def run(folder: Path, transcript: Transcript) -> None:
    with Chain("agent", folder / "main") as chain:
        quiet, opened = chain.open(), time.monotonic()
        for direction in ("to_server", "to_client"):
            # What came before the last fragment has left already.
            messages(
                chain,
                transcript,
                direction,
                blocked=CLOSED,
                dropped_in_fragments=("[]", CLOSED),
                end=lambda *arguments: _ends(chain, *arguments),
            )
        _answered_at_once(chain, transcript)
        _silent_server(chain, transcript)
        control_frames(chain, transcript)
        foreign_origin(chain, transcript)
        _compression(chain, transcript)
        _same_id(chain, transcript)
        _hidden(chain, transcript)
        silence(transcript, quiet, opened)
        _crash(chain, transcript)
    restart.seamless(folder / "restart", transcript)
    _pushed(folder, transcript)


def _ends(chain: Chain, pair: Pair, direction: str, wire: bytes) -> str:
    """The client is told when the server speaks next: the proxy has no close frame for what a client sent."""
    inspector = chain.inspector
    verdicts = len(inspector.wait_verdicts(0))
    sender, _ = pair.ends(direction)
    sender.queue(wire)
    pair.exchange(until=lambda: not sender.outbox)
    inspector.wait_verdicts(verdicts + 1)
    if direction == "to_server":
        pair.server.queue(pair.server.framer.text("answer"))
    pair.exchange()
    return seen(pair)


def _answered_at_once(chain: Chain, transcript: Transcript) -> None:
    """See `ANSWER_S`: how many the proxy cuts off is chance, that nobody told it to is not."""

    def at_once() -> str:
        verdicts = len(chain.inspector.wait_verdicts(0))
        fates: Counter[str] = Counter()
        for _ in range(AT_ONCE):
            pair = chain.open(answer_s=0)
            fates[carries(pair, "to_client", b"hello")] += 1
            pair.close()
        cut_off = fates.pop("server [] cut off; client [] cut off", 0)
        transcript.measured("cut off by the proxy, before any frame", f"{cut_off} of {AT_ONCE}")
        told = len(chain.inspector.wait_verdicts(0)) - verdicts
        return f"{told} verdicts; all others: {' / '.join(fates)}"

    transcript.compare(
        "a WebSocket whose server answers at once is cut off by the proxy, if at all",
        "0 verdicts; all others: server [] open; client [hello] open",
        at_once,
    )


def _silent_server(chain: Chain, transcript: Transcript) -> None:
    def goes_on() -> str:
        pair = chain.open()
        pair.client.queue(CLIENT.text(BAD))
        pair.exchange(until=lambda: pair.client.heard.ended, timeout=GRACE_S)
        return ends(pair, "to_server", CLIENT.text("more"))

    transcript.compare(
        "a client that goes on sending to a silent server is cut off",
        "server [] cut off; client [] HTTP in the WebSocket",
        goes_on,
    )


def _compression(chain: Chain, transcript: Transcript) -> None:
    offers = {
        "an offer of compression": [DEFLATE],
        "an offer in a second line": ["Sec-WebSocket-Extensions: x-other", DEFLATE],
        "an offer in another spelling": ["Sec-WebSocket-Extensions: Permessage-Deflate"],
    }
    for title, headers in offers.items():
        transcript.compare(title, "HTTP 400", lambda headers=headers: f"HTTP {chain.status(*headers)}")

    transcript.compare(
        "a server that compresses unasked", "HTTP 502", lambda: f"HTTP {chain.status(answer=(DEFLATE,))}"
    )


def _same_id(chain: Chain, transcript: Transcript) -> None:
    def second() -> str:
        first = chain.open(IN_USE)
        return f"HTTP {chain.status(IN_USE)}; the first: {carries(first, 'to_server', b'mine')}"

    transcript.compare(
        "an X-Request-Id that is in use", "HTTP 409; the first: server [mine] open; client [] open", second
    )
    transcript.compare(
        "an X-Request-Id that no proxy makes", "HTTP 400", lambda: f"HTTP {chain.status(NOT_THE_PROXYS)}"
    )


def _hidden(chain: Chain, transcript: Transcript) -> None:
    def large() -> str:
        pair = chain.open()
        # A mask of zeros, so that none of what follows can be taken for the start of a frame to wait for.
        payload = BAD + b"a" * (2 << 20)
        pair.client.queue(struct.pack("!BBQI", 0x80 | TEXT, 0x80 | 127, len(payload), 0) + payload)
        pair.exchange(until=lambda: pair.server.heard.payloads or pair.server.heard.ended)
        return seen(pair)

    transcript.compare(
        "the proxy lets pass a blocked pattern in a frame above 1 MiB, and asks nobody",
        f"server [{(2 << 20) + len(BAD)} bytes] open; client [] open",
        large,
    )


def _crash(chain: Chain, transcript: Transcript) -> None:
    def crash() -> str:
        held = chain.open()
        carries(held, "to_server", b"before")
        chain.inspector.process.kill()
        killed = time.monotonic()
        away = chain.status()
        chain.start_inspector()
        ready = time.monotonic()
        while chain.status() != 101:
            assert time.monotonic() - killed < CRASH_MAX_S, f"no upgrade passes {CRASH_MAX_S} s after it"
            time.sleep(0.05)
        transcript.measured("end to ready again", f"{ready - killed:.2f} s")
        transcript.measured("end to the first upgrade that passes", f"{time.monotonic() - killed:.2f} s")
        return f"HTTP {away} while it is away; one that was open: {ends(held, 'to_server', CLIENT.text('hello'))}"

    transcript.compare(
        "the inspector is killed and started again",
        "HTTP 503 while it is away; one that was open: server [before] cut off; client [] HTTP in the WebSocket",
        crash,
    )


def _pushed(folder: Path, transcript: Transcript) -> None:
    """Policy from the `config` block of the proxy's own configuration."""

    def pushed(origin: str) -> dict[str, str]:
        return {PROXY_TIMEOUT: f"{PROXY_TIMEOUT}\n        config {{ handshake {{ {origin} }} }}"}

    partner = "Origin: https://partner.example"
    with Chain("agent", folder / "pushed", pushed('allow-origins "https://partner.example"')) as chain:
        transcript.compare(
            "allow-origins pushed by the proxy takes the place of the file's",
            "HTTP 101 to the pushed one, HTTP 403 to the file's",
            lambda: f"HTTP {chain.status(origin=partner)} to the pushed one, HTTP {chain.status()} to the file's",
        )
        transcript.compare(
            "another push by SIGHUP, under an open WebSocket",
            "HTTP 403 to the first one; server [still] open; client [] open",
            lambda: _pushed_again(chain, partner),
        )
    with Chain("agent", folder / "mistaken", pushed('allow-orgins "https://partner.example"')) as chain:

        def mistaken() -> str:
            status = chain.status(origin=partner)
            told = "allow-orgins" in chain.inspector.log
            return f"HTTP {status}; the log of the inspector {'names it' if told else 'says nothing'}"

        transcript.compare("a push with a mistake", "HTTP 503; the log of the inspector names it", mistaken)


def _pushed_again(chain: Chain, partner: str) -> str:
    held = chain.open(origin=partner)
    chain.proxy.reload("partner.example", "third.example")
    until = time.monotonic() + 10
    while (status := chain.status(origin=partner)) == 101 and time.monotonic() < until:
        time.sleep(0.1)
    return f"HTTP {status} to the first one; {carries(held, 'to_server', b'still')}"
