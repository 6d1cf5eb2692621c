"""The requests of deploy/checks.toml, against a server that records nothing."""

from __future__ import annotations

import http.server
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "deploy/host"))
import checks
from machine import Failure


class Unrecorded(http.server.BaseHTTPRequestHandler):
    """A response as a route behind `unrecorded()` gives it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_route_that_is_not_recorded_fails_the_deploy():
    with http.server.HTTPServer(("127.0.0.1", 0), Unrecorded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(Failure, match="GET /style.css: the response has no record-id"):
                checks.send(checks.Request("GET", "/style.css", 200), HTTPConnection(*server.server_address, timeout=5), admin="none")
        finally:
            server.shutdown()
