"""The agent behind a Sentinel proxy: frames, upgrades, ids, and what a proxy's weaknesses could let pass."""

import json
import signal
import socket
import struct
import threading
import time

import pytest

from support.agent_client import (
    ANSWER, CANCEL, CONFIGURE, FRAME, PING, PONG, Closed, Link, LinkV1, LinkV2, Proxy, frame_event, new_id,
    wait_for_socket,
)
from support.inspector import agent_block
from test_reload import reload

BOTH = [pytest.param(True, id="to_server"), pytest.param(False, id="to_client")]
SIGNATURE = b"<script>alert(1)</script>"

POLICY = """
    transport "unix_socket" {{ path "{path}" }}
    limits {{ max-message-size 100000; max-fragments 40 }}
    content-filter {{ block-patterns "<script" "/exec\\\\(/"; rules "sqli" }}
    content-filter {{ block-patterns "gamble"; action "drop" }}
"""


def agent_policy(path, more: str = "") -> str:
    return POLICY.format(path=path) + more


@pytest.fixture(scope="module")
def served(start_once, shared_backend, tmp_path_factory):
    """An inspector with a socket, for all tests that leave its counters alone."""
    path = tmp_path_factory.mktemp("agent") / "agent.sock"
    inspector = start_once(shared_backend.port, agent_block(agent_policy(path)))
    inspector.socket_path = path
    return inspector


@pytest.fixture
def proxy(served):
    proxy = Proxy(served.socket_path)
    yield proxy
    proxy.close()


def test_a_whole_connection(served, proxy):
    ws = proxy.open()
    for to_server in (True, False):
        assert ws.text(to_server, "hello, ünïcode".encode()) == "allow"
        assert ws.ask(to_server, "binary", bytes(range(256))) == "allow"
        assert ws.ask(to_server, "text", b"", True) == "allow"
        for opcode, payload, fin in [("text", b"frag ", False), ("ping", b"p", True), ("continuation", b"ment", True)]:
            assert ws.ask(to_server, opcode, payload, fin) == "allow"
        assert ws.ask(to_server, "close", b"\x03\xe8bye") == "allow"
    def finished(records):
        ids = {r["connection"] for r in records if r["event"] == "ws_close" and r.get("client") == "203.0.113.5:5000"}
        return [r for r in records if r["connection"] in ids]

    own = finished(served.wait_audit(finished))
    assert [r["event"] for r in own][:2] == ["ws_handshake", "ws_open"] and own[-1]["event"] == "ws_close"
    assert own[-1]["code"] == 1000 and own[-1]["initiator"] == "client"


@pytest.mark.parametrize("to_server", BOTH)
def test_a_signature_cut_anywhere_never_arrives(proxy, to_server):
    for at in range(len(SIGNATURE) + 1):
        ws = proxy.open()
        first = ws.ask(to_server, "text", b"x" + SIGNATURE[:at], False)
        verdict = ws.ask(to_server, "continuation", SIGNATURE[at:]) if first == "allow" else first
        assert ws.end_of(to_server, verdict) == 1008, at
        assert ws.messages(to_server) == [], at
        assert ws.text(to_server, b"hello") in ("drop", 1008), "nothing passes after"


@pytest.mark.parametrize("to_server", BOTH)
def test_a_signature_of_one_byte_a_frame(proxy, to_server):
    ws = proxy.open()
    verdicts = [ws.ask(to_server, "text" if i == 0 else "continuation", bytes([byte]), False) for i, byte in enumerate(SIGNATURE)]
    assert "allow" not in verdicts[len(b"<script") + 1 :], "found no later than a byte after it is complete"
    assert ws.messages(to_server) == []


@pytest.mark.parametrize("to_server", BOTH)
@pytest.mark.parametrize("opcode", ["text", "binary", "ping", "pong"])
def test_content_in_every_kind_of_frame(proxy, to_server, opcode):
    ws = proxy.open()
    assert ws.end_of(to_server, ws.ask(to_server, opcode, SIGNATURE)) == 1008
    ws = proxy.open()
    assert ws.end_of(to_server, ws.ask(to_server, "close", b"\x03\xe8" + SIGNATURE)) == 1008


