"""The figures against what is wanted, as Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

from measure import CONNECTIONS, THREADS, Load, Starts
from replicas import Variant

Loads = dict[Variant, list[Load]]
"""One entry per round; the same index in every list is the same round."""

NOISY_PER_CORE = 0.25


@dataclass
class Figure:
    """One line of the table: a measurement per round, and the bound on their median."""

    name: str
    values: list[float]
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    faults: tuple[str, ...] = ()

    def verdict(self) -> str:
        if self.faults:
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


def figures(loads: Loads, starts: Starts) -> list[Figure]:
    def ratio(name: str, of: Variant, to: Variant, at_least: float | None) -> Figure:
        # Within a round, for what else the machine was doing then weighs on both.
        values = [a.requests_per_second / b.requests_per_second for a, b in zip(loads[of], loads[to])]
        return Figure(name, values, "", at_least=at_least, faults=faults_of(loads[of] + loads[to]))

    one_off, one, one_full = (Variant(1, mode) for mode in ("off", "normal", "full"))
    four_off, four, four_full = (Variant(4, mode) for mode in ("off", "normal", "full"))
    p99, worst = [load.p99_ms for load in loads[four]], [load.worst_ms for load in loads[four]]
    faults = faults_of(loads[four])
    return [
        ratio("recorded (`normal`) / not recorded, 1 process", one, one_off, 0.80),
        ratio("recorded (`normal`) / not recorded, 4 processes", four, four_off, 0.75),
        Figure("p99, `normal`, 4 processes", p99, "ms", at_most=10, faults=faults),
        Figure("worst, `normal`, 4 processes", worst, "ms", at_most=50, faults=faults),
        ratio("`full` / `normal`, 4 processes", four_full, four, 0.6),
        ratio("`full` / `normal`, 1 process", one_full, one, None),
        Figure(f"ready after its start, on {starts.database_rows:,} rows", starts.milliseconds, "ms", at_most=50),
        Figure("resident, idle after its start", starts.resident_mib, "MiB", at_most=20),
        Figure("resident, 1 s after the load (largest of 4)", [load.resident_mib for load in loads[four]], "MiB"),
    ]


def faults_of(loads: list[Load]) -> tuple[str, ...]:
    return tuple(fault for load in loads for fault in load.faults)


def markdown(loads: Loads, starts: Starts, seconds: int, machine: list[str]) -> str:
    rounds = len(next(iter(loads.values())))
    lines = [
        "# daybook: what recording costs",
        "",
        f"`wrk -t{THREADS} -c{CONNECTIONS} -d{seconds}s` on loopback, {rounds} interleaved round(s): the medians, the",
        "smallest and the largest. A ratio is one of requests per second within a round.",
        "",
        "| figure | measured | min … max | wanted | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(figure.row() for figure in figures(loads, starts)),
        "",
        "| processes × mode | requests/s | min … max | p50 ms | p99 ms | worst ms | CPU µs/request | answers | rows |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(variant_row(variant, runs) for variant, runs in loads.items()),
        "",
        "Answers and rows are of all rounds together. The rows beyond the answers are of requests that were in flight",
        "when wrk stopped: at most one per connection and round. CPU is that of daybook's processes alone.",
        "",
    ]
    faults = faults_of([load for runs in loads.values() for load in runs])
    if faults:
        lines += ["**VOID**, and why:", "", *(f"- {fault}" for fault in faults), ""]
    return "\n".join([*lines, *(f"- {fact}" for fact in machine)]) + "\n"


def variant_row(variant: Variant, runs: list[Load]) -> str:
    rates = [load.requests_per_second for load in runs]
    cells = [
        str(variant),
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} … {max(rates):,.0f}",
        *(f"{median(values):.1f}" for values in (
            [load.p50_ms for load in runs], [load.p99_ms for load in runs], [load.worst_ms for load in runs],
            [load.cpu_us_per_request for load in runs],
        )),
        f"{sum(load.answers for load in runs):,}",
        f"{sum(load.rows for load in runs):,}",
    ]
    return "| " + " | ".join(cells) + " |"


def describe_machine(binary: Path, directory: Path, sqlite: str, load_average: float) -> list[str]:
    cores = os.cpu_count() or 1
    busy = load_average > NOISY_PER_CORE * cores
    noisy = " (**busy with something else: compare within a line only**)" if busy else ""
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
    """The type of file system that the longest mount point above the directory has."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        if directory.is_relative_to(mount_point) and len(mount_point) >= len(best[0]):
            best = (mount_point, kind)
    return best[1]


def commit() -> str:
    return first_line("git", "describe", "--always", "--dirty", "--abbrev=12") or "unknown"


def first_line(*command: str | Path) -> str:
    # wrk -v fails, and prints what was asked all the same.
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return (done.stdout.splitlines() or [""])[0]
