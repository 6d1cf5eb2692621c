"""Measures daybook on this machine beside what it is compared with, and holds it against what is wanted.

Exit status: 0 if all of it is reached, 1 if something is missed or void, 2 if it could not be measured."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from measure import measure, measure_starts
from plots import draw
from process import MissingProgram
from program import exit_with, progress, save, work_directory
from report import Measured, describe_machine, figures, markdown
from suite import Row, rows
from tools import Tools, build_daybook


def main() -> int:
    arguments = parse_arguments()
    names = {row.name for row in rows()}
    # A whole name means that row, not those that begin with it, too.
    means = lambda part, name: part == name if part in names else part in name
    wanted = [row for row in rows() if not arguments.only or any(means(part, row.name) for part in arguments.only)]
    if arguments.list or not wanted:
        print("\n".join(row.name for row in rows()))
        return 0 if arguments.list else 2
    rounds, seconds, starts_count = (1, 2, 5) if arguments.quick else (arguments.rounds, 4, 15)
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook())
    directory = work_directory(tools, arguments.dir)

    starts = measure_starts(tools, directory, starts_count)
    measured: Measured = {row: [] for row in wanted}
    left_out: dict[Row, str] = {}
    for number in range(rounds):
        # There and back, so that a machine which slows down does not favour whoever comes first.
        for row in wanted if number % 2 == 0 else reversed(wanted):
            try:
                measurement = measure(tools, directory, row, seconds)
            except MissingProgram as error:
                left_out[row] = str(error)
                progress(f"left out: {row.name}: {error}")
                continue
            measured[row].append(measurement)
            progress(f"round {number + 1} of {rounds}: {row.name:45} {measurement.requests_per_second:9,.0f} requests/s")
            for fault in measurement.faults:
                progress(f"*** VOID *** {fault}")

    measured = {row: runs for row, runs in measured.items() if runs}
    report = markdown(measured, starts, seconds, describe_machine(tools.daybook, directory, starts.sqlite, load_average) + [
        f"left out: {row.name}: {why}" for row, why in left_out.items()
    ])
    print(report)
    if arguments.save:
        save("", report, lambda directory: draw(measured, directory))
    return 0 if all(figure.is_good() for figure in figures(measured, starts)) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__,
        epilog="`bench/run growth` measures what a large database costs, and memory against connections and queue;"
        " `bench/run profile` says where the time of a request goes.",
    )
    parser.add_argument("--quick", action="store_true", help="1 round of 2 s, to see that all of it works")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, 4 s each time (3)")
    parser.add_argument("--only", action="append", metavar="PART", help="only rows of that name, or whose name contains it; may be repeated")
    parser.add_argument("--list", action="store_true", help="list the rows, and measure nothing")
    parser.add_argument("--dir", type=Path, help="where databases are made: on the disk in question (target/bench)")
    parser.add_argument("--save", action="store_true", help="write report and pictures to docs/benchmarks/ as well")
    return parser.parse_args()


if __name__ == "__main__":
    exit_with(main)
