"""The API of the admin server: looking at connections, and changing things with the token."""

import json
import time
import urllib.error
import urllib.request

import pytest

from support.inspector import agent_block, run_binary
from support.peers import open_pair

TOKEN = "0123456789abcdef0123456789abcdef"
STRICT = agent_block('content-filter { block-patterns "forbidden" }')


@pytest.fixture
def inspector(start, backend, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return start(backend.port, STRICT, admin=f'token-path "{path}"')


def says(pair, text: str) -> None:
    count = len(pair.server.heard.messages) + 1
    pair.client.queue(pair.client.framer.text(text))
    pair.exchange(until=lambda: len(pair.server.heard.messages) >= count)
    assert pair.server.heard.payloads[-1] == text.encode()


def connections(inspector, query: str = "") -> list[dict]:
    status, answer = inspector.api("connections" + query)
    assert status == 200, answer
    return answer["connections"]


def test_status_tells_what_holds(inspector):
    status, answer = inspector.api("status")
    assert status == 200
    assert answer["state"] == "ready" and answer["revision"] == 1 and answer["can_change"]
    assert answer["policies"] == [{"name": "websocket-inspector", "mode": "enforce"}]
    assert answer["listeners"] == ["edge"]
    assert answer["authorized"] is False
    assert inspector.api("status", token=TOKEN)[1]["authorized"] is True
    assert inspector.api("status", token=TOKEN[:-1])[1]["authorized"] is False


def test_what_inspection_took_is_told_by_stage(inspector, backend):
    pair = open_pair(inspector, backend)
    for _ in range(200):
        says(pair, "hello" * 100)
    deadline = time.monotonic() + 5
    while not (shown := inspector.api("status")[1]["inspection"]) or shown[0]["timed"] < 4:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    by_stage = {each["stage"]: each for each in shown}
    assert list(by_stage)[0] == "all" and set(by_stage) == {"all", "decode", "rate", "scan"}, "there is no schema"
    whole = by_stage["all"]
    assert 0 < by_stage["scan"]["p50_ns"] <= whole["p50_ns"] <= whole["p99_ns"] <= whole["max_ns"]
    # 200 messages of one shard, the first and then one in 64.
    assert whole["timed"] == 4
    metrics = inspector.metrics()
    assert metrics['wsi_inspection_seconds_count{stage="all"}'] == 4
    assert metrics['wsi_inspection_seconds_bucket{stage="all",le="1"}'] == 4
    assert metrics['wsi_inspection_seconds_sum{stage="all"}'] > 0


@pytest.mark.parametrize("name", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "x"])
def test_a_web_page_whose_name_leads_here_reads_nothing(inspector, name):
    def status(host: str, *, token: str = "") -> int:
        headers = {"Host": host.format(port=inspector.admin_port)} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{inspector.admin_port}/api/events", headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=5).status
        except urllib.error.HTTPError as refusal:
            assert "127.0.0.1" in json.loads(refusal.read())["error"]
            return refusal.code

    assert status(name) == status(name, token="wrong") == 403
    assert status(name, token=TOKEN) == 200
    for own in ("localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}", "[::1]"):
        assert status(own) == 200, own


def test_connections_are_listed_with_what_they_carried(inspector, backend):
    pairs = [open_pair(inspector, backend) for _ in range(3)]
    says(pairs[1], "hello")
    says(pairs[1], "hello again")
    pairs[1].server.queue(pairs[1].server.framer.text("hi"))
    pairs[1].exchange(until=lambda: pairs[1].client.heard.messages)
    listed = connections(inspector)
    assert {each["client"] for each in listed} == {pair.client.local_address for pair in pairs}
    first = listed[0]
    assert first["client"] == pairs[1].client.local_address, "the one with the most traffic comes first"
    assert (first["messages_to_server"], first["bytes_to_server"]) == (2, 16)
    assert (first["messages_to_client"], first["bytes_to_client"]) == (1, 2)
    assert (first["phase"], first["policy"], first["listener"]) == ("open", "websocket-inspector", "edge")
    # Filters.
    records = inspector.records_of(first["client"], until_event="ws_open")
    assert first["id"] == records[0]["connection"], "the id is that of the records"
    assert [each["id"] for each in connections(inspector, f"?id={first['id']}")] == [first["id"]]
    assert len(connections(inspector, "?client=127.0.0.0/8")) == 3
    assert connections(inspector, "?client=10.0.0.0/8") == []
    assert len(connections(inspector, "?policy=websocket-inspector&listener=edge&limit=2")) == 2
    assert inspector.api("connections?limit=2")[1]["found"] == 3


@pytest.mark.parametrize("query", ["?clint=127.0.0.1", "?client=everybody", "?policy=none", "?id=x", "?limit=many"])
def test_a_slip_in_a_filter_is_a_fault(inspector, backend, query):
    pair = open_pair(inspector, backend)
    for status, answer in (inspector.api("connections" + query), inspector.api("connections/close" + query, post=True, token=TOKEN)):
        assert status == 400 and answer["error"]
    says(pair, "still here")


