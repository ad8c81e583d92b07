"""TLS on listeners and towards servers: real clients, real servers, and what must not be believed."""

import os
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from support.certificates import Authority
from support.inspector import agent_block, run_binary
from support.peers import as_head, unique_path, upgrade_lines

FILTER = agent_block('content-filter { block-patterns "forbidden" }\nlimits { max-message-size "16MiB" }')


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certified(authority):
    """(certificate, key) of localhost"""
    return authority.sign("server")


@pytest.fixture
def echo():
    """echo(context=None) -> the port of a server that sends everything back."""
    servers = []

    def start(context=None):
        def back(connection):
            connection.send(connection.request.headers.get("X-Forwarded-Proto", "none"))
            try:
                for message in connection:
                    connection.send(message)
            except ConnectionClosed:
                pass

        server = serve(back, "127.0.0.1", 0, ssl=context, max_size=None)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.socket.getsockname()[1]

    yield start
    for server in servers:
        server.shutdown()


def entrance(certified, extra: str = "") -> str:
    certificate, key = certified
    return f'tls {{ certificate "{certificate}"; key "{key}"; {extra} }}'


def trusting(authority, **minimum) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


def talk(inspector, context, **options):
    return connect(f"wss://localhost:{inspector.port}/", ssl=context, max_size=None, compression=None, proxy=None, **options)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_clients_speak_tls_and_are_inspected(start, echo, authority, certified, version):
    inspector = start(echo(), FILTER, listener=entrance(certified))
    context = trusting(authority)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with talk(inspector, context) as client:
        assert client.recv() == "https", "the server learns that the client spoke TLS"
        for size in (0, 1, 125, 126, 65_536, 200_000, 4_000_000):
            payload = os.urandom(size)
            client.send(payload)
            assert client.recv() == payload
        client.send("forbidden")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd.code == 1008
    assert [v["rule"] for v in inspector.wait_verdicts(1)] == ["content-filter-1/block-patterns-1"]


def test_many_messages_at_once_both_ways(start, echo, authority, certified):
    inspector = start(echo(), FILTER, listener=entrance(certified))
    with talk(inspector, trusting(authority)) as client:
        client.recv()
        messages = [os.urandom(1 + (number * 7919) % 60_000) for number in range(300)]

        def send():
            for message in messages:
                client.send(message)

        sender = threading.Thread(target=send)
        sender.start()
        for message in messages:
            assert client.recv(timeout=20) == message
        sender.join()


def test_a_client_that_does_not_read_is_waited_for_and_not_buffered_for(start, echo, authority, certified):
    inspector = start(echo(), FILTER, listener=entrance(certified))
    with talk(inspector, trusting(authority)) as client:
        client.recv()
        before = inspector.rss_bytes()
        payload = os.urandom(1_000_000)
        client.socket.settimeout(1)

        def send():
            try:
                for _ in range(60):
                    client.send(payload)
            except Exception:
                pass

        # The receiving thread of the library stops reading once its queue is full.
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        time.sleep(3)
        assert inspector.rss_bytes() - before < 40 << 20


def test_servers_speak_tls_and_must_prove_who_they_are(start, echo, authority, certified):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)
    port = echo(context)
    tls = f'tls {{ server-name "localhost"; ca "{authority.path}" }}'
    inspector = start(port, FILTER, first_servers=tls)
    with connect(inspector.url, compression=None, proxy=None, max_size=None) as client:
        assert client.recv() == "http"
        for size in (1, 70_000, 3_000_000):
            payload = os.urandom(size)
            client.send(payload)
            assert client.recv() == payload
        client.send("forbidden")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize("fault", ["another name", "another authority", "plain"])
def test_a_server_that_does_not_is_not_spoken_to(start, echo, tmp_path, authority, certified, fault):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)
    name = "other.example" if fault == "another name" else "localhost"
    trusted = Authority(tmp_path, "another").path if fault == "another authority" else authority.path
    inspector = start(
        echo(None if fault == "plain" else context), FILTER, first_servers=f'tls {{ server-name "{name}"; ca "{trusted}" }}'
    )
    with socket.create_connection(inspector.address, timeout=10) as client:
        client.sendall(as_head(upgrade_lines(unique_path())))
        assert client.recv(4096).startswith(b"HTTP/1.1 502 ")
    expected = {"handshake/upstream-unverified"} if fault != "plain" else {"handshake/upstream-unverified", "handshake/upstream-unreachable"}
    assert {v["rule"] for v in inspector.wait_verdicts(1)} <= expected


