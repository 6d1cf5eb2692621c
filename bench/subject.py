"""The base class of everything that is measured."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

from process import BenchError, Process


class Subject:
    """A service in its own directory, used as a context manager that stops all its processes."""

    method = "GET"
    path = "/bench"
    content_type = "text/plain"
    body: bytes | None = None
    """The body of every request; None: the load's."""
    records = True
    """Whether every response must have a row."""

    dies_of_sigterm = False
    """Whether SIGTERM kills one of its programs."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.address = ""
        """Host and port, after the start."""
        self.processes: list[Process] = []
        self.statuses: list[int] = []
        """Exit statuses, after the stop."""

    def start(self) -> None:
        """Starts it; returns when it responds."""
        raise NotImplementedError

    def rows(self) -> int:
        """The number of records, after the stop."""
        return 0

    def __enter__(self) -> Subject:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in self.processes:
            process.ask_to_stop()
        self.statuses = [process.stop() for process in self.processes]
        if self.dies_of_sigterm:
            self.statuses = [0 if status == -signal.SIGTERM else status for status in self.statuses]

    def cpu_seconds(self) -> float:
        return sum(process.cpu_seconds() for process in self.processes)

    def resident_mib(self) -> float:
        """Of the largest process."""
        return max(process.resident_mib() for process in self.processes)


def count_rows(database: Path, table: str = "requests") -> int:
    """Call it only after every program has exited: Python's SQLite lacks the fix of the WAL-reset bug, and could damage a database
    that others write."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(database)
    try:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]
    except sqlite3.Error as error:
        raise BenchError(f"{database}: {error}") from error
    finally:
        connection.close()
