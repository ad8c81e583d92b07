"""The audit stream: one JSON object a line, with what happened, where and to whom, and no secrets."""

import re
import struct

import pytest

from support.inspector import EVERY_EVENT, agent_block
from support.peers import RawPeer, as_head, open_pair, unique_path, upgrade_lines
from support.wire import TEXT

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, agent_block('content-filter { block-patterns "/eval\\\\(/" }'))


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


def closed_by(pair, closer: str, code: int | None = 1000):
    peer = getattr(pair, closer)
    peer.answers_close = False
    peer.queue(peer.framer.close(code))
    if closer == "server":
        pair.exchange(until=lambda: peer.heard.close is not None)
        peer.end_writing()
    assert pair.exchange()


def refusals_of(inspector, client: RawPeer) -> list[dict]:
    """The records of an upgrade that was refused: a verdict that refuses, or a handshake without a 101."""

    def found(records):
        mine = (r for r in records if r.get("client") == client.local_address)
        return [r for r in mine if r.get("action") == "refuse" or r["event"] == "ws_handshake"]

    return found(inspector.wait_audit(found))


def test_a_session_leaves_one_record_of_each_event(inspector, pair):
    pair.client.queue(pair.client.framer.text("hello") + pair.client.framer.ping(b"p"))
    pair.server.queue(pair.server.framer.binary(b"12345678"))
    pair.exchange(until=lambda: pair.server.heard.pings and pair.client.heard.messages)
    pair.server.queue(pair.server.framer.pong(b"p"))
    pair.exchange(until=lambda: pair.client.heard.pongs)
    closed_by(pair, "client")
    records = inspector.records_of(pair.client.local_address)
    events = [r["event"] for r in records]
    assert events[:2] == ["ws_handshake", "ws_open"] and events[-1] == "ws_close"
    assert sorted(events) == sorted(EVERY_EVENT + ("ws_message",))
    messages = {(r["direction"], r["opcode"], r["size"]) for r in records if r["event"] == "ws_message"}
    assert messages == {("to_server", "text", 5), ("to_client", "binary", 8)}


def test_every_record_says_when_who_and_where(inspector, pair):
    closed_by(pair, "client")
    records = inspector.records_of(pair.client.local_address)
    for record in records:
        assert RFC_3339.fullmatch(record["time"])
        assert record["listener"] == "edge" and record["policy"] == "websocket-inspector"
    assert len({r["connection"] for r in records}) == 1 and records[0]["connection"]
    assert [r["time"] for r in records] == sorted(r["time"] for r in records)


def test_connections_have_ids_of_their_own(inspector, shared_backend):
    pairs = [open_pair(inspector, shared_backend) for _ in range(4)]
    for pair in pairs:
        closed_by(pair, "client")
        pair.close()
    ids = {inspector.records_of(pair.client.local_address)[0]["connection"] for pair in pairs}
    assert len(ids) == 4


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("code", [1000, 4001])
def test_a_close_names_its_code_and_who_began_it(inspector, pair, closer, code):
    closed_by(pair, closer, code)
    records = inspector.records_of(pair.client.local_address)
    close = records[-1]
    assert (close["code"], close["initiator"]) == (code, closer)
    [handshake] = [r for r in records if r["event"] == "ws_handshake"]
    assert 0 <= handshake["took_ms"] <= close["lasted_ms"] < 60_000


def test_a_close_by_verdict_names_the_inspector(inspector, pair):
    pair.client.queue(pair.client.framer.text("eval(1)"))
    assert pair.exchange()
    close = inspector.records_of(pair.client.local_address)[-1]
    assert (close["code"], close["initiator"]) == (1008, "inspector")


def test_a_verdict_says_what_was_decided_and_why(inspector, pair):
    pair.client.queue(pair.client.framer.text("say eval(1)"))
    assert pair.exchange()
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"] == "content-filter-1/block-patterns-1"
    assert (verdict["action"], verdict["code"]) == ("close", 1008)
    assert (verdict["direction"], verdict["opcode"], verdict["size"]) == ("to_server", "text", 11)
    assert verdict["reason"]
    assert verdict.get("mode", "enforce") == "enforce"


def test_a_refused_upgrade_is_recorded_with_its_status(inspector):
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(as_head(upgrade_lines("/x")[:-1]))
    status = client.read_head().status
    [record] = refusals_of(inspector, client)
    assert record["status"] == status
    client.close()


def test_a_handshake_record_has_the_path_without_the_query(inspector, shared_backend):
    path = unique_path()
    pair = open_pair(inspector, shared_backend, path=path + "?token=S3CRET-QUERY&x=1")
    assert pair.request.path == path + "?token=S3CRET-QUERY&x=1", "the backend still gets it"
    closed_by(pair, "client")
    [handshake] = [r for r in inspector.records_of(pair.client.local_address) if r["event"] == "ws_handshake"]
    assert (handshake["path"], handshake["status"]) == (path, 101)
    pair.close()


def test_no_secret_reaches_the_audit_file_or_the_log(inspector, shared_backend):
    secrets = ["Authorization: Bearer S3CRET-BEARER", "Cookie: sid=S3CRET-COOKIE"]
    pair = open_pair(inspector, shared_backend, *secrets, path=unique_path() + "?token=S3CRET-QUERY")
    closed_by(pair, "client")
    inspector.records_of(pair.client.local_address)
    refused = RawPeer.connect(inspector.address)
    refused.sock.sendall(as_head(upgrade_lines("/x?token=S3CRET-QUERY")[:-1] + secrets))
    refused.read_head()
    assert refusals_of(inspector, refused)
    assert b"S3CRET" not in inspector.audit_path.read_bytes()
    assert "S3CRET" not in inspector.log
    refused.close()
    pair.close()


@pytest.mark.parametrize("closer", ["client", "server"])
def test_control_characters_cannot_forge_a_line(inspector, pair, closer):
    peer = getattr(pair, closer)
    peer.answers_close = False
    peer.queue(peer.framer.frame(8, struct.pack("!H", 4000) + b'\n{"event":"forged"}\n\x1b[31m\x00"'))
    pair.exchange(until=lambda: peer.heard.close is not None)
    peer.end_writing()
    assert pair.exchange()
    inspector.records_of(pair.client.local_address)
    assert all(r["event"] in EVERY_EVENT + ("verdict",) for r in inspector.audit())
    assert b"\x1b" not in inspector.audit_path.read_bytes()


def test_a_record_stays_small_however_long_the_path(inspector, shared_backend):
    path = unique_path() + "/" + "a" * 4000
    pair = open_pair(inspector, shared_backend, path=path)
    closed_by(pair, "client")
    [handshake] = [r for r in inspector.records_of(pair.client.local_address) if r["event"] == "ws_handshake"]
    assert len(str(handshake)) < 6000
    pair.close()


def test_only_the_events_that_are_asked_for_are_written_and_every_verdict(start, backend):
    policy = agent_block(
        'content-filter { block-patterns "/eval\\\\(/"; action "drop" }', events=("ws_handshake", "ws_close")
    )
    inspector = start(backend.port, policy)
    pair = open_pair(inspector, backend)
    f = pair.client.framer
    pair.client.queue(f.text("hello") + f.ping() + f.text("eval(1)") + f.text("end"))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 2)
    assert pair.server.heard.messages == [(TEXT, b"hello"), (TEXT, b"end")]
    closed_by(pair, "client")
    events = [r["event"] for r in inspector.records_of(pair.client.local_address)]
    assert sorted(events) == ["verdict", "ws_close", "ws_handshake"]
    pair.close()
