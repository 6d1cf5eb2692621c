"""Databases of a given size, filled without the requests."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from daybook import Replica
from process import BenchError
from program import progress
from tools import Tools

FILL_ROWS = 1_000_000
"""In one transaction."""
ROWS_PER_HOUR = 800_000
"""As a service has them that answers 222 requests a second."""
BYTES_PER_ROW = 50
COPY_BYTES_PER_ROW = 80
"""Litestream has its working files, and in its copy for a while the same rows three times; all of it compressed."""


def check_free_space(directory: Path, sizes: list[int]) -> None:
    free = shutil.disk_usage(directory).free
    # The copies are of one database after the other.
    needed = sum(sizes) * BYTES_PER_ROW + max(sizes) * COPY_BYTES_PER_ROW + (1 << 30)
    if free < needed:
        raise BenchError(f"{directory} has {free >> 20:,} MiB free, and {needed >> 20:,} are needed")


def create(tools: Tools, database: Path) -> str:
    """An empty one, by daybook itself; returns the version of its SQLite."""
    replica = Replica(tools.daybook, database, "full", 1, "127.0.0.1:0")
    if (status := replica.stop()) != 0:
        raise BenchError(f"daybook ended with {status}, not 0")
    return replica.ready_line["sqlite"]


def fill(database: Path, rows: int, until: float) -> None:
    """Rows as daybook would have written them, evenly, up to this time. Nobody else has the file open."""
    connection = sqlite3.connect(database)
    try:
        for done in range(0, rows, FILL_ROWS):
            connection.execute(
                """
                with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n + 1 < ?)
                insert into requests (timestamp, method, path, content_length, remote_addr)
                select round(? + n * 3600.0 / ?, 6), 'GET', '/bench/' || n, n % 1000, '192.0.2.' || n % 256 from numbers
                """,
                (min(FILL_ROWS, rows - done), until - (rows - done) * 3600 / ROWS_PER_HOUR, ROWS_PER_HOUR),
            )
            connection.commit()
            progress(f"filling: {min(done + FILL_ROWS, rows):,} of {rows:,} rows")
        connection.execute("pragma wal_checkpoint(truncate)")
    except sqlite3.Error as error:
        raise BenchError(f"{database}: {error}") from error
    finally:
        connection.close()
