"""What is done to a message rather than to its connection, and what its sender is told."""

import hmac
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from support.backends import LibraryBackend, library_pair
from support.inspector import agent_block, run_binary
from support.oracle import BOTH_DIRECTIONS
from support.peers import open_pair
from support.wire import TEXT

REPLY = json.dumps({"error": "blocked", "because": "this route does not allow such messages, such messages or such"})
QUOTED = REPLY.replace('"', '\\"')


@pytest.fixture(scope="module")
def library_backend():
    backend = LibraryBackend()
    yield backend
    backend.close()


def ends(client, server, direction):
    return (client, server) if direction == "to_server" else (server, client)


def wait_for(condition, timeout: float = 5) -> bool:
    """Counters are published a little later."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def samples(inspector, name: str, **labels: str) -> float:
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    own = (each for each in inspector.metrics().items() if each[0].startswith(name + "{"))
    return sum(value for key, value in own if all(label in key for label in wanted))


# Answers to dropped messages.


@pytest.fixture(scope="module")
def answering(start_once, library_backend, tmp_path_factory):
    schema = tmp_path_factory.mktemp("schema") / "schema.json"
    schema.write_text(json.dumps({"properties": {"forbidden": False}}))
    policy = f"""
    handshake {{ compression "inspect" }}
    limits {{ max-message-size "4MiB" }}
    content-filter {{ block-patterns "attack"; action "drop"; reply "{QUOTED}" }}
    validation {{ schema-type "json"; schema-path "{schema}"; action "drop"; reply "not like this" }}
    rate-limit {{ messages-per-second 1; burst 5; direction "to-client"; action "drop"; reply "slower" }}
    """
    return start_once(library_backend.port, agent_block(policy))


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_the_sender_of_a_dropped_message_is_told(answering, library_backend, direction, compression):
    with library_pair(answering, library_backend, compression=compression) as pair:
        sender, receiver = ends(*pair, direction)
        for message in ('["attack"]', '{"forbidden": 1}', '["fine"]'):
            sender.send(message)
        assert receiver.recv(timeout=5) == '["fine"]'
        assert [sender.recv(timeout=5) for _ in range(2)] == [REPLY, "not like this"]
        receiver.send('["and back"]')
        assert sender.recv(timeout=5) == '["and back"]'


def test_a_rate_limit_answers_too(answering, library_backend):
    with library_pair(answering, library_backend) as (client, server):
        for number in range(8):
            server.send(str(number))
        assert [client.recv(timeout=5) for _ in range(5)] == list("01234")
        assert {server.recv(timeout=5) for _ in range(2)} == {"slower"}


def test_answers_and_messages_share_a_window_of_compression(answering, library_backend):
    """Each message of the server's refers back to those before it, answers of ours among them."""
    offer = [ClientPerMessageDeflateFactory(client_max_window_bits=True)]
    with library_pair(answering, library_backend, extensions=offer, compression=None) as (client, server):
        expected = []
        for number in range(4):
            client.send(f'["attack {number}"]')
            client.send(f'["{number}"]')
            assert json.loads(server.recv(timeout=5)) == [str(number)]
            server.send(REPLY.replace("blocked", f"not blocked {number}"))
            expected += [REPLY, REPLY.replace("blocked", f"not blocked {number}")]
        assert [client.recv(timeout=5) for _ in expected] == expected


def test_an_answer_waits_for_a_message_that_leaves_in_parts(start, backend):
    """RFC 6455 section 5.4: the fragments of one message must not be interleaved with those of another."""
    policy = """
    limits { max-message-size "16MiB"; max-held-size "100KiB" }
    content-filter { block-patterns "attack"; direction "to-server"; action "drop"; reply "told" }
    """
    inspector = start(backend.port, agent_block(policy))
    pair = open_pair(inspector, backend)
    large = b"x" * 2_000_000
    wire = pair.server.framer.text(large)
    pair.server.queue(wire[:1_000_000])
    assert pair.exchange(until=lambda: pair.client.open_message), "it leaves in parts"
    pair.client.queue(pair.client.framer.text("attack") + pair.client.framer.text("fine"))
    assert pair.exchange(until=lambda: pair.server.heard.messages)
    pair.server.queue(wire[1_000_000:])
    # A peer of these tests refuses a message within a message.
    assert pair.exchange(until=lambda: len(pair.client.heard.messages) == 2)
    assert pair.client.heard.messages == [(TEXT, large), (TEXT, b"told")]
    assert pair.server.heard.messages == [(TEXT, b"fine")]
    pair.close()


