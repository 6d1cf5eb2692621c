from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from daybook import REPOSITORY
from host import Host
from operators import Operator
from server import Server


@pytest.fixture(scope="module", params=["quadlet", "systemd"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A new host for each file of tests and each form."""
    with Host("server") as host:
        server = Server(host, request.param)
        server.prepare()
        yield server


@pytest.fixture(scope="module")
def installed(server: Server) -> None:
    """Follows the README's "Install" first."""
    server.follow("Install")


@pytest.fixture(scope="module")
def deployable(server: Server, installed: None) -> None:
    """An installed server with four replicas, whatever the machine has, and other versions to deploy."""
    subprocess.run([REPOSITORY / "e2e/versions/build"], check=True)
    server.shell("daybook-scale 4")


@pytest.fixture(scope="module")
def operator(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(server.host, tmp_path_factory.mktemp("operator"))
