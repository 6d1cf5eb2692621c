"""daybook as a subject: replicas on one file, alone, behind HAProxy, or with Litestream."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import time
from pathlib import Path

from process import START_SECONDS_MAX, Process, free_address
from subject import Subject, count_rows
from tools import REPOSITORY, Tools

FIRST_COPY_SECONDS_MAX = 300.0
SHARE_OF_HAPROXY = -6
"""An autogroup of 3.8 times a replica's weight. On a server its CPUWeight= is that of four replicas."""


class Replica(Process):
    """One daybook process that is ready."""

    def __init__(
        self, binary: Path, database: Path, mode: str, number: int, listen: str,
        settings: dict[str, str] | None = None, within: tuple[str, ...] = (), share: int | None = None,
    ) -> None:
        """`mode` is `full` or `normal` (database.synchronous), or `off` (record = false). `settings` are environment variables,
        `within` is a command that wraps daybook, `share` is that of `Process`."""
        # Without the caller's configuration.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DAYBOOK_")}
        environment |= {
            "DAYBOOK_LISTEN": listen,
            "DAYBOOK_ADMIN__LISTEN": "127.0.0.1:0",
            "DAYBOOK_REPLICA": str(number),
            "DAYBOOK_DATABASE__PATH": str(database),
            "DAYBOOK_DATABASE__SYNCHRONOUS": "normal" if mode == "off" else mode,
            "DAYBOOK_RECORD": "false" if mode == "off" else "true",
            "DAYBOOK_TRUSTED_PROXIES": '["unix", "127.0.0.1/32"]',
            "DAYBOOK_HTTP__BODY_BYTES_IN_FLIGHT_MAX": str(1 << 30),
            "DAYBOOK_LOG__FORMAT": "json",
        } | (settings or {})
        self._ready: queue.Queue[dict] = queue.Queue()
        started = time.perf_counter()
        super().__init__([*within, binary, "serve"], database.parent, environment, self._look_at, share)
        try:
            self.ready_line = self._wait_for_ready_line()
            self.address: str = self.ready_line["listen"][0]
            self.admin: str = self.ready_line["admin_listen"][0]
            self.wait_until(lambda: responds_ok(self.admin, "/readyz"), f"returned 200 at http://{self.admin}/readyz")
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started
        """From the fork to the first 200 of /readyz."""

    def ask(self, path: str) -> bytes:
        """GET from its admin listener."""
        connection = http.client.HTTPConnection(self.admin, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except OSError as error:
            raise self.failure(f"did not respond to {path}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise self.failure(f"returned {response.status} {body!r} for {path}")
        return body

    def metric(self, name: str) -> int:
        """The value of a metric that has no labels of its own."""
        found = re.search(rf"^{name}\{{.*\}} (\d+)$", self.ask("/metrics").decode(), re.MULTILINE)
        if found is None:
            raise self.failure(f"has no metric {name}")
        return int(found[1])

    def _look_at(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and event.get("message") == "ready":
            self._ready.put(event)

    def _wait_for_ready_line(self) -> dict:
        try:
            return self._ready.get(timeout=START_SECONDS_MAX)
        except queue.Empty:
            raise self.failure("did not become ready") from None


def responds_ok(address: str, path: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Daybook(Subject):
    """Replicas that share one file and one port; with `as_units` they share the cores as systemd units do."""

    def __init__(self, work: Path, tools: Tools, replicas: int, mode: str, as_units: bool = False) -> None:
        super().__init__(work)
        self._tools, self._count, self._mode, self._as_units = tools, replicas, mode, as_units
        self.database = work / "requests.db"
        self.records = mode != "off"

    def start(self) -> None:
        self.address = free_address()
        for number in range(1, self._count + 1):
            self.start_replica(number, self.address)

    def admins(self) -> list[str]:
        """The replicas' admin listeners."""
        return [replica.admin for replica in self.processes]

    def start_replica(self, number: int, listen: str) -> Replica:
        share = 0 if self._as_units else None
        replica = Replica(self._tools.daybook, self.database, self._mode, number, listen, share=share)
        self.processes.append(replica)
        return replica

    def rows(self) -> int:
        return count_rows(self.database)


def start_haproxy(subject: Subject, tools: Tools, servers: int, as_units: bool) -> None:
    """Starts this repository's haproxy/ before the sockets 1.sock, 2.sock and so on in the subject's directory, and sets the
    subject's address."""
    subject.address = free_address()
    environment = os.environ | {
        "HAPROXY_HTTP": subject.address,
        "HAPROXY_OPERATOR": free_address(),
        "HAPROXY_SOCKET": str(subject.work / "haproxy.sock"),
        "HAPROXY_REPLICAS": str(servers),
        "HAPROXY_REPLICA_SOCKETS": str(subject.work),
        "HAPROXY_LITESTREAM": "127.0.0.1:9",
    }
    share = SHARE_OF_HAPROXY if as_units else None
    haproxy = Process([tools.haproxy, "-f", REPOSITORY / "haproxy"], subject.work, environment, share=share)
    subject.processes.append(haproxy)
    haproxy.wait_until(lambda: responds_ok(subject.address, "/started"), "forwarded a request")


class BehindHAProxy(Daybook):
    """Replicas on one socket each, behind this repository's haproxy/."""

    dies_of_sigterm = True

    def start(self) -> None:
        for number in range(1, self._count + 1):
            self.start_replica(number, f"unix:{self.work}/{number}.sock")
        start_haproxy(self, self._tools, self._count, self._as_units)

    def stop(self) -> None:
        # HAProxy first, so that it has no failed requests.
        self.processes.reverse()
        super().stop()


class WithLitestream(Daybook):
    """Replicas with Litestream and this repository's litestream/litestream.yml, copying to the same disk."""

    def __init__(self, work: Path, tools: Tools, replicas: int, mode: str) -> None:
        super().__init__(work, tools, replicas, mode)
        self.copy = work / "copy"
        self.control_socket = work / "litestream.sock"
        self.first_copy_seconds = 0.0
        """From Litestream's start until the initial database was copied."""

    def start(self) -> None:
        super().start()
        configuration = (REPOSITORY / "litestream/litestream.yml").read_text()
        for fixed, ours in (
            ("/run/litestream/litestream.sock", str(self.control_socket)),
            ("${BACKUP_METRICS_LISTEN}:9102", free_address()),
        ):
            assert fixed in configuration, fixed
            configuration = configuration.replace(fixed, ours)
        written = self.work / "litestream.yml"
        written.write_text(configuration)
        environment = os.environ | {"DAYBOOK_DATABASE__PATH": str(self.database), "BACKUP_URL": f"file://{self.copy}"}
        started = time.perf_counter()
        litestream = Process([self._tools.litestream, "replicate", "-config", written], self.work, environment)
        self.processes.append(litestream)
        litestream.wait_until(lambda: self.copied_txid() > 0, "copied a transaction", FIRST_COPY_SECONDS_MAX)
        self.first_copy_seconds = time.perf_counter() - started

    def copied_txid(self, level: int = 0) -> int:
        """The last Litestream transaction in the copy, 0 for none. The names of complete files end in their last transaction.
        Level 0 has the newest files, level 9 the snapshots."""
        names = (self.copy / f"ltx/{level}").glob("*.ltx")
        return max((int(name.stem.partition("-")[2], 16) for name in names), default=0)

    def stop(self) -> None:
        self.processes.reverse()
        super().stop()
