"""Measures the memory of one replica against open connections and queued records."""

from __future__ import annotations

import fcntl
import resource
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from daybook import Replica
from process import START_SECONDS_MAX, BenchError
from tools import Tools

CONNECTIONS = (0, 10, 100, 1_000, 2_000, 10_000)
"""The last is http.connections_max."""
QUEUED_RECORDS = (0, 1_000, 8_192)
"""The last is commit.queue_records_max. Each queued record needs a connection, so that many are open throughout."""
OPEN_FILES = CONNECTIONS[-1] + 200
SETTLE_SECONDS = 0.5


@dataclass
class Memory:
    """Resident MiB, one value per round."""

    by_connections: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CONNECTIONS})
    by_queued_records: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in QUEUED_RECORDS})


def allow_open_files() -> None:
    """For this process and its children: each connection is a file at both ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        raise BenchError(f"{OPEN_FILES:,} files have to be open at once, and {hard:,} are allowed: raise ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def measure_memory(tools: Tools, directory: Path, memory: Memory) -> None:
    with running(tools, directory) as (replica, _), ExitStack() as stack:
        clients: list[socket.socket] = []
        for count, found in memory.by_connections.items():
            connect(replica, clients, count, stack)
            found.append(settled_mib(replica))
    with running(tools, directory) as (replica, database), ExitStack() as stack:
        clients = []
        connect(replica, clients, QUEUED_RECORDS[-1], stack)
        for count, found in memory.by_queued_records.items():
            with write_lock(database):
                for client in clients[:count]:
                    ask(client)
                wait_for_queue(replica, count)
                found.append(settled_mib(replica))
            for client in clients[:count]:
                expect_response(client)


@contextmanager
def running(tools: Tools, directory: Path) -> Iterator[tuple[Replica, Path]]:
    with tempfile.TemporaryDirectory(prefix="memory-", dir=directory) as work:
        database = Path(work) / "requests.db"
        # Long enough for all connections and for holding the lock.
        patient = {"DAYBOOK_COMMIT__DEADLINE": "10m", "DAYBOOK_HTTP__IDLE_TIMEOUT": "10m"}
        replica = Replica(tools.daybook, database, "normal", 1, "127.0.0.1:0", patient)
        try:
            yield replica, database
        except OSError as error:
            raise replica.failure(f"did not keep its connections: {error}") from error
        finally:
            status = replica.stop()
        if status != 0:
            raise BenchError(f"daybook ended with {status}, not 0")


def connect(replica: Replica, clients: list[socket.socket], count: int, stack: ExitStack) -> None:
    """Opens connections up to `count`; each gets one response and stays open."""
    host, _, port = replica.address.rpartition(":")
    while len(clients) < count:
        client = stack.enter_context(socket.create_connection((host, int(port)), timeout=START_SECONDS_MAX))
        clients.append(client)
        ask(client)
        expect_response(client)


def ask(client: socket.socket) -> None:
    client.sendall(b"GET /bench HTTP/1.1\r\nhost: bench\r\n\r\n")


def expect_response(client: socket.socket) -> None:
    response = b""
    while not response.endswith(b"\r\n\r\n"):  # It has no body.
        received = client.recv(4096)
        if not received:
            break
        response += received
    if not response.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"daybook returned {response!r} instead of 200")


@contextmanager
def write_lock(database: Path) -> Iterator[None]:
    """Held as if by another replica; closing the file gives it back."""
    with open(f"{database}.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_for_queue(replica: Replica, count: int) -> None:
    found = -1
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        found = replica.metric("daybook_commit_queue_records")
        if found == count:
            return
        time.sleep(0.02)
    raise replica.failure(f"has {found:,} records in its queue, not {count:,}")


def settled_mib(replica: Replica) -> float:
    time.sleep(SETTLE_SECONDS)
    return replica.resident_mib()
