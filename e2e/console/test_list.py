"""The list of requests: live, filtered, opened, exported."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time

import apsw
import pytest
from browser import expect
from client import Load, ask, send_raw


def request(system, path: str, replica: str = "1", method: str = "GET", body: bytes | None = None) -> int:
    """Sends a request to that replica, and returns the id of its record."""
    response = ask(system.http, method, path, body, x_daybook_replica=replica)
    return int(response.headers["record-id"])


def too_large(system, path: str) -> None:
    """A request that gets 413 from a replica: HAProxy does not know how long a chunked body is."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert b" 413 " in send_raw(system.http, head.encode() + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n")


def test_a_request_to_any_replica_appears_by_itself(system, open_console, figure):
    with open_console() as console:
        console.open().wait_until_live()
        worst = 0.0
        for number in range(6):
            path = f"/appears/{number}"
            start = time.monotonic()
            request(system, path, replica=str(number % 2 + 1), body=b"four", method="POST")
            # `expect` looks too rarely for a figure.
            console.page.wait_for_function("path => document.querySelector('#rows').textContent.includes(path)", arg=path)
            worst = max(worst, time.monotonic() - start)
            expect(console.row(path)).to_contain_text("200")
            expect(console.row(path)).to_contain_text("127.0.0.1")
        figure(f"the slowest of six requests was in the list after {worst * 1000:.0f} ms")
        assert console.paths[:2] == ["/appears/5", "/appears/4"]


def test_a_script_in_a_path_stays_text(system, open_console):
    path = "/<script>document.title='run'</script><img src=x onerror=document.title='run'>"
    with open_console() as console:
        console.open().wait_until_live()
        # daybook refuses such a target; another program that writes to the file may not.
        with apsw.Connection(str(system.directory / "requests.db")) as connection:
            connection.set_busy_timeout(5000)
            sql = "insert into requests (timestamp, method, path, content_length, remote_addr) values (?, ?, ?, 0, ?)"
            connection.execute(sql, (time.time(), "<b>GET</b>", path, "<i>"))
        expect(console.row(path)).to_be_visible()
        console.row(path).click()
        expect(console.detail.locator("dd.path")).to_have_text(path)
        assert console.page.locator(" , ".join(f"{place} {tag}" for place in ("#rows", "#detail") for tag in ("img", "script", "b", "i"))).count() == 0
        expect(console.page).to_have_title("daybook: console")


def test_filters_are_in_the_address_and_a_link_shows_the_same(system, open_console):
    request(system, "/filter/one")
    request(system, "/filter/two", method="POST")
    too_large(system, "/filter/three")
    with open_console() as console:
        console.open().wait_until_live()
        console.filter("Path begins with", "/filter/")
        expect(console.rows).to_have_count(3)
        console.filter("Status", "4xx none")
        expect(console.rows).to_have_count(1)
        assert console.paths == ["/filter/three"]
        console.filter("Status", "")
        console.filter("Method", "post delete")
        expect(console.rows).to_have_count(2)
        console.filter("Path contains", "two")
        expect(console.rows).to_have_count(1)
        link = f"{console.url}?method=POST&method=DELETE&path_prefix=%2Ffilter%2F&q=two"
        expect(console.page).to_have_url(link)
        # The live list is filtered, too.
        request(system, "/filter/other")
        request(system, "/filter/another-two", method="POST")
        expect(console.row("/filter/another-two")).to_be_visible()
        assert console.paths == ["/filter/another-two", "/filter/two"]
    with open_console() as console:
        console.open(link.removeprefix(console.url)).wait_until_live()
        expect(console.rows).to_have_count(2)
        expect(console.page.get_by_label("Method", exact=True)).to_have_value("POST DELETE")
        console.page.get_by_role("button", name="Clear filters").click()
        expect(console.row("/filter/other")).to_be_visible()
        expect(console.page).to_have_url(console.url)


