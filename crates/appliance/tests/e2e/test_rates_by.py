"""Rates by the type of a message, by its size and by its client, and the budget of violations."""

import json
import threading
import time
import zlib

import msgpack
import pytest

from support.agent_client import Proxy, wait_for_socket
from support.inspector import agent_block, run_binary
from support.peers import open_pair
from support.wire import RSV1
from test_reload import reload

BY_TYPE = """
    rate-limit {
        per "message-type"; discriminator "/type"; max-types 2
        messages-per-second 1; burst 5; action "drop"
        type "order" messages-per-second=1 burst=2
        type "7" bytes-per-second=1 burst-bytes=40
    }"""
BY_CLIENT = 'rate-limit { per "client-ip"; messages-per-second 1; burst 10; action "drop" }'


@pytest.fixture
def opened(start, backend):
    """opened(policy, *headers, **settings) -> (inspector, pair)"""
    pairs = []

    def open_with(policy: str, *headers: str, mode: str = "enforce", **settings):
        inspector = start(backend.port, agent_block(policy, mode=mode), **settings)
        pairs.append(open_pair(inspector, backend, *headers))
        return inspector, pairs[-1]

    yield open_with
    for pair in pairs:
        pair.close()


def of_type(kind, **members) -> str:
    return json.dumps({"type": kind} | members)


def passing(pair, wires: list[bytes], direction: str = "to_server") -> int:
    """How many of the messages arrive; a ping after them says that no more will."""
    sender, receiver = pair.ends(direction)
    before, pings = len(receiver.heard.messages), len(receiver.heard.pings)
    sender.queue(b"".join(wires) + sender.framer.ping(b"all sent"))
    pair.exchange(until=lambda: len(receiver.heard.pings) > pings or receiver.heard.ended)
    return len(receiver.heard.messages) - before


def passing_texts(pair, texts: list[str], direction: str = "to_server") -> int:
    sender, _ = pair.ends(direction)
    return passing(pair, [sender.framer.text(text) for text in texts], direction)


def test_each_type_has_its_own_rate(opened):
    inspector, pair = opened(BY_TYPE)
    assert passing_texts(pair, [of_type("order")] * 6) == 2
    assert passing_texts(pair, [of_type("chat")] * 9) == 5
    # Its size is what type 7 is limited in, and as many messages as others.
    assert passing_texts(pair, [of_type(7)] * 6) == 3
    verdicts = inspector.wait_verdicts(4 + 4 + 3)
    assert {v["rule"] for v in verdicts} == {"rate-limit-1"}
    reasons = [v["reason"] for v in verdicts]
    assert reasons[:8] == ["more messages a second of this type than the limit"] * 8
    assert reasons[8:] == ["more bytes a second of this type than the limit"] * 3
    assert passing_texts(pair, [of_type("order")] * 5, "to_client") == 5, "the other direction has no limit"


def test_who_invents_types_gets_no_new_budgets(opened):
    _, pair = opened(BY_TYPE)
    invented = [of_type(f"invented-{number}") for number in range(200)]
    # Two types that are not named get five each, and all others five together.
    assert passing_texts(pair, [text for text in invented for _ in range(6)]) == 15
    for payload in ["no json", "{}", of_type(None), '{"type":"x","type":"y"}']:
        assert passing_texts(pair, [payload]) == 0, "what names no type is one of the others"
    assert passing_texts(pair, [of_type("order")] * 3) == 2


def test_memory_of_types_is_bounded(opened):
    inspector, pair = opened(BY_TYPE.replace("max-types 2", "max-types 1024"))
    assert passing_texts(pair, [of_type("warm-up")]) == 1
    before = inspector.rss_bytes()
    for turn in range(20):
        passing_texts(pair, [of_type(f"{turn}-{number}" + "x" * 100) for number in range(1000)])
    assert inspector.rss_bytes() - before < 8 << 20


