"""Pebble, Let's Encrypt's ACME server for tests, on the test host; and clients that trust its certificates."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass

from backups import serve
from client import Address
from composed import eventually
from server import Server
from steady import Steady

# Only Pebble resolves these names to the server.
NAME, WWW, BOOKS = "daybook.test", "www.daybook.test", "xn--bcher-kva.daybook.test"
# Pebble's own certificate on the host, self-signed.
CERTIFICATE = "/srv/acme/cert.pem"


class Acme:
    """`url` is the value of ACME_SERVER, `roots` the certificates that sign what Pebble issues."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address = server.host.address
        self.url = f"https://{self.address}:14000/dir"
        self.roots = ""

    def start(self) -> None:
        self.server.host.run("mkdir", "-p", "/srv/acme")
        self.server.host.run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=acme", "-addext", f"subjectAltName=IP:{self.address}",
            "-keyout", "/srv/acme/key.pem", "-out", CERTIFICATE,
        )
        names = (f"--add-host={name}:{self.address}" for name in (NAME, WWW, BOOKS))
        serve(self.server.host, "acme", 14000, "--publish=15000:15000", "--volume=/srv/acme:/keys:ro", *names)
        curl = ("curl", "--silent", "--fail", "--cacert", CERTIFICATE, f"https://{self.address}:15000/roots/0")
        self.roots = eventually(10, lambda: self.server.host.attempt(*curl).stdout, "Pebble responds")
        self.be_trusted()

    def be_trusted(self) -> None:
        """Makes lego trust Pebble like a public ACME server."""
        directory, section = {
            "quadlet": ("/etc/containers/systemd/daybook-certificate.container.d", "[Container]"),
            "systemd": ("/etc/systemd/system/daybook-certificate.service.d", "[Service]"),
        }[self.server.form]
        lines = [section, f"Environment=LEGO_CA_CERTIFICATES={CERTIFICATE}"]
        if self.server.form == "quadlet":
            lines.append(f"Volume={CERTIFICATE}:{CERTIFICATE}:ro")
        self.server.host.run("mkdir", "-p", directory)
        self.server.host.run("tee", f"{directory}/trust.conf", input="\n".join(lines) + "\n")
        self.server.host.run("systemctl", "daemon-reload")


class Connection(http.client.HTTPSConnection):
    """A connection to the server's port 443, under its name, that trusts only `roots`."""

    def __init__(self, address: Address, roots: str) -> None:
        super().__init__(NAME, timeout=15, context=ssl.create_default_context(cadata=roots))
        self.address = address

    def connect(self) -> None:
        tcp = socket.create_connection(self.address, self.timeout)
        self.sock = self._context.wrap_socket(tcp, server_hostname=self.host)

    def get(self, path: str = "/") -> http.client.HTTPResponse:
        self.request("GET", path)
        response = self.getresponse()
        response.read()
        return response

    def certificate(self) -> dict:
        """The certificate that the server sent on this connection."""
        return self.sock.getpeercert()


@dataclass
class SteadyTls(Steady):
    """Every request with its own handshake."""

    roots: str = ""
    rate: int = 100

    def _connection(self) -> http.client.HTTPConnection:
        return Connection(self.address, self.roots)