def test_tls_on_both_legs(start, echo, authority, certified):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)
    tls = f'tls {{ server-name "127.0.0.1"; ca "{authority.path}" }}'
    inspector = start(echo(context), FILTER, listener=entrance(certified), first_servers=tls)
    with talk(inspector, trusting(authority)) as client:
        assert client.recv() == "https"
        client.send("x" * 100_000)
        assert client.recv() == "x" * 100_000


def test_clients_must_show_a_certificate_where_one_is_wanted(start, echo, tmp_path, authority, certified):
    inspector = start(echo(), FILTER, listener=entrance(certified, f'client-ca "{authority.path}"'))
    with pytest.raises(Exception):
        talk(inspector, trusting(authority)).close()
    other = Authority(tmp_path, "other").sign("stranger", usage="clientAuth")
    context = trusting(authority)
    context.load_cert_chain(*other)
    with pytest.raises(Exception):
        talk(inspector, context).close()
    context = trusting(authority)
    context.load_cert_chain(*authority.sign("client", usage="clientAuth"))
    with talk(inspector, context) as client:
        assert client.recv() == "https"


def test_a_plain_client_gets_nothing_and_a_silent_one_is_let_go(start, echo, certified):
    inspector = start(echo(), agent_block("handshake { timeout-ms 500 }"), listener=entrance(certified))
    with socket.create_connection(inspector.address, timeout=10) as client:
        client.sendall(as_head(upgrade_lines(unique_path())))
        answer = b""
        try:
            while part := client.recv(4096):
                answer += part
        except ConnectionResetError:
            pass
        # An alert of TLS at most.
        assert len(answer) <= 7 and not answer.startswith(b"HTTP")
    with socket.create_connection(inspector.address, timeout=10) as client:
        client.sendall(b"\x16\x03\x01")
        assert client.recv(10) == b""


def test_a_handshake_may_come_byte_by_byte_and_behind_a_proxy_header(start, echo, authority, certified):
    inspector = start(echo(), FILTER, listener=entrance(certified) + "\nproxy-protocol true")
    plain = socket.create_connection(inspector.address, timeout=10)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = trusting(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    header = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, 12) + bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
    pending = header
    while True:
        try:
            session.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        pending += outgoing.read()
        for at in range(len(pending)):
            plain.sendall(pending[at : at + 1])
        pending = b""
        if done:
            break
        incoming.write(plain.recv(65536))
    session.write(as_head(upgrade_lines(unique_path())))
    plain.sendall(outgoing.read())
    answer = b""
    while b"101" not in answer:
        incoming.write(plain.recv(65536))
        try:
            answer += session.read(4096)
        except ssl.SSLWantReadError:
            pass
    plain.close()
    records = inspector.wait_audit(lambda all_: any(r["event"] == "ws_close" for r in all_))
    assert {r["client"] for r in records if r["event"] == "ws_close"} == {"203.0.113.9:4711"}


def test_a_reload_takes_new_certificates(start, echo, tmp_path, authority, certified):
    certificate, key = authority.sign("first", subject="DNS:localhost")
    inspector = start(echo(), FILTER, listener=entrance((certificate, key)))
    with talk(inspector, trusting(authority)) as client:
        client.recv()
        second = Authority(tmp_path, "second")
        for old, new in zip((certificate, key), second.sign("again")):
            old.write_bytes(new.read_bytes())
        revision = inspector.metrics()["wsi_config_revision"]
        inspector.signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while inspector.metrics()["wsi_config_revision"] == revision and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(ssl.SSLCertVerificationError):
            talk(inspector, trusting(authority)).close()
        with talk(inspector, trusting(second)) as other:
            other.recv()
        client.send("still there")
        assert client.recv() == "still there"


@pytest.mark.parametrize("fault", ["no key", "another key", "no certificate", "missing"])
def test_files_that_do_not_fit_are_named(tmp_path, authority, certified, fault):
    certificate, key = certified
    other = authority.sign(f"other-{fault.replace(' ', '-')}")[1]
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    files = {
        "no key": (certificate, empty, "empty.pem"),
        "another key": (certificate, other, "don't fit"),
        "no certificate": (empty, key, "empty.pem"),
        "missing": (tmp_path / "nowhere.pem", key, "nowhere.pem"),
    }
    first, second, said = files[fault]
    path = tmp_path / "policy.kdl"
    path.write_text(
        f'listener "edge" {{ bind "127.0.0.1:8443"; tls {{ certificate "{first}"; key "{second}" }}; route "/*" upstream="b" agent="a" }}\n'
        'upstream "b" { server "127.0.0.1:9001" }\nagent "a" { type "websocket_inspector" }\n'
    )
    done = run_binary("check", "-c", str(path))
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
