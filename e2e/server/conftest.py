from __future__ import annotations

from collections.abc import Iterator

import pytest

from host import Host
from server import Server


@pytest.fixture(scope="module", params=["quadlet", "systemd"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A host of its own for each file of tests, and for each form that it is about."""
    with Host("server") as host:
        server = Server(host, request.param)
        server.prepare()
        yield server


@pytest.fixture(scope="module")
def installed(server: Server) -> None:
    """For a file that begins where the README's "Install" ends."""
    server.follow("Install")
