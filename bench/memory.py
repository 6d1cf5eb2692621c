"""What one replica keeps in memory: for connections that are open, and for records that wait in the queue."""

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
"""The last is commit.queue_records_max. A request that waits needs a connection, so that many are open all the time."""
OPEN_FILES = CONNECTIONS[-1] + 200
SETTLE_SECONDS = 0.5


@dataclass
class Memory:
    """Resident MiB, a value a round."""

    by_connections: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CONNECTIONS})
    by_queued_records: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in QUEUED_RECORDS})


def allow_open_files() -> None:
    """For us and for what we start: each connection is a file to both ends."""
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
                expect_answer(client)


@contextmanager
def running(tools: Tools, directory: Path) -> Iterator[tuple[Replica, Path]]:
    with tempfile.TemporaryDirectory(prefix="memory-", dir=directory) as work:
        database = Path(work) / "requests.db"
        # Records wait for as long as we hold the lock, and connections while others are made.
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
    """Until there are so many; each has had an answer, and keeps its connection."""
    host, _, port = replica.address.rpartition(":")
    while len(clients) < count:
        client = stack.enter_context(socket.create_connection((host, int(port)), timeout=START_SECONDS_MAX))
        clients.append(client)
        ask(client)
        expect_answer(client)


def ask(client: socket.socket) -> None:
    client.sendall(b"GET /bench HTTP/1.1\r\nhost: bench\r\n\r\n")


def expect_answer(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # It has no body.
        received = client.recv(4096)
        if not received:
            break
        answer += received
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"daybook was to answer 200, and answered {answer!r}")


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
