"""Fixtures of all end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / name) for name in ("host", "haproxy", "console", "steps", "server", "ansible", "new")]

measured: list[str] = []
began = time.monotonic()


def printed(*command: Path | str) -> Path:
    """The path that a script prints."""
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


@pytest.fixture(scope="session", params=["3.2", "3.0"])
def haproxy(request: pytest.FixtureRequest) -> Path:
    """HAProxy in both supported release series: the image's, and Debian 13's, which systemd/ runs."""
    return printed(HERE / "haproxy" / "program", request.param)


@pytest.fixture(scope="session")
def litestream_program() -> Path:
    return printed(HERE.parent / "scripts" / "litestream")


@pytest.fixture(scope="session")
def binary() -> Path:
    """daybook: $DAYBOOK, or a release build."""
    if given := os.environ.get("DAYBOOK"):
        return Path(given)
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "daybook"], cwd=HERE.parent, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"],
        cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "daybook"


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a figure, printed at the end under the test's name."""
    return lambda text: measured.append(f"{request.node.name.removeprefix('test_')}: {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows the last log lines of the host after a failed test."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    daybook = fixtures.get("composed") or fixtures.get("server")
    # Other fixtures of these names are not hosts.
    if report.failed and hasattr(daybook, "last_words"):
        report.sections.append(("the host", daybook.last_words()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not measured:
        return
    terminalreporter.section("figures")
    for line in measured:
        terminalreporter.line(line)
    terminalreporter.line(f"total: {time.monotonic() - began:.0f} s")
