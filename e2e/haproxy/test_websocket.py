"""WebSocket connections."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading

from client import ask, statuses
from system import REPOSITORY

# HAProxy requires both keys; these match (RFC 6455, 1.3).
OPENING = (
    b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Replica(socketserver.StreamRequestHandler):
    """Returns 101 and echoes; never responds to /silent."""

    def handle(self):
        head = b"".join(iter(self.rfile.readline, b"\r\n"))
        if head.startswith(b"GET /healthz "):
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        elif head.startswith(b"GET /silent "):
            self.rfile.read()
        else:
            self.wfile.write(ACCEPTED)
            while part := self.connection.recv(100):
                self.wfile.write(part)


def test_an_idle_websocket_outlives_the_request_timeouts(start, tmp_path):
    configuration = tmp_path / "haproxy"
    shutil.copytree(REPOSITORY / "haproxy", configuration)
    base = (configuration / "base.cfg").read_text()
    assert "timeout client 30s" in base and "timeout server 30s" in base
    shorter = base.replace("timeout client 30s", "timeout client 300ms").replace("timeout server 30s", "timeout server 300ms")
    (configuration / "base.cfg").write_text(shorter)
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "1.sock"), Replica) as replica:
        replica.daemon_threads = True
        threading.Thread(target=replica.serve_forever, daemon=True).start()
        with start(names=(), configuration=configuration, HAPROXY_REPLICAS="1") as system:
            system.wait_for_server("replicas/replica1", up=True)
            with socket.create_connection(system.http, timeout=15) as connection:
                connection.sendall(OPENING)
                assert statuses(connection.recv(65536)) == [101]
                # Meanwhile three requests time out, one after another.
                assert [ask(system.http, path="/silent").status for _ in range(3)] == [504] * 3
                connection.sendall(b"still here")
                assert connection.recv(100) == b"still here"
        replica.shutdown()
