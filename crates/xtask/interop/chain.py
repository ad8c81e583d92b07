"""The real proxy, the inspector and a backend on free ports of loopback, with the files of config/sentinel."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support.inspector import START_S, Inspector, free_port
from support.peers import Pair, RawBackend, RawPeer, as_head, switching_protocols, unique_path, upgrade_lines

CONFIG = Path(__file__).parents[3] / "config/sentinel"
ORIGIN = "Origin: https://app.example.com"
WIDE = {"agent": {"timeout-ms 200 ": "timeout-ms 2000 ", "timeout-ms 1000 ": "timeout-ms 5000 "}}
"""Deadlines that hold where other work takes the processor; what is measured here is not speed."""

SOCKET = "/run/websocket-inspector/agent.sock"

ANSWER_S = 0.02
"""How long the backend takes to answer an upgrade, as one on another machine would. The proxy takes a 101 that it reads before
it has passed on the end of the (empty) request for the end of the WebSocket: github.com/cloudflare/pingora/issues/946."""


class Chain:
    """One deployment, running. `changes` are replaced in its files beside the addresses."""

    def __init__(self, deployment: str, folder: Path, changes: dict[str, str] | None = None):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.backend = RawBackend()
        self.address = ("127.0.0.1", free_port())
        listener, self.admin_port, metrics = free_port(), free_port(), free_port()
        self._places = {
            "127.0.0.1:8000": f"127.0.0.1:{self.address[1]}",
            "127.0.0.1:8080": f"127.0.0.1:{listener}",
            "127.0.0.1:9001": f"127.0.0.1:{self.backend.port}",
            "127.0.0.1:9090": f"127.0.0.1:{metrics}",
            "127.0.0.1:9600": f"127.0.0.1:{self.admin_port}",
            SOCKET: str(folder / "agent.sock"),
        }
        texts = {name: self._shipped(f"{deployment}/{name}.kdl") for name in ("inspector", "zentinel")}
        for old, new in {**WIDE.get(deployment, {}), **(changes or {})}.items():
            assert any(old in text for text in texts.values()), f"config/sentinel/{deployment} does not say {old!r}"
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        self._texts = texts
        self._inspectors: list[ShippedInspector] = []
        self.proxy: Proxy | None = None

    def __enter__(self) -> Self:
        with ExitStack() as started:
            started.callback(self.close)
            self.start_inspector()
            self.start_proxy()
            started.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        for process in (self.proxy, *self._inspectors):
            if process is not None:
                process.stop()
        self.backend.close()

    @property
    def inspector(self) -> "ShippedInspector":
        """The newest."""
        return self._inspectors[-1]

    def start_inspector(self) -> None:
        self._inspectors.append(ShippedInspector(self.folder, self._texts["inspector"], self.admin_port))

    def start_second_inspector(self) -> None:
        """One with the same policy at another socket."""
        folder, admin_port = self.folder / "second", free_port()
        folder.mkdir()
        text = self._texts["inspector"].replace("agent.sock", "second.sock")
        text = text.replace(f"127.0.0.1:{self.admin_port}", f"127.0.0.1:{admin_port}")
        self._inspectors.append(ShippedInspector(folder, text, admin_port))

    def start_proxy(self) -> None:
        self.proxy = Proxy(self.folder / "zentinel.kdl", self.address, self._texts["zentinel"])

    def ask(self, *headers: str, origin: str = ORIGIN) -> "Client":
        """An upgrade that waits for its answer."""
        client = Client.connect(self.address)
        client.path = unique_path()
        client.sock.sendall(as_head(upgrade_lines(client.path) + [origin, *headers]))
        return client

    def open(
        self, *headers: str, answer: tuple[str, ...] = (), answer_s: float = ANSWER_S, origin: str = ORIGIN
    ) -> Pair:
        """A WebSocket that is open from end to end."""
        client = self.ask(*headers, origin=origin)
        server, request = self.backend.accept(client.path, client=client)
        time.sleep(answer_s)
        server.sock.sendall(switching_protocols(request, *answer))
        response = client.read_head()
        assert response.status == 101, response.start_line
        return Pair(client, server, request, response)

    def status(self, *headers: str, answer: tuple[str, ...] = (), origin: str = ORIGIN) -> int | None:
        """What an upgrade is answered with, before a backend that answers 101; None without an answer."""
        client = self.ask(*headers, origin=origin)
        try:
            server, request = self.backend.accept(client.path, client=client)
        except AssertionError as refused:
            words = str(refused).partition("the client got ")[2].split()
            return int(words[1]) if words[:1] == ["HTTP/1.1"] else None
        time.sleep(ANSWER_S)
        server.sock.sendall(switching_protocols(request, *answer))
        status = client.read_head().status
        server.close()
        client.close()
        return status

    def _shipped(self, name: str) -> str:
        text = (CONFIG / name).read_text()
        for place, free in self._places.items():
            text = text.replace(place, free)
        return text


class Client(RawPeer):
    """A client of the proxy, which may write a response of HTTP into an open WebSocket."""

    stray = b""

    def _take(self, chunk: bytes) -> None:
        if self.stray or chunk.startswith((b'{"error"', b"HTTP/1.1 ")):
            self.stray += chunk
        else:
            super()._take(chunk)


class ShippedInspector(Inspector):
    """Runs a configuration that is there already."""

    def __init__(self, folder: Path, text: str, admin_port: int):
        self.config_path = folder / "inspector.kdl"
        self.config_path.write_text(text)
        self.admin_port = admin_port
        super().__init__(folder, upstream_port=0)

    def _configure(self) -> None:
        pass


class Proxy:
    """One zentinel."""

    def __init__(self, config: Path, address: tuple[str, int], text: str):
        self._config = config
        config.write_text(text)
        self.log_path = config.with_suffix(".log")
        command = [os.environ["ZENTINEL"], "-c", str(config)]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=config.parent, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(address, timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the proxy does not listen:\n{self.log[-4000:]}")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def reload(self, old: str, new: str) -> None:
        """Replaces `old` in its configuration, and has it read again."""
        self._config.write_text(self._config.read_text().replace(old, new))
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        # It waits a minute for open connections; nobody here needs that.
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)