@pytest.mark.parametrize("to_server", BOTH)
@pytest.mark.parametrize(
    ("opcode", "payload", "fin", "code"),
    [
        ("reserved", b"", True, 1002), ("continuation", b"x", True, 1002), ("ping", b"", False, 1002),
        ("ping", b"x" * 126, True, 1002), ("close", b"\x03", True, 1002), ("close", b"\x03\xee", True, 1002),
        ("text", b"\xc0\xaf", True, 1007), ("text", b"\xed\xa0\x80", False, 1007), ("text", b"x" * 100001, True, 1009),
        ("binary", b"x" * 100001, False, 1009),
    ],
)
def test_broken_frames(proxy, to_server, opcode, payload, fin, code):
    ws = proxy.open()
    assert ws.end_of(to_server, ws.ask(to_server, opcode, payload, fin)) == code


def test_drop_takes_the_whole_message_or_the_connection(proxy):
    ws = proxy.open()
    assert ws.text(True, b"gamble") == "drop" and ws.text(True, b"hello") == "allow"
    assert ws.ask(True, "text", b"gamble!!", False) == "drop"
    assert ws.ask(True, "continuation", b"more", False) == "drop"
    assert ws.ask(True, "continuation", b"end", True) == "drop"
    assert ws.text(True, b"again") == "allow" and ws.messages(True) == [b"hello", b"again"]
    assert ws.ask(True, "text", b"gam", False) == "allow"
    assert ws.end_of(True, ws.ask(True, "continuation", b"ble", True)) == 1008
    assert ws.messages(True) == [b"hello", b"again"]


def test_a_client_is_told_in_place_of_the_servers_next_frame(proxy):
    ws = proxy.open()
    assert ws.text(True, SIGNATURE) == "drop"
    assert ws.text(True, b"hello") == "drop"
    assert ws.text(False, b"news") == 1008, "the proxy writes the close frame to the client"
    assert ws.text(False, b"more news") == "drop"
    assert ws.ask(True, "close", b"\x03\xf0") == "allow", "its answer to that close reaches the server"
    assert ws.messages(True) == [] and ws.messages(False) == []


# Upgrades.


def status(answer: dict) -> int:
    return 0 if answer["decision"] == "allow" else answer["decision"]["block"]["status"]


@pytest.mark.parametrize(
    "value",
    [["permessage-deflate"], ["x", "permessage-deflate; client_max_window_bits"], ["PERMESSAGE-Deflate"], ["a, permessage-deflate"],
     ["x-permessage-deflate-y"]],
)
def test_compression_is_not_offered_past_the_agent(proxy, value):
    _, answer = proxy.request(headers={"sec-websocket-extensions": value})
    block = answer["decision"]["block"]
    assert block["status"] == 400 and "without compression" in block["body"] and "inline" in block["body"]


def test_a_101_with_an_extension_is_blocked(proxy):
    own, answer = proxy.request()
    assert status(answer) == 0
    assert status(proxy.response(own, headers={"sec-websocket-extensions": ["permessage-deflate"]})) == 502


@pytest.mark.parametrize(
    "headers",
    [{"sec-websocket-key": ["short"]}, {"sec-websocket-key": ["a", "b"]}, {"host": ["a", "b"]}, {"origin": ["https://a", "https://b"]},
     {"sec-websocket-version": ["12"]}, {"x": ["a\r\nx: b"]}, {"content-length": ["5"]}, {"sec_websocket_key": ["x"]}],
)
def test_upgrades_that_break_the_protocol_are_blocked(proxy, headers):
    _, answer = proxy.request(headers=headers)
    assert 400 <= status(answer) < 500


def test_other_requests_are_allowed(proxy):
    _, answer = proxy.request("anything at all", headers={"upgrade": ["h2c"], "host": ["a", "b"]})
    assert status(answer) == 0


