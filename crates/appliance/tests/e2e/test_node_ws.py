"""Node's `ws` on both ends: the essentials of `test_passthrough` with another implementation."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.inspector import DIRECT, agent_block

pytestmark = [pytest.mark.direct, pytest.mark.timeout(120)]

HERE = Path(__file__).parent

POLICY = agent_block(
    """
    limits { max-frame-size "16MiB" }
    content-filter { block-patterns "/never-in-these-tests/"; max-message-size "16MiB" }
    """
)

PROPERTIES = [
    "text",
    "binary",
    "fragments-to-server",
    "fragments-to-client",
    "emoji-cut-across-fragments",
    "ping-to-server",
    "ping-to-client",
    "unsolicited-pongs",
    "ten-mebibytes-of-text",
    "ten-mebibytes-of-binary",
    "pipelined-messages-in-order",
    "pushes-in-order",
    "close-by-client",
    "close-by-server",
    "close-without-a-body",
    "subprotocol",
    "deflate-is-stripped",
]


@pytest.fixture(scope="module")
def node():
    path = shutil.which("node")
    if path is None:
        pytest.fail("node is not installed: these tests need Node 18 or later", pytrace=False)
    if not (HERE / "node_modules" / "ws").exists():
        pytest.fail("the ws package is not installed: run npm install beside package.json", pytrace=False)
    return path


@pytest.fixture(scope="module")
def server(node):
    """(port, lines): the running `ws` server; `lines` holds what it said once it has been ended."""
    process = subprocess.Popen([node, str(HERE / "node" / "server.js")], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())["port"], process
    finally:
        process.terminate()
        process.wait(5)
        process.stdout.close()


@pytest.fixture(scope="module")
def results(node, server, start_once):
    """What the client found by property, and what the server saw, from one run of both."""
    port, process = server
    inspector = start_once(port, POLICY)
    command = [node, str(HERE / "node" / "client.js"), inspector.url + "/node?x=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert found, done.stderr
    process.terminate()
    seen = [json.loads(line) for line in process.stdout]
    return found, seen


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_client_finds(results, name):
    if DIRECT and name == "deflate-is-stripped":
        pytest.skip("both ends would agree on the extension")
    found, _ = results
    assert found[name]["ok"], found[name]["detail"]


def test_the_client_tries_no_property_that_is_not_listed_here(results):
    assert sorted(results[0]) == sorted(PROPERTIES)


def test_the_server_sees_the_close_codes_and_reasons_of_the_client(results):
    closes = [(line["code"], line["reason"]) for line in results[1] if line["event"] == "close"]
    assert (4321, "client is done") in closes
    assert (3210, "server is done") in closes or (3210, "") in closes
    assert (1005, "") in closes


def test_the_server_sees_pings_and_pongs_with_their_payloads(results):
    seen = [(line["event"], line["payload"]) for line in results[1] if "payload" in line]
    assert ("ping", "from the client") in seen
    assert ("pong", "from the server") in seen
    assert ("pong", "nobody asked") in seen


def test_the_server_sees_path_and_headers(results):
    opens = [line for line in results[1] if line["event"] == "open"]
    assert len(opens) == len(PROPERTIES)
    for line in opens:
        assert line["url"] == "/node?x=1"
        assert (line["headers"]["cookie"], line["headers"]["authorization"]) == ("session=abc", "Bearer t0ken")


@pytest.mark.skipif(DIRECT, reason="the inspector's doing")
def test_the_server_sees_no_extension_and_the_address_of_the_client(results):
    for line in results[1]:
        if line["event"] == "open":
            assert line["extensions"] == "" and "sec-websocket-extensions" not in line["headers"]
            assert line["headers"]["x-forwarded-for"] == "127.0.0.1"


def test_the_server_met_no_error(results):
    assert [line for line in results[1] if line["event"] == "error"] == []
