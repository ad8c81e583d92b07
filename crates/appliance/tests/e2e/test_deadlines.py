"""Deadlines hold however busy a peer keeps its connection."""

import socket
import time

from support.inspector import agent_block
from support.peers import as_head, open_pair, unique_path, upgrade_lines


def dribble(sock: socket.socket, pieces, pause_s: float, patience_s: float) -> float:
    """Sends the pieces with pauses until the other side ends the connection; returns after how many seconds it did."""
    started = time.monotonic()
    sock.settimeout(0.001)
    for piece in pieces:
        if time.monotonic() - started > patience_s:
            break
        try:
            sock.sendall(piece)
            time.sleep(pause_s)
            if sock.recv(4096) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def test_a_request_that_comes_a_byte_at_a_time_is_given_up_in_time(start, backend):
    inspector = start(backend.port, agent_block("handshake { timeout-ms 1000 }"))
    lines = upgrade_lines(unique_path()) + ["X-Filler: " + "x" * 4000]
    head = as_head(lines)
    with socket.create_connection(inspector.address) as sock:
        took = dribble(sock, (head[i : i + 1] for i in range(len(head))), 0.004, 8)
    assert took < 6, "a byte every few milliseconds doesn't move the deadline"
    assert backend.heard_nothing_of(lines[0].split(" ")[1])


def test_a_message_kept_open_beside_busy_pings_is_given_up_in_time(start, backend):
    inspector = start(backend.port, agent_block("limits { message-timeout-ms 1000 }"))
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("begun", fin=False))
    pair.exchange(until=lambda: False, timeout=0.1)
    ping = pair.client.framer.ping(b"busy")
    took = dribble(pair.client.sock, (ping for _ in range(100_000)), 0.004, 8)
    assert took < 6
    assert any(record["rule"] == "limits/message-timeout-ms" for record in inspector.wait_verdicts(1))
    pair.close()


def test_a_client_that_goes_on_sending_after_its_verdict_is_cut_off(start, backend):
    inspector = start(backend.port, agent_block('content-filter { block-patterns "evil" }'))
    pair = open_pair(inspector, backend)
    text = pair.client.framer.text("evil")
    took = dribble(pair.client.sock, (text for _ in range(100_000)), 0.005, 12)
    assert took < 10
    assert len(inspector.wait_verdicts(1)) == 1
    pair.close()
