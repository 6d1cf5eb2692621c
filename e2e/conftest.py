"""What the parts of the end-to-end tests share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).resolve().parent / name) for name in ("host", "haproxy", "steps", "server", "ansible")]

measured: list[str] = []
began = time.monotonic()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a figure, to be printed at the end under the step's name."""
    return lambda text: measured.append(f"{request.node.name.removeprefix('test_')}: {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Of a step that failed on a host, what was said there last is shown, too."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed and (daybook := fixtures.get("composed") or fixtures.get("server")):
        report.sections.append(("the host", daybook.last_words()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not measured:
        return
    terminalreporter.section("figures")
    for line in measured:
        terminalreporter.line(line)
    terminalreporter.line(f"all of it took {time.monotonic() - began:.0f} s")