def test_types_of_messagepack_and_protobuf(opened, tmp_path):
    (tmp_path / "trade.proto").write_text(
        'syntax = "proto3"; package trade; message Envelope { oneof body { string chat = 1; int32 order = 2; } }'
    )
    by_type = 'rate-limit { per "message-type"; %s; messages-per-second 1; burst 3; action "drop" }'
    _, pair = opened(by_type % 'format "msgpack"; discriminator "/type"')
    order, chat = (pair.client.framer.binary(msgpack.packb({"type": kind})) for kind in ("order", "chat"))
    assert passing(pair, [order] * 5 + [chat] * 5 + [pair.client.framer.binary(b"\xc1")] * 5) == 9
    validation = f"""validation {{ schema-type "protobuf"; schema-path "{tmp_path / "trade.proto"}" message="trade.Envelope" }}\n"""
    _, pair = opened(validation + by_type % 'discriminator oneof="body"')
    chat, order = pair.client.framer.binary(b"\x0a\x01x"), pair.client.framer.binary(b"\x10\x01")
    assert passing(pair, [order] * 5 + [chat] * 5 + [pair.client.framer.binary(b"")] * 5) == 9


def test_messages_cost_by_type_and_by_size(opened):
    cost = 'rate-limit { messages-per-second 1; burst 12; action "drop"; discriminator "/type"; type "search" cost=5; %s }'
    _, pair = opened(cost % "")
    assert passing_texts(pair, [of_type("search")] * 5) == 2
    assert passing_texts(pair, [of_type("other")] * 9) == 2
    _, pair = opened(cost % 'cost "size" bytes=100')
    assert passing_texts(pair, ["x" * 100] * 2 + ["x" * 1001] * 2) == 2, "one each, and eleven are too many"
    assert passing_texts(pair, ["x" * 901]) == 1
    assert passing_texts(pair, ["", ""]) == 0


