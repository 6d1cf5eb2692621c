"""What is measured, and whether it may be believed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from replicas import BenchError, Replica, Replicas, Variant

CONNECTIONS = 100
THREADS = 2
SETTLE_SECONDS = 1.0


@dataclass
class Load:
    """One variant under load, once."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    cpu_us_per_request: float
    resident_mib: float
    """Of the largest process, a moment after the load."""
    rows: int
    answers: int
    faults: list[str] = field(default_factory=list)
    """Why these figures say nothing. Empty if all is well."""


@dataclass
class Starts:
    """Several starts on one existing database, nothing else going on."""

    milliseconds: list[float]
    resident_mib: list[float]
    database_rows: int
    sqlite: str
    """The version of SQLite that daybook says it has."""


def measure_load(binary: Path, directory: Path, variant: Variant, seconds: int) -> Load:
    """Fresh processes on a fresh database, loaded, stopped, and their rows counted."""
    with tempfile.TemporaryDirectory(prefix="load-", dir=directory) as work:
        database = Path(work) / "requests.db"
        with Replicas(binary, variant, database) as replicas:
            cpu_before = replicas.cpu_seconds()
            counted = run_wrk(replicas.address, seconds)
            cpu_seconds = replicas.cpu_seconds() - cpu_before
            time.sleep(SETTLE_SECONDS)
            resident_mib = max(replica.resident_mib() for replica in replicas.members)
        answers = counted["responses"] - counted["not_ok"]
        load = Load(
            requests_per_second=counted["responses"] / counted["seconds"],
            p50_ms=counted["p50_us"] / 1000,
            p99_ms=counted["p99_us"] / 1000,
            worst_ms=counted["max_us"] / 1000,
            cpu_us_per_request=cpu_seconds * 1e6 / max(counted["responses"], 1),
            resident_mib=resident_mib,
            rows=count_rows(database),
            answers=answers,
        )
        load.faults = find_faults(variant, load, counted, replicas.statuses)
        return load


def run_wrk(address: str, seconds: int) -> dict:
    command = [
        "wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
        "-s", str(Path(__file__).parent / "wrk.lua"), f"http://{address}/bench",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"wrk did not end: {error}") from error
    last_line = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        return json.loads(last_line)
    except ValueError:
        raise BenchError(f"wrk failed with status {done.returncode}: {done.stderr or done.stdout}") from None


def count_rows(database: Path) -> int:
    """Only once every daybook has ended: Python's SQLite is older than the fix of the WAL-reset bug, and could damage a
    database that others write."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(database)
    try:
        return connection.execute("select count(*) from requests").fetchone()[0]
    except sqlite3.Error as error:
        raise BenchError(f"{database}: {error}") from error
    finally:
        connection.close()


def find_faults(variant: Variant, load: Load, counted: dict, statuses: list[int]) -> list[str]:
    faults = []
    if any(statuses):
        faults.append(f"daybook ended with {statuses}, not 0")
    if counted["not_ok"] or counted["socket_errors"]:
        faults.append(f"{counted['not_ok']} answers were not 2xx, {counted['socket_errors']} socket errors")
    if load.answers == 0:
        faults.append("no answers")
    # wrk does not wait for what is in flight when its time is over: those rows are right, and it never saw the answers.
    unseen_max = CONNECTIONS + counted["socket_errors"]
    if variant.mode == "off":
        if load.rows:
            faults.append(f"{load.rows} rows, although nothing was to be recorded")
    elif not load.answers <= load.rows <= load.answers + unseen_max:
        faults.append(f"{load.rows} rows for {load.answers} answers")
    return [f"{variant}: {fault}" for fault in faults]


def measure_starts(binary: Path, directory: Path, times: int) -> Starts:
    """A database is filled for a second, and daybook then started on it again and again."""
    variant = Variant(1, "full")
    with tempfile.TemporaryDirectory(prefix="starts-", dir=directory) as work:
        database = Path(work) / "requests.db"
        with Replicas(binary, variant, database) as replicas:
            run_wrk(replicas.address, 1)
        starts = Starts([], [], count_rows(database), replicas.members[0].ready_line["sqlite"])
        for _ in range(times):
            replica = Replica(binary, variant, database, 1, "127.0.0.1:0")
            try:
                time.sleep(0.2)  # It is to be idle, not just started.
                starts.milliseconds.append(replica.start_seconds * 1000)
                starts.resident_mib.append(replica.resident_mib())
            finally:
                status = replica.stop()
            if status != 0:
                raise BenchError(f"daybook ended with {status}, not 0")
        return starts
