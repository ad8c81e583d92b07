"""The policies of config/, each driven by a real client before a real server: a good conversation, and bad ones."""

import json
import shutil
import signal
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from support.inspector import binary, free_port, run_binary

CONFIG = Path(__file__).parents[4] / "config"
POLICIES = ("chat-moderation", "gaming", "trading", "iot", "api-gateway")


class Server:
    """Keeps what it hears, and says what it is told to: `answers` by message."""

    def __init__(self):
        self.heard, self.answers = [], {}
        self._server = serve(self._talk, "127.0.0.1", 0, subprotocols=["graphql-transport-ws"], select_subprotocol=self._select)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _select(connection, offered):
        return offered[0] if offered else None

    def _talk(self, connection):
        try:
            for message in connection:
                self.heard.append(message)
                if message in self.answers:
                    connection.send(self.answers[message])
        except ConnectionClosed:
            pass

    def wait(self, count: int) -> list:
        deadline = time.monotonic() + 5
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        return self.heard

    def close(self):
        self._server.shutdown()


@contextmanager
def running(name: str, folder: Path):
    """(url, server) of the policy, at free ports."""
    server = Server()
    shutil.copytree(CONFIG / "schemas", folder / "schemas")
    port, admin = free_port(), free_port()
    text = (CONFIG / f"{name}.kdl").read_text()
    for old, new in (("127.0.0.1:8080", f"127.0.0.1:{port}"), ("127.0.0.1:9001", f"127.0.0.1:{server.port}"), ("127.0.0.1:9600", f"127.0.0.1:{admin}")):
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.kdl"
    path.write_text(text)
    log = open(folder / "log", "wb")
    process = subprocess.Popen([binary(), "run", "-c", str(path)], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                connect(f"ws://127.0.0.1:{port}/ready", proxy=None, open_timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            except Exception:
                break
        yield f"ws://127.0.0.1:{port}", server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
        server.close()


def closes(url: str, *messages, code: int, **options) -> None:
    with connect(url, proxy=None, **options) as client:
        with pytest.raises(ConnectionClosed) as closed:
            for message in messages:
                client.send(message)
            while True:
                client.recv(timeout=5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == code, closed.value


def say(text: str, **more) -> str:
    return json.dumps({"type": "message", "text": text, **more})


@pytest.mark.parametrize("name", POLICIES)
def test_it_is_valid_as_it_stands(name):
    done = run_binary("check", "-c", str(CONFIG / f"{name}.kdl"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_slips_past_it(name):
    done = run_binary("selftest", "-c", str(CONFIG / f"{name}.kdl"), timeout=240)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_chat_moderation(tmp_path):
    with running("chat-moderation", tmp_path) as (url, server):
        with connect(url, proxy=None) as client:
            good = [json.dumps({"type": "join", "room": "lobby"}), say("hello"), json.dumps({"type": "typing"})]
            for message in good:
                client.send(message)
            assert server.wait(3) == good
            # Words are hidden, however they are spelled.
            server.heard.clear()
            client.send(say("what a blockhead"))
            client.send('{"type":"message","text":"you sc\\u006fundrels!"}')
            assert [json.loads(message)["text"] for message in server.wait(2)] == ["what a *********", "you **********!"]
            # Links are dropped, and the sender is told.
            server.heard.clear()
            client.send(say("come to discord.gg/abc"))
            assert "not allowed" in json.loads(client.recv(timeout=5))["text"]
            # Too fast is too much.
            server.heard.clear()
            for number in range(12):
                client.send(say(chr(ord("a") + number)))
            assert json.loads(client.recv(timeout=5))["text"] == "You write too fast."
            assert 1 <= len(server.wait(1)) < 12
        # The same twice is patience, a third time is not, however it is spelled; in another room it is something else.
        server.heard.clear()
        with connect(url, proxy=None) as client:
            same = [say("buy gold now"), say("BUY  gold, now!!! 42"), say("buyyy g\u043eld n\uff4fw"), say("b.u.y gold\u200b now 43")]
            for message in same:
                client.send(message)
            client.send(say("buy gold now", room="trade"))
            assert server.wait(3) == [*same[:2], say("buy gold now", room="trade")]
        # Of what the server says of its members, others hear no address, and a name in place of the account.
        for number in (1, 2):
            member = {"account": "ann@example.com", "ip": "192.0.2.7", "name": "Ann"}
            server.answers[say(f"hello {number}", room="lobby")] = json.dumps({"type": "message", "text": "hi", "member": member})
        with connect(url, proxy=None) as client:
            members = []
            for number in (1, 2):
                client.send(say(f"hello {number}", room="lobby"))
                members.append(json.loads(client.recv(timeout=5))["member"])
            assert members[0] == members[1] and members[0].keys() == {"account", "name"} and members[0]["name"] == "Ann"
            assert len(members[0]["account"]) == 32 and set(members[0]["account"]) <= set("0123456789abcdef")
        closes(url, json.dumps({"type": "shout", "text": "x"}), code=1007)
        closes(url, say("<script>alert(1)</script>"), code=1008)
        closes(url, *[say(str(number)) for number in range(40)], code=1008)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def action(sequence: int, body: bytes) -> bytes:
    return b"\x08" + varint(sequence) + body


def test_gaming(tmp_path):
    move = field(2, single(1, 0.5) + single(2, -1.0))
    fire = field(3, b"\x08\x02" + single(2, 90.0))
    talk = field(4, field(1, b"gg"))
    join, leave = field(5, field(1, b"ann")), field(6, b"")
    with running("gaming", tmp_path) as (url, server):
        with connect(url, proxy=None) as client:
            good = [action(1, talk), action(2, join), action(3, move), action(4, fire), action(5, talk)]
            for message in good:
                client.send(message)
            assert server.wait(5) == good
            # What was recorded and is played back is lost, and so is what comes with an older number.
            server.heard.clear()
            for message in (good[3], action(2, move), action(6, move)):
                client.send(message)
            assert server.wait(1) == [action(6, move)]
            # Twenty shots at once: eight pass, and moving is not held up by it.
            server.heard.clear()
            for number in range(20):
                client.send(action(10 + number, fire))
            client.send(action(50, move))
            heard = server.wait(8)
            assert heard[-1] == action(50, move)
            assert 5 <= len(heard) <= 12
        # Nobody acts who has not joined, or has left.
        server.heard.clear()
        closes(url, action(1, move), code=1008)
        closes(url, action(1, join), action(2, join), code=1008)
        closes(url, action(1, join), action(2, move), action(3, leave), action(4, talk), action(5, fire), code=1008)
        assert server.wait(5) == [action(1, join), action(1, join), action(2, move), action(3, leave), action(4, talk)]
        closes(url, action(1, field(5, field(1, b"a name"))), code=1007)
        closes(url, action(1, field(2, single(1, 7.0))), code=1007)
        closes(url, action(1, move) + b"\x7a\x00", code=1007)
        closes(url, b"\xff", code=1007)
        closes(url, "text", code=1007)


def order(**changes) -> str:
    fields = {"type": "order", "id": "a-1", "symbol": "AAPL", "side": "buy", "price": 190.5, "quantity": 10}
    return json.dumps({**fields, **changes})


def test_trading(tmp_path):
    with running("trading", tmp_path) as (url, server):
        server.answers[json.dumps({"type": "ping"})] = json.dumps({"type": "quote", "symbol": "AAPL", "bid": -1, "ask": 2})
        with connect(url, proxy=None) as client:
            good = [order(), json.dumps({"type": "cancel", "id": "a-1"}), order(symbol="EURUSD", price=1.1)]
            for message in good:
                client.send(message)
            assert server.wait(3) == good
            server.heard.clear()
            bad = [order(price=1), order(quantity=0), order(symbol="EURUSD", price=100), order(note="x"), '{"type":"withdraw"}', order(quantity=1.5)]
            for message in bad:
                client.send(message)
                assert json.loads(client.recv(timeout=5))["type"] == "reject"
            assert server.wait(1) == [], "none of them arrived, and the connection lives"
            # An order with a number that was used does not arrive; one that was refused has used none.
            server.heard.clear()
            sequence = [order(seq=1), order(seq=1), order(seq=2, quantity=0), order(seq=2), order(seq=1, id="a-2"), order(seq=4)]
            for message in sequence:
                client.send(message)
            assert json.loads(client.recv(timeout=5))["type"] == "reject"
            assert server.wait(3) == [sequence[0], sequence[3], sequence[5]]
            # Quotes of a symbol are numbered: one after a gap arrives, and is recorded; an older one does not arrive.
            for number, seq in enumerate((1, 2, 5, 4, 6)):
                ask = json.dumps({"type": "cancel", "id": f"q-{number}"})
                server.answers[ask] = json.dumps({"type": "quote", "symbol": "MSFT", "bid": 1, "ask": 2, "seq": seq})
                client.send(ask)
            assert [json.loads(client.recv(timeout=5))["seq"] for _ in range(4)] == [1, 2, 5, 6]
            # A quote that makes no sense is recorded, not withheld.
            client.send(json.dumps({"type": "ping"}))
            assert json.loads(client.recv(timeout=5))["bid"] == -1
            # A runaway program.
            server.heard.clear()
            for number in range(60):
                client.send(order(id=f"b-{number}"))
            assert json.loads(client.recv(timeout=5))["reason"] == "too many orders a second"
            assert 30 <= len(server.wait(30)) < 60
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    verdicts = [record for record in records if record["event"] == "verdict"]
    assert all(len(record["payload_sha256"]) == 64 for record in verdicts if record["action"] == "drop")
    assert {"validation-1", "validation-2"} <= {record["rule"] for record in verdicts}
    assert [record["action"] for record in verdicts if record["rule"] == "sequence-1"] == ["drop"] * 2
    assert [record["action"] for record in verdicts if record["rule"] == "sequence-2"] == ["alert", "drop"]
    assert run_binary("audit", "verify", str(tmp_path / "audit.jsonl")).returncode == 0


def test_iot(tmp_path):
    reading = {"kind": "reading", "device": "pump-001", "at": 1_764_000_000, "celsius": 21.5}
    good = [msgpack.packb(reading), msgpack.packb({"kind": "status", "device": "valve-101", "battery": 0.9})]
    with running("iot", tmp_path) as (base, server):
        url = base + "/telemetry"
        server.answers[good[1]] = msgpack.packb({"kind": "format-disk"})
        server.answers[good[0]] = msgpack.packb({"kind": "set-interval", "seconds": 60})
        with connect(url, proxy=None) as client:
            for message in good:
                client.send(message)
            assert server.wait(2) == good
            # Of the answers only the command that is known arrives.
            assert msgpack.unpackb(client.recv(timeout=5)) == {"kind": "set-interval", "seconds": 60}
            with pytest.raises(TimeoutError):
                client.recv(timeout=0.3)
        for changes in ({"device": "toaster"}, {"celsius": 900}, {"at": 0}, {"extra": 1}, {"kind": "debug"}):
            closes(url, msgpack.packb({**reading, **changes}), code=1007)
        closes(url, good[0][:-1], code=1007)
        closes(url, good[0] + b"\xc0", code=1007)
        closes(url, "text", code=1007)
        with pytest.raises(Exception):
            connect(base + "/other", proxy=None).close()


def call(method: str, params=None, number: int = 1) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}})


def test_api_gateway(tmp_path):
    with running("api-gateway", tmp_path) as (base, server):
        listing = call("orders.list", {"page": 1})
        server.answers[listing] = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"card": "4111 1111 1111 1111", "total": 12}})
        with connect(base + "/rpc", proxy=None) as client:
            client.send(listing)
            assert json.loads(client.recv(timeout=5))["result"] == {"card": "*******************", "total": 12}
            client.send(call("orders.get", {"id": "A-17"}))
            assert len(server.wait(2)) == 2
            server.heard.clear()
            bad = [
                call("system.exec"), call("orders.get", {"id": "x' or 1"}), call("orders.list", {"size": 100_000}),
                "[" + listing + "]", listing.replace("2.0", "1.0"),
            ]  # fmt: skip
            for message in bad:
                client.send(message)
                assert json.loads(client.recv(timeout=5))["error"]["code"] == -32600, message
            assert server.wait(1) == []
            for _ in range(12):
                client.send(call("orders.list"))
            assert json.loads(client.recv(timeout=5))["error"]["code"] == -32029
        server.heard.clear()
        graphql = {"subprotocols": ["graphql-transport-ws"]}
        subscribe = {"id": "1", "type": "subscribe", "payload": {"operationName": "Orders", "query": "query Orders { orders { id } }"}}
        with connect(base + "/graphql", proxy=None, **graphql) as client:
            assert client.subprotocol == "graphql-transport-ws"
            good = ['{"type":"connection_init"}', json.dumps(subscribe), '{"type":"complete","id":"1"}']
            for message in good:
                client.send(message)
            assert server.wait(3) == good
        other = {**subscribe, "payload": {**subscribe["payload"], "operationName": "DeleteEverything"}}
        closes(base + "/graphql", json.dumps(other), code=1007, **graphql)
        closes(base + "/graphql", '{"type":"sub"}', code=1007, **graphql)
        peek = {**subscribe, "payload": {**subscribe["payload"], "query": "query Orders { __schema { types { name } } }"}}
        closes(base + "/graphql", json.dumps(peek), code=1008, **graphql)


@pytest.mark.parametrize("name", POLICIES)
def test_its_recorded_conversation_is_judged(name):
    done = run_binary("replay", "-c", str(CONFIG / f"{name}.kdl"), str(CONFIG / "captures" / f"{name}.jsonl"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not read" not in done.stderr
