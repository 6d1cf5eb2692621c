"""With HAPROXY_TLS=on and a certificate."""

from __future__ import annotations

import datetime
import fcntl
import http.server
import os
import socket
import ssl
import subprocess
import threading

import pytest

from client import ask
from system import REPOSITORY, environment, wait_until


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", directory / "site.pem.key", "-out", directory / "site.pem"],
        check=True, capture_output=True,
    )
    return directory


@pytest.fixture
def curl(start, certificates):
    """`curl(…)` requests https://localhost/ and trusts only that certificate."""
    with start(HAPROXY_TLS="on", HAPROXY_CERTIFICATES=str(certificates)) as system:
        def curl(*arguments: str, path: str = "/", check: bool = True) -> str:
            command = [
                "curl", "-sS", "--max-time", "10", "--cacert", str(certificates / "site.pem"), *arguments,
                f"https://localhost:{system.https[1]}{path}",
            ]
            return subprocess.run(command, check=check, capture_output=True, text=True).stdout

        curl.system = system
        yield curl


def test_https_speaks_http_2_and_http_1(curl):
    response = curl("--http2", "-i", "-d", "hello", path="/secure")
    assert response.startswith("HTTP/2 200") and response.endswith("\n\nhello")
    assert curl("--http1.1", "-i").startswith("HTTP/1.1 200")
    [record] = curl.system.records("/secure")
    assert (record["remote_addr"], record["content_length"]) == ("127.0.0.1", 5)


def test_https_responses_carry_hsts(curl):
    assert "strict-transport-security: max-age=31536000" in curl("-i")
    assert "strict-transport-security" not in ask(curl.system.http).headers


def test_the_redirect_to_https_keeps_method_and_query(curl):
    response = ask(curl.system.http, "POST", "/x/y?z=1", b"x", host="www.example.org:8080")
    assert response.status == 308
    assert response.headers["location"] == "https://www.example.org/x/y?z=1"
    assert curl.system.records("/x/y") == []


def test_the_redirect_uses_the_configured_https_port(start, certificates):
    with start(HAPROXY_TLS="on", HAPROXY_CERTIFICATES=str(certificates), HAPROXY_HTTPS_PORT="8443") as system:
        location = ask(system.http, path="/x?z=1", host="www.example.org:8080").headers["location"]
    assert location == "https://www.example.org:8443/x?z=1"


def test_certificate_expiry_is_a_metric(curl, certificates):
    command = ["openssl", "x509", "-in", certificates / "site.pem", "-noout", "-enddate", "-dateopt", "iso_8601"]
    end = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().removeprefix("notAfter=")
    body = ask(curl.system.operator, path="/haproxy/certificates").body.decode()
    [line] = [line for line in body.splitlines() if not line.startswith("#")]
    assert line.startswith(f'haproxy_certificate_not_after_seconds{{file="{certificates}/site.pem"}} ')
    assert int(line.split()[-1]) == datetime.datetime.fromisoformat(end).timestamp()


def test_tls_1_1_is_refused(curl):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        curl("--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0")
    assert "alert protocol version" in refused.value.stderr or "protocol version" in refused.value.stderr


def test_robots_txt_and_limits_apply_over_http_2(curl, tmp_path):
    assert curl("--http2", path="/robots.txt").startswith("User-agent")
    assert curl("--http2", "-o", "/dev/null", "-w", "%{http_code}", path="/healthz") == "404"
    body = tmp_path / "too-large"
    body.write_bytes(bytes(2_000_000))
    # HAProxy does not read all of it, which curl may report as an error after the response.
    upload = ("--data-binary", f"@{body}", "-w", "%{http_code}", "-o", "/dev/null")
    assert curl("--http2", *upload, check=False) == "413"


@pytest.mark.parametrize("names", [
    "http:http:http:https:https", "https:https:http:http:http",
    # Behind a front.
    "http:http:https", "https:http:http", "http:http",
])
def test_inherited_sockets_are_recognised_in_either_order(haproxy, certificates, tmp_path, names):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names.split(":")]
    addresses = {"http": [], "https": []}
    for name, each in zip(names.split(":"), sockets):
        addresses[name].append(each.getsockname())
    # As systemd passes them: from descriptor 3.
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 50) for each in sockets]
    moved = " ".join(f"{3 + number}<&{descriptor}" for number, descriptor in enumerate(high))
    variables = {
        "LISTEN_FDNAMES": names, "HAPROXY_HTTP": "fd@3,fd@4", "HAPROXY_OPERATOR": "fd@5",
        "HAPROXY_CERTIFICATES": str(certificates), "HAPROXY_SOCKET": str(tmp_path / "haproxy.sock"),
        "HAPROXY_REPLICA_SOCKETS": str(tmp_path), "HAPROXY_LITESTREAM": "127.0.0.1:1",
    }
    process = subprocess.Popen(
        ["bash", "-c", f'exec {moved}; exec "$@"', "bash", haproxy, "-db", "-f", REPOSITORY / "haproxy"],
        pass_fds=high, env=environment(variables), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "haproxy.err").open("w"),
    )
    try:
        *public, operator = addresses["http"]
        wait_until(lambda: process.poll() is not None or ask(operator, path="/haproxy/metrics").status == 200, "it responds")
        assert process.poll() is None, (tmp_path / "haproxy.err").read_text()
        # Without a certificate, nothing redirects, and no replica is ready.
        assert {ask(address).status for address in public} == {308 if addresses["https"] else 503}
        for address in addresses["https"]:
            context = ssl.create_default_context(cafile=certificates / "site.pem")
            with socket.create_connection(address, 5) as tcp, context.wrap_socket(tcp, server_hostname="localhost") as tls:
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert tls.recv(100).startswith(b"HTTP/1.1 503")
    finally:
        process.kill()
        process.wait()
        for descriptor in high:
            os.close(descriptor)
        for each in sockets:
            each.close()


def test_acme_challenges_go_to_the_acme_client_only(start):
    class Client(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

    with http.server.HTTPServer(("127.0.0.1", 0), Client) as client:
        threading.Thread(target=client.serve_forever, daemon=True).start()
        with start(HAPROXY_ACME="127.0.0.1:%d" % client.server_address[1]) as system:
            response = ask(system.http, path="/.well-known/acme-challenge/token")
            assert (response.status, response.body) == (200, b"/.well-known/acme-challenge/token")
            client.shutdown()
            client.server_close()
            # No ACME client listens.
            assert ask(system.http, path="/.well-known/acme-challenge/token").status == 503
            assert ask(system.http, path="/.well-known/other").status == 200
            assert [record["path"] for record in system.records()] == ["/.well-known/other"]