def test_origins_and_subprotocols(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    more = 'handshake { allow-origins "https://a.example"; subprotocols "chat"; compression-uninspected "allow" }'
    inspector = start(backend.port, agent_block(agent_policy(path, more)))
    proxy = Proxy(path)
    origin = {"origin": ["https://a.example"]}
    for headers, expected in [
        ({}, 403), ({"origin": ["https://a.example.evil"]}, 403), (origin, 0),
        (origin | {"sec-websocket-protocol": ["other"]}, 400), (origin | {"sec-websocket-protocol": ["other, chat"]}, 0),
        (origin | {"sec-websocket-extensions": ["permessage-deflate"]}, 0),
    ]:
        assert status(proxy.request(headers=headers)[1]) == expected, headers
    own, _ = proxy.request(headers=origin | {"sec-websocket-protocol": ["other, chat"]})
    assert status(proxy.response(own, headers={"sec-websocket-protocol": ["other"]})) == 502
    [passed] = [v for v in inspector.wait_verdicts(6) if v["action"] not in ("refuse", "close", "drop")]
    assert passed["rule"] == "handshake/compression"
    time.sleep(0.2)
    assert inspector.metrics()['wsi_passed_uninspected_total{policy="websocket-inspector"}'] == 1
    proxy.close()


# Ids.


def test_an_id_in_use_is_refused_and_its_owner_goes_on(proxy):
    ws = proxy.open()
    assert status(proxy.request(ws.id)[1]) == 409
    assert ws.text(True, b"hello") == "allow"


@pytest.mark.parametrize("own", ["mine", "x" * 63, "x" * 64, "x" * 5000, "ccF9ysBDDX0", '"quoted" \\', "ä", "tab\t"])
def test_ids_that_no_proxy_makes_are_refused(proxy, own):
    assert status(proxy.request(own)[1]) == 400
    for link in proxy.links:
        answer = link.ask(FRAME, frame_event(own, True, 0, "text", b"hello"))
        assert answer["websocket_decision"]["close"]["code"] == 1008


@pytest.mark.parametrize("to_server", BOTH)
@pytest.mark.parametrize("index", [0, 2, 3, 2**64 - 1])
def test_a_gap_or_a_repeat_condemns_the_id(proxy, to_server, index):
    ws = proxy.open()
    assert ws.text(to_server, b"hello") == "allow"
    ws.index[to_server] = index
    assert ws.text(to_server, b"hello") == 1008
    ws.index[to_server] = 1
    assert ws.text(to_server, b"hello") == 1008 and ws.text(not to_server, b"hello") == 1008


def test_a_connection_whose_beginning_was_not_seen_is_closed(proxy):
    answer = proxy.links[0].ask(FRAME, frame_event(new_id(), False, 7, "text", b"hello"))
    assert answer["websocket_decision"]["close"]["code"] == 1008
    answer = proxy.links[0].ask(FRAME, frame_event(new_id(), True, 0, "text", SIGNATURE))
    assert answer["websocket_decision"] == "drop", "inspected from its first frame on"


def test_many_connections_collide_on_nothing(proxy):
    """Four WebSockets, events of all of them on every link, answers by id."""
    sockets = [proxy.open() for _ in range(4)]
    for round_ in range(50):
        for i, ws in enumerate(sockets):
            assert ws.text(round_ % 2 == 0, f"{i} {round_}".encode()) == "allow"
    assert sockets[2].text(True, SIGNATURE) == "drop"
    for i, ws in enumerate(sockets):
        assert ws.text(True, b"still there") == ("drop" if i == 2 else "allow")


def test_pipelined_events_of_many_websockets(proxy):
    """One link, many events in one write; every answer comes, in order."""
    ids = [new_id() for _ in range(200)]
    link = proxy.links[0]
    events = [json.dumps(frame_event(own, True, 0, "text", b"x" * (i * 50))).encode() for i, own in enumerate(ids)]
    link.send_raw(b"".join(struct.pack("!IB", len(e) + 1, FRAME) + e for e in events))
    for own in ids:
        assert link.answer(own)["websocket_decision"] == "allow"


@pytest.mark.parametrize("cut", [1, 3, 5, 64])
def test_events_in_pieces(proxy, cut):
    link = proxy.links[0]
    own = new_id()
    body = json.dumps(frame_event(own, True, 0, "text", b"hello")).encode()
    raw = struct.pack("!IB", len(body) + 1, FRAME) + body
    for at in range(0, len(raw), cut):
        link.send_raw(raw[at : at + cut])
        time.sleep(0.0005)
    assert link.answer(own)["websocket_decision"] == "allow"


# The wire.


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x00\x00\x00\x15", b"\x00\x00\x00\x03\x15{}", b"\x00\x00\x00\x03\x16{}", b"\x00\x00\x00\x03\xee{}", b"\x01\x00\x00\x02\x15",
        b"\xff\xff\xff\xff\x15", b"\x00\x00\x00\x05\x15null", b"\x00\x00\x00\x03\x01{}", b"\x00\x00\x00\x05\x10\xff\xff\xff\xff",
    ],
)
def test_what_is_no_event_ends_the_link_and_nothing_else(served, proxy, raw):
    before = served.metrics()["wsi_agent_faults_total"]
    proxy.links[0].send_raw(raw)
    assert proxy.links[0].is_closed()
    assert proxy.links[1].ask(FRAME, frame_event(new_id(), True, 0, "text", b"hi"))["websocket_decision"] == "allow"
    deadline = time.monotonic() + 5
    while served.metrics()["wsi_agent_faults_total"] <= before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_payload_that_is_not_base64_is_no_allow(proxy):
    for data in ("PHNjcmlwdD4", "PHNj cmlwdD4=", "PHNjcmlwdD5=", "PHNjcmlwdD4=\n", "*"):
        link = LinkV2(proxy.path)
        link.send(FRAME, frame_event(new_id(), True, 0, "text", b"") | {"data": data})
        assert link.is_closed()


