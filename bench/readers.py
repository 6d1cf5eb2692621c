"""Readers of the admin listeners, beside a load. Each is used as a context manager, and fails if a response is not 200."""

from __future__ import annotations

import http.client
import selectors
import socket
import threading
import time

from process import BenchError

CONSOLE = {2.0: "/api/state", 5.0: "/api/stats?bucket=10s&since=1m&top=0", 20.0: "/api/stats?bucket=1m&since=1h&top=0"}
"""Requests of the console's page, by seconds between two times. Beside them, it has a stream."""


class Background:
    """A thread that runs until the end."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._error: Exception | None = None
        self._threads = [threading.Thread(target=self._run, args=[work]) for work in self.work()]

    def work(self) -> list:
        raise NotImplementedError

    def _run(self, work) -> None:
        try:
            work()
        except Exception as error:
            self._error = error

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        if self._error:
            raise BenchError(f"a reader failed: {self._error}")


class Queries(Background):
    """A client for each of the addresses, which asks for one path after another."""

    def __init__(self, addresses: list[str], paths: list[str]) -> None:
        self._addresses, self._paths = addresses, paths
        super().__init__()

    def work(self) -> list:
        return [lambda address=address: self._ask(address) for address in self._addresses]

    def _ask(self, address: str) -> None:
        while not self._end.is_set():
            for path in self._paths:
                ask(address, path)
                if self._end.is_set():
                    return


class Streams(Background):
    """Clients of `/api/stream`, spread over the addresses. One thread reads them all."""

    def __init__(self, addresses: list[str], count: int) -> None:
        self._addresses, self._count = addresses, count
        super().__init__()

    def work(self) -> list:
        return [self._read]

    def _read(self) -> None:
        with selectors.DefaultSelector() as ready:
            sockets = []
            for number in range(self._count):
                host, port = self._addresses[number % len(self._addresses)].rsplit(":", 1)
                client = socket.create_connection((host, int(port)), timeout=20)
                sockets.append(client)
                client.sendall(f"GET /api/stream HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                if b" 200 " not in client.recv(65536):
                    raise BenchError("no stream")
                ready.register(client, selectors.EVENT_READ)
            while not self._end.is_set():
                for key, _ in ready.select(0.1):
                    if not key.fileobj.recv(1 << 20):
                        raise BenchError("a stream has ended")
            for client in sockets:
                client.close()


class Console(Streams):
    """The requests of one open page, to the first replica."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(addresses[:1], 1)

    def work(self) -> list:
        return [self._read, self._ask]

    def _ask(self) -> None:
        due = {seconds: 0.0 for seconds in CONSOLE}
        while not self._end.wait(0.05):
            for seconds, path in CONSOLE.items():
                if time.monotonic() >= due[seconds]:
                    due[seconds] = time.monotonic() + seconds
                    ask(self._addresses[0], path)


def ask(address: str, path: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"{response.status} {body!r} for {path}")
