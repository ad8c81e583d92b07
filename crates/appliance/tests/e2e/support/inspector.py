"""The binary under test: started with a configuration of the test's own, ended by its pid."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

DIRECT = os.environ.get("WSI_DIRECT") == "1"

EVERY_EVENT = ("ws_handshake", "ws_open", "ws_message", "ws_ping", "ws_pong", "ws_close")

START_S = 15.0
AUDIT_S = 8.0


def binary() -> str:
    """The path in WSI_BINARY; a test without it fails with what to do."""
    path = os.environ.get("WSI_BINARY")
    if not path:
        pytest.fail("WSI_BINARY is not set: point it at the built websocket-inspector", pytrace=False)
    if not os.access(path, os.X_OK):
        pytest.fail(f"WSI_BINARY={path} is not there: build it first (cargo build --release)", pytrace=False)
    return path


def run_binary(*arguments: str, cwd: Path | None = None, timeout: float = 20.0) -> subprocess.CompletedProcess:
    return subprocess.run(
        [binary(), *arguments], cwd=cwd, timeout=timeout, capture_output=True, text=True, errors="replace"
    )


def agent_block(
    body: str = "",
    *,
    events: tuple[str, ...] = EVERY_EVENT,
    timeout_ms: int = 5000,
    failure_mode: str = "closed",
    mode: str = "enforce",
) -> str:
    listed = " ".join(f'"{event}"' for event in events)
    return f"""
