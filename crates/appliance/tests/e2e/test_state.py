"""Rules with a memory: sequences of numbers, the order of messages, and texts that are sent over and over."""

import json
import time

import msgpack
import pytest

from support.agent_client import Proxy, wait_for_socket
from support.inspector import agent_block, run_binary
from support.peers import open_pair
from support.wire import TEXT
from test_reload import reload

SEQUENCE = 'sequence { field "/seq"; key "/symbol"; step 1; on-gap "close"; on-repeat "drop" }'
ORDER = """
    order {
        discriminator "/type"
        state "connected" { on "login" to="waiting" direction="to-server" }
        state "waiting"   { on "welcome" to="open" direction="to-client"; on "denied" to="connected" direction="to-client" }
        state "open"      { on "chat"; on "move"; on "logout" to="connected" direction="to-server" }
        action "drop"
    }"""
DUPLICATE = 'duplicate { field "/text"; compare "similar"; within-ms 600000 }'
SECRET = "secret-of-the-payload"


@pytest.fixture
def opened(start, backend):
    """opened(policy, **settings) -> (inspector, pair)"""
    pairs = []

    def open_with(policy: str, **settings):
        inspector = start(backend.port, agent_block(policy, **settings))
        pairs.append(open_pair(inspector, backend))
        return inspector, pairs[-1]

    yield open_with
    for pair in pairs:
        pair.close()


def send(pair, *messages: dict, direction: str = "to_server") -> list[dict]:
    """Sends them in one write; gives those that arrive, before a ping that says that no more will."""
    sender, receiver = pair.ends(direction)
    before, pings = len(receiver.heard.messages), len(receiver.heard.pings)
    wires = [sender.framer.text(json.dumps(each)) for each in messages]
    sender.queue(b"".join(wires) + sender.framer.ping(b"all sent"))
    pair.exchange(until=lambda: len(receiver.heard.pings) > pings or receiver.heard.ended)
    return [json.loads(payload) for payload in receiver.heard.payloads[before:]]


def tick(symbol: str, seq, **more) -> dict:
    return {"symbol": symbol, "seq": seq} | more


def test_numbers_of_each_key_grow_by_one(opened):
    inspector, pair = opened(SEQUENCE)
    sent = [tick("A", 7), tick("B", 100), tick("A", 8), tick("A", 8), tick("B", 101), tick("A", 7), tick("A", 9), {"symbol": "A"}]
    assert send(pair, *sent) == [sent[at] for at in (0, 1, 2, 4, 6, 7)]
    assert send(pair, tick("A", 1), tick("A", 1), direction="to_client") == [tick("A", 1)] * 2, "to-server is the default"
    pair.client.queue(pair.client.framer.text(json.dumps(tick("A", 11, note=SECRET))))
    assert pair.exchange()
    assert pair.client.heard.close_code == pair.server.heard.close_code == 1008
    verdicts = inspector.verdicts_of(pair.client.local_address)
    assert [(v["rule"], v["action"]) for v in verdicts] == [("sequence-1", "drop")] * 2 + [("sequence-1", "close")]
    assert verdicts[0]["reason"] == '"/seq" is not beyond the number before it'
    assert verdicts[2]["reason"] == '"/seq" leaves a gap behind the number before it'
    assert SECRET not in json.dumps(inspector.audit())


def test_a_sequence_goes_on_in_fragments_and_not_on_another_connection(opened, backend):
    inspector, pair = opened(SEQUENCE)
    assert len(send(pair, tick("A", 1))) == 1
    text = json.dumps(tick("A", 2)).encode()
    pair.client.queue(pair.client.framer.fragments(TEXT, [text[:5], text[5:9], text[9:]]))
    assert send(pair, tick("A", 2), tick("A", 3))[-1] == tick("A", 3)
    assert len(pair.server.heard.messages) == 3
    other = open_pair(inspector, backend)
    assert len(send(other, tick("A", 1), tick("A", 2))) == 2
    other.close()


def test_messages_keep_to_their_order_in_both_directions(opened):
    inspector, pair = opened(ORDER)
    of = lambda kind, **more: {"type": kind} | more  # noqa: E731
    assert send(pair, of("chat"), of("login"), of("login"), of("chat"), of(SECRET), {}) == [of("login")]
    assert send(pair, of("chat"), of("denied"), direction="to_client") == [of("denied")]
    assert send(pair, of("move"), of("login")) == [of("login")]
    assert send(pair, of("welcome"), of("chat"), of("welcome"), direction="to_client") == [of("welcome"), of("chat")]
    assert send(pair, of("chat"), of("move"), of("logout"), of("chat")) == [of("chat"), of("move"), of("logout")]
    reasons = [v["reason"] for v in inspector.wait_verdicts(9)]
    assert reasons[0] == '"chat" may not come in the state "connected"'
    assert reasons.count('"/type" names no type that a state knows') == 2
    assert SECRET not in json.dumps(inspector.audit())


