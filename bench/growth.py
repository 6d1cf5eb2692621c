"""Compares databases of several sizes, in interleaved rounds, and measures a replica's memory against connections and queued records.

Exit status: 0 all bounds reached, 1 a bound missed, 2 not measured."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from backup import measure_backup
from costs import Size, measure_round
from filling import check_free_space, create, fill
from growth_plots import draw_growth
from growth_report import figures, markdown
from memory import Memory, allow_open_files, measure_memory
from program import argument_parser, exit_with, progress, save, work_directory
from report import describe_machine, first_line
from tools import Tools, build_daybook

SIZES = [0, 10_000_000, 50_000_000]
QUICK_SIZES = [0, 300_000]


def main() -> int:
    arguments = parse_arguments()
    sizes_wanted = sorted(set(arguments.rows or (QUICK_SIZES if arguments.quick else SIZES)))
    rounds, seconds = (1, 2) if arguments.quick else (3, 4)
    allow_open_files()
    load_average = os.getloadavg()[0]  # Before the build.
    tools = Tools(build_daybook())
    directory = work_directory(tools, arguments.dir)
    check_free_space(directory, sizes_wanted)
    filled_until = time.time()
    with tempfile.TemporaryDirectory(prefix="growth-", dir=directory) as work:
        sizes = []
        sqlite = ""
        for rows in sizes_wanted:
            database = Path(work) / str(rows) / "requests.db"
            database.parent.mkdir()
            sqlite = create(tools, database)
            fill(database, rows, filled_until)
            sizes.append(Size(rows, database, database.stat().st_size / 2**20))
        memory = Memory()
        for number in range(rounds):
            measure_memory(tools, directory, memory)
            for size in sizes if number % 2 == 0 else reversed(sizes):
                measure_round(tools, size, seconds)
                rate = size.requests_per_second[-1]
                progress(f"round {number + 1} of {rounds}: {size.rows:11,} rows {rate:9,.0f} requests/s")
        for size in sizes:
            size.backup = measure_backup(tools, size.database, rounds, seconds)
            progress(f"backup: {size.rows:11,} rows, first copy in {size.backup.first_copy_seconds:.1f} s")
    machine = describe_machine(tools.daybook, directory, sqlite, load_average)
    machine.append(f"Litestream {first_line(tools.litestream, 'version')}; its copies on the same disk")
    report = markdown(sizes, memory, rounds, seconds, machine)
    print(report)
    if arguments.save:
        save("-growth", report, lambda target: draw_growth(sizes, memory, target))
    return 0 if all(figure.is_good() for figure in figures(sizes)) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("bench/run growth", __doc__, "0 and 300,000 rows, 1 round of 2 s")
    parser.add_argument("--rows", type=row_count, action="append", help="a size instead of 0, 10 and 50 million; repeatable")
    return parser.parse_args()


def row_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"not a number of rows: {text}")
    return int(text)


if __name__ == "__main__":
    exit_with(main)
