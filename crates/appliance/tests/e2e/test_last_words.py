"""What a server says right before it closes its socket reaches a client that is busy sending."""

import threading

from support.peers import open_pair


def test_messages_and_close_code_of_a_server_that_kicks_a_busy_client(start, backend):
    inspector = start(backend.port)
    for _ in range(5):
        pair = open_pair(inspector, backend)
        client, server = pair.client, pair.server
        stop = threading.Event()

        def stream():
            client.sock.settimeout(2)
            while not stop.is_set():
                try:
                    client.sock.sendall(client.framer.text("busy " * 50))
                except OSError:
                    return

        sender = threading.Thread(target=stream)
        sender.start()
        words = [server.framer.text(f"word {i}") for i in range(3)]
        server.sock.setblocking(True)
        server.sock.sendall(b"".join(words) + server.framer.close(4001, b"kicked"))
        # Unread data makes this a reset.
        server.sock.close()
        pair.client.sock.settimeout(5)
        received = b""
        try:
            while chunk := client.sock.recv(65536):
                received += chunk
        except OSError:
            pass
        stop.set()
        sender.join(5)
        client.close()
        for word in (b"word 0", b"word 1", b"word 2"):
            assert word in received
        assert (4001).to_bytes(2, "big") + b"kicked" in received
