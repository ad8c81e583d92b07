"""How long upgrades fail when the inspector is restarted behind the proxy. Measured, not judged, but for what is to have no gap."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from chain import CONFIG, Chain
from transcript import Transcript

GAP_MAX_S = 120
LOOK_S = 10
"""The proxy looks this often whether its agent is back."""

SOON_S = 2
"""Longer than the proxy takes to have read its configuration again."""
LEAVES_S = 20

CHANGED = ("timeout-ms 5000", "timeout-ms 5001")


def run(folder: Path, transcript: Transcript) -> None:
    breaker = _breaker()
    _killed(folder, transcript, "the proxy's default circuit breaker", 0, 1, {breaker: ""})
    for phase in range(0, LOOK_S, 3):
        _killed(folder, transcript, f"{phase} s after the proxy's last look", phase, 1)
    for away_s in (5, 15, 40):
        _killed(folder, transcript, f"away {away_s} s", 1, away_s)
    _measure(folder, transcript, "killed and started again, SIGHUP to the proxy when it is up", _reloaded)
    seamless(folder, transcript)


def seamless(folder: Path, transcript: Transcript) -> None:
    """The ways to restart without a gap."""
    _seamless(folder, transcript, "SIGTERM, a new process with the same file, SIGHUP to the proxy", _in_place)
    _seamless(folder, transcript, "a second inspector at another socket, SIGHUP to the proxy, SIGTERM", _replaced)


def _in_place(chain: Chain) -> int | None:
    """The new process takes the paths while the first still serves; gives what the first ends with."""
    first = chain.inspector
    first.signal(signal.SIGTERM)
    chain.start_inspector()
    chain.proxy.reload(*CHANGED)
    return first.wait_exit(LEAVES_S)


def _replaced(chain: Chain) -> int | None:
    first = chain.inspector
    chain.start_second_inspector()
    chain.proxy.reload("agent.sock", "second.sock")
    time.sleep(SOON_S)
    first.signal(signal.SIGTERM)
    return first.wait_exit(LEAVES_S)


class _Upgrades:
    """Asks for upgrades, one after the other, until the end of the block."""

    def __init__(self, chain: Chain):
        self._chain = chain
        self._passed_at: list[float] = []
        self._seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_passed_after(time.monotonic())
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    @property
    def statuses(self) -> str:
        return f"[{', '.join(sorted(self._seen))}]"

    def wait_passed_after(self, since: float) -> float:
        """When the first one after `since` passed."""
        while not (later := [at for at in list(self._passed_at) if at > since]):
            assert time.monotonic() - since < GAP_MAX_S, f"no upgrade passes within {GAP_MAX_S} s; seen {self.statuses}"
            time.sleep(0.01)
        return later[0]

    def last_before(self, until: float) -> float:
        return max(at for at in list(self._passed_at) if at < until)

    def _ask(self) -> None:
        while not self._over.wait(0.01):
            try:
                status = self._chain.status()
            except (AssertionError, OSError) as error:
                status = repr(error)
            if status == 101:
                self._passed_at.append(time.monotonic())
            self._seen.add(str(status))


def _killed(
    folder: Path,
    transcript: Transcript,
    title: str,
    phase_s: float,
    away_s: float,
    changes: dict[str, str] | None = None,
) -> None:
    def killed(chain: Chain) -> float:
        time.sleep(phase_s)
        chain.inspector.process.kill()
        time.sleep(away_s)
        chain.start_inspector()
        return time.monotonic()

    _measure(folder, transcript, f"killed, started again {away_s} s later: {title}", killed, changes)


def _reloaded(chain: Chain) -> float:
    chain.inspector.process.kill()
    chain.start_inspector()
    ready = time.monotonic()
    chain.proxy.reload(*CHANGED)
    return ready


def _measure(
    folder: Path,
    transcript: Transcript,
    title: str,
    restart: Callable[[Chain], float],
    changes: dict[str, str] | None = None,
) -> None:
    """`restart` ends the inspector, starts it again, and tells when it was ready."""
    with Chain("agent", folder, changes) as chain, _Upgrades(chain) as upgrades:
        ready = restart(chain)
        passed = upgrades.wait_passed_after(ready)
        gap = passed - upgrades.last_before(ready)
        transcript.measured(title, f"upgrades fail for {gap:.1f} s; pass {passed - ready:.1f} s after it is ready")


def _seamless(folder: Path, transcript: Transcript, title: str, restart: Callable[[Chain], int | None]) -> None:
    def seamless() -> str:
        with Chain("agent", folder) as chain:
            with _Upgrades(chain) as upgrades:
                ended = restart(chain)
            foreign = chain.status(origin="Origin: https://evil.example")
        return f"HTTP {upgrades.statuses} meanwhile; the first ends with {ended}; HTTP {foreign} to a foreign origin"

    transcript.compare(title, "HTTP [101] meanwhile; the first ends with 0; HTTP 403 to a foreign origin", seamless)


def _breaker() -> str:
    """The block in the shipped file."""
    lines = (CONFIG / "agent/zentinel.kdl").read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.strip() == "circuit-breaker {")
    end = next(i for i, line in enumerate(lines) if i > start and line.strip() == "}")
    return "".join(lines[start : end + 1])
