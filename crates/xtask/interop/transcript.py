"""What was expected, what was observed, and whether any of it differs."""

from collections.abc import Callable

import pytest
from support.peers import ConnectionEnded, Pair, RawPeer


class Transcript:
    def __init__(self):
        self.differences = 0
        self.count = 0

    def compare(self, title: str, expected: str, observe: Callable[[], str]) -> None:
        try:
            observed = observe()
        except (AssertionError, ConnectionEnded, OSError, pytest.fail.Exception) as error:
            observed = f"{type(error).__name__}: {error}"
        self.count += 1
        self.differences += observed != expected
        mark = "ok  " if observed == expected else "FAIL"
        print(f"{mark}  {title}\n      expected  {expected}\n      observed  {observed}", flush=True)

    def measured(self, title: str, value: str) -> None:
        print(f"      {title}: {value}", flush=True)


def seen(pair: Pair) -> str:
    return f"server {_peer(pair.server)}; client {_peer(pair.client)}"


def _peer(peer: RawPeer) -> str:
    heard = peer.heard
    words = [f"[{', '.join(_short(payload) for payload in heard.payloads)}]"]
    words += [f"ping {payload.decode()}" for payload in heard.pings]
    words += [f"pong {payload.decode()}" for payload in heard.pongs]
    if heard.close is not None:
        words.append(f"close {heard.close_code}")
    elif getattr(peer, "stray", b""):
        words.append("HTTP in the WebSocket")
    elif heard.ended:
        words.append("cut off")
    else:
        words.append("open")
    return " ".join(words)


def _short(payload: bytes) -> str:
    return payload.decode(errors="replace") if len(payload) <= 24 else f"{len(payload)} bytes"