def test_a_sender_that_takes_no_answers_gets_no_more_of_them_and_its_messages_pass(start, backend):
    policy = """
    limits { write-timeout-ms 60000 }
    content-filter { block-patterns "attack"; action "drop"; reply "%s" }
    """
    inspector = start(backend.port, agent_block(policy % ("x" * 4096), events=("ws_close",)))
    pair = open_pair(inspector, backend)
    pair.client.reads = False
    before = inspector.rss_bytes()
    pair.client.queue(pair.client.framer.text("attack") * 100_000 + pair.client.framer.text("fine"))
    assert pair.exchange(until=lambda: pair.server.heard.messages, timeout=60)
    assert pair.server.heard.messages == [(TEXT, b"fine")]
    assert inspector.rss_bytes() - before < 32 << 20
    # 400 MB of answers, and a socket takes a few.
    inspector.wait_verdicts(100_000)
    assert samples(inspector, "wsi_replies_total", outcome="omitted") > 50_000
    pair.client.reads = True
    sent = samples(inspector, "wsi_replies_total", outcome="sent")
    assert pair.exchange(until=lambda: len(pair.client.heard.messages) >= sent)
    pair.client.queue(pair.client.framer.text("attack"))
    count = len(pair.client.heard.messages)
    assert pair.exchange(until=lambda: len(pair.client.heard.messages) > count), "it goes on"
    assert set(pair.client.heard.payloads) == {b"x" * 4096}
    pair.close()


def test_detect_mode_answers_nothing(start, library_backend):
    policy = 'content-filter { block-patterns "attack"; action "drop"; reply "told" }'
    inspector = start(library_backend.port, agent_block(policy, mode="detect"))
    with library_pair(inspector, library_backend) as (client, server):
        client.send("attack")
        assert server.recv(timeout=5) == "attack"
        server.send("back")
        assert client.recv(timeout=5) == "back"


def test_check_warns_where_nothing_could_be_sent(tmp_path):
    path = tmp_path / "policy.kdl"
    path.write_text(
        """
agent "a" {
    type "websocket_inspector"
    transport "unix_socket" { path "a.sock" }
    content-filter { rules "xss"; action "drop"; reply "told" }
}
"""
    )
    done = run_binary("check", "-c", str(path))
    assert done.returncode == 0
    assert "policy.kdl:5:" in done.stderr and "behind a Sentinel proxy" in done.stderr


# Redaction.

CARD = "4111111111111111"
NUMBERS = ", ".join(map(str, range(20_000)))
REDACTING = """
    handshake { compression "inspect" }
    limits { max-message-size "4MiB" }
    content-filter { block-patterns "/\\\\b\\\\d{16}\\\\b/" "secret"; action "redact"; reply "it could not be hidden" }
    content-filter { block-patterns "attack" }
"""


@pytest.fixture(scope="module")
def redacting(start_once, library_backend):
    return start_once(library_backend.port, agent_block(REDACTING))


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_secrets_are_hidden_and_all_else_arrives_as_it_was(redacting, library_backend, direction, compression):
    with library_pair(redacting, library_backend, compression=compression) as pair:
        sender, receiver = ends(*pair, direction)
        for sent, expected in [
            (f"pay with {CARD}, please", f"pay with {'*' * 16}, please"),
            (json.dumps({"card": CARD, "note": "é 🦀 secret"}), json.dumps({"card": "*" * 16, "note": "é 🦀 ******"})),
            ('{ "a" : "se\\u0063ret\\n", "b":1.50 }', '{ "a" : "******\\n", "b":1.50 }'),
            ("a s%65cret in a URL", "a ******** in a URL"),
            ("nothing to hide", "nothing to hide"),
            (NUMBERS + "secret" + NUMBERS, NUMBERS + "******" + NUMBERS),
            (b"\x00\xffsecret\xfe", b"\x00\xff******\xfe"),
        ]:
            sender.send(sent)
            assert receiver.recv(timeout=5) == expected
        # In fragments.
        sender.send(["it is a se", "cret", ", and ", "on"])
        assert receiver.recv(timeout=5) == "it is a ******, and on"
        # The connection is as good as before.
        receiver.send("back")
        assert sender.recv(timeout=5) == "back"