agent "websocket-inspector" {{
    type "websocket_inspector"
    events {listed}
    timeout-ms {timeout_ms}
    failure-mode "{failure_mode}"
    mode "{mode}"
{body}
}}
"""


class Inspector:
    """One running process. `agent` is the whole agent block; see `agent_block`."""

    def __init__(
        self,
        folder: Path,
        upstream_port: int,
        agent: str | None = None,
        *,
        runtime: str = "",
        shards: int = 2,
        drain_timeout_s: int = 1,
        route: str = "/*",
        listener: str = "",
        admin: str = "",
        extra: str = "",
        first_servers: str = "",
        audit_payload: str = "none",
    ):
        self.folder = folder
        self.agent = agent_block() if agent is None else agent
        self._upstream_port = upstream_port
        self._settings = dict(runtime=runtime, shards=shards, drain=drain_timeout_s, route=route, listener=listener, admin=admin, extra=extra, first=first_servers, payload=audit_payload)
        self.drain_timeout_s = drain_timeout_s
        self.audit_path = folder / "audit.jsonl"
        self.log_path = folder / "inspector.log"
        self._audit_offset = 0
        self._records: list[dict] = []
        self._held = ExitStack()
        self._start()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    # The audit stream.

    def audit(self) -> list[dict]:
        """Every whole line so far, parsed."""
        if self.audit_path.exists():
            with open(self.audit_path, "rb") as stream:
                stream.seek(self._audit_offset)
                whole, newline, _ = stream.read().rpartition(b"\n")
            self._audit_offset += len(whole) + len(newline)
            self._records += [json.loads(line) for line in whole.split(b"\n") if line]
        return list(self._records)

    def wait_audit(self, predicate, timeout: float = AUDIT_S) -> list[dict]:
        """Polls until `predicate(records)` holds; returns the records either way."""
        deadline = time.monotonic() + timeout
        while True:
            records = self.audit()
            if predicate(records) or time.monotonic() > deadline:
                return records
            time.sleep(0.01)

    def records_of(self, client: str, *, until_event: str = "ws_close") -> list[dict]:
        """The records of the session of `client` (ip:port), once its `until_event` is written."""

        def mine(records):
            return [record for record in records if record.get("client") == client]

        records = self.wait_audit(lambda all_: any(r["event"] == until_event for r in mine(all_)))
        own = mine(records)
        assert any(r["event"] == until_event for r in own), f"no {until_event} record of {client}; there is {own}"
        return own

    def verdicts_of(self, client: str) -> list[dict]:
        """The verdicts of a session that has ended."""
        return [r for r in self.records_of(client) if r["event"] == "verdict"]

    def wait_verdicts(self, count: int, *, client: str | None = None) -> list[dict]:
        """The verdicts so far, once there are at least `count` (of the session of `client`)."""

        def found(records):
            mine = (r for r in records if r["event"] == "verdict")
            return [r for r in mine if client in (None, r.get("client"))]

        return found(self.wait_audit(lambda records: len(found(records)) >= count))

    # The admin server.

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode(errors="replace")

    def api(self, path: str, *, post: bool = False, token: str | None = None) -> tuple[int, dict]:
        """Status and JSON of an answer of the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.admin_port}/api/{path}"
        request = urllib.request.Request(url, method="POST" if post else "GET", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())

    def metrics(self) -> dict[str, float]:
        """Samples by `name{labels}`."""
        status, text = self.get("/metrics")
        assert status == 200, f"/metrics answered {status}"
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = re.fullmatch(r"([A-Za-z_:][\w:]*(?:\{.*\})?)\s+(\S+)(?:\s+\d+)?", line)
                assert match, f"not a Prometheus sample: {line!r}"
                samples[match[1]] = float(match[2])
        return samples

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    # The process.

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_exit(self, timeout: float) -> int | None:
        """The exit status, or None when it still runs after `timeout` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL when that is not enough. Returns the status that SIGTERM led to."""
        status = self.process.poll()
        if status is None:
            self.signal(signal.SIGTERM)
            status = self.wait_exit(self.drain_timeout_s + 5)
            if status is None:
                self.process.kill()
                self.process.wait(5)
        self._held.close()
        return status

    def _start(self) -> None:
        for attempt in range(3):
            self._configure()
            if self._launch() or attempt == 2:
                return

    def _configure(self) -> None:
        self.port = self._hold_port()
        self.admin_port = free_port()
        settings = self._settings
        self.config_path = self.folder / "inspector.kdl"
        self.config_path.write_text(
            f"""
runtime {{
    shards {settings["shards"]}
    drain-timeout-s {settings["drain"]}
    {settings["runtime"]}
}}
listener "edge" {{
    bind "127.0.0.1:{self.port}"
    {settings["listener"]}
    route "{settings["route"]}" upstream="backend" agent="websocket-inspector"
}}
upstream "backend" {{
    {settings["first"]}
    server "127.0.0.1:{self._upstream_port}"
    connect-timeout-ms 500
}}
{self.agent}
audit {{ path "{self.audit_path}"; payload "{settings["payload"]}" }}
admin {{ bind "127.0.0.1:{self.admin_port}"; {settings["admin"]} }}
{settings["extra"]}
"""
        )

    def _launch(self) -> bool:
        """True when it runs and is ready, False when its ports were taken."""
        command = [binary(), "run", "-c", str(self.config_path)]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if "in use" in self.log:
                    return False
                pytest.fail(f"the inspector exited with {self.process.returncode} at start:\n{self.log}", pytrace=False)
            try:
                if self.get("/readyz")[0] == 200:
                    return True
            except OSError:
                pass
            time.sleep(0.01)
        log = self.log
        self.process.kill()
        self.process.wait(5)
        pytest.fail(f"/readyz was not 200 within {START_S} s:\n{log}", pytrace=False)

    def _hold_port(self) -> int:
        """A port that nobody else is given while this inspector lives: bound here, never listening.
        The inspector binds it too because its listeners use SO_REUSEPORT."""
        port = free_port()
        holder = self._held.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", port))
        return port


class NoInspector:
    """WSI_DIRECT=1: the peers talk to each other, which tries the tests and not the inspector."""

    def __init__(self, upstream_port: int):
        self.address = ("127.0.0.1", upstream_port)
        self.url = f"ws://127.0.0.1:{upstream_port}"

    def __getattr__(self, name: str):
        pytest.skip(f"WSI_DIRECT=1: there is no inspector to ask for {name}")


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    for port in random.SystemRandom().sample(range(12000, 32000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port on loopback")
