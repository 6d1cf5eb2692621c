"""What the operator and Prometheus reach."""

from __future__ import annotations

import http.server
import subprocess
import threading

import pytest

from client import ask, send_raw, statuses
from system import OPERATOR_PORT, REPOSITORY, System


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
        received = send_raw(system.operator, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert statuses(received) == [404], path


def test_the_public_reaches_nothing_of_the_operator(system):
    answer = ask(system.http, path="/replica/1/metrics")
    assert "record-id" in answer.headers
    assert answer.body == b""


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:80", "replicas", "127.0.0.1", "127.0.0.1:80", "10.89.65.3:80", "[::1]", "[::1]:80", "[2001:DB8::1]",
    "haproxy:80", "Watch.Example.org",
])
def test_the_operator_is_answered_under_the_hosts_that_are_its_own(hosts, host):
    assert ask(hosts.operator, path="/haproxy/metrics", host=host).status == 200


@pytest.mark.parametrize("host", [
    "rebound.example", "localhost.rebound.example", "127.0.0.1.rebound.example", "xlocalhost", "haproxy.example",
    "1.2.3.4.5", "",
])
def test_a_page_whose_name_leads_here_is_answered_421(hosts, host):
    for path in ("/haproxy/metrics", "/haproxy/certificates", "/replica/1/metrics", "/litestream/heartbeat", "/"):
        answer = ask(hosts.operator, path=path, host=host)
        assert answer.status == 421, path
        assert answer.body == b"this listener does not serve that Host: see HAPROXY_OPERATOR_HOSTS\n"


def test_no_other_name_is_needed_in_compose_yaml_and_quadlet(system):
    for name in ("haproxy:80", "replicas"):
        assert ask(system.operator, path="/haproxy/metrics", host=name).status == 200


def test_without_a_host_it_is_answered_421(hosts):
    for version in ("1.0", "1.1"):
        assert statuses(send_raw(hosts.operator, f"GET /haproxy/metrics HTTP/{version}\r\n\r\n".encode(), more=0.1)) == [421]


def test_the_health_check_of_the_container_is_answered(hosts):
    check = (REPOSITORY / "haproxy/healthcheck").read_text().replace(f"/{OPERATOR_PORT} ", "/%d " % hosts.operator[1])
    assert subprocess.run(["bash", "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("site, status", [("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)])
def test_a_page_of_another_site_is_refused_and_none_may_read(hosts, site, status):
    for method in ("GET", "OPTIONS"):
        answer = ask(hosts.operator, method, "/haproxy/metrics", sec_fetch_site=site, origin="http://rebound.example")
        assert answer.status == status or method == "OPTIONS"
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.fixture(scope="module")
def hosts(haproxy, binary, tmp_path_factory):
    with System(
        haproxy, binary, tmp_path_factory.mktemp("system"), names=("1",), HAPROXY_OPERATOR_HOSTS="haproxy replicas watch.example.org",
    ) as system:
        yield system
