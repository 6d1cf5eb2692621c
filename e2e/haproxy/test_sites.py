"""Several projects behind the front of server/sites/, each with its own HAProxy."""

from __future__ import annotations

import http.client
import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import Load, ask, statuses
from front import Front, answer
from system import System, wait_until
from test_websocket import OPENING, Replica

# The client's address. Everything else here uses 127.0.0.1.
CLIENT = "127.0.0.7"
# Names of the two sites with TLS. `shop` has a wildcard, too.
SHOP, ITEMS, BLOG, WIKI, CHAT = "shop.example", "items.shop.example", "blog.example", "wiki.example", "chat.example"


@dataclass
class Sites:
    front: Front
    shop: System
    blog: System
    wiki: System
    acme: str

    def https(self, name: str, *arguments: str, path: str = "/", trust: str = "") -> subprocess.CompletedProcess[str]:
        """Requests https://NAME/, and trusts only that site's certificate, or another name's."""
        certificate = self.front.directory / f"{trust or name}.pem"
        port = self.front.https[1]
        return subprocess.run(
            ["curl", "-sS", "--max-time", "10", "--cacert", certificate, "--resolve", f"{name}:{port}:127.0.0.1",
             "--interface", CLIENT, *arguments, f"https://{name}:{port}{path}"],
            capture_output=True, text=True,
        )


def make_certificate(directory: Path, *names: str) -> Path:
    """Self-signed. `NAME.pem` of each name is the certificate alone; the returned file has the key, too."""
    file = directory / f"{names[0]}.site.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
         "-keyout", f"{file}.key", "-out", file],
        check=True, capture_output=True,
    )
    for name in names:
        (directory / f"{name}.pem").write_text(file.read_text())
    return file