def test_the_record_says_what_was_done_and_keeps_nothing_of_it(start, library_backend):
    inspector = start(library_backend.port, agent_block(REDACTING))
    with library_pair(inspector, library_backend) as (client, server):
        client.send("my secret and another secret")
        assert server.recv(timeout=5) == "my ****** and another ******"
    [record] = inspector.wait_verdicts(1)
    assert (record["action"], record["rule"]) == ("redact", "content-filter-1/block-patterns-2")
    assert (record["direction"], record["opcode"], record["size"]) == ("to_server", "text", 28)
    assert "2 places" in record["reason"]
    assert "secret" not in inspector.audit_path.read_text()
    assert wait_for(lambda: samples(inspector, "wsi_redactions_total", outcome="redacted") == 1)


@pytest.mark.parametrize("payload", ["hash", "redacted"])
def test_no_kind_of_record_keeps_a_hash_or_an_excerpt(start, library_backend, payload):
    inspector = start(library_backend.port, agent_block(REDACTING), audit=f'payload "{payload}"')
    with library_pair(inspector, library_backend) as (client, server):
        client.send("my secret")
        assert server.recv(timeout=5) == "my ******"
        client.send(json.dumps({"card": int(CARD)}))
        assert client.recv(timeout=5) == "it could not be hidden"
        client.send("attack")
    records = inspector.wait_verdicts(3)
    assert [record["action"] for record in records] == ["redact", "drop", "close"]
    kept = [bool({"payload_sha256", "excerpt"} & set(record)) for record in records]
    assert kept == [False, False, True]


def test_what_can_not_be_redacted_is_dropped_and_its_sender_told(redacting, library_backend):
    with library_pair(redacting, library_backend) as (client, server):
        client.send(json.dumps({"card": int(CARD)}))
        assert client.recv(timeout=5) == "it could not be hidden"
        client.send("fine")
        assert server.recv(timeout=5) == "fine"
    assert wait_for(lambda: samples(redacting, "wsi_redactions_total", outcome="failed") >= 1)


@pytest.mark.parametrize("direction", BOTH_DIRECTIONS)
def test_control_frames_are_redacted_in_place(start, backend, direction):
    inspector = start(backend.port, agent_block(REDACTING))
    pair = open_pair(inspector, backend)
    sender, receiver = pair.ends(direction)
    framer = sender.framer
    sender.queue(framer.ping(b"\x00 secret") + framer.pong("é secret".encode()) + framer.close(4000, b"my secret"))
    receiver.answers_close = False
    assert pair.exchange(until=lambda: receiver.heard.close is not None)
    assert (receiver.heard.pings, receiver.heard.pongs) == ([b"\x00 ******"], ["é ******".encode()])
    assert (receiver.heard.close_code, receiver.heard.close_reason) == (4000, b"my ******")
    assert [record["action"] for record in inspector.wait_verdicts(3)] == ["redact"] * 3
    pair.close()


def test_the_rest_of_the_policy_holds(redacting, library_backend):
    with library_pair(redacting, library_backend) as (client, server):
        client.send("a secret attack")
        with pytest.raises(Exception) as closed:
            client.recv(timeout=5)
        assert closed.value.rcvd.code == 1008
        with pytest.raises(Exception):
            server.recv(timeout=5)


