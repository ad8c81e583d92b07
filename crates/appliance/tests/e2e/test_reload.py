"""SIGHUP: another configuration holds for open connections from their next message on, or changes nothing."""

import signal
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from support.inspector import agent_block
from support.peers import RawBackend, open_pair

STRICT = agent_block('content-filter { block-patterns "forbidden" }')


@pytest.fixture
def echo():
    def back(connection):
        for message in connection:
            connection.send(message)

    server = serve(back, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.socket.getsockname()[1]
    server.shutdown()


def reload(inspector, old: str, new: str, *, fails: bool = False) -> str:
    """Edits the file, sends SIGHUP, and gives what was printed."""
    text = inspector.config_path.read_text()
    assert old in text
    inspector.config_path.write_text(text.replace(old, new))
    before, seen = inspector.metrics(), len(inspector.log)
    name = "wsi_reload_failures_total" if fails else "wsi_config_revision"
    inspector.signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while inspector.metrics()[name] == before[name]:
        assert time.monotonic() < deadline, f"no reload within 10 s:\n{inspector.log}"
        time.sleep(0.01)
    while len(inspector.log) == seen and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    return inspector.log[seen:]


def says(pair, text: str) -> None:
    count = len(pair.server.heard.messages) + 1
    pair.client.queue(pair.client.framer.text(text))
    pair.exchange(until=lambda: len(pair.server.heard.messages) >= count)
    assert pair.server.heard.payloads[-1] == text.encode()


def is_stopped(pair, text: str) -> None:
    before = list(pair.server.heard.payloads)
    pair.client.queue(pair.client.framer.text(text))
    assert pair.exchange(), "the session ends"
    assert pair.client.heard.close_code == 1008
    assert pair.server.heard.payloads == before
    pair.close()


def counted(inspector, policy: str, count: int) -> bool:
    """Counters are published now and then."""
    rule = "content-filter-1/block-patterns-1"
    series = f'wsi_verdicts_total{{policy="{policy}",rule="{rule}",direction="to_server"}}'
    deadline = time.monotonic() + 5
    while inspector.metrics().get(series) != count and time.monotonic() < deadline:
        time.sleep(0.02)
    return inspector.metrics().get(series) == count


def test_an_open_connection_goes_by_it_from_its_next_message_on(start, backend):
    inspector = start(backend.port, agent_block())
    pair, idle = open_pair(inspector, backend), open_pair(inspector, backend)
    says(pair, "forbidden")
    text = reload(inspector, agent_block(), STRICT)
    assert "revision 2" in text
    says(pair, "fine")
    is_stopped(pair, "forbidden")
    is_stopped(idle, "forbidden")
    is_stopped(open_pair(inspector, backend), "forbidden")
    verdicts = inspector.wait_verdicts(3)
    assert {verdict["rule"] for verdict in verdicts} == {"content-filter-1/block-patterns-1"}
    assert {verdict["revision"] for verdict in verdicts} == {2}
    assert counted(inspector, "websocket-inspector", 3)


def test_a_message_that_is_under_way_ends_under_the_policy_that_it_began_under(start, backend):
    inspector = start(backend.port, agent_block())
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("forb", fin=False) + pair.client.framer.ping(b"mark"))
    pair.exchange(until=lambda: pair.server.heard.pings)
    reload(inspector, agent_block(), STRICT)
    pair.client.queue(pair.client.framer.more("idden", fin=True))
    pair.exchange(until=lambda: pair.server.heard.messages)
    assert pair.server.heard.payloads == [b"forbidden"]
    is_stopped(pair, "forbidden")


@pytest.mark.parametrize(
    "broken", ['content-filter { block-patterns "/(?=x)/" }', "content-filtr { }", 'content-filter { block-patterns "a" ']
)
def test_a_broken_file_changes_nothing_and_says_why(start, backend, broken):
    inspector = start(backend.port, STRICT)
    pair = open_pair(inspector, backend)
    text = reload(inspector, 'content-filter { block-patterns "forbidden" }', broken, fails=True)
    assert "inspector.kdl:" in text and "still holds" in text
    says(pair, "fine")
    is_stopped(pair, "forbidden")
    is_stopped(open_pair(inspector, backend), "forbidden")
    # Mended, it is taken.
    reload(inspector, broken, 'content-filter { block-patterns "other" }')
    pair = open_pair(inspector, backend)
    says(pair, "forbidden")
    is_stopped(pair, "other")


def test_routes_upstreams_and_policies_come_and_go(start, backend):
    inspector = start(backend.port, STRICT)
    first = open_pair(inspector, backend)
    second = RawBackend()
    try:
        text = inspector.config_path.read_text()
        text = text.replace(
            'route "/*" upstream="backend" agent="websocket-inspector"',
            'route "/*" upstream="other" agent="guard"',
        ).replace('upstream "backend"', f'upstream "other" {{ server "127.0.0.1:{second.port}" }}\nupstream "backend"')
        text = agent_block('content-filter { block-patterns "secret" }').replace("websocket-inspector", "guard", 1) + text
        reload(inspector, inspector.config_path.read_text(), text)
        pair = open_pair(inspector, second)
        says(pair, "forbidden")
        is_stopped(pair, "secret")
        # The one that was open stays with its server and its policy.
        says(first, "secret")
        is_stopped(first, "forbidden")
        verdicts = inspector.wait_verdicts(2)
        assert {(v["policy"], v["rule"]) for v in verdicts} == {
            ("guard", "content-filter-1/block-patterns-1"),
            ("websocket-inspector", "content-filter-1/block-patterns-1"),
        }
        assert counted(inspector, "guard", 1)
        assert counted(inspector, "websocket-inspector", 1)
    finally:
        second.close()


def test_what_needs_a_restart_is_named(start, backend):
    inspector = start(backend.port, STRICT)
    text = reload(inspector, f'bind "127.0.0.1:{inspector.port}"', f'bind "127.0.0.1:{inspector.port + 1}"')
    assert 'not before a restart: listener "edge"' in text
    is_stopped(open_pair(inspector, backend), "forbidden")


def test_nothing_is_lost_and_nothing_slips_under_load(start, echo):
    """Messages go on while the policy changes twenty times; one pattern is in all of them."""
    inspector = start(echo, agent_block('content-filter { block-patterns "always" "even" }'))
    stop, faults, counts = threading.Event(), [], [0, 0]

    def talk():
        with connect(inspector.url, compression=None) as client:
            while not stop.is_set():
                client.send("fine")
                if client.recv(timeout=5) != "fine":
                    faults.append("another answer")
                counts[0] += 1

    def attack():
        while not stop.is_set():
            with connect(inspector.url, compression=None) as client:
                try:
                    client.send("fine")
                    client.recv(timeout=5)
                    client.send("always")
                    faults.append(f"it came back: {client.recv(timeout=5)}")
                except ConnectionClosed as closed:
                    if closed.rcvd is None or closed.rcvd.code != 1008:
                        faults.append(f"ended with {closed}")
                    counts[1] += 1

    def guarded(target):
        try:
            target()
        except Exception as fault:
            faults.append(repr(fault))

    threads = [threading.Thread(target=guarded, args=(target,)) for target in (talk, talk, attack)]
    for thread in threads:
        thread.start()
    for number in range(20):
        was, now = ('"even"', '"odd"') if number % 2 == 0 else ('"odd"', '"even"')
        reload(inspector, was, now)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert faults == []
    assert min(counts) > 5
    assert inspector.metrics()["wsi_config_revision"] == 21
