"""Ordinary requests, with default settings."""

from __future__ import annotations

import json
import re
import socketserver
import threading

import pytest

from client import ask, get_over_http_2, send_raw, statuses
from system import wait_until


def test_a_request_is_recorded_and_gets_a_response(system):
    response = ask(system.http, "POST", "/hello?query", b"hello")
    assert (response.status, response.body) == (200, b"hello")
    [record] = system.records("/hello")
    assert record["id"] == int(response.headers["record-id"])
    assert (record["method"], record["content_length"]) == ("POST", 5)


def test_forged_client_addresses_are_ignored(system):
    response = ask(
        system.http, path="/claims", x_forwarded_for="203.0.113.7", forwarded="for=203.0.113.8", x_real_ip="203.0.113.9",
    )
    assert response.status == 200
    response = send_raw(
        system.http,
        b"GET /claims HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 203.0.113.8\r\n"
        b"X-FORWARDED-FOR: unknown\r\nConnection: close\r\n\r\n",
    )
    assert statuses(response) == [200]
    assert [record["remote_addr"] for record in system.records("/claims")] == ["127.0.0.1"] * 2


def test_replicas_get_only_forwarding_headers_of_haproxy(start, tmp_path):
    heads = []

    class Replica(socketserver.StreamRequestHandler):
        def handle(self):
            head = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
            if "/healthz" not in head:
                heads.append(head)
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    claims = {"forwarded": "for=x", "x_real_ip": "x", "x_request_id": "of-the-client"}
    claims |= {f"x_forwarded_{name}": "claimed" for name in ("for", "proto", "host", "port", "prefix", "server", "for_original")}
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "1.sock"), Replica) as replica:
        threading.Thread(target=replica.serve_forever, daemon=True).start()
        with start(names=(), HAPROXY_REPLICAS="1") as system:
            system.wait_for_server("replicas/replica1", up=True)
            assert ask(system.http, **claims, x_other="kept").status == 200
        replica.shutdown()
    names = [line.split(":")[0].lower() for line in heads[-1].splitlines()[1:]]
    told = {"x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-request-id: of-the-client", "x-other: kept"}
    assert told <= {line.lower() for line in heads[-1].splitlines()}
    assert sorted(names) == ["accept-encoding", "host", "x-forwarded-for", "x-forwarded-proto", "x-other", "x-request-id"]


# Parts that the grammar allows to be empty, and the expected statuses.
EMPTY_PARTS = {
    "a port": (b"POST %b HTTP/1.1\r\nHost: x:\r\nContent-Length: 5", b"hello", [200]),
    "a port behind an address": (b"POST %b HTTP/1.1\r\nHost: [::1]:\r\nContent-Length: 5", b"hello", [200]),
    "a port of the target": (b"POST http://x:%b HTTP/1.1\r\nHost: x:\r\nContent-Length: 5", b"hello", [200]),
    "an expectation": (b"POST %b HTTP/1.1\r\nHost: x\r\nExpect:\r\nContent-Length: 5", b"hello", [200]),
    "a second expectation":
        (b"POST %b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue,\r\nContent-Length: 5", b"hello", [100, 200]),
    "a chunk extension's value": (
        b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked",
        b'5 ; a = ""\r\nhello\r\n0\t;a\r\n\r\n', [200],
    ),
}


@pytest.mark.parametrize("part", EMPTY_PARTS)
def test_optional_parts_may_be_empty(system, part):
    head, body, wanted = EMPTY_PARTS[part]
    path = f"/empty/{part.replace(' ', '-').replace(chr(39), '')}"
    received = send_raw(system.http, head % path.encode() + b"\r\nConnection: close\r\n\r\n" + body)
    assert statuses(received) == wanted and received.endswith(b"hello")
    assert [record["content_length"] for record in system.records(path) if record["path"] == path] == [5]


