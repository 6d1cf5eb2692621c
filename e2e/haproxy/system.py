"""HAProxy with this repository's haproxy/ before daybook processes on unix sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BASE_CFG = (REPOSITORY / "haproxy/base.cfg").read_text()
OPERATOR_PORT = int(re.search(r'presetenv HAPROXY_OPERATOR +"127\.0\.0\.1:(\d+)"', BASE_CFG)[1])
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 20.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Replica:
    """One daybook process; `name` names its sockets."""

    def __init__(self, binary: Path, directory: Path, name: str, settings: dict[str, str]) -> None:
        self.name = name
        self.admin = directory / f"{name}.admin.sock"
        # Without the caller's configuration.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DAYBOOK_")}
        environment |= {
            "DAYBOOK_LISTEN": f"unix:{directory}/{name}.sock",
            "DAYBOOK_ADMIN__LISTEN": f"unix:{self.admin}",
            "DAYBOOK_REPLICA": name,
            "DAYBOOK_TRUSTED_PROXIES": "unix",
            "DAYBOOK_DATABASE__PATH": str(directory / "requests.db"),
            "DAYBOOK_SHUTDOWN__DRAIN_DELAY": "2s",
        } | settings
        self._log = (directory / f"{name}.log").open("ab")
        self.process = subprocess.Popen(
            [binary, "serve"], cwd=directory, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log,
        )
        wait_until(lambda: self._is_ready(), f"replica {name} is ready")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"replica {self.name} ended with {self.process.returncode}"
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, path: str) -> tuple[int, bytes]:
        """GET from its admin listener: status and body."""
        connection = UnixConnection(self.admin)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        finally:
            self.kill()


class System:
    """Replicas and an HAProxy, as a context manager that stops them. The directory is the caller's."""

    def __init__(
        self, haproxy: Path, binary: Path, directory: Path, *,
        names: tuple[str, ...] = ("1", "2"), settings: dict[str, str] | None = None,
        configuration: Path = REPOSITORY / "haproxy", **variables: str,
    ) -> None:
        self._haproxy, self._binary, self.directory, self._names = haproxy, binary, directory, names
        self._settings, self._configuration = settings or {}, configuration
        self.replicas: dict[str, Replica] = {}
        self._ports = [reserve_port() for _ in range(3)]
        self.http, self.https, self.operator = (port.getsockname() for port in self._ports)
        self.socket = directory / "haproxy.sock"
        self.log = directory / "haproxy.jsonl"
        self.variables = {
            "HAPROXY_HTTP": "%s:%d" % self.http,
            "HAPROXY_HTTPS": "%s:%d" % self.https,
            "HAPROXY_OPERATOR": "%s:%d" % self.operator,
            "HAPROXY_SOCKET": str(self.socket),
            "HAPROXY_REPLICAS": str(len([name for name in names if name.isdecimal()])),
            "HAPROXY_REPLICA_SOCKETS": str(directory),
            # Nothing listens there.
            "HAPROXY_LITESTREAM": "127.0.0.1:1",
        } | variables
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> System:
        try:
            for name in self._names:
                self.start_replica(name)
            self._start_haproxy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_replica(self, name: str) -> Replica:
        replica = Replica(self._binary, self.directory, name, self._settings)
        self.replicas[name] = replica
        return replica

    def _start_haproxy(self) -> None:
        with self.log.open("ab") as log, (self.directory / "haproxy.err").open("ab") as errors:
            self._process = subprocess.Popen(
                [self._haproxy, "-db", "-f", self._configuration], env=environment(self.variables), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=errors,
            )
        for name in self._names:
            server = "next/next1" if name == "next" else f"replicas/replica{name}"
            self.wait_for_server(server, up=True)

    def wait_for_server(self, server: str, *, up: bool) -> None:
        wanted = ("UP",) if up else ("DOWN", "MAINT")
        wait_until(lambda: self._server_status(server).startswith(wanted), f"{server} is {'up' if up else 'down'}")

    def _server_status(self, server: str) -> str:
        assert self._process.poll() is None, (self.directory / "haproxy.err").read_text()
        try:
            lines = self.command("show stat").splitlines()
        except OSError:
            return ""
        for line in lines:
            fields = line.split(",")
            if fields[:2] == server.split("/"):
                return fields[17]
        return ""

    def command(self, line: str) -> str:
        """The output of a command on the runtime socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(line.encode() + b"\n")
            response = b""
            while part := connection.recv(65536):
                response += part
        return response.decode().strip()

    def records(self, path_prefix: str = "/") -> list[dict]:
        """The newest records with that path prefix, oldest first, from any replica."""
        status, body = next(iter(self.replicas.values())).ask("/requests?limit=1000")
        assert status == 200, body
        return [record for record in reversed(json.loads(body)["requests"]) if record["path"].startswith(path_prefix)]

    def log_lines(self, count: int) -> list[dict]:
        """HAProxy's log, once it has `count` lines: a line is written after its response."""
        wait_until(lambda: self.log.read_bytes().count(b"\n") >= count, f"{count} lines are logged")
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for replica in self.replicas.values():
            replica.kill()
        for port in self._ports:
            port.close()

    def record_ids(self) -> set[int]:
        """Stops everything first, because Python's SQLite must not read a database that others write."""
        self.stop()
        connection = sqlite3.connect(self.directory / "requests.db")
        try:
            return {row[0] for row in connection.execute("select id from requests")}
        finally:
            connection.close()


def environment(variables: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("HAPROXY")} | variables


def reserve_port() -> socket.socket:
    """A port of 127.0.0.1 reserved with SO_REUSEPORT, so that HAProxy can bind it and others cannot."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"not within {START_SECONDS_MAX} s: {what}"
        time.sleep(0.01)