def test_the_order_closes_with_1008_where_it_says_so(opened):
    inspector, pair = opened(ORDER.replace('action "drop"', ""))
    pair.client.queue(pair.client.framer.text('{"type":"chat"}'))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008 and pair.server.heard.messages == []
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert (verdict["rule"], verdict["code"]) == ("order-1", 1008)


def test_texts_are_not_sent_over_and_over(opened):
    inspector, pair = opened(DUPLICATE)
    say = lambda text: {"text": text}  # noqa: E731
    sent = [say("Buy gold now"), say("BUY   GOLD, NOW!!!"), say("hello"), say("buuuy gold nooow"), say("Hello?"), {"other": 1}, {"other": 1}]
    assert send(pair, *sent) == [sent[at] for at in (0, 2, 5, 6)]
    assert [(v["rule"], v["action"]) for v in inspector.wait_verdicts(3)] == [("duplicate-1", "drop")] * 3
    others = [say(f"text number {word}") for word in "one two three four five six seven eight nine ten".split()]
    assert send(pair, *others, sent[0]) == [*others, sent[0]], "ten are remembered"


def test_a_repetition_may_come_after_its_time(opened):
    _, pair = opened(DUPLICATE.replace("600000", "300"))
    assert len(send(pair, {"text": "again"}, {"text": "again"})) == 1
    deadline = time.monotonic() + 8
    while not send(pair, {"text": "again"}):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_what_passes_is_remembered(opened, tmp_path):
    (tmp_path / "schema.json").write_text('{"properties": {"price": {"minimum": 1}}}')
    policy = f"""
    content-filter {{ block-patterns "forbidden"; action "drop" }}
    validation {{ schema-type "json"; schema-path "{tmp_path / "schema.json"}"; action "drop" }}
    rate-limit {{ messages-per-second 1000; bytes-per-second 1; burst-bytes 500; action "drop" }}
    {SEQUENCE}
    {DUPLICATE}"""
    _, pair = opened(policy)
    stopped = [tick("A", 2, text="forbidden"), tick("A", 2, price=0), tick("A", 2, text="x" * 600), tick("A", 1, text="b")]
    assert send(pair, tick("A", 1, text="a"), *stopped) == [tick("A", 1, text="a")]
    assert send(pair, tick("A", 2, text="A"), tick("A", 2, text="b")) == [tick("A", 2, text="b")]


def test_detect_mode_tells_stops_nothing_and_goes_on(opened):
    inspector, pair = opened(f"{SEQUENCE}\n{ORDER}\n{DUPLICATE}", mode="detect")
    of = lambda seq, kind, text: {"symbol": "A", "seq": seq, "type": kind, "text": text}  # noqa: E731
    sent = [of(1, "login", "a"), of(5, "chat", "a"), of(6, "chat", "b"), of(6, "x", "c"), of(7, "x", "d")]
    assert send(pair, *sent) == sent
    rules = [v["rule"] for v in inspector.wait_verdicts(7)]
    assert rules == ["sequence-1", "order-1", "duplicate-1", "order-1", "sequence-1", "order-1", "order-1"]


def test_what_cannot_be_read_breaks_the_rule(opened):
    inspector, pair = opened(SEQUENCE)
    pair.client.queue(pair.client.framer.text('{"symbol":"A","seq":1,"seq":2}'))
    assert pair.exchange()
    assert pair.client.heard.close_code == 1008
    [verdict] = inspector.verdicts_of(pair.client.local_address)
    assert verdict["rule"] == "sequence-1" and "same member name twice" in verdict["reason"]


