from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "host"), str(HERE.parent / "haproxy")]

from composed import Composed  # noqa: E402
from host import Host  # noqa: E402

measured: list[str] = []
began = time.monotonic()


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host("server") as host:
        yield host


@pytest.fixture(scope="session")
def composed(host: Host) -> Composed:
    composed = Composed(host)
    composed.prepare()
    return composed


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a figure, to be printed at the end under the step's name."""
    return lambda text: measured.append(f"{request.node.name.removeprefix('test_')}: {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A step that failed shows what the system's containers have said last; the host is gone afterwards."""
    report = yield
    if report.failed and (composed := getattr(item, "funcargs", {}).get("composed")):
        said = composed.host.attempt(
            "sh", "-c", "podman ps --all; for name in $(podman ps --all --format '{{.Names}}'); do"
            " echo \"== $name\"; podman logs --tail 15 $name 2>&1; done",
        )
        report.sections.append(("the system", said.stdout))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not measured:
        return
    terminalreporter.section("figures")
    for line in measured:
        terminalreporter.line(line)
    terminalreporter.line(f"all of it took {time.monotonic() - began:.0f} s")