def test_a_method_that_is_too_long_is_refused_by_the_replica(system):
    received = send_raw(system.http, b"A" * 9000 + b" /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert statuses(received) == [501]
    assert system.records("/long") == []


def test_connection_tokens_cannot_strip_the_client_address(system):
    send_raw(
        system.http,
        b"GET /stripped HTTP/1.1\r\nHost: x\r\nConnection: close, X-Forwarded-For, X-Request-ID\r\n\r\n",
    )
    assert [record["remote_addr"] for record in system.records("/stripped")] == ["127.0.0.1"]


def test_the_health_path_is_not_public(system):
    for target in ("/healthz", "/healthz?x=1", "http://x/healthz"):
        received = send_raw(system.http, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert statuses(received) == [404], target
        assert received.endswith(b"\r\n\r\nnot found\n")
    assert ask(system.http, "HEAD", "/healthz").status == 404


def test_robots_txt_reaches_no_replica(system):
    response = ask(system.http, path="/robots.txt")
    assert (response.status, response.body) == (200, b"User-agent: *\nDisallow: /\n")
    assert response.headers["cache-control"] == "public, max-age=86400"
    assert "record-id" not in response.headers
    response = ask(system.http, "HEAD", "/robots.txt")
    assert (response.status, response.body) == (200, b"")
    assert system.records("/robots.txt") == []


def test_a_well_formed_request_id_is_kept_any_other_replaced(system):
    assert ask(system.http, x_request_id="abc-123.X_y").headers["x-request-id"] == "abc-123.X_y"
    uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    made = [ask(system.http).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1] and all(uuid.fullmatch(id) for id in made)
    for garbage in ("short", "x" * 65, 'quote"quote', "two words", "a-good-one, another", "{}{}{}{}{}"):
        assert uuid.fullmatch(ask(system.http, x_request_id=garbage).headers["x-request-id"]), garbage
    received = send_raw(
        system.http,
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: first-of-two\r\nX-Request-ID: second-of-two\r\nConnection: close\r\n\r\n",
    )
    assert b"of-two" not in received.split(b"\r\n\r\n")[0]
    # HAProxy's own responses have one, too.
    assert ask(system.http, path="/healthz", x_request_id="abc-123.X_y").headers["x-request-id"] == "abc-123.X_y"


def test_requests_are_distributed_over_replicas(system):
    for _ in range(20):
        assert ask(system.http).status == 200
    for replica in system.replicas.values():
        metrics = replica.ask("/metrics")[1].decode()
        [count] = re.findall(r"^daybook_records_committed_total\{.*\} (\d+)", metrics, re.MULTILINE)
        assert int(count) >= 5


def test_the_log_is_json_lines_with_the_request_id(start):
    with start(HAPROXY_LOG="all") as system:
        ask(system.http, "POST", "/logged?secret", b"x", x_request_id="logged-request")
        send_raw(system.http, b"non\"sense\r\n\r\n")
        take_replicas_away(system)
        assert ask(system.http, path="/nobody").status == 503
        first, second, third = system.log_lines(3)
    assert first["request_id"] == "logged-request"
    assert (first["method"], first["path"], first["status"]) == ("POST", "/logged", 200)
    assert first["server"] in ("replica1", "replica2")
    assert second["status"] == 400
    assert (third["path"], third["status"], third["client"]) == ("/nobody", 503, "127.0.0.1")


def test_a_request_has_the_same_id_in_the_response_haproxys_log_and_the_replicas_beside_its_record(start):
    with start(HAPROXY_LOG="all", settings={"DAYBOOK_LOG__LEVEL": "debug"}) as system:
        responses = [
            ask(system.http, "POST", "/traced", b"x"),
            ask(system.http, "POST", "/traced", b"x", x_request_id="of-the-client"),
            ask(system.http, "POST", "/traced", b"x", x_request_id="garbage!"),
            # Refused by the replica.
            ask(system.http, "POST", "/traced", b"x", x_request_id="refused-1", expect="nonsense"),
        ]
        of_haproxy = system.log_lines(len(responses))
        wait_until(lambda: len(replica_lines(system)) == len(responses), "the replicas have logged all requests")
        of_replicas = {line["id"]: line for line in replica_lines(system)}
    assert [response.status for response in responses] == [200, 200, 200, 417]
    for response, line in zip(responses, of_haproxy, strict=True):
        of_replica = of_replicas[int(response.headers["record-id"])]
        assert response.headers["x-request-id"] == line["request_id"] == of_replica["request_id"]
        assert (line["status"], line["path"], line["client"]) == (
            of_replica["status"], of_replica["path"], of_replica["remote_addr"],
        )


def replica_lines(system) -> list[dict]:
    """The lines of requests in the logs of the replicas."""
    logs = [(system.directory / f"{name}.log").read_text() for name in system.replicas]
    # A line that is being written has no end yet.
    lines = [json.loads(line) for log in logs for line in log.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["message"] == "request"]


# JSON escapes `"` with two bytes. HAProxy refuses longer heads.
@pytest.mark.parametrize("path", ["/" + "x" * 8000, "/" + '"' * 15_000], ids=["one that is taken", "the longest"])
def test_long_paths_do_not_truncate_log_lines(start, path):
    with start(HAPROXY_LOG="all") as system:
        send_raw(system.http, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        [line] = system.log_lines(1)
    assert line["path"] == path
    # journald splits longer lines.
    assert system.log.stat().st_size < 48 * 1024


def test_long_methods_do_not_truncate_log_lines(start):
    with start(HAPROXY_LOG="all") as system:
        for length in (1000, 15_000):
            send_raw(system.http, b"M" * length + b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert [line["path"] for line in system.log_lines(2)] == ["/", "/"]


@pytest.mark.parametrize("path", [b"/\xff" * 7000, b"/\xc3\xa9", b"/?\xff"], ids=["long", "UTF-8", "in the query"])
def test_invalid_target_bytes_are_refused_over_http_1_and_2(start, path):
    with start(HAPROXY_LOG="all") as system:
        assert statuses(send_raw(system.http, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n", more=0.1)) == [400]
        assert b"the request is malformed" in get_over_http_2(system.http, path)
        assert [line["status"] for line in system.log_lines(2)] == [400, 400]
        assert system.records() == []


def test_by_default_only_errors_are_logged(start):
    with start() as system:
        assert ask(system.http, path="/fine").status == 200
        take_replicas_away(system)
        assert ask(system.http, path="/trouble").status == 503
        assert [line["path"] for line in system.log_lines(1)] == ["/trouble"]


def take_replicas_away(system):
    for name in system.replicas:
        system.command(f"disable server replicas/replica{name}")
