"""With HAPROXY_TLS=on and a certificate."""

from __future__ import annotations

import datetime
import subprocess

import pytest

from client import ask


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
    """`curl(…)` asks for https://localhost/ and trusts that certificate alone."""
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
    answer = curl("--http2", "-i", "-d", "hello", path="/secure")
    assert answer.startswith("HTTP/2 200") and answer.endswith("\n\nhello")
    assert curl("--http1.1", "-i").startswith("HTTP/1.1 200")
    [record] = curl.system.records("/secure")
    assert (record["remote_addr"], record["content_length"]) == ("127.0.0.1", 5)


def test_https_says_that_it_is_to_stay(curl):
    assert "strict-transport-security: max-age=31536000" in curl("-i")
    assert "strict-transport-security" not in ask(curl.system.http).headers


def test_http_is_redirected_with_its_method_and_query(curl):
    answer = ask(curl.system.http, "POST", "/x/y?z=1", b"x", host="www.example.org:8080")
    assert answer.status == 308
    assert answer.headers["location"] == "https://www.example.org/x/y?z=1"
    assert curl.system.records("/x/y") == []


def test_prometheus_learns_when_the_certificate_expires(curl, certificates):
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


def test_robots_and_limits_hold_for_http_2(curl, tmp_path):
    assert curl("--http2", path="/robots.txt").startswith("User-agent")
    assert curl("--http2", "-o", "/dev/null", "-w", "%{http_code}", path="/healthz") == "404"
    body = tmp_path / "too-large"
    body.write_bytes(bytes(2_000_000))
    # Not all of it is taken, which curl may call an error, after the answer.
    upload = ("--data-binary", f"@{body}", "-w", "%{http_code}", "-o", "/dev/null")
    assert curl("--http2", *upload, check=False) == "413"
