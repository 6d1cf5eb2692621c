"""HAProxy's cache, before a stand-in for replicas: the echo application records every request."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import ask

PUBLIC = "cache-control: public, max-age=600"
# The header lines of the response to each path, without its length.
HEADERS = {
    "/static": (PUBLIC,),
    "/recorded": (PUBLIC, "record-id: 7"),
    "/private": ("cache-control: private, max-age=600",),
    "/only-etag": ('etag: "1"',),
    "/cookie": (PUBLIC, "set-cookie: a=b"),
    "/compressed": (PUBLIC, "vary: accept-encoding"),
    "/by-language": (PUBLIC, "vary: accept-language"),
}


@contextmanager
def application(directory: Path, *names: str) -> Iterator[Counter[tuple[str, str]]]:
    """Replicas with these names. Their requests are counted by replica and path."""
    requests: Counter[tuple[str, str]] = Counter()

    class Replica(socketserver.StreamRequestHandler):
        def handle(self):
            head = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
            method, path, _ = head.split("\r\n")[0].split(" ")
            name = Path(self.server.server_address).stem
            requests[name, path] += 1
            lines = "".join(f"{line}\r\n" for line in HEADERS.get(path, ()))
            if path == "/compressed" and "accept-encoding: gzip\r\n" in f"{head.lower()}\r\n":
                lines += "content-encoding: gzip\r\n"
            body = f"{name}, {requests[name, path]}" if method == "GET" else ""
            self.wfile.write(
                f"HTTP/1.1 200 OK\r\n{lines}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )

    servers = [socketserver.ThreadingUnixStreamServer(str(directory / f"{name}.sock"), Replica) for name in names]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield requests
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def cached(start, tmp_path):
    """An HAProxy before one replica, and its requests."""
    with application(tmp_path, "1") as requests, start(names=(), HAPROXY_REPLICAS="1") as system:
        system.wait_for_server("replicas/replica1", up=True)
        yield system, requests


def test_an_unrecorded_response_that_may_be_cached_comes_from_the_cache(cached):
    system, requests = cached
    first, second = (ask(system.http, path="/static") for _ in range(2))
    assert (first.body, "age" in first.headers) == (b"1, 1", False)
    assert (second.body, "age" in second.headers) == (b"1, 1", True)
    assert requests["1", "/static"] == 1
    # Each response has the id of its own request.
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/recorded", "/private", "/only-etag", "/cookie", "/by-language"])
def test_other_responses_come_from_a_replica_each_time(cached, path: str):
    system, requests = cached
    responses = [ask(system.http, path=path) for _ in range(3)]
    assert [response.body for response in responses] == [b"1, 1", b"1, 2", b"1, 3"]
    assert not any("age" in response.headers for response in responses)
    assert requests["1", path] == 3


def test_requests_that_need_a_replica_reach_it(cached):
    system, requests = cached
    ask(system.http, path="/static")
    asked = [{"range": "bytes=0-1"}, {"authorization": "Basic YTpi"}, {"x_daybook_replica": "1"}]
    for headers in asked:
        assert "age" not in ask(system.http, path="/static", **headers).headers
    assert requests["1", "/static"] == 1 + len(asked)
    assert "age" in ask(system.http, path="/static").headers
    # A POST may change the resource, so it also removes what is stored.
    assert "age" not in ask(system.http, "POST", "/static").headers
    assert "age" not in ask(system.http, path="/static").headers


def test_a_response_is_cached_for_each_encoding(cached):
    system, requests = cached
    for _ in range(3):
        bodies = [ask(system.http, path="/compressed", accept_encoding=encoding).body for encoding in ("gzip", "identity")]
        assert bodies == [b"1, 1", b"1, 2"]
    assert requests["1", "/compressed"] == 2


def test_the_canary_never_responds_from_the_cache(start, tmp_path):
    with application(tmp_path, "1", "next") as requests:
        with start(names=(), HAPROXY_REPLICAS="1", HAPROXY_NEXT="on") as system:
            system.wait_for_server("replicas/replica1", up=True)
            system.wait_for_server("next/next1", up=True)
            assert ask(system.http, path="/static").body == b"1, 1"
            bodies = [ask(system.http, path="/static", x_api_version="2").body for _ in range(2)]
            assert bodies == [b"next, 1", b"next, 2"]
            # And what it sent is not stored for others.
            assert ask(system.http, path="/static").body == b"1, 1"
    assert requests["1", "/static"] == 1
