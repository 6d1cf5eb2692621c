"""Shared by the benchmark programs: work directory, progress, saved reports, exit."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from process import BenchError
from report import file_system
from tools import REPOSITORY, Tools


def work_directory(tools: Tools, wanted: Path | None) -> Path:
    """The directory of the databases: as given, or beside the build."""
    directory = (wanted or tools.daybook.parent.parent / "bench").resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"--dir: {error}") from error
    if file_system(directory) in ("tmpfs", "ramfs"):
        raise BenchError(f"{directory} is in memory, where a sync is free: use --dir with a directory on a disk")
    return directory


def save(name: str, report: str, draw: Callable[[Path], list[Path]]) -> None:
    """Saves the report and the charts of `draw` in docs/benchmarks/, under the time and `name`."""
    directory = REPOSITORY / "docs/benchmarks" / f"{datetime.now(timezone.utc):%Y-%m-%d-%H%M}{name}"
    directory.mkdir(parents=True)
    pictures = [f"![{path.stem}]({path.name})" for path in draw(directory)]
    (directory / "README.md").write_text("\n\n".join([report.rstrip(), *pictures]) + "\n")
    progress(f"saved in {directory.relative_to(REPOSITORY)}")


def argument_parser(name: str, purpose: str, quick: str) -> argparse.ArgumentParser:
    """With the arguments that all have. `quick` describes the short form."""
    parser = argparse.ArgumentParser(prog=name, description=purpose)
    parser.add_argument("--quick", action="store_true", help=f"{quick}, to see that it works")
    parser.add_argument("--dir", type=Path, help="directory of the databases, on the disk to measure (target/bench)")
    parser.add_argument("--save", action="store_true", help="also save the report in docs/benchmarks/")
    return parser


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def exit_with(work: Callable[[], int]) -> None:
    """Runs `work` and exits with its status."""
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(work())
    except BenchError as error:
        progress(f"bench/run: {error}")
        sys.exit(2)


def interrupted(number: int, _frame: object) -> None:
    # Ignore further signals while everything is stopped and removed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)
