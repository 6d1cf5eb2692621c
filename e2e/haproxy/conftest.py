from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from system import System


@pytest.fixture
def start(haproxy: Path, binary: Path, tmp_path: Path) -> Callable[..., System]:
    """A system for one test: `with start(HAPROXY_TLS="on") as system`."""
    return lambda **arguments: System(haproxy, binary, tmp_path, **arguments)


@pytest.fixture(scope="module")
def system(haproxy: Path, binary: Path, tmp_path_factory: pytest.TempPathFactory):
    """One system with default settings per file, for tests that do not disturb it."""
    with System(haproxy, binary, tmp_path_factory.mktemp("system")) as system:
        yield system
