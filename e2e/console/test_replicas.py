"""The states of the replicas in the console, and the console while replicas go away."""

from __future__ import annotations

import re
import time

import pytest
from browser import console, expect, url
from client import ask
from system import Replica, System, reserve_port


@pytest.fixture
def own_system(haproxy, binary, tmp_path):
    """For a test that disturbs it."""
    with System(haproxy, binary, tmp_path) as system:
        yield system


def test_every_replica_has_a_state(system, open_console):
    ask(system.http, "POST", "/state", b"body")
    with open_console() as page:
        page.open()
        expect(page.chips).to_have_text(["Replica 1: ready", "Replica 2: ready"])
        for label in ("Requests", "Errors", "Latency (p50)", "Queue", "Commits", "Log (WAL)", "Disk free", "Oldest record"):
            expect(page.tile(label).locator(".value")).to_have_text(re.compile("[0-9]"))
        for label in ("Newest copy", "Last proved restore"):
            expect(page.tile(label)).to_contain_text("not known yet")
        expect(page.page).to_have_title("daybook: console")


def test_a_replica_that_is_gone_is_shown_and_the_page_goes_on(own_system, browser):
    with console(browser, url(own_system), may_fail=True) as page:
        page.open().wait_until_live()
        own_system.replicas["1"].kill()
        expect(page.chips).to_have_text(["Replica 1: it does not run", "Replica 2: ready"])
        own_system.wait_for_server("replicas/replica1", up=False)
        ask(own_system.http, path="/without-replica-1")
        expect(page.row("/without-replica-1")).to_be_visible()


def test_a_stopping_replica_says_why_it_is_not_ready(haproxy, binary, tmp_path, browser):
    with System(haproxy, binary, tmp_path, settings={"DAYBOOK_SHUTDOWN__DRAIN_DELAY": "60s"}) as system:
        with console(browser, url(system), may_fail=True) as page:
            page.open()
            expect(page.chips).to_have_text(["Replica 1: ready", "Replica 2: ready"])
            system.replicas["2"].process.terminate()
            expect(page.chips).to_have_text(["Replica 1: ready", re.compile("Replica 2: draining")])


def test_the_page_survives_a_restart_of_all_replicas(own_system, browser):
    with console(browser, url(own_system), may_fail=True) as page:
        page.open().wait_until_live()
        ask(own_system.http, path="/before")
        expect(page.row("/before")).to_be_visible()
        for replica in own_system.replicas.values():
            replica.kill()
        expect(page.live).to_have_text("No connection. Trying again…")
        expect(page.chips).to_have_text(["Replica 1: it does not run", "Replica 2: it does not run"])
        for name in own_system.replicas:
            own_system.start_replica(name)
            own_system.wait_for_server(f"replicas/replica{name}", up=True)
        ask(own_system.http, path="/after")
        expect(page.row("/after")).to_be_visible()
        page.wait_until_live()
        expect(page.chips).to_have_text(["Replica 1: ready", "Replica 2: ready"])
        assert page.paths == ["/after", "/before"]


def test_without_records_the_page_says_what_to_do(own_system, browser):
    with console(browser, url(own_system)) as page:
        page.open().wait_until_live()
        expect(page.page.locator("#list-end")).to_have_text("There are no requests yet. Send one to the public address, and it appears here.")
        expect(page.page.locator("#chart-requests .empty")).to_be_visible()
        expect(page.tile("Oldest record")).to_contain_text("there are no records")


def test_a_replica_without_haproxy_shows_itself(binary, tmp_path, browser):
    with reserve_port() as port:
        admin = "%s:%d" % port.getsockname()
    settings = {"DAYBOOK_ADMIN__LISTEN": f'["{admin}", "unix:{tmp_path}/3.admin.sock"]', "DAYBOOK_RECORD": "false"}
    replica = Replica(binary, tmp_path, "3", settings)
    try:
        with console(browser, f"http://{admin}/") as page:
            page.open().wait_until_live()
            expect(page.chips).to_have_text(["Replica 3: ready"])
            # It records nothing, and must not look as if nobody came.
            expect(page.page.locator("#notices")).to_contain_text("Recording is off in replica 3")
    finally:
        replica.kill()


def test_a_drag_over_a_chart_lists_the_requests_of_that_time(system, open_console):
    ask(system.http, path="/charted")
    with open_console() as page:
        page.open().wait_until_live()
        plot = page.page.locator("#chart-requests .u-over")
        box = plot.bounding_box()
        y = box["y"] + box["height"] / 2
        page.page.mouse.move(box["x"] + box["width"] / 2, y)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + box["width"] - 1, y, steps=5)
        page.page.mouse.up()
        expect(page.live).to_have_text("Not live: the filters have an end")
        expect(page.page).to_have_url(re.compile("since=.*until="))
        given = dict(re.findall(r"(since|until)=([^&]+)", page.page.url))
        since, until = (time.mktime(time.strptime(given[name].replace("%3A", ":"), "%Y-%m-%dT%H:%M:%SZ")) for name in ("since", "until"))
        assert 15 * 60 < until - since < 45 * 60


@pytest.mark.parametrize(("name", "bucket"), [("Day", "5m"), ("7 days", "1h")])
def test_the_charts_show_longer_times(open_console, name, bucket):
    with open_console() as page:
        page.open()
        with page.page.expect_response(lambda response: f"bucket={bucket}" in response.url) as response:
            page.page.get_by_role("button", name=name, exact=True).click()
        assert response.value.status == 200
        expect(page.page).to_have_url(re.compile("range="))
        link = page.page.url
    with open_console() as page:
        with page.page.expect_response(lambda response: f"bucket={bucket}" in response.url):
            page.open(link.removeprefix(page.url))
        expect(page.page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")


def test_the_jobs_of_all_replicas_are_listed(open_console):
    with open_console() as page:
        page.open()
        # daybook's own first runs a minute after the start.
        expect(page.page.locator("#jobs")).to_contain_text("daybook-minutes", timeout=90_000)
        expect(page.page.locator("#jobs")).to_contain_text("succeeded")
