"""Clients behind hops: the PROXY protocol, and X-Forwarded-For."""

import struct

import pytest

from support.inspector import run_binary
from support.peers import RawPeer, as_head, switching_protocols, unique_path, upgrade_lines

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(body: bytes, *, command: int = 1, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


V4 = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
V6 = bytes.fromhex("20010db8" + "00" * 11 + "07") + bytes(15) + b"\1" + struct.pack("!HH", 4711, 443)
HEADERS = {
    "v1": (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n", "203.0.113.9:4711"),
    "v1 ipv6": (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "[2001:db8::7]:4711"),
    "v2": (version_2(V4), "203.0.113.9:4711"),
    "v2 with an extension": (version_2(V4 + b"\x04\0\x02ab"), "203.0.113.9:4711"),
    "v2 ipv6": (version_2(V6, family=0x21), "[2001:db8::7]:4711"),
}


def open_behind(inspector, backend, preface: bytes = b"", *headers: str, bytewise: bool = False):
    """(client, the request that the server got)"""
    path = unique_path()
    client = RawPeer.connect(inspector.address)
    wire = preface + as_head(upgrade_lines(path) + list(headers))
    for piece in [wire[i : i + 1] for i in range(len(wire))] if bytewise else [wire]:
        client.sock.sendall(piece)
    server, request = backend.accept(path, client=client)
    server.sock.sendall(switching_protocols(request))
    assert client.read_head().status == 101
    client.close()
    server.close()
    return client, request


def clients(inspector, count: int = 1) -> set:
    records = inspector.wait_audit(lambda all_: sum(r["event"] == "ws_close" for r in all_) >= count)
    return {r["client"] for r in records if r["event"] == "ws_close"}


@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", HEADERS)
def test_records_and_the_server_learn_who_is_behind_the_hop(start, backend, name, bytewise):
    inspector = start(backend.port, listener='proxy-protocol true; trusted-proxies "127.0.0.0/8"')
    preface, client = HEADERS[name]
    _, request = open_behind(inspector, backend, preface, bytewise=bytewise)
    assert request.one("x-forwarded-for") == client.rpartition(":")[0].strip("[]")
    assert clients(inspector) == {client}


@pytest.mark.parametrize("preface", [version_2(b"", command=0, family=0), b"PROXY UNKNOWN\r\n"], ids=["local", "unknown"])
def test_a_hop_may_speak_for_itself(start, backend, preface):
    inspector = start(backend.port, listener="proxy-protocol true")
    client, _ = open_behind(inspector, backend, preface)
    assert clients(inspector) == {client.local_address}


@pytest.mark.parametrize(
    "preface",
    [b"", b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n", b"PROXY " + b"x" * 5000, version_2(b"ab"), SIGNATURE[:-1] + b"x"],
    ids=["none", "a port is missing", "endless", "too short", "another signature"],
)
def test_a_connection_without_its_header_is_refused(start, backend, preface):
    inspector = start(backend.port, listener="proxy-protocol true")
    path = unique_path()
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(preface + as_head(upgrade_lines(path)))
    assert client.read_head().status == 400
    assert backend.heard_nothing_of(path)
    records = inspector.wait_audit(lambda all_: any(r["event"] == "verdict" for r in all_))
    assert [r["rule"] for r in records if r["event"] == "verdict"] == ["handshake/proxy-protocol"]


def test_only_hops_that_are_trusted_may_speak(start, backend):
    inspector = start(backend.port, listener='proxy-protocol true; trusted-proxies "192.0.2.0/24"')
    path = unique_path()
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(HEADERS["v1"][0] + as_head(upgrade_lines(path)))
    assert client.read_head().status == 400
    assert backend.heard_nothing_of(path)


FORWARDED = {
    "203.0.113.9": "203.0.113.9",
    "198.51.100.1, 203.0.113.9": "203.0.113.9",
    # Hops of ours are passed over.
    "198.51.100.1, 203.0.113.9, 127.0.0.3, 10.1.2.3": "203.0.113.9",
    "2001:db8::7": "2001:db8::7",
    "[2001:db8::7]:4711": "2001:db8::7",
    "203.0.113.9:4711": "203.0.113.9",
    "10.0.0.7, 10.0.0.8": "10.0.0.7",
    # What is before a word that is no address may be anybody's.
    "203.0.113.9, unknown, 10.0.0.8": "10.0.0.8",
}


@pytest.mark.parametrize("value", FORWARDED)
def test_the_last_address_that_is_no_hop_is_the_client(start, backend, value):
    inspector = start(backend.port, listener='trusted-proxies "127.0.0.0/8" "10.0.0.0/8"')
    _, request = open_behind(inspector, backend, b"", f"X-Forwarded-For: {value}")
    # Servers get the list with the hop added to it.
    assert request.one("x-forwarded-for") == f"{value}, 127.0.0.1"
    assert clients(inspector) == {FORWARDED[value]}


def test_several_fields_are_one_list(start, backend):
    inspector = start(backend.port, listener='trusted-proxies "127.0.0.1"')
    open_behind(inspector, backend, b"", "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9")
    assert clients(inspector) == {"203.0.113.9"}


def test_the_word_of_a_stranger_does_not_count(start, backend):
    inspector = start(backend.port, listener='trusted-proxies "192.0.2.0/24"')
    client, _ = open_behind(inspector, backend, b"", "X-Forwarded-For: 203.0.113.9")
    assert clients(inspector) == {client.local_address}


def test_a_hop_that_says_nothing_is_the_client(start, backend):
    inspector = start(backend.port, listener='trusted-proxies "127.0.0.1"')
    client, _ = open_behind(inspector, backend)
    assert clients(inspector) == {client.local_address}


@pytest.mark.parametrize("network", ["10.0.0.0/40", "somewhere", "10.0.0"])
def test_what_is_no_network_is_a_mistake(tmp_path, network):
    path = tmp_path / "policy.kdl"
    path.write_text(f'listener "edge" {{\n    bind "127.0.0.1:8080"\n    trusted-proxies "{network}"\n}}\n')
    done = run_binary("check", "-c", str(path))
    assert done.returncode == 1
    assert network in done.stdout + done.stderr and "policy.kdl:3:" in done.stdout + done.stderr
