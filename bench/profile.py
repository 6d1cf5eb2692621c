"""Where the time of a request goes: CPU by thread, with and without recording, and instructions by part of the program.

Exit status: 0, or 2 if it could not be measured."""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import callgrind
from daybook import Daybook
from load import Load, send
from main import exit_with, progress
from process import BenchError
from report import describe_machine
from tools import Tools, build_daybook

ROUNDS = 5
SECONDS = 4
SHAPES = [(replicas, mode) for replicas in (1, 4) for mode in ("off", "normal", "full")]
LOOP = "event loop"
THREADS = {"daybook": LOOP, "writer": "writer", "checkpointer": "checkpointer"}
"""What the kernel calls a thread, and what the documentation does."""
KINDS = [(thread, kind) for thread in THREADS.values() for kind in ("user", "kernel")]

CpuUs = dict[tuple[str, str], float]
"""Microseconds of CPU a request, by thread and `user` or `kernel`."""


@dataclass
class Shape:
    requests_per_second: list[float]
    cpu_us: list[CpuUs]
    sqlite: str = ""


def main() -> int:
    arguments = parse_arguments()
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook("profiling"))
    directory = (arguments.dir or tools.daybook.parent.parent / "bench").resolve()
    directory.mkdir(parents=True, exist_ok=True)
    shapes = {shape: Shape([], []) for shape in SHAPES}
    for number in range(ROUNDS):
        for shape in SHAPES if number % 2 == 0 else reversed(SHAPES):
            measure(tools, directory, shape, shapes[shape])
            progress(f"round {number + 1} of {ROUNDS}: {shape[0]} × {shape[1]}")
    progress("counting instructions")
    instructions = callgrind.count(tools.daybook, directory)
    machine = describe_machine(tools.daybook, directory, shapes[SHAPES[0]].sqlite, load_average)
    print("\n".join([*cpu_table(shapes), "", *instruction_table(instructions), "", *(f"- {fact}" for fact in machine)]))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run profile", description=__doc__)
    parser.add_argument("--dir", type=Path, help="where databases are made: on the disk in question (target/bench)")
    return parser.parse_args()


def measure(tools: Tools, directory: Path, shape: tuple[int, str], into: Shape) -> None:
    with tempfile.TemporaryDirectory(prefix="profile-", dir=directory) as work:
        with Daybook(Path(work), tools, *shape) as subject:
            before = cpu_seconds(subject)
            counted = send(tools, subject, Load(), SECONDS)
            after = cpu_seconds(subject)
            into.sqlite = subject.processes[0].ready_line["sqlite"]
    if counted.troubles or any(subject.statuses):
        raise BenchError(f"{shape}: {counted.troubles}, ended with {subject.statuses}")
    into.requests_per_second.append(counted.answers / counted.seconds)
    into.cpu_us.append({kind: (after[kind] - before[kind]) * 1e6 / counted.answers for kind in KINDS})


def cpu_seconds(subject: Daybook) -> CpuUs:
    spent = dict.fromkeys(KINDS, 0.0)
    for process in subject.processes:
        for (name, kind), seconds in process.cpu_seconds_by_thread().items():
            if name in THREADS:
                spent[THREADS[name], kind] += seconds
    return spent


def cpu_table(shapes: dict[tuple[int, str], Shape]) -> list[str]:
    """Kernel time includes what the kernel does for the other end of a connection on loopback."""
    heads = [f"{thread}, {kind}" for thread, kind in KINDS]
    lines = [
        f"CPU of one request in µs, by thread: `wrk -c100` for {SECONDS} s, medians of {ROUNDS} interleaved rounds.",
        "",
        f"| replicas × mode | requests/s | {' | '.join(heads)} | all |",
        f"| --- | {'---: | ' * (len(heads) + 2)}".rstrip(),
    ]
    for (replicas, mode), shape in shapes.items():
        cells = [median(cpu[kind] for cpu in shape.cpu_us) for kind in KINDS]
        total = median(sum(cpu.values()) for cpu in shape.cpu_us)
        numbers = " | ".join(f"{cell:.1f}" for cell in [*cells, total])
        lines.append(f"| {replicas} × {mode} | {median(shape.requests_per_second):,.0f} | {numbers} |")
    return lines


def instruction_table(found: callgrind.Instructions) -> list[str]:
    lines = [
        f"Instructions of one recorded request outside the kernel, counted by callgrind: one replica at `normal`, `hey -c"
        f" {callgrind.CONNECTIONS}`, {found.records:,} requests in {found.commits:,} commits.",
        "",
        "| thread | part | instructions |",
        "| --- | --- | ---: |",
    ]
    for thread, parts in found.by_part.items():
        lines.append(f"| **{thread}** | | **{sum(parts.values()):,.0f}** |")
        lines += [f"| | {part} | {cost:,.0f} |" for part, cost in sorted(parts.items(), key=lambda item: -item[1])]
    return lines


if __name__ == "__main__":
    exit_with(main)
