from __future__ import annotations

from collections.abc import Iterator

import pytest

from host import Host
from provider import Provider
from provision import Operator
from server import Server


@pytest.fixture(scope="module")
def bare() -> Iterator[Host]:
    with Host("server", bare=True) as host:
        yield host


@pytest.fixture(scope="module")
def provider(bare: Host) -> Iterator[Provider]:
    with Provider(bare) as provider:
        provider.serve(bare)
        yield provider


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, bare: Host) -> Operator:
    operator = Operator(tmp_path_factory.mktemp("operator"))
    operator.hosts["daybook"]["server"] = bare
    return operator


@pytest.fixture(scope="module")
def server(bare: Host, provider: Provider) -> Server:
    return Server(bare, "quadlet")