@pytest.mark.parametrize("mode", ["enforce", "detect"])
def test_large_messages_are_held_whole_where_something_is_redacted(start, library_backend, mode):
    policy = """
    limits { max-message-size "16MiB"; max-held-size "100KiB" }
    content-filter { block-patterns "secret"; action "redact" }
    """
    inspector = start(library_backend.port, agent_block(policy, mode=mode))
    with library_pair(inspector, library_backend) as (client, server):
        large = "x" * 1_000_000 + "%s" + "y" * 1_000_000
        client.send(large % "secret")
        assert server.recv(timeout=10) == large % ("******" if mode == "enforce" else "secret")
    [record] = inspector.wait_verdicts(1)
    assert (record["action"], record["mode"]) == ("redact", mode)


def test_built_in_rules_redact_too(start, library_backend):
    policy = 'content-filter { rules "xss" "sqli" "command-injection"; action "redact"; redact-with "[removed]" }'
    inspector = start(library_backend.port, agent_block(policy))
    with library_pair(inspector, library_backend) as (client, server):
        for attack in ["<script>alert(1)</script>", "1 UNION SELECT password FROM users--", "; cat /etc/passwd"]:
            client.send(f"hello {attack} and so on")
            arrived = server.recv(timeout=5)
            assert attack not in arrived and "[removed]" in arrived
            assert arrived.startswith("hello ") and arrived.endswith("and so on"), arrived
            client.send(json.dumps({"text": attack, "n": 7}))
            arrived = json.loads(server.recv(timeout=5))
            assert arrived["n"] == 7 and "[removed]" in arrived["text"], arrived


def test_what_would_match_again_is_refused_at_the_start(tmp_path):
    path = tmp_path / "policy.kdl"
    path.write_text(agent_block('content-filter { block-patterns "fine" "/x+/"; action "redact"; redact-with "axe" }'))
    done = run_binary("check", "-c", str(path))
    assert done.returncode == 1
    assert "policy.kdl:8:40" in done.stderr and "choose another `redact-with`" in done.stderr, done.stderr


# Rewriting.

KEY = b"a key of 16 bytes or more"


def hashed(text: str) -> str:
    return hmac.new(KEY, text.encode(), "sha256").hexdigest()[:32]


PROTO = """
syntax = "proto3";
package trade;
message Order { string id = 1; User user = 2; repeated Line lines = 3; }
message User { string email = 1; bytes token = 2; int32 age = 3; }
message Line { string item = 1; double price = 2; }
"""