def test_connections_are_closed_by_id_client_or_all(inspector, backend):
    pairs = [open_pair(inspector, backend) for _ in range(4)]
    ids = {each["client"]: each["id"] for each in connections(inspector)}
    status, answer = inspector.api(f"connections/close?id={ids[pairs[0].client.local_address]}", post=True, token=TOKEN)
    assert (status, answer) == (200, {"closed": 1})
    assert pairs[0].exchange()
    assert (pairs[0].client.heard.close_code, pairs[0].server.heard.close_code) == (1001, 1001)
    says(pairs[1], "still here")
    assert inspector.api("connections/close?client=10.0.0.0/8", post=True, token=TOKEN)[1] == {"closed": 0}
    assert inspector.api("connections/close", post=True, token=TOKEN)[0] == 400, "nobody is not everybody"
    assert inspector.api("connections/close?all=true", post=True, token=TOKEN)[1]["closed"] >= 3
    for pair in pairs[1:]:
        assert pair.exchange()
        assert pair.client.heard.close_code == 1001


def test_events_are_those_of_the_audit_stream(inspector, backend):
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("forbidden"))
    assert pair.exchange()
    recorded = inspector.records_of(pair.client.local_address)
    answer = inspector.api("events")[1]
    assert [each for each in answer["events"] if each["client"] == pair.client.local_address] == recorded
    assert inspector.api(f"events?since={answer['next']}")[1]["events"] == []
    found = inspector.api("events?text=block-patterns-1")[1]["events"]
    assert [each["event"] for each in found] == ["verdict"]
    assert len(inspector.api("events?limit=1")[1]["events"]) == 1


def test_a_policy_is_switched_and_the_reload_takes_it_back(inspector, backend):
    pair = open_pair(inspector, backend)
    status, answer = inspector.api("mode?policy=websocket-inspector&mode=detect", post=True, token=TOKEN)
    assert (status, answer) == (200, {"revision": 2})
    assert inspector.api("status")[1]["policies"][0]["mode"] == "detect"
    says(pair, "forbidden")
    assert inspector.wait_verdicts(1)[0]["mode"] == "detect"
    status, answer = inspector.api("reload", post=True, token=TOKEN)
    assert (status, answer["revision"], answer["not_before_a_restart"]) == (200, 3, [])
    pair.client.queue(pair.client.framer.text("forbidden"))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008
    assert inspector.api("mode?policy=nobody&mode=detect", post=True, token=TOKEN)[0] == 422
    assert inspector.api("mode?policy=websocket-inspector&mode=off", post=True, token=TOKEN)[0] == 400


def test_a_reload_of_a_broken_file_says_what_is_wrong(inspector):
    inspector.config_path.write_text(inspector.config_path.read_text().replace("content-filter", "content-filtr"))
    status, answer = inspector.api("reload", post=True, token=TOKEN)
    assert status == 422 and "content-filtr" in answer["error"] and "inspector.kdl:" in answer["error"]
    assert inspector.api("status")[1]["revision"] == 1


def test_nothing_changes_without_the_token(inspector, backend):
    pair = open_pair(inspector, backend)
    for path in ("connections/close?all=true", "mode?policy=websocket-inspector&mode=detect", "reload", "drain"):
        assert inspector.api(path, post=True)[0] == 401
        assert inspector.api(path, post=True, token=TOKEN[:-1])[0] == 401
        assert inspector.api(path, token=TOKEN)[0] == 405
    says(pair, "still here")


def test_where_there_is_no_token_one_may_only_look(start, backend):
    inspector = start(backend.port, STRICT)
    assert inspector.api("status")[1]["can_change"] is False
    status, answer = inspector.api("drain", post=True, token=TOKEN)
    assert status == 403 and "token-path" in answer["error"]


def test_drain_is_as_sigterm(inspector, backend):
    pair = open_pair(inspector, backend)
    assert inspector.api("drain", post=True, token=TOKEN) == (200, {"state": "draining"})
    assert pair.exchange()
    assert pair.client.heard.close_code == 1001
    assert inspector.wait_exit(10) == 0


def test_an_unknown_request_says_what_there_is(inspector):
    status, answer = inspector.api("nothing")
    assert status == 404 and "connections" in answer["error"]


@pytest.mark.parametrize("text", ["short", "with space in the middle of it"])
def test_a_token_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "token").write_text(text)
    path = tmp_path / "policy.kdl"
    path.write_text(
        'listener "a" { bind "127.0.0.1:0"; route "/*" upstream="b" }\nupstream "b" { server "127.0.0.1:9" }\n'
        f'agent "c" {{ type "websocket_inspector" }}\nadmin {{ bind "127.0.0.1:0"; token-path "{tmp_path}/token" }}\n'
    )
    done = run_binary("run", "-c", str(path))
    assert done.returncode != 0 and "token" in done.stderr
