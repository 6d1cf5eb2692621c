"""axe-core finds nothing to complain about, and nothing is wider than the screen."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, PHONE, expect
from client import ask, send_raw

# WCAG 2.2 at level AA, and axe's own good practice.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def findings(page) -> list[str]:
    response = Axe().run(page, options=RULES).response
    assert len(response["passes"]) > 15
    return [
        f"{found['id']}: {node['html'][:200]} {node.get('failureSummary', '')}" for found in response["violations"] for node in found["nodes"]
    ]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(system, open_console, scheme, viewport):
    ask(system.http, path="/accessible")
    ask(system.http, "POST", "/accessible?q=1", b"x" * 900)
    # 413, which has another colour.
    head = b"POST /too-large HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert b" 413 " in send_raw(system.http, head + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n")
    with open_console(color_scheme=scheme, reduced_motion="reduce", may_fail=True) as console:
        console.page.set_viewport_size(viewport)
        console.open().wait_until_live()
        expect(console.row("/too-large").first).to_be_visible()
        expect(console.chips).to_have_count(2)
        expect(console.page.locator("#chart-latency .plot")).to_have_attribute("aria-label", re.compile("Latency"))
        assert console.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert findings(console.page) == []
        console.row("/too-large").first.click()
        expect(console.detail).to_contain_text("413")
        assert findings(console.page) == []
        console.page.keyboard.press("Escape")
        console.page.get_by_role("button", name="Export").click()
        assert findings(console.page) == []
        console.page.keyboard.press("Escape")
        console.filter("Status", "teapot")
        expect(console.page.locator("#filter-error")).not_to_be_empty()
        assert findings(console.page) == []
