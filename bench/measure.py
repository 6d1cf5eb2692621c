"""What is measured, and whether it may be believed."""

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
    """One row, once."""

    requests_per_second: float
    percentiles_ms: dict[str, float]
    cpu_us_per_request: float
    resident_mib: float
    """Of the largest process, a moment after the load."""
    answers: int
    rows: int
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


def measure(tools: Tools, directory: Path, row: Row, seconds: float) -> Measurement:
    """Fresh processes on a fresh database, loaded, stopped, and their rows counted."""
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
            requests_per_second=counted.answers / counted.seconds,
            percentiles_ms=counted.percentiles_ms,
            cpu_us_per_request=cpu_seconds * 1e6 / max(counted.answers, 1),
            resident_mib=resident_mib,
            answers=counted.answers,
            rows=rows,
            faults=[f"{row.name}: {fault}" for fault in find_faults(subject, row.load, counted, rows)],
        )


def find_faults(subject: Subject, load: Load, counted: Counted, rows: int) -> list[str]:
    faults = list(counted.troubles)
    if any(subject.statuses):
        faults.append(f"it ended with {subject.statuses}, not 0")
    # A load generator does not wait for what is in flight when its time is over: those rows are right, and it never saw
    # the answers. HAProxy is asked once before the load.
    unseen_max = load.connections + 1
    if not subject.records:
        if rows:
            faults.append(f"{rows} rows, although nothing was to be recorded")
    elif not counted.answers <= rows <= counted.answers + unseen_max:
        faults.append(f"{rows} rows for {counted.answers} answers")
    return faults


def measure_starts(tools: Tools, directory: Path, times: int) -> Starts:
    """A database is filled for a second, and daybook then started on it again and again."""
    with tempfile.TemporaryDirectory(prefix="starts-", dir=directory) as work:
        subject = Daybook(Path(work), tools, 1, "full")
        with subject:
            send(tools, subject, Load(), 1)
            sqlite = subject.processes[0].ready_line["sqlite"]
        starts = Starts([], [], count_rows(subject.database), sqlite)
        for _ in range(times):
            replica = Replica(tools.daybook, subject.database, "full", 1, "127.0.0.1:0")
            try:
                time.sleep(0.2)  # It is to be idle, not just started.
                starts.milliseconds.append(replica.start_seconds * 1000)
                starts.resident_mib.append(replica.resident_mib())
            finally:
                status = replica.stop()
            if status != 0:
                raise BenchError(f"daybook ended with {status}, not 0")
        return starts
