"""`websocket-inspector top`: what a running inspector does, in a terminal."""

import threading

import pytest

from support.inspector import agent_block, free_port, run_binary
from support.peers import open_pair

POLICY = agent_block('content-filter { block-patterns "forbidden"; action "drop" }')


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("how", ["admin", "config"])
def test_it_shows_traffic_rules_times_and_connections(start, backend, how):
    inspector = start(backend.port, POLICY)
    pair = open_pair(inspector, backend)
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            pair.client.queue(pair.client.framer.text("hello" * 100) + pair.client.framer.text("forbidden"))
            count = len(pair.server.heard.messages) + 1
            pair.exchange(until=lambda: len(pair.server.heard.messages) >= count)

    talking = threading.Thread(target=talk)
    talking.start()
    where = ["--admin", f"127.0.0.1:{inspector.admin_port}"] if how == "admin" else ["-c", str(inspector.config_path)]
    try:
        shown = run_binary("top", "--once", *where)
    finally:
        stop.set()
        talking.join()
    assert shown.returncode == 0, shown.stderr
    lines = words(shown.stdout)
    assert "ready, revision 1; websocket-inspector (enforce)" in shown.stdout
    to_server = next(line for line in lines if line[:2] == ["to", "server"])
    assert float(to_server[2]) > 0 and float(to_server[-1]) > 0, shown.stdout
    rule = next(line for line in lines if line[:2] == ["websocket-inspector", "content-filter-1/block-patterns-1"])
    assert float(rule[3]) > 0
    assert any(line[0] == "scan" for line in lines if line), shown.stdout
    assert any(pair.client.local_address in line for line in lines), "the connection is shown"


def test_nobody_there_is_an_error_that_says_what_to_do():
    shown = run_binary("top", "--once", "--admin", f"127.0.0.1:{free_port()}")
    assert shown.returncode == 1 and shown.stdout == ""
    assert "`admin` of a running inspector" in shown.stderr


def test_something_else_there_is_an_error(backend):
    shown = run_binary("top", "--once", "--admin", f"127.0.0.1:{backend.port}", timeout=15)
    assert shown.returncode == 1 and shown.stdout == ""
    assert "`admin` of a running inspector" in shown.stderr
