"""What the operator and Prometheus reach."""

from __future__ import annotations

import http.server
import threading

from client import ask, send_raw, statuses


def test_each_replica_has_its_metrics(system):
    for name in system.replicas:
        answer = ask(system.operator, path=f"/replica/{name}/metrics")
        assert answer.status == 200
        assert f'replica="{name}"' in answer.body.decode()


def test_a_replica_that_is_not_there_is_no_other_replica(start):
    with start() as system:
        system.replicas["2"].kill()
        assert ask(system.operator, path="/replica/1/metrics").status == 200
        assert ask(system.operator, path="/replica/2/metrics").status == 503
        assert ask(system.operator, path="/replica/3/metrics").status == 503
        assert ask(system.operator, path="/replica/0/metrics").status == 404


def test_the_next_version_has_its_metrics_while_it_is_there(start):
    with start(names=("1", "next"), HAPROXY_NEXT="on") as system:
        assert 'replica="next"' in ask(system.operator, path="/replica/next/metrics").body.decode()
        system.replicas["next"].kill()
        assert ask(system.operator, path="/replica/next/metrics").status == 503


def test_haproxy_has_its_own_metrics(system):
    answer = ask(system.operator, path="/haproxy/metrics")
    assert answer.status == 200
    assert 'haproxy_server_status{proxy="replicas",server="replica1",state="UP"} 1' in answer.body.decode()


def test_litestreams_metrics_are_passed_on(start):
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Metrics) as litestream:
        threading.Thread(target=litestream.serve_forever, daemon=True).start()
        with start(HAPROXY_LITESTREAM="127.0.0.1:%d" % litestream.server_port) as system:
            assert ask(system.operator, path="/litestream/metrics").body == b"/metrics"
        litestream.shutdown()


def test_litestreams_heartbeats_are_counted(start):
    with start() as system:
        for _ in range(3):
            assert ask(system.operator, path="/litestream/heartbeat").status == 204
        counted = 'haproxy_backend_http_responses_total{proxy="litestream_heartbeat",code="2xx"} 3'
        assert counted in ask(system.operator, path="/haproxy/metrics").body.decode()


def test_without_a_certificate_none_expires(system):
    answer = ask(system.operator, path="/haproxy/certificates")
    assert answer.status == 200 and b"{" not in answer.body


def test_nothing_else_of_the_admin_listener_is_there(system):
    for path in ("/", "/metrics", "/replica/1/requests", "/replica/1/metrics/../requests", "/replica/1/metrics/", "/healthz"):
        received = send_raw(system.operator, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert statuses(received) == [404], path


def test_the_public_reaches_nothing_of_the_operator(system):
    answer = ask(system.http, path="/replica/1/metrics")
    assert "record-id" in answer.headers
    assert answer.body == b""
