"""Makes projects with `make new`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# With a hyphen, which identifiers cannot have.
NAME, PORT = "my-shop", 8280


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Output and errors in one."""
    return subprocess.run(
        ["make", "--silent", "--no-print-directory", *arguments], cwd=directory, stdin=subprocess.DEVNULL,
        # For the tests $DAYBOOK is a program, for `make new` the library.
        env={name: value for name, value in os.environ.items() if name != "DAYBOOK"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


def make_project(daybook: Path, project: Path, name: str = NAME, port: int = PORT) -> Path:
    made = make(daybook, "new", f"NAME={name}", f"DIR={project}", f"PORT={port}")
    assert made.returncode == 0, made.stdout
    return project
