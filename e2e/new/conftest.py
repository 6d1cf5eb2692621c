from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from projects import NAME, REPOSITORY, make_project


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


@pytest.fixture
def project(daybook: Path, tmp_path: Path) -> Path:
    return make_project(daybook, tmp_path / NAME)