class AcmeClient(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the proof of blog")


@pytest.fixture(scope="module")
def sites(haproxy: Path, binary: Path, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("sites")
    front = Front(haproxy, directory)

    def site(name: str, keys: tuple[str, ...], **variables: str) -> System:
        own = tmp_path_factory.mktemp(name)
        return System(haproxy, binary, own, names=("1",), **front.add(name, *keys), **variables)

    def tls(*names: str) -> dict[str, str]:
        return {"HAPROXY_TLS": "on", "HAPROXY_CERTIFICATES": str(make_certificate(directory, *names))}

    with http.server.HTTPServer(("127.0.0.1", 0), AcmeClient) as client:
        threading.Thread(target=client.serve_forever, daemon=True).start()
        acme = "127.0.0.1:%d" % client.server_address[1]
        with (
            site("shop", (SHOP, f".{SHOP}"), **tls(SHOP, f"*.{SHOP}", ITEMS), HAPROXY_ACME="127.0.0.1:1") as shop,
            site("blog", (BLOG,), **tls(BLOG), HAPROXY_ACME=acme) as blog,
            site("wiki", (WIKI,)) as wiki,
            front,
        ):
            yield Sites(front, shop, blog, wiki, acme)
        client.shutdown()


def test_http_goes_to_the_project_with_that_host_and_the_clients_address_is_recorded(sites: Sites):
    connection = http.client.HTTPConnection(*sites.front.http, timeout=15, source_address=(CLIENT, 0))
    connection.request("POST", "/page", b"x", {"Host": "WIKI.example:80", "X-Forwarded-For": "203.0.113.1"})
    assert connection.getresponse().status == 200
    connection.close()
    [record] = sites.wiki.records("/page")
    assert record["remote_addr"] == CLIENT
    assert [system.records("/page") for system in (sites.shop, sites.blog)] == [[], []]
    # These have TLS, so their own HAProxy redirects.
    for name in (SHOP, ITEMS, BLOG):
        assert ask(sites.front.http, path="/x", host=name).headers["location"] == f"https://{name}/x"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_https_goes_to_the_project_with_that_name_which_has_its_own_certificate(sites: Sites, version: str):
    for name, system in ((SHOP, sites.shop), (ITEMS, sites.shop), (BLOG, sites.blog)):
        path = f"/{name}{version}"
        done = sites.https(name, version, "-i", "-d", "hello", path=path)
        assert done.stdout.startswith("HTTP/2 200" if version == "--http2" else "HTTP/1.1 200"), done.stderr
        assert done.stdout.endswith("\n\nhello")
        [record] = system.records(path)
        assert record["remote_addr"] == CLIENT
    assert "certificate" in sites.https(SHOP, version, trust=BLOG).stderr


def test_the_rate_limit_counts_the_client_and_not_the_front(haproxy: Path, binary: Path, tmp_path: Path):
    front = Front(haproxy, tmp_path)
    with System(haproxy, binary, tmp_path, names=("1",), HAPROXY_RATE_LIMIT="3", **front.add("shop", SHOP)), front:
        assert [ask(front.http, host=SHOP).status for _ in range(4)] == [200, 200, 200, 429]
        other = http.client.HTTPConnection(*front.http, timeout=15, source_address=(CLIENT, 0))
        other.request("GET", "/", headers={"Host": SHOP})
        assert other.getresponse().status == 200
        other.close()


def test_a_later_request_for_another_project_on_the_same_connection_is_421(sites: Sites):
    connection = http.client.HTTPConnection(*sites.front.http, timeout=15)
    for host, status in ((WIKI, 200), (SHOP, 421), (WIKI, 200)):
        connection.request("GET", "/later", headers={"Host": host})
        response = connection.getresponse()
        text = response.read()
        assert response.status == status
        assert status == 200 or text == b"this site does not serve that Host: see SITES\n"
    connection.close()
    assert len(sites.wiki.records("/later")) == 2
    for version in ("--http1.1", "--http2"):
        done = sites.https(BLOG, version, "-i", "-H", f"Host: {SHOP}", path="/later")
        assert done.stdout.split()[1] == "421"
    assert (sites.blog.records("/later"), sites.shop.records("/later")) == ([], [])


@pytest.mark.parametrize("host", ["unknown.example", f"{WIKI}.example", f"a.b.{SHOP}", "127.0.0.1"])
def test_an_unknown_name_is_421_over_http_and_a_closed_connection_over_tls(sites: Sites, host: str):
    response = ask(sites.front.http, host=host)
    assert (response.status, response.body) == (421, b"this server does not serve that Host\n")
    context = ssl.create_default_context()
    with socket.create_connection(sites.front.https, timeout=15) as tcp, pytest.raises((ssl.SSLEOFError, ConnectionError)):
        context.wrap_socket(tcp, server_hostname=host)


@pytest.mark.parametrize("request_head, status", [
    (b"GET / HTTP/1.0\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
    (b"\x16\x03\x01 this is TLS\r\n\r\n", 400),
])
def test_a_head_without_a_usable_host_gets_a_response(sites: Sites, request_head: bytes, status: int):
    assert statuses(answer(sites.front.http, request_head)) == [status]


def test_what_is_no_tls_is_closed_on_the_port_for_tls(sites: Sites):
    assert answer(sites.front.https, b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n") == b""


def test_an_acme_challenge_goes_to_the_project_with_that_host(sites: Sites):
    path = "/.well-known/acme-challenge/token"
    response = ask(sites.front.http, path=path, host=BLOG)
    assert (response.status, response.body) == (200, b"the proof of blog")
    # No ACME client of this project listens.
    assert ask(sites.front.http, path=path, host=SHOP).status == 503


def test_a_new_site_costs_the_others_no_request_and_no_websocket(sites: Sites, haproxy: Path, binary: Path, tmp_path_factory):
    front = sites.front
    own = tmp_path_factory.mktemp("chat")

    def opened(path: str) -> socket.socket:
        connection = socket.create_connection(front.http, timeout=15)
        connection.sendall(OPENING.replace(b"Host: x", f"Host: {CHAT}".encode()).replace(b"/socket", path.encode()))
        assert statuses(connection.recv(65536)) == [101]
        return connection

    with socketserver.ThreadingUnixStreamServer(str(own / "1.sock"), Replica) as replica:
        replica.daemon_threads = True
        threading.Thread(target=replica.serve_forever, daemon=True).start()
        with System(haproxy, binary, own, names=(), **front.add("chat", CHAT), HAPROXY_REPLICAS="1") as chat:
            chat.wait_for_server("replicas/replica1", up=True)
            assert ask(front.http, host=CHAT).status == 421
            with Load(front.http, headers={"Host": WIKI}) as load:
                front.reload()
                wait_until(lambda: ask(front.http, host=CHAT).status != 421, "the new site is reached")
                with opened("/before") as websocket:
                    front.reload()
                    wait_until(lambda: statuses(answer(front.http, OPENING.replace(b"Host: x", b"Host: unknown"))) == [421], "it responds")
                    before = len(load.record_ids)
                    wait_until(lambda: len(load.record_ids) > before + 100, "requests go on")
                    websocket.sendall(b"still here")
                    assert websocket.recv(100) == b"still here"
            assert load.failures == []
        replica.shutdown()


def test_a_site_that_is_down_does_not_disturb_the_others(sites: Sites, haproxy: Path):
    sites.front.add("gone", "gone.example")
    sites.front.reload()
    wait_until(lambda: answer(sites.front.http, b"GET / HTTP/1.1\r\nHost: gone.example\r\n\r\n") == b"", "the front knows it")
    assert ask(sites.front.http, host=WIKI).status == 200
