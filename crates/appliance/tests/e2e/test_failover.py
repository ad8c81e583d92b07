"""A server that can't be reached is passed over for the next one."""

import socket
import time
from contextlib import ExitStack

from support.peers import open_pair


def black_hole(held: ExitStack) -> int:
    """A port whose backlog is full: connections to it are never answered."""
    listener = held.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        filler = held.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return listener.getsockname()[1]


def refusing(held: ExitStack) -> int:
    """A port that nothing listens on."""
    holder = held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1]


def test_two_servers_that_never_answer_and_one_that_refuses(start, backend):
    with ExitStack() as held:
        ports = [black_hole(held), black_hole(held), refusing(held)]
        servers = "\n".join(f'server "127.0.0.1:{port}"' for port in ports)
        inspector = start(backend.port, first_servers=servers, shards=1)
        pair = open_pair(inspector, backend)
        pair.client.queue(pair.client.framer.text("hello"))
        assert pair.exchange(until=lambda: pair.server.heard.messages)
        pair.close()
        wanted = ['wsi_upstream_connects_total{outcome="connected"} 1', 'wsi_upstream_connects_total{outcome="failed"} 3']
        deadline = time.monotonic() + 5
        while (lines := inspector.get("/metrics")[1].splitlines()) and not set(wanted) <= set(lines):
            assert time.monotonic() < deadline, [line for line in lines if "upstream_connects" in line]
            time.sleep(0.05)