def test_a_wrong_filter_is_explained_at_its_field(open_console):
    with open_console(may_fail=True) as console:
        console.open("?status=teapot")
        field = console.page.get_by_label("Status", exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(console.page.locator("#filter-error")).to_contain_text("status=teapot: use a status such as 500")
        console.filter("Status", "2xx")
        expect(field).to_have_attribute("aria-invalid", "false")
        console.wait_until_live()


def test_a_time_range_with_an_end_is_not_live(system, open_console):
    first = request(system, "/ranged")
    with open_console() as console:
        console.open("?path_prefix=/ranged&until=2020-01-01T00:00:00Z")
        expect(console.page.locator("#list-end")).to_have_text("No request matches. Change or clear the filters.")
        expect(console.live).to_have_text("Not live: the filters have an end")
        console.filter("Until", "")
        console.wait_until_live()
        expect(console.rows).to_have_attribute("data-id", str(first))


def test_a_link_to_a_request_shows_its_fields(system, open_console):
    number = request(system, "/detail", method="PUT", body=b"four")
    with open_console() as console:
        console.open().wait_until_live()
        console.row("/detail").click()
        expect(console.detail).to_contain_text("4 bytes")
        expect(console.page).to_have_url(f"{console.url}?id={number}")
        console.page.keyboard.press("Escape")
        expect(console.page).to_have_url(console.url)
    with open_console() as console:
        console.open(f"?id={number}")
        for text in (f"Request {number}", "PUT", "/detail", "200", f"{console.url}?id={number}"):
            expect(console.detail).to_contain_text(text)
        console.detail.get_by_role("button", name="Only this path").click()
        expect(console.rows).to_have_count(1)
        expect(console.page).to_have_url(f"{console.url}?path_prefix=%2Fdetail")


def test_a_link_to_no_request_says_so(open_console):
    with open_console(may_fail=True) as console:
        console.open("?id=999999")
        expect(console.detail).to_contain_text("There is no request 999999")


def test_the_keyboard_reaches_every_request(system, open_console):
    for name in ("first", "second", "third"):
        request(system, f"/keyboard/{name}")
    with open_console() as console:
        console.open("?path_prefix=/keyboard/").wait_until_live()
        expect(console.rows).to_have_count(3)
        press = console.page.keyboard.press
        console.page.get_by_label("Address", exact=True).focus()
        press("Tab")  # "Clear filters"
        press("Tab")
        focused = console.page.locator("#rows a:focus")
        expect(focused).to_have_text("/keyboard/third")
        press("ArrowDown")
        expect(focused).to_have_text("/keyboard/second")
        press("End")
        expect(focused).to_have_text("/keyboard/first")
        press("Enter")
        expect(console.detail).to_contain_text("/keyboard/first")
        console.detail.get_by_role("button", name="Newer").press("Enter")
        expect(console.detail).to_contain_text("/keyboard/second")
        press("Escape")
        expect(focused).to_have_text("/keyboard/second")


def test_the_list_stands_still_while_one_reads_it(system, open_console):
    request(system, "/still/first")
    with open_console() as console:
        console.open("?path_prefix=/still/").wait_until_live()
        console.row("/still/first").hover()
        expect(console.live).to_have_text("Paused while the pointer is over the list")
        request(system, "/still/second")
        show = console.page.get_by_role("button", name="Show 1 new")
        expect(show).to_be_visible()
        assert console.paths == ["/still/first"]
        show.click()
        expect(console.row("/still/second")).to_be_visible()
        console.page.get_by_role("button", name="Pause").click()
        request(system, "/still/third")
        expect(show).to_be_visible()
        console.page.get_by_role("button", name="Pause").click()
        expect(console.row("/still/third")).to_be_visible()
        console.wait_until_live()


def test_older_requests_come_on_demand(system, open_console):
    for number in range(120):
        request(system, f"/older/{number}")
    with open_console() as console:
        console.open("?path_prefix=/older/").wait_until_live()
        expect(console.rows).to_have_count(100)
        console.page.get_by_role("button", name="Show older requests").click()
        expect(console.rows).to_have_count(120)
        expect(console.page.locator("#list-end")).to_have_text("There are no older requests.")
        assert console.paths == [f"/older/{number}" for number in reversed(range(120))]


def test_more_requests_than_the_list_follows_leave_a_gap(system, open_console):
    with open_console() as console:
        console.open("?path_prefix=/load").wait_until_live()
        with Load(system.http, clients=16):
            gap = console.page.locator("#rows tr.gap").first
            expect(gap).to_contain_text("requests are not shown")
        console.page.get_by_role("button", name="Pause").click()
        shown = console.rows.count()
        gap.get_by_role("button", name="Show").click()
        expect(console.rows).not_to_have_count(shown)


@pytest.mark.parametrize("name", ["NDJSON", "CSV"])
def test_what_is_filtered_can_be_taken_away(system, open_console, name):
    path = f"/export/{name}/a,b"
    for method in ("GET", "+SUM", "POST"):
        request(system, path, method=method)
    request(system, "/not-exported")
    with open_console() as console:
        console.open(f"?path_prefix=/export/{name}/&method=GET&method=%2BSUM").wait_until_live()
        console.page.get_by_role("button", name="Export").click()
        with console.page.expect_download() as download:
            console.page.get_by_role("button", name=name, exact=True).click()
        expect(console.page.locator("#export-progress")).to_have_text("Saved all 2 requests.")
        text = download.value.path().read_text()
        command = console.page.locator("#export-command").text_content()
    assert download.value.suggested_filename == f"requests.{name.lower()}"
    if name == "CSV":
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["method"] for row in rows] == ["'+SUM", "GET"]
    else:
        rows = [json.loads(line) for line in text.splitlines()]
        assert [row["method"] for row in rows] == ["+SUM", "GET"]
    assert {row["path"] for row in rows} == {path}
    assert command == f"daybook export --format=ndjson --method=GET --method=+SUM --path-prefix=/export/{name}/ --output=requests.ndjson"


def test_the_command_for_the_export_is_one_that_the_program_takes(system, open_console, binary, tmp_path):
    path = "/command/it's-$HOME"
    request(system, path)
    with open_console() as console:
        console.open("?path_prefix=/command/it's").wait_until_live()
        console.page.get_by_role("button", name="Export").click()
        command = console.page.locator("#export-command").text_content()
    script = f'daybook() {{ "{binary}" "$@"; }}; {command}'
    environment = {**os.environ, "DAYBOOK_DATABASE__PATH": str(system.directory / "requests.db")}
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True)
    exported = [json.loads(line) for line in (tmp_path / "requests.ndjson").read_text().splitlines()]
    assert [record["path"] for record in exported] == [path]
