"""What the programs of the benchmark have in common: where they work, what they say, what they save, how they end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from process import BenchError
from report import file_system
from tools import REPOSITORY, Tools


def work_directory(tools: Tools, wanted: Path | None) -> Path:
    """Where databases are made: on the disk in question, or else beside what was built."""
    directory = (wanted or tools.daybook.parent.parent / "bench").resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"--dir: {error}") from error
    if file_system(directory) in ("tmpfs", "ramfs"):
        raise BenchError(f"{directory} is in memory, where a sync costs nothing: give --dir a directory on a disk")
    return directory


def save(name: str, report: str, draw: Callable[[Path], list[Path]]) -> None:
    """Writes the report, and the pictures that `draw` makes, into docs/benchmarks/, under the time and this name."""
    directory = REPOSITORY / "docs/benchmarks" / f"{datetime.now(timezone.utc):%Y-%m-%d-%H%M}{name}"
    directory.mkdir(parents=True)
    pictures = [f"![{path.stem}]({path.name})" for path in draw(directory)]
    (directory / "README.md").write_text("\n\n".join([report.rstrip(), *pictures]) + "\n")
    progress(f"saved in {directory.relative_to(REPOSITORY)}")


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def exit_with(work: Callable[[], int]) -> None:
    """Runs it, and exits with its status."""
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(work())
    except BenchError as error:
        progress(f"bench/run: {error}")
        sys.exit(2)


def interrupted(number: int, _frame: object) -> None:
    # Once is enough: from here on everything is being stopped and removed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)