def test_an_event_before_the_handshake_ends_the_link(served):
    link = LinkV2(served.socket_path, shake_hands=False)
    link.send(FRAME, frame_event("ccF9ysBDDXr", True, 0, "text", b"hi"))
    assert link.is_closed()


def test_ping_cancel_and_encodings(served):
    link = LinkV2(served.socket_path, encodings=("msgpack", "json"))
    link.send(CANCEL, {"correlation_id": "x"})
    link.send(PING, b'{"timestamp":1}')
    assert link.receive() == bytes([PONG]) + b'{"timestamp":1}'
    link.close()


def test_large_events(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}" }}\nlimits {{ max-message-size "13MiB" }}\ncontent-filter {{ block-patterns "<script" }}'))
    proxy = Proxy(path, links=2)
    ws = proxy.open()
    for size in (65_535, 65_536, 1 << 20, 12_000_000):
        assert ws.ask(True, "binary", b"x" * size) == "allow"
    assert ws.text(True, b"x" * 12_000_000 + SIGNATURE) == "drop"
    proxy.close()


def test_version_1_on_the_same_socket(served):
    link = LinkV1(served.socket_path)
    def ask(index, payload, opcode="text", fin=True):
        return link.ask("web_socket_frame", frame_event("v1-0123456", False, index, opcode, payload, fin))["websocket_decision"]
    assert ask(0, b"hello") == "allow" and ask(1, b"gamble") == "drop"
    assert ask(2, b"<scr", fin=False) == "allow"
    assert ask(3, b"ipt>", "continuation")["close"]["code"] == 1008
    link.send_raw(b"\x00\x00\x00\x02{}")
    assert link.is_closed()
    link = LinkV1(served.socket_path)
    link.send_raw(b"\x00\xa0\x00\x01{")
    assert link.is_closed(), "10 MiB are the most"


# Deadlines, bounds, the process.


