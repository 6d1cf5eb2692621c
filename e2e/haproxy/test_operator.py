"""The operator listener."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading

import pytest

from client import ask, send_raw, statuses
from system import REPOSITORY, System


def test_each_replica_exposes_its_metrics(system):
    for name in system.replicas:
        response = ask(system.operator, path=f"/replica/{name}/metrics")
        assert response.status == 200
        assert f'replica="{name}"' in response.body.decode()


def test_metrics_of_a_missing_replica_are_not_those_of_another(start):
    with start() as system:
        system.replicas["2"].kill()
        assert ask(system.operator, path="/replica/1/metrics").status == 200
        assert ask(system.operator, path="/replica/2/metrics").status == 503
        assert ask(system.operator, path="/replica/3/metrics").status == 503
        assert ask(system.operator, path="/replica/0/metrics").status == 404


def test_the_canary_exposes_its_metrics_while_it_is_up(start):
    with start(names=("1", "next"), HAPROXY_NEXT="on") as system:
        assert 'replica="next"' in ask(system.operator, path="/replica/next/metrics").body.decode()
        system.replicas["next"].kill()
        assert ask(system.operator, path="/replica/next/metrics").status == 503


def test_haproxy_exposes_its_metrics(system):
    response = ask(system.operator, path="/haproxy/metrics")
    assert response.status == 200
    assert 'haproxy_server_status{proxy="replicas",server="replica1",state="UP"} 1' in response.body.decode()


def test_litestream_metrics_are_proxied(start):
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


def test_litestream_heartbeats_are_counted(start):
    with start() as system:
        for _ in range(3):
            assert ask(system.operator, path="/litestream/heartbeat").status == 204
        counted = 'haproxy_backend_http_responses_total{proxy="litestream_heartbeat",code="2xx"} 3'
        assert counted in ask(system.operator, path="/haproxy/metrics").body.decode()


def test_without_a_certificate_there_is_no_expiry_metric(system):
    response = ask(system.operator, path="/haproxy/certificates")
    assert response.status == 200 and b"{" not in response.body


def test_each_replica_shows_its_state(system):
    for name in system.replicas:
        response = ask(system.operator, path=f"/replica/{name}/api/state")
        assert response.status == 200
        assert json.loads(response.body)["replica"] == name
        assert ask(system.operator, path=f"/replica/{name}/readyz").body == b"ready\n"


def test_the_console_and_the_read_api_come_from_any_replica(system):
    response = ask(system.operator)
    assert response.status == 200 and response.headers["content-type"] == "text/html; charset=utf-8"
    assert ask(system.operator, path="/?status=5xx").status == 200
    assert ask(system.operator, path="/console/main.js").status == 200
    assert ask(system.operator, path="/openapi.json").status == 200
    number = ask(system.http, path="/recorded").headers["record-id"]
    assert json.loads(ask(system.operator, path=f"/api/requests/{number}").body)["path"] == "/recorded"
    listed = json.loads(ask(system.operator, path="/api/requests?path_prefix=/recorded").body)["requests"]
    assert [record["id"] for record in listed] == [int(number)]


def test_the_console_knows_the_replicas(system, start):
    for path in ("/", "/api/state"):
        assert ask(system.operator, path=path).headers["daybook-replicas"] == "2"
    assert "daybook-replicas" not in ask(system.operator, path="/replica/1/api/state").headers
    with start(names=("1", "next"), HAPROXY_NEXT="on") as with_canary:
        assert ask(with_canary.operator, path="/api/state").headers["daybook-replicas"] == "1 next"
        assert json.loads(ask(with_canary.operator, path="/replica/next/api/state").body)["replica"] == "next"


def test_the_console_comes_from_a_replica_that_is_ready_or_else_alive(start):
    with start(settings={"DAYBOOK_SHUTDOWN__DRAIN_DELAY": "60s"}) as system:
        replica = lambda: json.loads(ask(system.operator, path="/api/state").body)["replica"]
        system.replicas["1"].process.terminate()
        system.wait_for_server("replicas/replica1", up=False)
        assert {replica() for _ in range(4)} == {"2"}
        # It is not ready, but it can say why.
        system.replicas["2"].kill()
        system.wait_for_server("replicas/replica2", up=False)
        state = json.loads(ask(system.operator, path="/api/state").body)
        assert (state["replica"], state["ready"]) == ("1", False)
        system.replicas["1"].kill()
        assert ask(system.operator, path="/api/state").status == 503


def test_the_stream_passes_on_each_record_at_once(system):
    with socket.create_connection(system.operator, timeout=15) as connection:
        connection.sendall(b"GET /api/stream?path_prefix=/streamed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"retry:" not in received:
            received += connection.recv(65536)
        for name in ("1", "2"):
            ask(system.http, path=f"/streamed/{name}", x_daybook_replica=name)
            while f"/streamed/{name}".encode() not in received:
                received += connection.recv(65536)


def test_the_rest_of_the_admin_listener_is_not_exposed(system):
    for path in (
        "/metrics", "/readyz", "/requests", "/requests/1", "/replica/1/requests", "/replica/1/metrics/../requests", "/replica/1/metrics/",
        "/replica/1/api/requests", "/replica/1/api/stream", "/replica/1/", "/healthz", "/api", "/console", "/index.html", "/api/../requests",
    ):
        received = send_raw(system.operator, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert statuses(received) == [404], path


def test_operator_paths_are_not_special_on_the_public_listener(system):
    response = ask(system.http, path="/replica/1/metrics")
    assert "record-id" in response.headers
    assert response.body == b""


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:80", "replicas", "127.0.0.1", "127.0.0.1:80", "10.89.65.3:80", "[::1]", "[::1]:80", "[2001:DB8::1]",
    "haproxy:80", "Watch.Example.org",
])
def test_the_operator_listener_accepts_its_own_hosts(hosts, host):
    assert ask(hosts.operator, path="/haproxy/metrics", host=host).status == 200


@pytest.mark.parametrize("host", [
    "rebound.example", "localhost.rebound.example", "127.0.0.1.rebound.example", "xlocalhost", "haproxy.example",
    "1.2.3.4.5", "",
])
def test_dns_rebinding_gets_421(hosts, host):
    for path in ("/haproxy/metrics", "/haproxy/certificates", "/replica/1/metrics", "/litestream/heartbeat", "/"):
        response = ask(hosts.operator, path=path, host=host)
        assert response.status == 421, path
        assert response.body == b"this listener does not serve that Host: see HAPROXY_OPERATOR_HOSTS\n"


def test_the_default_hosts_are_those_of_compose_yaml_and_quadlet(system):
    for name in ("haproxy:80", "replicas"):
        assert ask(system.operator, path="/haproxy/metrics", host=name).status == 200


def test_a_missing_host_gets_421(hosts):
    for version in ("1.0", "1.1"):
        assert statuses(send_raw(hosts.operator, f"GET /haproxy/metrics HTTP/{version}\r\n\r\n".encode(), more=0.1)) == [421]


@pytest.mark.parametrize("variables", [{"HAPROXY_OPERATOR": ":PORT"}, {"HAPROXY_OPERATOR": "fd@5", "HAPROXY_HEARTBEAT": ":PORT"}])
def test_the_container_health_check_succeeds(hosts, variables):
    """With the variables of compose.yaml and of quadlet/."""
    environment = {name: value.replace("PORT", str(hosts.operator[1])) for name, value in variables.items()}
    assert subprocess.run(["bash", REPOSITORY / "haproxy/healthcheck"], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("site, status", [("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)])
def test_cross_site_requests_are_refused_and_cors_is_off(hosts, site, status):
    for method in ("GET", "OPTIONS"):
        response = ask(hosts.operator, method, "/haproxy/metrics", sec_fetch_site=site, origin="http://rebound.example")
        assert response.status == status or method == "OPTIONS"
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_a_link_on_another_site_opens_the_console_and_nothing_else(hosts):
    def status(path: str, target: str) -> int:
        return ask(hosts.operator, path=path, sec_fetch_site="cross-site", sec_fetch_dest=target).status

    assert status("/?id=1", "document") == 200
    assert {status("/", target) for target in ("iframe", "script", "empty")} == {403}
    assert {status(path, "document") for path in ("/api/requests", "/console/main.js", "/haproxy/metrics")} == {403}


@pytest.fixture(scope="module")
def hosts(haproxy, binary, tmp_path_factory):
    with System(
        haproxy, binary, tmp_path_factory.mktemp("system"), names=("1",), HAPROXY_OPERATOR_HOSTS="haproxy replicas watch.example.org",
    ) as system:
        yield system
