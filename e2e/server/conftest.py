from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "host"), str(HERE.parent / "haproxy"), str(HERE.parent / "steps")]

from host import Host  # noqa: E402
from server import Server  # noqa: E402

measured: list[str] = []
began = time.monotonic()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A host of its own for each form: test_quadlet.py and test_systemd.py."""
    with Host("server") as host:
        server = Server(host, request.module.__name__.removeprefix("test_"))
        server.prepare()
        yield server


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a figure, to be printed at the end under the step's name."""
    step = f"{request.module.__name__.removeprefix('test_')}: {request.node.name.removeprefix('test_')}"
    return lambda text: measured.append(f"{step}: {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A step that failed shows what the services have said last; the host is gone afterwards."""
    report = yield
    if report.failed and (server := getattr(item, "funcargs", {}).get("server")):
        said = server.host.attempt("sh", "-c", "systemctl --failed --no-pager; journalctl --no-pager --lines 80")
        report.sections.append(("the host", said.stdout))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    for line in measured:
        terminalreporter.line(line)
    terminalreporter.line(f"all of it took {time.monotonic() - began:.0f} s")
