from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser import Console, console, launch, url
from playwright.sync_api import Browser, sync_playwright
from system import REPOSITORY, System


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def haproxy() -> Path:
    """The image's series alone: e2e/haproxy tests the routes with both."""
    program = subprocess.run([REPOSITORY / "e2e/haproxy/program", "3.2"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(program.stdout.strip())


@pytest.fixture(scope="module")
def system(haproxy: Path, binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two replicas behind HAProxy, for the tests of a file that do not disturb it."""
    settings = {"DAYBOOK_HTTP__BODY_BYTES_MAX": "1000"}
    with System(haproxy, binary, tmp_path_factory.mktemp("system"), settings=settings) as system:
        yield system


@pytest.fixture
def open_console(browser: Browser, system: System) -> Callable[..., AbstractContextManager[Console]]:
    """`with open_console() as page`"""
    return lambda **options: console(browser, url(system), **options)
