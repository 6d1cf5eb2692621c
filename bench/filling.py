"""Fills databases to a given size, without requests."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from daybook import Replica
from process import BenchError
from program import progress
from tools import Tools

FILL_ROWS = 1_000_000
"""Per transaction."""
ROWS_PER_HOUR = 800_000
"""As at 222 requests a second."""
BYTES_PER_ROW = 55
COPY_BYTES_PER_ROW = 80
"""Compressed: Litestream's working files, and its copy, which holds the rows three times for a while."""


def check_free_space(directory: Path, sizes: list[int]) -> None:
    free = shutil.disk_usage(directory).free
    # Databases are copied one after another.
    needed = sum(sizes) * BYTES_PER_ROW + max(sizes) * COPY_BYTES_PER_ROW + (1 << 30)
    if free < needed:
        raise BenchError(f"{directory} has {free >> 20:,} MiB free, and {needed >> 20:,} are needed")


def create(tools: Tools, database: Path) -> str:
    """Creates an empty database with daybook; returns its SQLite version."""
    replica = Replica(tools.daybook, database, "full", 1, "127.0.0.1:0")
    if (status := replica.stop()) != 0:
        raise BenchError(f"daybook exited with {status}, not 0")
    return replica.ready_line["sqlite"]


def fill(database: Path, rows: int, until: float) -> None:
    """Inserts evenly spaced rows as daybook writes them, up to `until`. No other process may have the file open."""
    connection = sqlite3.connect(database)
    try:
        for done in range(0, rows, FILL_ROWS):
            connection.execute(
                """
                with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n + 1 < ?)
                insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us)
                select round(? + n * 3600.0 / ?, 6), 'GET', '/bench/' || n, n % 1000, '192.0.2.' || n % 256,
                    iif(n % 1000, 200, 500), 50 + n % 997
                from numbers
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
