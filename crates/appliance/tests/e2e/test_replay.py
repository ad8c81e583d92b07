"""`replay`: recorded traffic put to policies, offline: verdicts, differences, exit codes, mistakes."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from support.inspector import agent_block, run_binary
from support.oracle import GOOD
from support.packets import Pcap, Talk
from support.peers import Head, as_head, open_pair, switching_protocols, upgrade_lines
from support.wire import Framer

CONFIG = Path(__file__).resolve().parents[4] / "config"
CAPTURES = CONFIG / "captures"
DEMO = CONFIG / "demo.kdl"
FILTER = 'content-filter { block-patterns "block-this(" }'
RULE = "content-filter-1/block-patterns-1"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def agent(name: str, body: str) -> str:
    return f'agent "{name}" {{\n type "websocket_inspector"\n {body}\n}}\n'


@pytest.fixture
def write(tmp_path):
    """write(name, text or bytes) -> its path, as text."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def policy(write):
    """policy(body) -> the path of a configuration of that one policy."""
    return lambda body, name="policy.kdl": write(name, agent("only", body))


def replay(*arguments, code: int) -> str:
    done = run_binary("replay", *map(str, arguments), timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "panicked" not in done.stderr
    return done.stdout if code < 2 else done.stderr


def told(*arguments, code: int) -> list[dict]:
    return [json.loads(line) for line in replay("--json", *arguments, code=code).splitlines()]


def of_type(lines: list[dict], *types: str) -> list[dict]:
    return [line for line in lines if line["type"] in types]


def brief(lines: list[dict]) -> list[tuple]:
    return [(line["type"], line["verdict"], line.get("rule")) for line in of_type(lines, "upgrade", "message", "control")]


def lines_of(*messages, **first) -> str:
    """JSON lines of one connection; a message is (time_ms, direction, text)."""
    head = {"connection": "one", "opcode": "text"}
    lines = [{**head, "time_ms": ms, "direction": direction, "data": text} for ms, direction, text in messages]
    lines[0].update(first)
    return "\n".join(map(json.dumps, lines)) + "\n"


def har(*entries: dict) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def entry(url: str, *messages: tuple, headers: dict | None = None, status: int = 101) -> dict:
    """A message is (type, time, opcode, data)."""
    return {
        "_resourceType": "websocket",
        "_webSocketMessages": [dict(zip(("type", "time", "opcode", "data"), message)) for message in messages],
        "request": {"url": url, "headers": [{"name": k, "value": v} for k, v in (headers or {}).items()]},
        "response": {"status": status, "headers": []},
    }


# What is in the repository.


@pytest.mark.parametrize(
    "capture, stopped",
    [
        ("chat.pcap", [("to_server", 1007, "validation-1"), ("to_server", 1008, "content-filter-1/xss/script-element")]),
        ("chat.har", [("to_server", 1008, "content-filter-1/xss/script-element")]),
        ("chat.jsonl", [("to_server", 1008, "content-filter-1/sqli/stacked-whole-statement")]),
    ],
)
def test_the_captures_of_the_repository_under_the_demonstrations_policy(capture, stopped):
    lines = told("-c", DEMO, CAPTURES / capture, code=1)
    verdicts = of_type(lines, "upgrade", "message", "control")
    assert [(line["direction"], line["code"], line["rule"]) for line in verdicts] == stopped
    summary, traffic = of_type(lines, "summary")[0], of_type(lines, "traffic")[0]
    assert summary["closes"] == len(stopped) and summary["drops"] == summary["refused_upgrades"] == 0
    after = summary["not_relayed_to_server"] + summary["not_relayed_to_client"]
    assert summary["messages_inspected"] + after == traffic["messages_to_server"] + traffic["messages_to_client"]
    assert after == sum(line["not_relayed_to_server"] + line["not_relayed_to_client"] for line in of_type(lines, "connection"))
    assert after > 0 and summary["inspection_ns"] > 0
    # Nothing of a payload is told.
    assert "alert" not in json.dumps(verdicts) and "drop table" not in json.dumps(verdicts)

    text = replay("-c", DEMO, CAPTURES / capture, code=1)
    for direction, code, rule in stopped:
        assert re.search(rf"{direction} +text +\d+ B  close {code}  {rule}  ", text)
    assert f"closes{' ' * 26}{len(stopped)}\n" in text and "--go-on judges" in text


def test_what_passes_gives_exit_code_0(policy):
    permissive = policy("")
    captures = [CAPTURES / name for name in ("chat.pcap", "chat.har", "chat.jsonl")]
    assert of_type(told("-c", permissive, *captures, code=0), "upgrade", "message", "control") == []
    lines = told("-c", permissive, "--all", *captures, code=0)
    assert {line["verdict"] for line in of_type(lines, "upgrade", "message", "control")} == {"pass"}
    traffic = of_type(lines, "traffic")[0]
    assert len(of_type(lines, "message")) == traffic["messages_to_server"] + traffic["messages_to_client"] == 27
    assert (traffic["captures"], traffic["connections"]) == (3, 5) and len(of_type(lines, "upgrade")) == 5
    # The third message of the recorded chat came compressed, and the fourth in three fragments.
    sizes = [line["size"] for line in of_type(lines, "message") if line["direction"] == "to_server"]
    assert sizes[:4] == [36, 43, 511, 46]


def test_without_a_configuration_the_built_in_rule_sets_are_tried():
    lines = told(CAPTURES / "chat.har", code=1)
    assert of_type(lines, "summary")[0]["configuration"] == "built-in"
    assert of_type(lines, "message")[0]["rule"] == "content-filter-1/xss/script-element"


# Two configurations.


def test_two_configurations_show_what_differs(policy):
    before, after = policy(FILTER, "before.kdl"), policy('content-filter { block-patterns "hello"; action "drop" }', "after.kdl")
    assert of_type(told("-c", before, "-c", before, CAPTURES / "chat.jsonl", code=0), "message") == []

    lines = told("-c", before, "-c", after, CAPTURES / "chat.jsonl", code=1)
    rows = of_type(lines, "message")
    assert [(row["connection"], row["a"]["verdict"], row["b"]["verdict"], row["b"]["rule"]) for row in rows] == [
        ("alice", "pass", "drop", RULE),
        ("bob", "pass", "drop", RULE),
    ]
    assert [summary["drops"] for summary in of_type(lines, "summary")] == [0, 2]
    assert of_type(lines, "traffic")[0]["differences"] == 2

    text = replay("-c", before, "-c", after, CAPTURES / "chat.jsonl", code=1)
    assert re.search(rf"alice +\+0\.000s +to_server +text +\d+ B\n +A  pass\n +B  drop  {RULE}  ", text)
    assert re.search(r"\n  drops +0 +2\n", text) and re.search(rf"\n +- +2 / 0 +drop  {RULE}\n", text)
    everything = of_type(told("-c", before, "-c", after, "--all", CAPTURES / "chat.jsonl", code=1), "message")
    assert len(everything) == 6 and all({"a", "b"} <= row.keys() for row in everything)


def test_a_close_under_one_of_two_is_one_difference(policy, write):
    capture = write("chat.jsonl", lines_of((0, "to_server", "block-this("), (1, "to_server", "block-this("), (2, "to_client", "x")))
    lines = told("-c", policy("", "before.kdl"), "-c", policy(FILTER, "after.kdl"), capture, code=1)
    assert len(of_type(lines, "message")) == 1
    traffic, connection = of_type(lines, "traffic")[0], of_type(lines, "connection")[0]
    assert (traffic["differences"], traffic["not_compared"]) == (1, 2)
    assert (connection["a"]["not_relayed_to_server"], connection["b"]["not_relayed_to_server"]) == (0, 1)


def test_detecting_what_was_enforced_is_a_difference(policy):
    enforce, detect = policy(FILTER, "a.kdl"), policy(FILTER + '\nmode "detect"', "b.kdl")
    for capture, code in ((CAPTURES / "chat.har", 0), (CAPTURES / "bad.jsonl", 1)):
        if code == 1:
            capture = Path(enforce).parent / "bad.jsonl"
            capture.write_text(lines_of((0, "to_server", "block-this(")))
        rows = of_type(told("-c", enforce, "-c", detect, capture, code=code), "message")
        assert [(row["a"]["mode"], row["b"]["mode"]) for row in rows] == [("enforce", "detect")] * code


# What a policy does.


def test_actions_and_modes(policy, write):
    capture = write("chat.jsonl", lines_of((0, "to_server", "block-this("), (1, "to_client", "good")))
    drop = 'content-filter { block-patterns "block-this("; action "drop" }'
    alert = 'content-filter { block-patterns "block-this("; action "alert" }'
    for body, code, verdict, mode in [
        (FILTER, 1, "close", "enforce"),
        (drop, 1, "drop", "enforce"),
        (alert, 0, "alert", "enforce"),
        (FILTER + '\nmode "detect"', 1, "close", "detect"),
    ]:
        lines = told("-c", policy(body), capture, code=code)
        assert [(line["verdict"], line["mode"]) for line in of_type(lines, "message")] == [(verdict, mode)]
        late = of_type(lines, "connection")[0]["not_relayed_to_client"]
        assert late == (1 if (verdict, mode) == ("close", "enforce") else 0)
    assert re.search(r"close 1008 \(detect\)  content-filter", replay("-c", policy(FILTER + '\nmode "detect"'), capture, code=1))


def test_go_on_judges_what_came_after_a_close(policy, write):
    messages = [(0, "to_server", "block-this("), (1, "to_server", "good"), (2, "to_client", "block-this("), (3, "to_server", "x" * 200)]
    capture = write("chat.jsonl", lines_of(*messages))
    config = policy(FILTER + "\nlimits { max-message-size 100 }")
    assert len(of_type(told("-c", config, capture, code=1), "message")) == 1
    lines = told("-c", config, "--go-on", "--all", capture, code=1)
    assert brief(lines) == [
        ("message", "close", RULE),
        ("message", "pass", None),
        ("message", "close", RULE),
        ("message", "close", "limits/max-message-size"),
    ]
    # The policy enforces, whatever it takes to go on.
    assert {line["mode"] for line in of_type(lines, "message") if line["verdict"] == "close"} == {"enforce"}


def test_rates_act_in_the_time_of_the_capture(policy, write):
    rate = 'rate-limit { messages-per-second 2; burst 3; action "drop" }'
    capture = write("chat.jsonl", lines_of(*[(ms, "to_server", "x") for ms in (0, 0, 0, 100, 600, 700, 10_000)]))
    verdicts = [line["verdict"] for line in of_type(told("-c", policy(rate), "--all", capture, code=1), "message")]
    assert verdicts == ["pass", "pass", "pass", "drop", "pass", "drop", "pass"]
    idle = told("-c", policy("limits { idle-timeout-s 5 }"), capture, code=1)
    assert [(line["type"], line["rule"], line["time_ms"]) for line in idle if "rule" in line] == [
        ("silence", "limits/idle-timeout-s", 10_000)
    ]


# Routes and upgrades.

ROUTES = """
listener "edge" {{
    bind "127.0.0.1:{port}"
    route "/strict/*" upstream="backend" agent="strict" host="chat.example"
    route "/*" upstream="backend" agent="open" host="chat.example"
}}
upstream "backend" {{ server "127.0.0.1:9001" }}
"""


def routes(port: int = 8080) -> str:
    return ROUTES.format(port=port) + agent("strict", FILTER) + agent("open", "")


def test_the_route_chooses_the_policy(write):
    config = write("routes.kdl", routes())
    bad = ("send", 1_700_000_000.5, 1, "block-this(")
    capture = write(
        "chat.har",
        har(
            entry("wss://chat.example/strict/a?x=1", bad),
            entry("wss://chat.example/a", bad),
            entry("wss://CHAT.example:8443//strict/b", bad),
            entry("wss://other.example/strict/a", bad),
        ),
    )
    lines = told("-c", config, capture, code=1)
    assert [(line["policy"], line["opened"]) for line in of_type(lines, "connection")] == [
        ("strict", True),
        ("open", True),
        ("strict", True),
        (None, False),
    ]
    assert [(line["verdict"], line["rule"]) for line in of_type(lines, "upgrade")] == [("refuse", "handshake/route")]
    assert of_type(lines, "connection")[3]["not_relayed_to_server"] == 1

    lines = told("-c", config, "--policy", "strict", capture, code=1)
    assert [line["policy"] for line in of_type(lines, "connection")] == ["strict"] * 4
    error = replay("-c", config, "--policy", "strcit", capture, code=2)
    assert "strcit" in error and '"strict", "open"' in error


def test_a_listener_is_chosen_by_its_port(write):
    first = ROUTES.format(port=8080).replace('agent="open"', 'agent="strict"')
    second = 'listener "other" { bind "127.0.0.1:8081"; route "/*" upstream="backend" agent="open" }\n'
    config = write("ports.kdl", first + second + agent("strict", FILTER) + agent("open", ""))
    chosen = {}
    for port in (8080, 8081, 9999):
        text = lines_of((0, "to_server", "x"), url=f"ws://chat.example:{port}/a")
        lines = told("-c", config, write("chat.jsonl", text), code=0)
        chosen[port] = of_type(lines, "connection")[0]["policy"]
    assert chosen == {8080: "strict", 8081: "open", 9999: "strict"}


def test_several_policies_need_a_route_or_a_name(write, policy):
    capture = write("chat.jsonl", lines_of((0, "to_server", "block-this(")))
    error = replay("-c", write("routes.kdl", routes()), capture, code=2)
    assert "chat.jsonl:1" in error and "--policy" in error
    error = replay("-c", write("two.kdl", agent("a", "") + agent("b", "")), capture, code=2)
    assert "no listener" in error and '--policy one of "a", "b"' in error
    told("-c", policy(FILTER), capture, code=1)


@pytest.mark.parametrize("capture", ("chat.pcap", "chat.har", "chat.jsonl"))
def test_an_upgrade_is_judged_too(policy, capture):
    config = policy('handshake { allow-origins "https://elsewhere.example" }')
    lines = told("-c", config, CAPTURES / capture, code=1)
    refused = of_type(lines, "upgrade")
    connections = of_type(lines, "connection")
    assert [(line["verdict"], line["code"], line["rule"]) for line in refused] == [
        ("refuse", 403, "handshake/allow-origins")
    ] * len(connections)
    assert not any(line["opened"] for line in connections) and of_type(lines, "message") == []
    assert of_type(lines, "summary")[0]["messages_inspected"] == 0
    assert "the upgrade that was refused" in replay("-c", config, CAPTURES / capture, code=1)
    # Then everything that came is judged all the same.
    lines = told("-c", config, "--go-on", CAPTURES / capture, code=1)
    assert len(of_type(lines, "upgrade")) == len(connections) and of_type(lines, "summary")[0]["messages_inspected"] > 0


def test_compression_that_was_recorded(policy):
    refusing = policy('handshake { compression "refuse" }')
    for capture in ("chat.pcap", "chat.har"):
        rules = {line["rule"] for line in of_type(told("-c", refusing, CAPTURES / capture, code=1), "upgrade")}
        assert rules == {"handshake/compression"}
    # Whether the policy strips or inspects, the recorded messages are read as they were agreed on.
    for how in ("strip", "inspect"):
        config = policy(f'handshake {{ compression "{how}" }}\ncontent-filter {{ block-patterns "in three pieces" }}')
        lines = told("-c", config, CAPTURES / "chat.pcap", code=1)
        assert [(line["rule"], line["size"]) for line in of_type(lines, "message")] == [(RULE, 46)]


# As the inspector itself does it.


def connection_of(attack: dict, pcap: Pcap, number: int) -> Talk:
    client = ((10, 1, number >> 8, number & 255), 40_000)
    talk = Talk(pcap, client=client)
    extra = [OFFER] if attack["compressed"] else []
    request = as_head([*upgrade_lines(f"/{number}"), *extra])
    talk.say("to_server", request)
    talk.say("to_client", switching_protocols(Head.parse(request), *extra))
    return talk


def test_attacks_on_the_wire_end_as_selftest_says(policy, write):
    config = policy(
        'handshake { compression "inspect" }\ncontent-filter { block-patterns "block-this("; max-message-size "128KiB" }'
    )
    emitted = run_binary("selftest", "--emit", "-c", config, timeout=60).stdout.splitlines()
    attacks = [json.loads(line) for line in emitted]
    # Those that wait for half a minute, or for an end without a close, are about no message.
    attacks = [attack for attack in attacks if attack["after"] in ("pong", "silence")]
    pcap = Pcap()
    for number, attack in enumerate(attacks):
        talk = connection_of(attack, pcap, number)
        talk.say(attack["direction"], bytes.fromhex(attack["bytes"]))
        talk.end()
    lines = told("-c", config, "--all", write("attacks.pcap", pcap.bytes()), code=1)
    by_number = {}
    for line in of_type(lines, "message", "control"):
        by_number.setdefault(int(line["connection"].rsplit("/", 1)[1]), []).append(line)
    faults = []
    for number, attack in enumerate(attacks):
        told_of = by_number.get(number, [])
        stopped = [line for line in told_of if line["verdict"] not in ("pass", "not-relayed", "unfinished")]
        codes = [line["code"] for line in stopped]
        passed = [line for line in told_of if line["verdict"] == "pass" and line["opcode"] != "close"]
        right = (
            not stopped and len(passed) == len(attack["arrives"])
            if attack["expect"] == "passes"
            else len(codes) == 1 and codes[0] in (attack["codes"] or [1008])
        )
        if not right:
            faults.append(f"{attack['class']}, {attack['attacks']}, {attack['name']}: {told_of}")
    assert len(attacks) > 500 and not faults, f"{len(faults)} of {len(attacks)}:\n" + "\n".join(faults[:10])


def test_it_says_what_the_audit_of_a_running_inspector_says(start, backend, write):
    body = agent_block(FILTER + '\nrate-limit { messages-per-second 1; burst 3; direction "both" }')
    inspector = start(backend.port, body)
    streams = {
        "pattern": ("to_server", [GOOD, b"x block-this( y", GOOD]),
        "answer": ("to_client", [b"block-this("]),
        "flood": ("to_server", [GOOD] * 6),
        "utf-8": ("to_server", [b"\xff"]),
        "good": ("to_client", [GOOD, GOOD]),
    }
    pcap, audited = Pcap(), {}
    for number, (name, (direction, messages)) in enumerate(streams.items()):
        framer = Framer(masked=direction == "to_server")
        wire = b"".join(framer.text(message) for message in messages)
        pair = open_pair(inspector, backend)
        sender, _ = pair.ends(direction)
        sender.queue(wire + framer.close(1000))
        pair.exchange()
        address = pair.client.local_address
        pair.close()
        audited[name] = [
            (r["direction"], r["opcode"], r["size"], r["rule"], r["action"], r["code"], r["reason"])
            for r in inspector.verdicts_of(address)
        ]
        talk = connection_of({"compressed": False}, pcap, number)
        talk.say(direction, wire + framer.close(1000))
    lines = told("-c", inspector.config_path, write("streams.pcap", pcap.bytes()), code=1)
    replayed = {name: [] for name in streams}
    for line in of_type(lines, "message"):
        name = list(streams)[int(line["connection"].rsplit("/", 1)[1])]
        fields = ("direction", "opcode", "size", "rule", "verdict", "code", "detail")
        replayed[name].append(tuple(line[field] for field in fields))
    assert replayed == audited
    assert [len(verdicts) for verdicts in audited.values()] == [1, 1, 1, 1, 0]


# What can't be followed.


def test_gaps_and_encryption_are_said(policy, write):
    pcap = Pcap()
    tls = Talk(pcap, client=((10, 0, 0, 9), 50_000))
    tls.say("to_server", b"\x16\x03\x01\x00\x05hello")
    only_tls = write("tls.pcap", pcap.bytes())
    error = replay("-c", policy(FILTER), only_tls, code=2)
    assert "tls.pcap: no WebSocket was opened" in error and "1 TLS connections" in error and "export a HAR" in error

    talk = connection_of({"compressed": False}, pcap, 1)
    framer = Framer(masked=True)
    talk.say("to_server", framer.text("good"))
    talk._sequences["to_server"] += 10
    talk.say("to_server", framer.text("block-this("))
    lines = told("-c", policy(FILTER), write("gap.pcap", pcap.bytes()), code=1)
    assert of_type(lines, "message") == []
    assert of_type(lines, "connection")[0]["not_followed_to_server"].startswith("10 bytes are missing")
    assert of_type(lines, "traffic")[0]["connections_not_followed"] == 1
    assert "TLS" in of_type(lines, "note")[0]["text"]
    text = replay("-c", policy(FILTER), write("gap.pcap", pcap.bytes()), code=1)
    assert "to_server  could not follow: 10 bytes are missing" in text and "connections not followed" in text


# Mistakes.

GOOD_LINE = json.loads(lines_of((5, "to_server", "x")))


@pytest.mark.parametrize(
    "line, words",
    [
        ("{", "column"),
        ("[]", "column"),
        ({**GOOD_LINE, "directoin": 1}, "directoin"),
        ({**GOOD_LINE, "direction": "up"}, "to_server"),
        ({k: v for k, v in GOOD_LINE.items() if k != "opcode"}, "opcode"),
        ({**GOOD_LINE, "opcode": "continuation"}, "continuation"),
        ({**GOOD_LINE, "time_ms": -1}, "time_ms -1"),
        ({**GOOD_LINE, "time_ms": 1}, "goes back from 5 to 1"),
        ({k: v for k, v in GOOD_LINE.items() if k != "data"}, "neither data nor data_base64"),
        ({**GOOD_LINE, "data_base64": "AA=="}, "keep one"),
        ({**GOOD_LINE, "data": None, "data_base64": "A"}, "base64"),
        ({**GOOD_LINE, "code": 1000}, "belongs to a close"),
        ({**GOOD_LINE, "opcode": "close"}, '"code": 1000'),
        ({**GOOD_LINE, "opcode": "ping", "data": "x" * 126}, "125"),
        ({**GOOD_LINE, "url": "ws://a/"}, "first line"),
        ({**GOOD_LINE, "connection": "two", "url": "here"}, "wss://host/path"),
        ({**GOOD_LINE, "connection": "two", "origin": "https://a"}, "need a url"),
        ({**GOOD_LINE, "connection": "two", "client": "nobody"}, "IP address"),
        (b'{"connection": "\xff"}', "UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_in_json_lines_name_the_line(policy, write, line, words):
    line = line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
    capture = write("chat.jsonl", json.dumps(GOOD_LINE).encode() + b"\n\n" + line + b"\n")
    error = replay("-c", policy(""), capture, code=2)
    assert error.startswith(f"{capture}:3: ") and words in error


@pytest.mark.parametrize(
    "message, words",
    [
        (("send", 1, 2, "?"), "base64"),
        (("sent", 1, 1, "x"), '"send"'),
        (("send", 1, 0, "x"), "opcode 0"),
        (("send", "x", 1, "x"), "export"),
        (("send", 1, 1), "data"),
    ],
    ids=str,
)
def test_mistakes_in_a_har_name_the_entry(policy, write, message, words):
    page = {"request": "whatever", "response": None}
    good = ("receive", 1, 2, base64.b64encode(b"\0\xff").decode())
    capture = write("chat.har", har(page, entry("ws://a/", good), entry("ws://b/", good, message)))
    error = replay("-c", policy(""), capture, code=2)
    assert error.startswith(f"{capture}: log.entries[2]._webSocketMessages[1]: ") and words in error


def test_files_that_are_none(policy, write, tmp_path):
    config = policy("")
    archive = (CAPTURES / "chat.har").read_text()
    for name, content, words in [
        ("empty.har", b"", "is empty"),
        ("packed.har", gzip.compress(archive.encode()), "unpack it"),
        ("page.har", b"<html>", "neither HAR, JSON lines, pcap nor pcapng"),
        ("cut.har", archive[:3000].encode(), "EOF"),
        ("pages.har", har({"request": {"url": "https://a/"}}).encode(), "none of its 1 entries is a WebSocket"),
        ("log.har", b'{"log": 1}', "entries"),
        ("spaces.jsonl", b"{\n", ":1: "),
        ("head.pcap", bytes.fromhex("d4c3b2a1") + b"\0" * 8, "no whole pcap"),
        ("none.pcap", Pcap().bytes(), "no WebSocket was opened"),
        ("zigbee.pcap", Pcap().bytes()[:20] + b"\xc3\0\0\0" + b"\0" * 8 + b"\x01\0\0\0" * 2 + b"x", "link type 195"),
    ]:
        path = write(name, content)
        error = replay("-c", config, path, code=2)
        assert error.startswith(path) and words in error, error
    error = replay("-c", config, tmp_path / "nowhere.har", code=2)
    assert "nowhere.har" in error and "check the path" in error


def test_mistakes_in_the_call(policy, write):
    config, capture = policy(""), CAPTURES / "chat.jsonl"
    assert "one or two -c" in replay("-c", config, "-c", config, "-c", config, capture, code=2)
    assert "CAPTURE" in replay("-c", config, code=2)
    broken = write("broken.kdl", agent("a", 'content-filter { block-patern "x" }'))
    error = replay("-c", broken, capture, code=2)
    assert "broken.kdl:3" in error and "block-patterns" in error
    error = replay("-c", write("none.kdl", ""), capture, code=2)
    assert "no policy to try" in error


def test_names_in_captures_can_not_steer_a_terminal(policy, write):
    capture = write("chat.jsonl", lines_of((0, "to_server", "block-this("), connection="\x1b[2Jone\n"))
    text = replay("-c", policy(FILTER), capture, code=1)
    assert "\x1b" not in text and "\ufffd[2Jone\ufffd" in text
