"""A real Chromium, driven by Playwright, and the console in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Playwright, expect
from system import REPOSITORY, System

CHROMIUM = "/usr/bin/chromium"
# As root there is no sandbox. The others keep it from connecting to its maker.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# The list is live again a second after its connection broke, or up to ten if a server refused it.
WAIT_MS = 20_000

expect.set_options(timeout=WAIT_MS)


def url(system: System) -> str:
    return "http://%s:%d/" % system.operator


def launch(playwright: Playwright) -> Browser:
    subprocess.run([REPOSITORY / "scripts/need", "chromium"], check=True)
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


class Console:
    """The page, with what an operator sees on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, query: str = "") -> Console:
        self.page.goto(self.url + query)
        return self

    @property
    def live(self) -> Locator:
        return self.page.locator("#live")

    def wait_until_live(self) -> Console:
        expect(self.live).to_have_text("Live")
        return self

    @property
    def rows(self) -> Locator:
        return self.page.locator("#rows tr:not(.gap)")

    def row(self, path: str) -> Locator:
        """The rows of that path."""
        return self.rows.filter(has=self.page.get_by_role("link", name=path, exact=True))

    @property
    def paths(self) -> list[str]:
        return self.page.locator("#rows a").all_text_contents()

    def filter(self, label: str, value: str) -> None:
        field = self.page.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Enter")

    @property
    def detail(self) -> Locator:
        return self.page.locator("#detail")

    @property
    def chips(self) -> Locator:
        return self.page.locator("#replicas li")

    def tile(self, label: str) -> Locator:
        return self.page.locator(".tile").filter(has=self.page.get_by_text(label, exact=True))


@contextmanager
def console(browser: Browser, url: str, *, may_fail: bool = False, **options: object) -> Iterator[Console]:
    """A console in a profile of its own. At the end: no error in it, and no request to another server. With `may_fail` its requests
    may fail."""
    context = browser.new_context(viewport=DESKTOP, **options)
    page = context.new_page()
    errors: list[str] = []
    elsewhere: list[str] = []
    server = urlsplit(url).netloc

    def on_console(message) -> None:
        # The browser reports a failed request so.
        if message.type in ("error", "warning") and not (may_fail and "Failed to load resource" in message.text):
            errors.append(message.text)

    def on_request(request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data") and address.netloc != server:
            elsewhere.append(request.url)

    page.on("console", on_console)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", on_request)
    try:
        yield Console(page, url)
    finally:
        context.close()
    assert not elsewhere
    assert not errors
