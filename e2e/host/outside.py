"""A server outside of the test host: on this machine's end of its link."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from host import Host


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append((self.client_address[0], self.path))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Outside(http.server.ThreadingHTTPServer):
    """Responds 200 to each GET. `requests` has the address of each client, with the path."""

    def __init__(self, host: Host) -> None:
        self.requests: list[tuple[str, str]] = []
        super().__init__((host.gateway, 0), Handler)

    @property
    def address(self) -> str:
        return f"{self.server_address[0]}:{self.server_address[1]}"

    def call(self, host: Host, container: str) -> tuple[bool, str]:
        """Whether the container's own program reaches this server, and its message if not."""
        asked = host.attempt("podman", "exec", container, "/daybook", "healthcheck", "--address", self.address)
        return asked.returncode == 0, asked.stderr


@contextmanager
def outside(host: Host) -> Iterator[Outside]:
    with Outside(host) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def assert_tmp_is_writable(host: Host, container: str) -> None:
    """For the program itself, in memory, while its root is not."""
    def create_database(path: str) -> int:
        settings = ("--env", f"DAYBOOK_DATABASE__PATH={path}", "--env", "DAYBOOK_DATABASE__CREATE=true")
        return host.attempt("podman", "exec", *settings, container, "/daybook", "init").returncode

    pid = host.run("podman", "inspect", "--format", "{{.State.Pid}}", container).strip()
    mounts = [line.split() for line in host.run("cat", f"/proc/{pid}/mounts").splitlines()]
    assert [(kind, options.split(",")[0]) for _, place, kind, options, *_ in mounts if place == "/tmp"] == [("tmpfs", "rw")]
    assert create_database("/tmp/probe.db") == 0
    assert create_database("/probe.db") != 0
