"""The figures and their bounds, as Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

from load import THREADS
from measure import Measurement, Starts
from suite import LATENCIES, RATIOS, Row

Measured = dict[Row, list[Measurement]]
"""One entry per round, in the same order in every list."""

NOISY_PER_CORE = 0.25


@dataclass
class Figure:
    """A line of the table: one value per round, and the bound on their median."""

    name: str
    values: list[float]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    void: bool = False

    def verdict(self) -> str:
        if self.void:
            return "**VOID**"
        if self.at_least is not None:
            return "reached" if median(self.values) >= self.at_least else "**missed**"
        if self.at_most is not None:
            return "reached" if median(self.values) <= self.at_most else "**missed**"
        return "for information"

    def is_good(self) -> bool:
        return self.verdict() in ("reached", "for information")

    def row(self) -> str:
        wanted = "–"
        if self.at_least is not None:
            wanted = f"≥ {self.number(self.at_least)}"
        if self.at_most is not None:
            wanted = f"≤ {self.number(self.at_most)}"
        span = f"{self.number(min(self.values))} … {self.number(max(self.values))}"
        return f"| {self.name} | {self.number(median(self.values))} | {span} | {wanted} | {self.verdict()} |"

    def number(self, value: float) -> str:
        return f"{value:.1f} {self.unit}" if self.unit else f"{value:.2f}"


def figures(measured: Measured, starts: Starts) -> list[Figure]:
    by_name = {row.name: runs for row, runs in measured.items()}
    found = []
    for ratio in RATIOS:
        if ratio.of in by_name and ratio.to in by_name:
            # Per round, so that other load on the machine affects both.
            pairs = list(zip(by_name[ratio.of], by_name[ratio.to]))
            values = [a.requests_per_second / b.requests_per_second for a, b in pairs if b.requests_per_second]
            void = any(measurement.faults for pair in pairs for measurement in pair)
            found.append(Figure(ratio.name, values or [0.0], at_least=ratio.at_least, void=void))
    for latency in LATENCIES:
        if latency.of in by_name:
            runs = by_name[latency.of]
            values = [run.percentiles_ms[latency.percentile] for run in runs]
            void = any(run.faults for run in runs)
            found.append(Figure(latency.name, values, "ms", at_most=latency.at_most_ms, void=void))
    return [
        *found,
        Figure(f"ready after its start, on {starts.database_rows:,} rows", starts.milliseconds, "ms", at_most=50),
        Figure("resident, idle after its start", starts.resident_mib, "MiB", at_most=20),
    ]


def markdown(measured: Measured, starts: Starts, seconds: float, machine: list[str]) -> str:
    rounds = len(next(iter(measured.values())))
    lines = [
        "# Benchmark",
        "",
        f"`wrk -t{THREADS} -c100 -d{seconds:.0f}s` on loopback unless the row says otherwise, {rounds} interleaved round(s):",
        "median, minimum and maximum. Ratios are of requests per second within a round. The load generator runs on the same cores.",
        "",
        "| figure | measured | min … max | wanted | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(figure.row() for figure in figures(measured, starts)),
        "",
        "| what | requests/s | min … max | p50 ms | p99 ms | worst ms | CPU µs/request | MiB | responses | rows |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(line(row, runs) for row, runs in measured.items()),
        "",
        "Responses and rows are sums over all rounds. Rows beyond the responses belong to requests in flight when the load",
        "ended: at most one per connection and round. CPU is that of the service, without the load generator; MiB is that of",
        "the largest process, after the load. At a fixed rate, latency counts from when a request was due.",
        "",
    ]
    faults = [fault for runs in measured.values() for run in runs for fault in run.faults]
    if faults:
        lines += ["**VOID**, because:", "", *(f"- {fault}" for fault in faults), ""]
    return "\n".join([*lines, *(f"- {fact}" for fact in machine)]) + "\n"


def line(row: Row, runs: list[Measurement]) -> str:
    rates = [run.requests_per_second for run in runs]
    cells = [
        row.name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} … {max(rates):,.0f}",
        *(f"{median(run.percentiles_ms[name] for run in runs):.1f}" for name in ("50", "99", "100")),
        f"{median(run.cpu_us_per_request for run in runs):.1f}",
        f"{max(run.resident_mib for run in runs):.0f}",
        f"{sum(run.responses for run in runs):,}",
        f"{sum(run.rows for run in runs):,}",
    ]
    return "| " + " | ".join(cells) + " |"


def describe_machine(binary: Path, directory: Path, sqlite: str, load_average: float) -> list[str]:
    cores = os.cpu_count() or 1
    busy = load_average > NOISY_PER_CORE * cores
    noisy = " (**busy: compare only within a line**)" if busy else ""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"machine: {cpu_model()}, {cores} cores, {memory_gib:.0f} GiB; load average before: {load_average:.1f}{noisy}",
        f"kernel: {platform.system()} {platform.release()} {platform.machine()};"
        f" database on {file_system(directory)}",
        f"versions: {first_line(binary, '--version')} (commit {commit()}), SQLite {sqlite},"
        f" {first_line('rustc', '--version')}, {first_line('wrk', '-v').split(' Copyright')[0]}",
    ]


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def file_system(directory: Path) -> str:
    """The file system type of the directory's mount point."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        if directory.is_relative_to(mount_point) and len(mount_point) >= len(best[0]):
            best = (mount_point, kind)
    return best[1]


def commit() -> str:
    return first_line("git", "describe", "--always", "--dirty", "--abbrev=12") or "unknown"


def first_line(*command: str | Path) -> str:
    # wrk -v exits non-zero, but prints its version.
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return (done.stdout.splitlines() or [""])[0]
