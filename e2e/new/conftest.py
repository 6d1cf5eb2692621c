from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NAME, PORT = "my-shop", 8280


@pytest.fixture
def daybook(tmp_path: Path) -> Path:
    """A copy of this repository, which a test may change."""
    copy = tmp_path / "daybook"
    listed = subprocess.check_output(
        ["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], text=True
    )
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy / name, follow_symlinks=False)
    return copy


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Output and errors in one."""
    return subprocess.run(
        ["make", "--silent", "--no-print-directory", *arguments], cwd=directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


def make_project(daybook: Path, project: Path, name: str = NAME, port: int = PORT) -> Path:
    made = make(daybook, "new", f"NAME={name}", f"DIR={project}", f"PORT={port}")
    assert made.returncode == 0, made.stdout
    return project


@pytest.fixture
def project(daybook: Path, tmp_path: Path) -> Path:
    return make_project(daybook, tmp_path / NAME)
