"""The growth figures and their bounds, as Markdown."""

from __future__ import annotations

from statistics import median

from costs import Size
from load import THREADS
from memory import QUEUED_RECORDS, Memory
from report import Figure

WANTED_ROWS = 10_000_000
"""The size at which a page has to be quick."""


def figures(sizes: list[Size]) -> list[Figure]:
    found = []
    if len(sizes) > 1:
        smallest, largest = sizes[0], sizes[-1]
        # Per round, so that other load on the machine affects both.
        ratios = [large / small for large, small in zip(largest.requests_per_second, smallest.requests_per_second)]
        found.append(Figure(f"requests/s, {largest.rows:,} rows / {smallest.rows:,}", ratios, at_least=0.97))
    for size in sizes:
        if size.rows == WANTED_ROWS:
            found.append(Figure(f"the newest 50 at {size.rows:,} rows", size.newest_page_ms, "ms", at_most=1))
    return found


def markdown(sizes: list[Size], memory: Memory, rounds: int, seconds: float, machine: list[str]) -> str:
    lines = [
        "# Growth",
        "",
        f"4 replicas at `normal`, {rounds} interleaved round(s): the medians. The load is `wrk -t{THREADS} -c100 -d{seconds:.0f}s` on",
        "loopback, on the same cores. Starts and pages were measured on idle replicas.",
        "",
        "| figure | measured | min … max | wanted | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(figure.row() for figure in figures(sizes)),
        "",
        "| rows before | MiB | requests/s | p99 ms | ready ms | newest 50 ms | 50 from the middle ms | one record ms |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(round_line(size) for size in sizes),
        "",
        "Pages and records come from the admin listener, one connection each. The databases were just filled, so the page",
        "cache holds as much of them as fits.",
        "",
        "| rows | first copy s | requests/s beside Litestream | lag after a load s | longest lag s |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(once_line(size) for size in sizes),
        "",
        "First copy, once: from Litestream's start until the copy on the same file system was complete. Lag, after each of",
        f"{rounds} load(s): until the copy had the last record, which `litestream sync -wait` then confirmed by finding nothing",
        "more to copy. The copies include the rows that the rounds added.",
        "",
        "| open connections | MiB |",
        "| ---: | ---: |",
        *(f"| {count:,} | {median(found):.1f} |" for count, found in memory.by_connections.items()),
        "",
        f"| records in the queue, {QUEUED_RECORDS[-1]:,} connections open | MiB |",
        "| ---: | ---: |",
        *(f"| {count:,} | {median(found):.1f} |" for count, found in memory.by_queued_records.items()),
        "",
        "Resident memory of one replica, on an empty database. Every connection has had one response and is idle; bodies are",
        "empty. The records wait because another process holds the write lock.",
        "",
        *(f"- {fact}" for fact in machine),
    ]
    return "\n".join(lines) + "\n"


def round_line(size: Size) -> str:
    one_record = f"{median(size.one_record_ms):.2f}" if size.one_record_ms else "–"
    cells = [
        f"{size.rows:,}",
        f"{size.mib:,.0f}",
        f"{median(size.requests_per_second):,.0f}",
        f"{median(size.p99_ms):.1f}",
        f"{median(size.ready_ms):.1f}",
        f"{median(size.newest_page_ms):.2f}",
        f"{median(size.middle_page_ms):.2f}",
        one_record,
    ]
    return "| " + " | ".join(cells) + " |"


def once_line(size: Size) -> str:
    cells = [
        f"{size.rows:,}",
        f"{size.backup.first_copy_seconds:.1f}",
        f"{median(size.backup.requests_per_second):,.0f}",
        f"{median(size.backup.behind_seconds):.2f}",
        f"{max(size.backup.behind_seconds):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"