def test_an_answer_that_is_late_is_not_given(start, backend, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type":"array"}')
    path = tmp_path / "a.sock"
    policy = f"""
    transport "unix_socket" {{ path "{path}" }}
    limits {{ max-message-size "12MiB" }}
    validation {{ schema-type "json"; schema-path "{schema}" }}
    content-filter {{ rules "xss" "sqli" "command-injection" }}
    """
    inspector = start(backend.port, agent_block(policy, timeout_ms=1))
    proxy = Proxy(path, links=2)
    ws = proxy.open()
    big = b"[" + b",".join([b'{"k":"some words","n":12345.678}'] * 300_000) + b"]"
    proxy.next_link().send(FRAME, frame_event(ws.id, True, 0, "text", big))
    deadline = time.monotonic() + 10
    while inspector.metrics()["wsi_agent_late_total"] < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # As a proxy does, the next event comes when the last one was given up: what waits behind a long inspection is late as well. On a
    # busy machine it may be late itself, by a millisecond, and gets no answer then.
    ws.index[True] = 1
    for link in proxy.links:
        link.socket.settimeout(0.5)
    for _ in range(40):
        try:
            verdict = ws.text(True, b"[]")
        except TimeoutError:
            continue
        assert verdict == 1011
        break
    else:
        pytest.fail("40 small messages in a row were late")
    # The late one got no answer at all.
    for link in proxy.links:
        link.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.receive()
    proxy.close()


def test_a_full_table_forgets_the_one_that_was_silent_longest(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}"; max-sessions 3 }}'))
    proxy = Proxy(path)
    sockets = [proxy.open() for _ in range(3)]
    time.sleep(0.15)
    for ws in (sockets[0], sockets[2]):
        assert ws.text(True, b"hello") == "allow"
    time.sleep(0.15)
    sockets.append(proxy.open())
    assert [ws.text(False, b"hello") == "allow" for ws in (sockets[0], sockets[2], sockets[3])] == [True] * 3
    assert sockets[1].text(True, b"hello") == "allow", "known anew from its first frame on"
    time.sleep(0.2)
    assert inspector.metrics()['wsi_agent_sessions_forgotten_total{reason="full"}'] == 2
    assert inspector.metrics()["wsi_agent_sessions_open"] == 3
    proxy.close()


def test_a_proxy_that_does_not_read_is_dropped(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}" }}', timeout_ms=200))
    link = LinkV2(path)
    link.socket.settimeout(20)
    ping = struct.pack("!IB", 100_001, PING) + b"x" * 100_000
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(2000):
            link.send_raw(ping)
    assert inspector.rss_bytes() < 200 << 20


def test_a_length_alone_holds_no_memory(served):
    before = served.rss_bytes()
    links = [LinkV2(served.socket_path) for _ in range(40)]
    for link in links:
        link.send_raw(struct.pack("!IB", 16 << 20, FRAME) + b"{")
    time.sleep(0.3)
    assert served.rss_bytes() - before < 60 << 20
    for link in links:
        link.close()


def test_the_sockets_file(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    inspector = start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}"; mode "0600" }}'), drain_timeout_s=1)
    assert path.stat().st_mode & 0o777 == 0o600
    Proxy(path, links=1).open()
    assert inspector.stop() == 0
    assert not path.exists()


def test_the_next_process_serves_while_the_last_one_drains(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    policy = agent_block(agent_policy(path))
    first = start(backend.port, policy, drain_timeout_s=30)
    served = Proxy(path)
    ws = served.open()
    first.signal(signal.SIGTERM)
    deadline = time.monotonic() + 8
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ws.text(True, b"hello") == "allow" and served.open().text(True, b"hello") == "allow"
    start(backend.port, policy)
    following = Proxy(path)
    assert following.open().text(False, b"hello") == "allow"
    assert ws.text(True, SIGNATURE) == "drop", "the first one still inspects"
    assert first.wait_exit(0) is None
    served.close()
    assert first.wait_exit(8) == 0
    assert path.exists() and following.open().text(True, b"hello") == "allow"


def test_a_restart_under_load_lets_nothing_pass(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    policy = agent_block(agent_policy(path))
    first = start(backend.port, policy)
    proxy = Proxy(path)
    ws = proxy.open()
    assert ws.text(True, b"hello") == "allow"
    stopped = threading.Thread(target=first.stop)
    stopped.start()
    stopped.join()
    for link in proxy.links:
        assert link.is_closed(), "the proxy sees it at once"
    second = start(backend.port, policy)
    wait_for_socket(path)
    again = Proxy(path)
    followed = again.open()
    ws.proxy = again
    assert ws.text(True, b"hello") == 1008, "frames of it were missed"
    assert followed.text(True, b"hello") == "allow"
    assert any(v["rule"] == "agent/unknown-correlation-id" for v in second.wait_verdicts(1))


def test_detect_mode_only_tells(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(agent_policy(path), mode="detect"))
    proxy = Proxy(path)
    ws = proxy.open()
    for payload in (SIGNATURE, b"gamble"):
        assert ws.text(True, payload) == "allow"
    verdicts = inspector.wait_verdicts(2)
    assert {(v["action"], v["mode"]) for v in verdicts} == {("close", "detect"), ("drop", "detect")}
    proxy.close()


def test_rates_hold_over_all_links(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    more = 'rate-limit { messages-per-second 1; burst 5; action "drop" }'
    start(backend.port, agent_block(agent_policy(path, more)))
    proxy = Proxy(path)
    ws = proxy.open()
    verdicts = [ws.text(True, b"hello") for _ in range(10)]
    assert verdicts[:5] == ["allow"] * 5 and verdicts[6:] == ["drop"] * 4
    assert ws.text(False, b"hello") == "allow", "the server has no rate"
    proxy.close()


# Pushed configurations.


def configure(link: LinkV2, config, number: int = 0) -> dict:
    return link.ask(CONFIGURE, {"config": config, "config_version": None, "correlation_id": f"zentinel-configure-ws-{number}"})


PUSHED = {"content-filter": {"block-patterns": "lemon", "action": "close"}, "content-filter-2": {"block-patterns": ["one", "/tw[o]/"]}}


def test_a_pushed_configuration_is_laid_over_the_file(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(agent_policy(path)))
    proxy = Proxy(path, config=PUSHED)
    for i, link in enumerate(proxy.links):
        assert configure(link, PUSHED, i)["decision"] == "allow"
    for bad in (b"a lemon", b"say two", SIGNATURE):
        ws = proxy.open()
        assert ws.text(False, bad) == 1008
    rules = [v["rule"] for v in inspector.wait_verdicts(3)]
    assert rules[:2] == ["content-filter-3/block-patterns-1", "content-filter-4/block-patterns-2"]
    time.sleep(0.2)
    key = 'wsi_verdicts_total{policy="websocket-inspector",rule="content-filter-3/block-patterns-1",direction="to_client"}'
    assert inspector.metrics()[key] == 1
    # Another proxy's connections, which push nothing, go by the file.
    assert Proxy(path).open().text(False, b"a lemon") == "allow"
    proxy.close()


def test_the_same_configuration_resets_nothing_and_another_holds_at_once(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    more = 'rate-limit { messages-per-second 1; burst 3; action "drop" }'
    start(backend.port, agent_block(agent_policy(path, more)))
    proxy = Proxy(path, config=PUSHED)
    ws = proxy.open()
    assert [ws.text(True, b"hello") for _ in range(3)] == ["allow"] * 3
    for link in proxy.links:
        assert configure(link, PUSHED)["decision"] == "allow"
    assert ws.text(True, b"hello") == "drop", "the bucket is as empty as it was"
    changed = Proxy(path, config=PUSHED | {"content-filter-3": {"block-patterns": "plum"}})
    proxy.close()
    ws.proxy = changed
    assert ws.text(False, b"a plum") == 1008, "the live connection goes on over the new links"
    changed.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"deny": ["alpha", "beta"]}, "unknown name `deny`"),
        ({"content-filter": {"block-patterns": "/(/"}}, "("),
        ({"transport": {"path": "/tmp/x"}}, "own file"),
        ({"mode": "off"}, "unknown mode"),
    ],
)
def test_a_wrong_configuration_is_refused_with_what_to_do(served, config, words):
    link = LinkV2(served.socket_path)
    answer = configure(link, config)
    block = answer["decision"]["block"]
    assert words in block["body"], block
    assert link.ask(FRAME, frame_event(new_id(), True, 0, "text", SIGNATURE))["websocket_decision"] == "drop", "the file holds on"
    link.close()
    link = LinkV2(served.socket_path, shake_hands=False)
    answer = link.shake_hands(config=config)
    assert answer["success"] is False and words in answer["error"]
    assert words in served.log


def test_a_configuration_that_takes_long_stalls_nobody(served, proxy):
    ws = proxy.open()
    slow = LinkV2(served.socket_path)
    patterns = [f"/[a-z]{{3,40}}{i}[0-9]+x{i}.*y{i}/i" for i in range(300)]
    slow.send(CONFIGURE, {"config": {"content-filter": {"block-patterns": patterns}}, "config_version": None, "correlation_id": "c-1"})
    slow.socket.setblocking(False)
    asked = 0
    while True:
        started = time.monotonic()
        assert ws.text(True, b"hello") == "allow"
        asked += 1
        assert time.monotonic() - started < 5
        try:
            if slow.socket.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            assert asked < 500_000
    slow.socket.settimeout(5)
    assert slow.answer("c-1")["decision"] == "allow"
    assert asked > 1
    slow.close()


# The file's policy is read again.

CHERRY = 'content-filter { block-patterns "cherry" }'


def eventually_stops(proxy: Proxy, text: bytes) -> None:
    """What was pushed is compiled again on a thread of its own."""
    deadline = time.monotonic() + 10
    while (verdict := proxy.open().text(False, text)) == "allow" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert verdict == 1008


def test_a_reload_holds_for_open_connections_and_lies_under_what_is_pushed(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(agent_policy(path, 'content-filter { block-patterns "apple" }')))
    plain, pushing = Proxy(path), Proxy(path, config=PUSHED)
    open_plain, open_pushing = plain.open(), pushing.open()
    assert [ws.text(False, b"a cherry") for ws in (open_plain, open_pushing)] == ["allow"] * 2
    reload(inspector, 'content-filter { block-patterns "apple" }', CHERRY)
    assert open_plain.text(False, b"a cherry") == 1008
    assert plain.open().text(False, b"an apple") == "allow"
    eventually_stops(pushing, b"a cherry")
    assert open_pushing.text(False, b"an apple") == "allow", "the file no longer says so"
    assert open_pushing.text(False, b"a cherry") == 1008
    assert pushing.open().text(False, b"a lemon") == 1008, "what was pushed goes on"
    # A connection that comes later and pushes the same is under the same file.
    assert Proxy(path, config=PUSHED).open().text(False, b"a cherry") == 1008
    plain.close()
    pushing.close()


def test_a_reload_that_does_not_suit_what_is_pushed_leaves_that_proxy_as_it_was(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    own = 'rate-limit { messages-per-second 1000; per "message-type" }; discriminator "/type"'
    inspector = start(backend.port, agent_block(agent_policy(path, own)))
    pushed = PUSHED | {"rate-limit-types": {"messages-per-second": 100, "per": "message-type"}}
    proxy = Proxy(path, config=pushed)
    assert proxy.open().text(False, b"a lemon") == 1008
    # What is pushed needs the discriminator that stood here.
    reload(inspector, own, CHERRY)
    deadline = time.monotonic() + 10
    while "laid over the new policy" not in inspector.log:
        assert time.monotonic() < deadline, inspector.log
        time.sleep(0.02)
    assert proxy.open().text(False, b"a lemon") == 1008
    assert proxy.open().text(False, b"a cherry") == "allow"
    assert Proxy(path).open().text(False, b"a cherry") == 1008
    # It is told when it comes again.
    assert "discriminator" in LinkV2(path, shake_hands=False).shake_hands(config=pushed)["error"]
    proxy.close()


def test_a_reload_reaches_version_1(start, backend, tmp_path):
    path = tmp_path / "a.sock"
    inspector = start(backend.port, agent_block(agent_policy(path, 'content-filter { block-patterns "apple" }')))
    link = LinkV1(path)

    def say(index: int, payload: bytes):
        return link.ask("web_socket_frame", frame_event("v1-0123456", False, index, "text", payload, True))["websocket_decision"]

    assert say(0, b"a cherry") == "allow"
    reload(inspector, 'content-filter { block-patterns "apple" }', CHERRY)
    assert say(1, b"an apple") == "allow"
    assert say(2, b"a cherry")["close"]["code"] == 1008
