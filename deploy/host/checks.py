"""Sends the requests of checks.toml to a replica or through HAProxy. They are recorded like any other."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import tomllib
from dataclasses import dataclass
from pathlib import Path

from machine import Failure, Refusal

FILE = Path("/etc/daybook/checks.toml")
# Host names of this project, if it shares the ports with others (server/README.md).
NAMES = Path("/etc/haproxy/sites.d/daybook.map")
RESPONSE_SECONDS_MAX = 10


@dataclass(frozen=True)
class Request:
    """One `[[request]]` of the file. Without `answer`, any body is accepted."""

    method: str
    path: str
    status: int
    body: str = ""
    answer: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def read() -> list[Request]:
    try:
        requests = [Request(**fields) for fields in tomllib.loads(FILE.read_text())["request"]]
    except FileNotFoundError:
        raise Refusal(f"{FILE} is missing: install deploy/checks.toml of the repository there") from None
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Refusal(f"{FILE}: {error}: see deploy/checks.toml of the repository") from None
    if not requests:
        raise Refusal(f"{FILE} has no [[request]]: add at least one")
    return requests


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=RESPONSE_SECONDS_MAX)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def haproxy_redirects_to_tls() -> bool:
    """With a certificate, HTTP only redirects. HAProxy itself responds to this path, so it leaves no record."""
    return exchange(haproxy_connection(tls=False), "GET", "/healthz")[0] == 308


class Connection(http.client.HTTPConnection):
    """To this machine, whatever the name resolves to."""

    tls: ssl.SSLContext | None = None

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)


def haproxy_connection(tls: bool) -> http.client.HTTPConnection:
    """To HAProxy's public port. Whether the certificate is valid does not matter here."""
    connection = Connection(public_name(), 443 if tls else 80, timeout=RESPONSE_SECONDS_MAX)
    if tls:
        connection.tls = ssl.create_default_context()
        connection.tls.check_hostname = False
        connection.tls.verify_mode = ssl.CERT_NONE
    return connection


def public_name() -> str:
    """A name that reaches this project on this server."""
    if not NAMES.exists():
        return "127.0.0.1"
    name = NAMES.read_text().split()[0]
    # The key of a wildcard.
    return f"www{name}" if name.startswith(".") else name


def send(request: Request, connection: http.client.HTTPConnection, admin: str, headers: dict[str, str] = {}) -> None:
    """Sends it, and checks the response and the record."""
    status, content, got = exchange(connection, request.method, request.path, request.body, headers)
    if status != request.status:
        raise Failure(f"{request}: returned {status} instead of {request.status}")
    if request.answer is not None and content != request.answer.encode():
        raise Failure(f"{request}: returned {content[:80]!r} instead of {request.answer[:80].encode()!r}")
    record_id = got.get("record-id")
    if record_id is None:
        raise Failure(f"{request}: the response has no record-id")
    row_status, row, _ = exchange(UnixConnection(admin), "GET", f"/requests/{record_id}")
    if row_status != 200:
        raise Failure(f"{request}: /requests/{record_id} returned {row_status}: the record is missing")
    row = json.loads(row)
    recorded = (row["method"], row["path"], row["content_length"])
    sent = (request.method, request.path.partition("?")[0], len(request.body.encode()))
    if recorded != sent:
        raise Failure(f"{request}: record {record_id} is {recorded} instead of {sent}")


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: str = "", headers: dict[str, str] = {}
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """One request on its own connection: status, body and headers of the response."""
    try:
        connection.request(method, path, body.encode() or None, headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{method} {path}: no response: {error or type(error).__name__}") from None
    finally:
        connection.close()
