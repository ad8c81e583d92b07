"""Servers and clients of the `websockets` package, both ends in the test's own hands."""

import queue
import threading
from contextlib import contextmanager

from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from support.peers import WAIT_S, unique_path


class LibraryBackend:
    """A `websockets` server that hands each of its connections to the test."""

    def __init__(self, **options):
        self._connections: queue.Queue[ServerConnection] = queue.Queue()
        self._done = threading.Event()
        self._server = serve(self._hold, "127.0.0.1", 0, max_size=None, ping_interval=None, close_timeout=2, **options)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port = self._server.socket.getsockname()[1]

    def _hold(self, connection: ServerConnection) -> None:
        self._connections.put(connection)
        self._done.wait()

    def take(self) -> ServerConnection:
        return self._connections.get(timeout=WAIT_S)

    def close(self) -> None:
        self._done.set()
        self._server.shutdown()
        self._thread.join(WAIT_S)


@contextmanager
def library_pair(inspector, backend: LibraryBackend, **options):
    """(client, server): both ends of one session, as `websockets` connections."""
    with connect(
        inspector.url + unique_path(), max_size=None, ping_interval=None, close_timeout=2, proxy=None, **options
    ) as client:
        server = backend.take()
        try:
            yield client, server
        finally:
            client.close()
            server.close()