def test_binary_formats(opened, tmp_path):
    (tmp_path / "feed.proto").write_text(
        'syntax = "proto3"; package feed; message Tick { uint64 seq = 1; string symbol = 2; oneof body { int32 bid = 3; int32 halt = 4; } }'
    )
    _, pair = opened(SEQUENCE.replace("sequence {", 'sequence { format "msgpack";'))
    wires = [pair.client.framer.binary(msgpack.packb(tick("A", seq))) for seq in (1, 1, 2)]
    pair.client.queue(b"".join(wires) + pair.client.framer.text("untouched"))
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 3 or pair.server.heard.ended)
    assert pair.server.heard.payloads[-1] == b"untouched" and len(pair.server.heard.messages) == 3
    policy = f"""
    validation {{ schema-type "protobuf"; schema-path "{tmp_path / "feed.proto"}" message="feed.Tick" }}
    {SEQUENCE}
    order {{
        discriminator oneof="body"; key "/symbol"; action "drop"
        state "trading" {{ on "bid"; on "halt" to="halted" }}
        state "halted" {{ on "halt" }}
    }}"""
    _, pair = opened(policy)
    ticks = [b"\x08\x01\x12\x01A\x18\x05", b"\x08\x01\x12\x01B\x18\x05", b"\x08\x02\x12\x01A\x20\x01",
             b"\x08\x03\x12\x01A\x18\x05", b"\x08\x02\x12\x01B\x18\x05", b"\x08\x03\x12\x01A\x20\x00"]
    pair.client.queue(b"".join(map(pair.client.framer.binary, ticks)) + pair.client.framer.ping(b""))
    pair.exchange(until=lambda: pair.server.heard.pings or pair.server.heard.ended)
    assert pair.server.heard.payloads == [ticks[at] for at in (0, 1, 2, 4, 5)], "no bid for A while it is halted"


def test_behind_a_proxy(start, backend, tmp_path):
    path = tmp_path / "agent.sock"
    start(backend.port, agent_block(f'transport "unix_socket" {{ path "{path}" }}\n{SEQUENCE}\n{ORDER}'))
    wait_for_socket(path)
    proxy = Proxy(path)
    followed = proxy.open()
    of = lambda kind, seq: json.dumps({"type": kind, "symbol": "A", "seq": seq}).encode()  # noqa: E731
    assert followed.text(True, of("chat", 1)) == "drop"
    assert followed.text(True, of("login", 1)) == "allow"
    assert followed.text(False, of("welcome", 9)) == "allow"
    assert followed.text(True, of("chat", 1)) == "drop"
    assert followed.text(True, of("chat", 2)) == "allow"
    assert followed.end_of(True, followed.text(True, of("chat", 4))) == 1008
    proxy.close()


def test_a_reload_keeps_what_is_remembered(opened):
    inspector, pair = opened(SEQUENCE + "\n" + DUPLICATE)
    assert len(send(pair, tick("A", 1, text="a"))) == 1
    reload(inspector, "within-ms 600000", "within-ms 500000")
    assert send(pair, tick("A", 1), tick("A", 2, text="a"), tick("A", 3, text="a")) == [tick("A", 2, text="a")]


def test_memory_of_keys_is_bounded(opened):
    inspector, pair = opened(SEQUENCE + "\n" + ORDER.replace("order {", 'order { key "/symbol"; direction "to-client"'))
    send(pair, tick("warm-up", 1))
    before = inspector.rss_bytes()
    for turn in range(20):
        assert len(send(pair, *[tick(f"{turn}-{number}" + "k" * 100, 1) for number in range(1000)])) == 1000
    assert inspector.rss_bytes() - before < 8 << 20


@pytest.mark.parametrize(
    "body, message",
    [
        ('sequence {\n field "seq" }', "is not the place of a field"),
        ('order { discriminator "/t"; state "a" {\n on "x" to="b" } }', 'this `order` has no state "b"'),
        ('duplicate {\n max-repeats 5000 }', "`max-repeats` is out of range"),
    ],
)
def test_mistakes_point_at_their_line(tmp_path, body, message):
    path = tmp_path / "c.kdl"
    path.write_text(f'agent "a" {{ type "websocket_inspector"\n{body}\n}}\n')
    result = run_binary("check", "-c", str(path))
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert message in output and "c.kdl:3:" in output, output


def test_a_field_that_the_type_lacks_is_a_mistake_with_its_line(tmp_path):
    (tmp_path / "feed.proto").write_text('syntax = "proto3"; package feed; message Tick { uint64 seq = 1; }')
    path = tmp_path / "c.kdl"
    path.write_text(
        f"""agent "a" {{ type "websocket_inspector"
        validation {{ schema-type "protobuf"; schema-path "{tmp_path / "feed.proto"}" message="feed.Tick" }}
        sequence {{ field "/seq"
            key "/symbol" }} }}"""
    )
    result = run_binary("check", "-c", str(path))
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert 'feed.Tick has no field "symbol"; it has seq' in output and "c.kdl:4:" in output, output