def test_what_is_inflated_has_a_budget_of_its_own(opened):
    policy = """
    handshake { compression "inspect" }
    rate-limit { inflated-bytes-per-second 1; burst-inflated-bytes 50000; action "drop" }"""
    inspector, pair = opened(policy, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")

    def deflated(payload: bytes) -> bytes:
        deflate = zlib.compressobj(wbits=-15)
        wire = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
        return pair.client.framer.text(wire[:-4], rsv=RSV1)

    plain = pair.client.framer.text(b"p" * 200_000)
    assert passing(pair, [plain, deflated(b"x" * 40_000), deflated(b"x" * 10_001), plain, deflated(b"x" * 10_000)]) == 4
    [verdict] = inspector.wait_verdicts(1)
    assert (verdict["rule"], verdict["size"]) == ("rate-limit-1", 10_001)
    assert verdict["reason"] == "more inflated bytes a second than the limit"


def test_connections_of_a_client_share_a_bucket_on_all_shards(start, backend):
    """Connections on two shards, all sending at once; what passes is the burst, and one message more for each shard."""
    inspector = start(backend.port, agent_block(BY_CLIENT))
    pairs = [open_pair(inspector, backend) for _ in range(8)]

    def shards(records: list[dict]) -> set[str]:
        return {record["connection"].partition("-")[0] for record in records if record["event"] == "ws_open"}

    while len(shards(inspector.wait_audit(lambda all_: sum(r["event"] == "ws_open" for r in all_) >= len(pairs)))) < 2:
        assert len(pairs) < 50, "the kernel spreads connections"
        pairs.append(open_pair(inspector, backend))
    began = time.monotonic()
    passed = [0] * len(pairs)

    def send(number: int) -> None:
        passed[number] = passing_texts(pairs[number], ["x"] * 10)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(pairs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flowed = int(time.monotonic() - began) + 1
    assert 10 <= sum(passed) <= 10 + 2 + flowed, passed
    verdicts = inspector.wait_verdicts(10 * len(pairs) - sum(passed))
    assert {v["reason"] for v in verdicts} == {"more messages a second from this client than the limit"}
    for pair in pairs:
        pair.close()
    again = open_pair(inspector, backend)
    assert passing_texts(again, ["x"] * 10) <= 1 + int(time.monotonic() - began), "reconnecting resets nothing"
    again.close()


def test_clients_are_told_apart_as_hops_name_them(start, backend):
    inspector = start(backend.port, agent_block(BY_CLIENT), listener='trusted-proxies "127.0.0.0/8"')

    def passes(client: str, count: int) -> int:
        pair = open_pair(inspector, backend, f"X-Forwarded-For: {client}")
        passed = passing_texts(pair, ["x"] * count)
        pair.close()
        return passed

    assert passes("203.0.113.1", 8) == 8
    assert passes("203.0.113.1", 20) <= 2 + 3
    assert passes("203.0.113.2", 10) == 10
    assert passes("2001:db8::1", 8) == 8
    assert passes("2001:db8:0:0:ffff::2", 20) <= 2 + 3, "one network of 64 bits"
    assert passes("2001:db8:0:1::1", 10) == 10


def test_behind_a_proxy_the_client_is_the_one_that_it_names(start, backend, tmp_path):
    path = tmp_path / "agent.sock"
    policy = f'transport "unix_socket" {{ path "{path}" }}\n{BY_CLIENT.replace("burst 10", "burst 3")}'
    start(backend.port, agent_block(policy))
    wait_for_socket(path)
    proxy = Proxy(path)
    # All WebSockets of this proxy are of one client.
    verdicts = [followed.text(True, b"x") for followed in [proxy.open(), proxy.open()] for _ in range(4)]
    assert verdicts[:3] == ["allow"] * 3 and verdicts.count("drop") >= 4
    proxy.close()


def test_a_reload_keeps_buckets_of_clients_and_types(opened):
    policy = BY_CLIENT.replace("burst 10", "burst 6") + BY_TYPE.replace("burst 5", "burst 4")
    inspector, pair = opened(policy)
    assert passing_texts(pair, [of_type("a")] * 9) == 4
    reload(inspector, "max-types 2", "max-types 2; ")
    assert passing_texts(pair, [of_type("b")] * 9) <= 2 + 2, "of the client's six"
    assert passing_texts(pair, [of_type("a")] * 2) <= 1


def test_one_violation_too_many_closes_with_1008(opened):
    inspector, pair = opened('content-filter { block-patterns "bad"; action "drop" }\nviolations { max 3; within-s 3600 }')
    assert passing_texts(pair, ["good", "bad", "bad", "good", "bad"]) == 2
    pair.client.queue(pair.client.framer.text("bad"))
    assert pair.exchange()
    assert pair.client.heard.close_code == pair.server.heard.close_code == 1008
    *drops, last = inspector.verdicts_of(pair.client.local_address)
    assert [v["action"] for v in drops] == ["drop"] * 4
    assert (last["rule"], last["action"], last["code"], last["direction"]) == ("violations", "close", 1008, "to_server")
    assert last["reason"] == "more than 3 messages were dropped or alerted on within 3600 s"
    assert any('rule="violations"' in sample for sample in inspector.metrics())


def test_alerts_and_rates_count_and_the_server_has_a_budget_of_its_own(opened):
    policy = """
    content-filter { block-patterns "odd"; action "alert" }
    rate-limit { messages-per-second 1; burst 2; action "drop" }
    violations { max 4; within-s 3600 }"""
    inspector, pair = opened(policy)
    assert passing_texts(pair, ["odd"] * 4, "to_client") == 4
    assert passing_texts(pair, ["odd", "odd", "too", "much"]) == 2
    pair.client.queue(pair.client.framer.text("more"))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008
    assert inspector.verdicts_of(pair.client.local_address)[-1]["rule"] == "violations"


def test_detect_mode_tells_and_stops_nothing(opened):
    policy = BY_TYPE + "\n" + BY_CLIENT.replace("burst 10", "burst 3") + "\nviolations { max 2; within-s 3600 }"
    inspector, pair = opened(policy, mode="detect")
    assert passing_texts(pair, [of_type("order")] * 8) == 8
    rules = [v["rule"] for v in inspector.wait_verdicts(5)]
    assert "rate-limit-1" in rules and "violations" in rules


@pytest.mark.parametrize(
    "body, message",
    [
        ('rate-limit { messages-per-second 1\n per "message-type" }', "this `rate-limit` needs a `discriminator`"),
        ('rate-limit { per "client-ip"\n max-types 5; messages-per-second 1 }', "`max-types` has no meaning"),
        ('rate-limit { messages-per-second 1; discriminator "/t"\n type "a" cost=2 }', "would never pass"),
        ("violations {\n max 5000; within-s 60 }", "`max` is out of range"),
    ],
)
def test_mistakes_point_at_their_line(tmp_path, body, message):
    path = tmp_path / "c.kdl"
    path.write_text(f'agent "a" {{ type "websocket_inspector"\n{body}\n}}\n')
    result = run_binary("check", "-c", str(path))
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert message in output and "c.kdl:3:" in output, output
