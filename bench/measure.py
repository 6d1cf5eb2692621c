"""Measures a row, and checks that the figures are valid."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from daybook import Daybook, Replica
from load import Counted, Load, send
from process import BenchError
from subject import Subject, count_rows
from suite import Row
from tools import Tools

SETTLE_SECONDS = 0.5


@dataclass
class Measurement:
    """One run of a row."""

    requests_per_second: float
    percentiles_ms: dict[str, float]
    cpu_us_per_request: float
    resident_mib: float
    """Of the largest process, after the load."""
    responses: int
    rows: int
    faults: list[str] = field(default_factory=list)
    """Why the figures are void; empty if they are valid."""


@dataclass
class Starts:
    """Several starts on one existing database, without load."""

    milliseconds: list[float]
    resident_mib: list[float]
    database_rows: int
    sqlite: str
    """The SQLite version that daybook reports."""


def measure(tools: Tools, directory: Path, row: Row, seconds: float) -> Measurement:
    """Starts fresh processes on a fresh database, loads them, stops them and counts the rows."""
    with tempfile.TemporaryDirectory(prefix="load-", dir=directory) as work:
        subject = row.make(Path(work), tools)
        with subject:
            cpu_before = subject.cpu_seconds()
            counted = send(tools, subject, row.load, seconds)
            cpu_seconds = subject.cpu_seconds() - cpu_before
            time.sleep(SETTLE_SECONDS)
            resident_mib = subject.resident_mib()
        rows = subject.rows()
        return Measurement(
            requests_per_second=counted.responses / counted.seconds,
            percentiles_ms=counted.percentiles_ms,
            cpu_us_per_request=cpu_seconds * 1e6 / max(counted.responses, 1),
            resident_mib=resident_mib,
            responses=counted.responses,
            rows=rows,
            faults=[f"{row.name}: {fault}" for fault in find_faults(subject, row.load, counted, rows)],
        )


def find_faults(subject: Subject, load: Load, counted: Counted, rows: int) -> list[str]:
    faults = list(counted.errors)
    if any(subject.statuses):
        faults.append(f"it exited with {subject.statuses}, not 0")
    # Requests in flight at the end have rows, but the load generator does not see their responses. HAProxy got one request before.
    in_flight_max = load.connections + 1
    if not subject.records:
        if rows:
            faults.append(f"{rows} rows, although recording was off")
    elif not counted.responses <= rows <= counted.responses + in_flight_max:
        faults.append(f"{rows} rows for {counted.responses} responses")
    return faults


def measure_starts(tools: Tools, directory: Path, times: int) -> Starts:
    """Fills a database for a second, then starts daybook on it repeatedly."""
    with tempfile.TemporaryDirectory(prefix="starts-", dir=directory) as work:
        subject = Daybook(Path(work), tools, 1, "full")
        with subject:
            send(tools, subject, Load(), 1)
            sqlite = subject.processes[0].ready_line["sqlite"]
        starts = Starts([], [], count_rows(subject.database), sqlite)
        for _ in range(times):
            replica = Replica(tools.daybook, subject.database, "full", 1, "127.0.0.1:0")
            try:
                time.sleep(0.2)  # Let it become idle.
                starts.milliseconds.append(replica.start_seconds * 1000)
                starts.resident_mib.append(replica.resident_mib())
            finally:
                status = replica.stop()
            if status != 0:
                raise BenchError(f"daybook exited with {status}, not 0")
        return starts