@pytest.fixture(scope="module")
def rewriting(start_once, library_backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewrite")
    (folder / "key").write_bytes(KEY + b"\n")
    (folder / "order.proto").write_text(PROTO)
    proto = f'schema-type "protobuf"; schema-path "{folder}/order.proto" message="trade.Order"'
    policy = f"""
    handshake {{ compression "inspect" }}
    rewrite {{ at "/user/email"; hash key-file="{folder}/key"; direction "to-server" }}
    rewrite {{ at "/user/card"; mask keep-last=4; direction "to-server" }}
    rewrite {{ at "/debug"; remove; direction "to-server" }}
    rewrite {{ at "/items/*/price"; set 0; direction "to-server" }}
    rewrite {{ at "/user/email"; mask; direction "to-client"; {proto} }}
    rewrite {{ at "/lines/*/item"; hash key-file="{folder}/key"; direction "to-client"; {proto} }}
    rewrite {{ at "/user/token"; remove; direction "to-client"; {proto} }}
    rewrite {{ at "/secret"; mask; schema-type "msgpack"; direction "to-server" }}
    content-filter {{ block-patterns "attack" }}
    """
    return start_once(library_backend.port, agent_block(policy))


@pytest.mark.parametrize("compression", ["deflate", None])
def test_places_of_documents_are_changed_and_nothing_else_is(rewriting, library_backend, compression):
    sent = '{ "user" : {"email":"ann@example.com", "card": "4111 1111 1111 1111"} ,"debug":[1,{"x":"}"}], "n":1.50, "items":[ {"price":3.5}, {"price": 1} ] }'
    expected = sent.replace("ann@example.com", hashed("ann@example.com")).replace("4111 1111 1111 1111", "*" * 15 + "1111")
    expected = expected.replace('"debug":[1,{"x":"}"}], ', "").replace("3.5", "0").replace('"price": 1', '"price": 0')
    with library_pair(rewriting, library_backend, compression=compression) as (client, server):
        client.send(sent)
        assert server.recv(timeout=5) == expected
        client.send([sent[:30], sent[30:31], sent[31:]])
        assert server.recv(timeout=5) == expected
        client.send('{"user":{}}')
        assert server.recv(timeout=5) == '{"user":{}}'
        # The other direction has rules of its own.
        server.send(sent)
        assert client.recv(timeout=5) == sent


def test_binary_messages_are_rewritten_with_their_lengths(rewriting, library_backend):
    def field(number: int, payload: bytes) -> bytes:
        assert len(payload) < 128
        return bytes([number << 3 | 2, len(payload)]) + payload

    def order(email: bytes, token: bytes, items: list[bytes]) -> bytes:
        user = field(1, email) + token + b"\x18\x2a"
        return field(1, b"7") + field(2, user) + b"".join(field(3, field(1, item)) for item in items)

    with library_pair(rewriting, library_backend) as (client, server):
        server.send(order(b"ann@example.com", field(2, b"\xff\x00"), [b"shoes", b"a" * 60]))
        digests = [hashed("shoes").encode(), hashed("a" * 60).encode()]
        assert client.recv(timeout=5) == order(b"*" * 15, b"", digests)
        client.send(b"\x82\xa6secret\xa3abc\xa1n\x01")
        assert server.recv(timeout=5) == b"\x82\xa6secret\xa3***\xa1n\x01"


def test_what_can_not_be_rewritten_is_dropped_and_told(start, library_backend):
    inspector = start(library_backend.port, agent_block('rewrite { at "/a"; mask }'))
    with library_pair(inspector, library_backend) as (client, server):
        for message in ('{"a":1}', "no document", '{"a":"x","a":"y"}', '{"a":"fine"}'):
            client.send(message)
        assert server.recv(timeout=5) == '{"a":"****"}'
    records = inspector.wait_verdicts(3)
    assert [(record["action"], record["rule"]) for record in records] == [("drop", "rewrite-1")] * 3
    assert "holds no text but a number" in records[0]["reason"]
    assert wait_for(lambda: samples(inspector, "wsi_rewrites_total", outcome="rewritten") == 1)
    assert samples(inspector, "wsi_rewrites_total", outcome="failed") == 3


def test_detect_mode_rewrites_nothing(start, library_backend):
    inspector = start(library_backend.port, agent_block('rewrite { at "/a"; mask }', mode="detect"))
    with library_pair(inspector, library_backend) as (client, server):
        client.send('{"a":"x"}')
        assert server.recv(timeout=5) == '{"a":"x"}'


def test_a_place_that_the_type_does_not_have_is_shown_where_it_stands(tmp_path):
    (tmp_path / "order.proto").write_text(PROTO)
    path = tmp_path / "policy.kdl"
    proto = 'schema-type "protobuf"; schema-path "order.proto" message="trade.Order"'
    path.write_text(agent_block(f'rewrite {{ at "/user/mail"; mask; {proto} }}'))
    done = run_binary("check", "-c", str(path))
    assert done.returncode == 1
    assert "policy.kdl:8:14" in done.stderr and "it has email, token, age" in done.stderr, done.stderr


def test_another_implementation_on_both_ends(start):
    """Node's `ws`, with an echo server of its own, compressed."""
    node, here = shutil.which("node"), Path(__file__).parent
    assert node and (here / "node_modules" / "ws").exists(), "needs Node, and npm install beside package.json"
    server = subprocess.Popen([node, str(here / "node" / "server.js")], stdout=subprocess.PIPE, text=True)
    try:
        policy = """
        handshake { compression "inspect" }
        content-filter { block-patterns "secret"; action "redact"; direction "to-server" }
        content-filter { block-patterns "attack"; action "drop"; reply "{\\"error\\":\\"blocked\\"}" }
        rewrite { at "/user/email"; mask keep-last=4; direction "to-server" }
        """
        inspector = start(json.loads(server.stdout.readline())["port"], agent_block(policy))
        command = [node, str(here / "node" / "modify.js"), inspector.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        server.wait(5)
        server.stdout.close()
