"""Measures the read API on a large database: the time of each query, and what readers cost the recording, in interleaved rounds.

Exit status: 0 all bounds reached, 1 a bound missed, 2 not measured."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from daybook import Daybook, Replica
from filling import check_free_space, create, fill
from load import Load, send
from process import BenchError
from program import argument_parser, exit_with, progress, save, work_directory
from readers import Console, Queries, Streams
from report import Figure, describe_machine
from tools import Tools, build_daybook

ROWS = 10_000_000
REPLICAS = 2
STREAMS = 100
MINUTES_SECONDS_MAX = 900.0
"""For `daybook-minutes`, which first runs a minute after a start."""

AT_LEAST = {"an open console": 0.95}


def readers(rows: int) -> dict[str, Callable[[Daybook], AbstractContextManager]]:
    paths = [path for _, path in queries(rows)]
    return {
        "none": lambda _: nullcontext(),
        "an open console": lambda subject: Console(subject.admins()),
        f"{STREAMS} streams": lambda subject: Streams(subject.admins(), STREAMS),
        "two clients that never pause": lambda subject: Queries(subject.admins(), paths),
    }


@dataclass
class Measured:
    query_ms: dict[str, list[float]] = field(default_factory=dict)
    requests_per_second: dict[str, list[float]] = field(default_factory=dict)
    p99_ms: dict[str, list[float]] = field(default_factory=dict)


def queries(rows: int) -> list[tuple[str, str]]:
    """A name and a path for each. The newest row is of now, and the oldest of half a day ago; one row of a thousand has status 500."""
    return [
        ("the newest 50", "/api/requests"),
        ("50 from the middle", f"/api/requests?before={rows // 2}"),
        ("50 of an hour in the middle", "/api/requests?since=7h&until=6h"),
        ("50 with a status that is rare", "/api/requests?status=5xx"),
        ("one record", f"/api/requests/{rows // 2}"),
        ("nothing: a status that none has", "/api/requests?status=418"),
        ("nothing: a text that no path has", "/api/requests?q=nowhere"),
        ("figures of the last hour, by minute", "/api/stats?since=1h"),
        ("figures of the last day, by 5 minutes", "/api/stats?bucket=5m&since=24h"),
        ("figures of the last minute, by 10 s", "/api/stats?bucket=10s&since=1m&top=0"),
        ("figures of a status, last hour", "/api/stats?since=1h&status=5xx"),
        ("a replica's state", "/api/state"),
        ("the page", "/"),
    ]


def prepare(tools: Tools, database: Path, rows: int) -> str:
    """Fills it, and waits until `daybook-minutes` has added all rows up. Returns SQLite's version."""
    sqlite = create(tools, database)
    fill(database, rows, time.time())
    replica = Replica(tools.daybook, database, "normal", 1, "127.0.0.1:0")
    try:
        begin = time.monotonic()
        while not has_succeeded(replica, "daybook-minutes"):
            if time.monotonic() - begin > MINUTES_SECONDS_MAX:
                raise BenchError(f"daybook-minutes has not ended within {MINUTES_SECONDS_MAX:.0f} s")
            time.sleep(1)
        progress(f"daybook-minutes has added up {rows:,} rows {time.monotonic() - begin:.0f} s after the start")
    finally:
        replica.stop()
    return sqlite


def has_succeeded(replica: Replica, job: str) -> bool:
    jobs = json.loads(replica.ask("/api/state"))["jobs"]
    return any(each["name"] == job and each["succeeded_at"] for each in jobs)


def measure_queries(tools: Tools, database: Path, rows: int, measured: Measured) -> None:
    with Daybook(database.parent, tools, REPLICAS, "full") as subject:
        replica = subject.processes[0]
        for name, path in queries(rows):
            for _ in range(5):
                begin = time.perf_counter()
                replica.ask(path)
                measured.query_ms.setdefault(name, []).append((time.perf_counter() - begin) * 1000)


def measure_load(tools: Tools, database: Path, rows: int, name: str, seconds: float, measured: Measured) -> None:
    subject = Daybook(database.parent, tools, REPLICAS, "full")
    with subject, readers(rows)[name](subject):
        counted = send(tools, subject, Load(), seconds)
    if counted.errors or any(subject.statuses):
        raise BenchError(f"{name}: {counted.errors}, exited with {subject.statuses}")
    measured.requests_per_second.setdefault(name, []).append(counted.responses / counted.seconds)
    measured.p99_ms.setdefault(name, []).append(counted.percentiles_ms["99"])


def figures(measured: Measured) -> list[Figure]:
    alone = measured.requests_per_second["none"]
    return [
        Figure(f"requests/s, {name} / none", [one / other for one, other in zip(rates, alone)], at_least=AT_LEAST.get(name))
        for name, rates in measured.requests_per_second.items()
        if name != "none"
    ]


def markdown(measured: Measured, rows: int, rounds: int, seconds: float, machine: list[str]) -> str:
    lines = [
        f"# Reading {rows:,} records",
        "",
        f"{REPLICAS} replicas at `full`, {rounds} interleaved round(s) of {seconds:.0f} s: the medians. The load generator and the readers run on the",
        "same cores, and take a share of them.",
        "",
        "| figure | measured | min … max | wanted | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(figure.row() for figure in figures(measured)),
        "",
        "| readers | requests/s | p99 ms |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {median(rates):,.0f} | {median(measured.p99_ms[name]):.1f} |" for name, rates in measured.requests_per_second.items()),
        "",
        "| query, without load | ms | min … max |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {median(taken):.1f} | {min(taken):.1f} … {max(taken):.1f} |" for name, taken in measured.query_ms.items()),
        "",
        "A query ends after `database.read_timeout`, 1 s, with what it has found until then.",
        "",
        *(f"- {fact}" for fact in machine),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = argument_parser("bench/run reading", __doc__, "300,000 rows, 1 round of 3 s").parse_args()
    rows, rounds, seconds = (300_000, 1, 3) if arguments.quick else (ROWS, 5, 5)
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook())
    directory = work_directory(tools, arguments.dir)
    check_free_space(directory, [rows])
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="reading-", dir=directory) as work:
        database = Path(work) / "requests.db"
        sqlite = prepare(tools, database, rows)
        measure_queries(tools, database, rows, measured)
        for number in range(rounds):
            names = list(readers(rows))
            for name in names if number % 2 == 0 else reversed(names):
                measure_load(tools, database, rows, name, seconds, measured)
                rate = measured.requests_per_second[name][-1]
                progress(f"round {number + 1} of {rounds}: {rate:9,.0f} requests/s, readers: {name}")
    report = markdown(measured, rows, rounds, seconds, describe_machine(tools.daybook, directory, sqlite, load_average))
    print(report)
    if arguments.save:
        save("-reading", report, lambda _: [])
    return 0 if all(figure.is_good() for figure in figures(measured)) else 1


if __name__ == "__main__":
    exit_with(main)
