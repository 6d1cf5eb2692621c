"""HTTP clients for any running system: they need only an address."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from dataclasses import dataclass, field

Address = tuple[str, int]


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(address: Address, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str) -> Response:
    """Sends one request on its own connection. Keyword arguments such as `x_request_id` are headers."""
    connection = http.client.HTTPConnection(*address, timeout=15)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, names, response.read())
    finally:
        connection.close()


def send_raw(
    address: Address, *pieces: bytes, pause: float = 0.0, until: float = 15.0, more: float | None = None,
) -> bytes:
    """Sends raw pieces with pauses, and returns everything received until the peer closes, or for `until` seconds; with `more`,
    until nothing arrives for that many seconds."""
    deadline = time.monotonic() + until
    received = b""
    with socket.create_connection(address, timeout=until) as connection:
        try:
            for number, piece in enumerate(pieces):
                if number:
                    # A response ends the pause.
                    connection.settimeout(pause)
                    try:
                        received += connection.recv(65536)
                        break
                    except TimeoutError:
                        pass
                    connection.settimeout(until)
                connection.sendall(piece)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left if more is None or not received else min(left, more))
                part = connection.recv(65536)
                received += part
                if not part:
                    break
        except (TimeoutError, ConnectionError):
            pass
    return received


def get_over_http_2(address: Address, path: bytes) -> bytes:
    """The frames received for a GET whose path has exactly these bytes, which no library would send."""

    def field(name: bytes, value: bytes) -> bytes:
        """RFC 7541, 6.2.2: a literal without indexing, uncompressed."""
        return b"\0" + length(name) + name + length(value) + value

    def length(text: bytes) -> bytes:
        """RFC 7541, 5.1, with a prefix of 7 bits."""
        if len(text) < 127:
            return bytes([len(text)])
        rest, octets = len(text) - 127, [127]
        while rest >= 128:
            octets.append(rest % 128 + 128)
            rest //= 128
        return bytes([*octets, rest])

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    fields = {b":method": b"GET", b":scheme": b"http", b":authority": b"x", b":path": path}
    head = b"".join(field(*each) for each in fields.items())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    # SETTINGS; HEADERS with END_HEADERS and END_STREAM.
    return send_raw(address, preface + frame(4, 0, 0, b"") + frame(1, 5, 1, head), more=0.3)


def statuses(received: bytes) -> list[int]:
    """The status of each response."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


@dataclass
class Clients:
    """Concurrent clients as a context manager, with the results of their requests. Subclasses implement `_run`."""

    address: Address
    headers: dict[str, str] = field(default_factory=dict, kw_only=True)
    record_ids: list[int] = field(default_factory=list, init=False)
    failures: list[str] = field(default_factory=list, init=False)
    worst_seconds: float = field(default=0.0, init=False)

    def __enter__(self):
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run_and_keep_error) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if failed:
            return
        # Zero failures must not mean zero requests.
        if self._errors:
            raise self._errors[0]
        assert self.record_ids or self.failures, "no requests were sent"

    def _run_and_keep_error(self) -> None:
        """Keeps a thread's exception for `__exit__`."""
        try:
            self._run()
        except BaseException as error:
            self._errors.append(error)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=15)

    def _ask(self, connection: http.client.HTTPConnection, method: str, since: float) -> None:
        """Sends one request; its latency counts from `since`."""
        try:
            connection.request(method, "/load", None if method == "GET" else b"x", self.headers)
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                self.record_ids.append(int(response.headers["record-id"]))
            else:
                self.failures.append(f"{method}: {response.status}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{method}: {error!r}")
            connection.close()
        self.worst_seconds = max(self.worst_seconds, time.monotonic() - since)

    def __str__(self) -> str:
        return (
            f"{len(self.record_ids)} succeeded, {len(self.failures)} failed, "
            f"the slowest took {self.worst_seconds * 1000:.0f} ms"
        )


@dataclass
class Load(Clients):
    """Each client sends one request after another on a keep-alive connection."""

    method: str = "GET"
    clients: int = 8

    def _run(self) -> None:
        connection = self._connection()
        while not self._over.is_set():
            self._ask(connection, self.method, time.monotonic())
        connection.close()

    def __str__(self) -> str:
        return f"{self.method}s: {super().__str__()}"
