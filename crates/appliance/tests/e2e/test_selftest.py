"""The attacks of `selftest`, sent over sockets: what it says in process holds for the running binary."""

import json

import pytest

from support.inspector import agent_block, run_binary
from support.peers import exchange, open_pair
from support.wire import BINARY, PING, PONG, TEXT

WORD = "block-this("
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
DECLINED = "Sec-WebSocket-Extensions: permessage-deflate; no-such-parameter"
CLASSES = ("framing", "fragmentation", "compression", "text and JSON", "binary", "resources", "lifecycle", "benign")

POLICY = agent_block(
    f"""
    handshake {{ compression "inspect" }}
    content-filter {{ block-patterns "{WORD}"; max-message-size "128KiB" }}
    """
)


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, POLICY)


@pytest.fixture(scope="module")
def attacks(inspector):
    done = run_binary("selftest", "--emit", "-c", str(inspector.config_path), timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def opened(inspector, backend, attack):
    """A session in which the leg of the attacker compresses if it has to; the other is plain, so that the oracle can read."""
    if not attack["compressed"]:
        return open_pair(inspector, backend)
    if attack["direction"] == "to_server":
        return open_pair(inspector, backend, OFFER)
    return open_pair(inspector, backend, DECLINED, answer=(OFFER,))


def send(pair, attack):
    """A ping, the attack, and what comes after it, until all is over or nothing more is to come."""
    sender, receiver = pair.ends(attack["direction"])
    sender.queue(sender.framer.ping() + bytes.fromhex(attack["bytes"]))
    if attack["after"] == "pong":
        sender.queue(sender.framer.pong())
    if attack["after"] == "vanishes":
        # What it sent is not lost with it: the ping before it has arrived when it goes.
        sender.reads = False
        pair.exchange(until=lambda: not sender.outbox and receiver.heard.pings)
        sender.close()
        return exchange(receiver)
    if attack["expect"] == "passes" and attack["after"] == "pong":
        return pair.exchange(until=lambda: b"" in receiver.heard.pongs or receiver.heard.ended)
    return pair.exchange()


def fault_of(inspector, pair, attack):
    """What is wrong with the end of it, or None."""
    sender, receiver = pair.ends(attack["direction"])
    heard, token = receiver.heard, bytes.fromhex(attack["token"])
    arrived = [*heard.payloads, *heard.pings, *heard.pongs, heard.close or b"", receiver.open_message or b""]
    if token and any(token in payload for payload in arrived):
        return f"the token arrived: {heard}"
    if attack["expect"] == "passes":
        controls = [(PING, p) for p in heard.pings if p] + [(PONG, p) for p in heard.pongs if p]
        expected = [(opcode, bytes.fromhex(payload)) for opcode, payload in attack["arrives"]]
        return None if heard.messages + controls == expected and not heard.after_close else f"not the same: {heard}"
    if heard.messages or heard.after_close:
        return f"something arrived: {heard}"
    if attack["after"] == "vanishes":
        return None if heard.close_code in attack["codes"] else f"close code: {heard}"
    codes = attack["codes"] or [1008]
    if sender.heard.close_code not in codes:
        return f"close code {sender.heard.close_code}, not one of {codes}"
    verdicts = inspector.verdicts_of(pair.client.local_address)
    if len(verdicts) != 1 or verdicts[0]["direction"] != attack["direction"]:
        return f"not exactly one verdict: {verdicts}"
    return None


@pytest.mark.parametrize("direction", ("to_server", "to_client"))
@pytest.mark.parametrize("class_", CLASSES)
def test_what_selftest_tries_in_process_ends_the_same_over_sockets(
    inspector, shared_backend, attacks, class_, direction
):
    # Patience would be that of the policy: half a minute and more.
    chosen = [a for a in attacks if (a["class"], a["direction"]) == (class_, direction) and a["after"] != "patience"]
    assert chosen
    faults = []
    for attack in chosen:
        pair = opened(inspector, shared_backend, attack)
        try:
            ended = send(pair, attack)
            fault = fault_of(inspector, pair, attack) if ended else "it did not end"
        finally:
            pair.close()
        if fault:
            faults.append(f"{attack['attacks']}: {attack['name']}: {fault}")
    assert not faults, f"{len(faults)} of {len(chosen)}:\n" + "\n".join(faults[:10])


def test_every_kind_of_end_is_among_them(attacks):
    assert {a["expect"] for a in attacks} == {"stopped", "refused", "passes"}
    assert {opcode for a in attacks for opcode, _ in a["arrives"]} == {TEXT, BINARY, PONG}
    assert sum(WORD.encode().hex() in a["bytes"] for a in attacks if a["direction"] == "to_client") > 50


def test_it_says_the_same_of_itself(inspector):
    done = run_binary("selftest", "-c", str(inspector.config_path), timeout=60)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Nothing slipped.\n")


def test_a_configuration_with_mistakes(tmp_path):
    path = tmp_path / "wrong.kdl"
    path.write_text('agent "a" { type "websocket_inspector"; content-filter { block-patern "x" } }')
    done = run_binary("selftest", "-c", str(path))
    assert done.returncode == 2
    assert "wrong.kdl:1" in done.stderr and "block-patterns" in done.stderr
