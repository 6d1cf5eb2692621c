from __future__ import annotations

from collections.abc import Iterator

import pytest

from composed import Composed
from host import Host


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host("server") as host:
        yield host


@pytest.fixture(scope="session")
def composed(host: Host) -> Composed:
    composed = Composed(host)
    composed.prepare()
    return composed
