"""Compares daybook with other servers on this machine, and checks the wanted figures.

Exit status: 0 all bounds reached, 1 a bound missed or a figure void, 2 not measured."""

from __future__ import annotations

import argparse
import os

from measure import measure, measure_starts
from plots import draw
from process import MissingProgram
from program import argument_parser, exit_with, progress, save, work_directory
from report import Measured, describe_machine, figures, markdown
from suite import Row, rows
from tools import Tools, build_daybook


def main() -> int:
    arguments = parse_arguments()
    names = {row.name for row in rows()}
    # A full name selects only that row.
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
        # Every other round in reverse, so that a machine that slows down favours no row.
        for row in wanted if number % 2 == 0 else reversed(wanted):
            try:
                measurement = measure(tools, directory, row, seconds)
            except MissingProgram as error:
                left_out[row] = str(error)
                progress(f"skipped: {row.name}: {error}")
                continue
            measured[row].append(measurement)
            progress(f"round {number + 1} of {rounds}: {row.name:45} {measurement.requests_per_second:9,.0f} requests/s")
            for fault in measurement.faults:
                progress(f"*** VOID *** {fault}")

    measured = {row: runs for row, runs in measured.items() if runs}
    report = markdown(measured, starts, seconds, describe_machine(tools.daybook, directory, starts.sqlite, load_average) + [
        f"skipped: {row.name}: {why}" for row, why in left_out.items()
    ])
    print(report)
    if arguments.save:
        save("", report, lambda directory: draw(measured, directory))
    return 0 if all(figure.is_good() for figure in figures(measured, starts)) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("bench/run", __doc__, "1 round of 2 s")
    parser.epilog = (
        "`bench/run growth` compares database sizes, `bench/run profile` shows where the time of a request goes,"
        " `bench/run reading` what readers cost."
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, 4 s per row (3)")
    parser.add_argument("--only", action="append", metavar="PART", help="only the row of that name, or rows that contain PART; repeatable")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    return parser.parse_args()


if __name__ == "__main__":
    exit_with(main)
