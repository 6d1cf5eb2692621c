"""What an operator asks SQLite itself, for which daybook has no command: counts per minute, and all rows.

Every statement is short, as daybook's own are: while somebody reads, the write-ahead log cannot start over."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from process import BenchError

PAGE_ROWS = 10_000


@contextmanager
def reader(database: Path) -> Iterator[sqlite3.Connection]:
    """Replicas may be running. The SQLite of Python may be older than the fix of the WAL-reset bug; but that takes a
    connection that writes or checkpoints, and a read-only one does neither."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise BenchError(f"{database}: {error}") from error


def counts_per_minute(connection: sqlite3.Connection, until: float) -> list[int]:
    """Of the hour that ends then.

    `timestamp` has no index, which would cost every insert; but ids are in the order of commits, and so nearly in that of
    time. So the id at which each minute begins is looked for by halves, some 25 rows each, and what lies between two of
    them is counted. That takes a quarter of the time of a `group by` over the same hour, or less, for that has to sort it;
    and no statement reads more than a minute. The price: a request that was committed after a later one may count for
    the minute beside its own.
    """
    (end,) = connection.execute("select coalesce(max(id), 0) + 1 from requests").fetchone()
    begins = [1]
    for minute in range(61):
        begins.append(first_id(connection, begins[-1], end, until - 3600 + 60 * minute))
    between = "select count(*) from requests where id >= ? and id < ?"
    return [connection.execute(between, edges).fetchone()[0] for edges in zip(begins[1:], begins[2:])]


def first_id(connection: sqlite3.Connection, low: int, high: int, timestamp: float) -> int:
    """The first id, in low … high, from which on the rows are not older than this."""
    while low < high:
        middle = (low + high) // 2
        # The next one that there is: ids may be missing.
        row = connection.execute("select id, timestamp from requests where id >= ? order by id limit 1", (middle,)).fetchone()
        if row is None or row[1] >= timestamp:
            high = middle
        else:
            low = row[0] + 1
    return low


def export(connection: sqlite3.Connection) -> int:
    """Reads all rows in the order of their ids, page by page, as one line of JSON each; returns how many there were. The
    lines are made by SQLite, and written to nowhere: neither Python's JSON nor the disk is what is measured."""
    page = """
        select id, printf('{"id":%d,"timestamp":%.6f,"method":%s,"path":%s,"content_length":%d,"remote_addr":%s}', id,
                          timestamp, json_quote(method), json_quote(path), content_length, json_quote(remote_addr))
        from requests where id > ? order by id limit ?
    """
    rows = last = 0
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        while read := connection.execute(page, (last, PAGE_ROWS)).fetchall():
            nowhere.writelines(f"{line}\n" for _, line in read)
            rows += len(read)
            last = read[-1][0]
    return rows
