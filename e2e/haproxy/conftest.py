from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from system import REPOSITORY, System


@pytest.fixture(scope="session")
def haproxy() -> Path:
    found = subprocess.run([Path(__file__).parent / "program"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(found.stdout.strip())


@pytest.fixture(scope="session")
def binary() -> Path:
    """$DAYBOOK, or what cargo builds."""
    if given := os.environ.get("DAYBOOK"):
        return Path(given)
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "daybook"], cwd=REPOSITORY, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"],
        cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "daybook"


@pytest.fixture
def start(haproxy: Path, binary: Path, tmp_path: Path) -> Callable[..., System]:
    """A system for one test: `with start(HAPROXY_TLS="on") as system`."""
    return lambda **arguments: System(haproxy, binary, tmp_path, **arguments)


@pytest.fixture(scope="module")
def system(haproxy: Path, binary: Path, tmp_path_factory: pytest.TempPathFactory):
    """One system with the default settings, for the tests of a file that do it no harm."""
    with System(haproxy, binary, tmp_path_factory.mktemp("system")) as system:
        yield system
