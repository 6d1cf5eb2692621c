"""Whether a large database costs more than an empty one: the same measurements at several sizes, in turns.

Exit status: 0 if what is wanted is reached, 1 if it is missed, 2 if it could not be measured."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from daybook import Daybook, Replica
from load import Load, send
from process import BenchError
from program import exit_with, progress
from report import describe_machine
from tools import Tools, build_daybook

SIZES = (0, 10_000_000, 50_000_000)
ROUNDS = 3
SECONDS = 4
FILL_ROWS = 1_000_000
"""In one transaction."""
INSERTS_AT_LEAST = 0.97
"""Of the largest database, against the empty one."""


@dataclass
class Size:
    """What was measured on a database of so many rows; one value a round."""

    rows: int
    bytes: int
    inserts_per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    newest_page_ms: list[float] = field(default_factory=list)
    middle_page_ms: list[float] = field(default_factory=list)
    one_record_ms: list[float] = field(default_factory=list)


def main() -> int:
    arguments = parse_arguments()
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook())
    directory = (arguments.dir or tools.daybook.parent.parent / "bench").resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="growth-", dir=directory) as work:
        sizes = []
        sqlite = ""
        for rows in sorted(arguments.rows or SIZES):
            database = Path(work) / str(rows) / "requests.db"
            database.parent.mkdir()
            sqlite = create(tools, database)
            fill(database, rows)
            sizes.append(Size(rows, database.stat().st_size))
        for number in range(ROUNDS):
            for size in sizes if number % 2 == 0 else reversed(sizes):
                measure_size(tools, Path(work) / str(size.rows) / "requests.db", size)
                progress(f"round {number + 1} of {ROUNDS}: {size.rows:11,} rows {size.inserts_per_second[-1]:9,.0f} requests/s")
        print(markdown(sizes, describe_machine(tools.daybook, directory, sqlite, load_average)))
    ratio = kept(sizes)
    return 0 if ratio is None or ratio >= INSERTS_AT_LEAST else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run growth", description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="a size, instead of 0, 10 and 50 million; may be repeated")
    parser.add_argument("--dir", type=Path, help="where databases are made: on the disk in question (target/bench)")
    return parser.parse_args()


def create(tools: Tools, database: Path) -> str:
    """An empty one, by daybook itself; returns the version of its SQLite."""
    replica = Replica(tools.daybook, database, "full", 1, "127.0.0.1:0")
    replica.stop()
    return replica.ready_line["sqlite"]


def fill(database: Path, rows: int) -> None:
    """Rows as daybook writes them, without the requests. Nobody else has the file open."""
    free = shutil.disk_usage(database.parent).free
    if free < rows * 100:
        raise BenchError(f"{database.parent} has {free >> 20} MiB free: {rows:,} rows need {rows * 100 >> 20}")
    connection = sqlite3.connect(database)
    try:
        for done in range(0, rows, FILL_ROWS):
            connection.execute(
                """
                with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n + 1 < ?)
                insert into requests (timestamp, method, path, content_length, remote_addr)
                select 1.7e9 + (? + n) / 1000.0, 'GET', '/bench/' || n, n % 1000, '192.0.2.' || n % 256 from numbers
                """,
                (min(FILL_ROWS, rows - done), done),
            )
            connection.commit()
            progress(f"filling: {min(done + FILL_ROWS, rows):,} of {rows:,} rows")
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.close()


def measure_size(tools: Tools, database: Path, size: Size) -> None:
    subject = Daybook(database.parent, tools, 4, "normal")
    with subject:
        size.start_ms.append(subject.processes[0].start_seconds * 1000)
        admin = subject.processes[0].ready_line["admin_listen"][0]
        newest = ask(admin, "/requests?limit=50")
        middle = max(size.rows // 2, 51)
        size.newest_page_ms.append(time_ms(lambda: ask(admin, "/requests?limit=50")))
        size.middle_page_ms.append(time_ms(lambda: ask(admin, f"/requests?limit=50&before={middle}")))
        if newest["requests"]:
            record = newest["requests"][0]["id"]
            size.one_record_ms.append(time_ms(lambda: ask(admin, f"/requests/{record}")))
        counted = send(tools, subject, Load(), SECONDS)
        size.inserts_per_second.append(counted.answers / counted.seconds)
        size.p99_ms.append(counted.percentiles_ms["99"])
    if counted.troubles or any(subject.statuses):
        raise BenchError(f"{size.rows:,} rows: {counted.troubles}, ended with {subject.statuses}")


def time_ms(work: Callable[[], object], times: int = 50) -> float:
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        taken.append((time.perf_counter() - before) * 1000)
    return median(taken)


def ask(admin: str, path: str) -> dict:
    connection = http.client.HTTPConnection(admin, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchError(f"{path}: {answer.status} {body!r}")
        return json.loads(body)
    finally:
        connection.close()


def kept(sizes: list[Size]) -> float | None:
    """Inserts at the largest size over those at the smallest, within rounds."""
    if len(sizes) < 2:
        return None
    return median(large / small for large, small in zip(sizes[-1].inserts_per_second, sizes[0].inserts_per_second))


def markdown(sizes: list[Size], machine: list[str]) -> str:
    lines = [
        f"4 replicas at `normal`, `wrk -c100` for {SECONDS} s, {ROUNDS} interleaved rounds: medians.",
        "",
        "| rows before | MiB | requests/s | p99 ms | ready ms | newest 50 ms | 50 from the middle ms | one record ms |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes:
        one = f"{median(size.one_record_ms):.2f}" if size.one_record_ms else "–"
        lines.append(
            f"| {size.rows:,} | {size.bytes >> 20:,} | {median(size.inserts_per_second):,.0f} | {median(size.p99_ms):.1f} "
            f"| {median(size.start_ms):.1f} | {median(size.newest_page_ms):.2f} | {median(size.middle_page_ms):.2f} | {one} |"
        )
    ratio = kept(sizes)
    if ratio is not None:
        verdict = "reached" if ratio >= INSERTS_AT_LEAST else "**missed**"
        lines += ["", f"Largest / smallest, requests/s within a round: {ratio:.2f} (wanted ≥ {INSERTS_AT_LEAST}: {verdict})"]
    return "\n".join([*lines, "", *(f"- {fact}" for fact in machine)])


if __name__ == "__main__":
    exit_with(main)
