"""Shows where the time of a request goes: CPU by thread, with and without recording, and instructions by part of the program.

Exit status: 0, or 2 if it could not be measured."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import callgrind
from daybook import Daybook
from load import Load, send
from process import BenchError
from program import argument_parser, exit_with, progress, save, work_directory
from report import describe_machine
from tools import Tools, build_daybook

SHAPES = [(replicas, mode) for replicas in (1, 4) for mode in ("off", "normal", "full")]
THREADS = {"daybook": "event loop", "writer": "writer", "checkpointer": "checkpointer"}
"""The kernel's name of a thread, and the documentation's."""
KINDS = [(thread, kind) for thread in THREADS.values() for kind in ("user", "kernel")]

CpuUs = dict[tuple[str, str], float]
"""CPU microseconds per request, by thread and `user` or `kernel`."""


@dataclass
class Shape:
    requests_per_second: list[float]
    cpu_us: list[CpuUs]
    sqlite: str = ""


def main() -> int:
    arguments = argument_parser("bench/run profile", __doc__, "1 round of 2 s").parse_args()
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook("profiling"))
    directory = work_directory(tools, arguments.dir)
    rounds, seconds = (1, 2) if arguments.quick else (5, 4)
    shapes = {shape: Shape([], []) for shape in SHAPES}
    for number in range(rounds):
        for shape in SHAPES if number % 2 == 0 else reversed(SHAPES):
            measure(tools, directory, shape, shapes[shape], seconds)
            progress(f"round {number + 1} of {rounds}: {shape[0]} × {shape[1]}")
    progress("counting instructions")
    recorded, unrecorded = (callgrind.count(tools.daybook, directory, mode) for mode in ("normal", "off"))
    machine = describe_machine(tools.daybook, directory, shapes[SHAPES[0]].sqlite, load_average)
    report = "\n".join([
        "# Where the time of a request goes",
        "",
        f"`wrk -c{Load().connections}` for {seconds} s, {rounds} interleaved round(s): medians.",
        "",
        *cpu_table(shapes),
        "",
        *instruction_table(recorded, unrecorded),
        "",
        *(f"- {fact}" for fact in machine),
    ])
    print(report)
    if arguments.save:
        save("-profile", report, lambda _: [])
    return 0


def measure(tools: Tools, directory: Path, shape: tuple[int, str], into: Shape, seconds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="profile-", dir=directory) as work:
        with Daybook(Path(work), tools, *shape) as subject:
            before = cpu_seconds(subject)
            counted = send(tools, subject, Load(), seconds)
            after = cpu_seconds(subject)
            into.sqlite = subject.processes[0].ready_line["sqlite"]
    if counted.errors or any(subject.statuses):
        raise BenchError(f"{shape}: {counted.errors}, ended with {subject.statuses}")
    into.requests_per_second.append(counted.responses / counted.seconds)
    into.cpu_us.append({kind: (after[kind] - before[kind]) * 1e6 / counted.responses for kind in KINDS})


def cpu_seconds(subject: Daybook) -> CpuUs:
    spent = dict.fromkeys(KINDS, 0.0)
    for process in subject.processes:
        for (name, kind), seconds in process.cpu_seconds_by_thread().items():
            if name in THREADS:
                spent[THREADS[name], kind] += seconds
    return spent


def cpu_table(shapes: dict[tuple[int, str], Shape]) -> list[str]:
    heads = [f"{thread}, {kind}" for thread, kind in KINDS]
    lines = [
        "CPU of one request in µs, by thread, without the read pool. The kernel's part includes TCP, on loopback also some of the",
        "client's.",
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


def instruction_table(recorded: callgrind.Instructions, unrecorded: callgrind.Instructions) -> list[str]:
    lines = [
        f"Instructions of one request outside the kernel, counted by callgrind: one replica at `normal`, `hey -c"
        f" {callgrind.CONNECTIONS}`, {recorded.records:,} requests in {recorded.commits:,} commits; and not recording.",
        "",
        "| thread | part | recorded | not |",
        "| --- | --- | ---: | ---: |",
    ]
    for thread, parts in recorded.by_part.items():
        others = unrecorded.by_part.get(thread, {})
        lines.append(f"| **{thread}** | | **{sum(parts.values()):,.0f}** | **{sum(others.values()):,.0f}** |")
        for part, cost in sorted(parts.items(), key=lambda item: -item[1]):
            lines.append(f"| | {part} | {cost:,.0f} | {others.get(part, 0):,.0f} |")
    return lines


if __name__ == "__main__":
    exit_with(main)
