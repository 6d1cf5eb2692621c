"""The canary that deploy/ starts beside the current version. The tests build on each other."""

from __future__ import annotations

import json

import pytest

from client import ask
from composed import eventually
from operators import Operator, image_of, named, running
from server import Server
from steady import Steady


pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("deployable")]


class Everybody:
    """Within a `with`: clients of the current version, and some that select the canary."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loads = (Steady(server.http), Steady(server.http, rate=50, clients=16, headers={"X-API-Version": "2"}))

    def __enter__(self) -> Everybody:
        for load in self.loads:
            load.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for load in self.loads:
            load.__exit__()
        for load in self.loads:
            assert load.failures == []
            assert self.server.missing(load.record_ids) == set()

    def __str__(self) -> str:
        return f"{self.loads[0]}; for the canary: {self.loads[1]}"


def new_version_responds(server: Server, **request: str) -> bool:
    """Only the new version writes notes."""
    def notes() -> int:
        return server.rows("select count(*) from notes")[0][0]

    before = notes()
    assert ask(server.http, **request).status == 200
    return notes() > before


def replicas_scraped(server: Server) -> set[str]:
    """The replicas that Prometheus scrapes; none while one does not respond."""
    said = server.host.run("curl", "--silent", "--fail", "http://127.0.0.1:9090/api/v1/targets?scrapePool=daybook")
    targets = json.loads(said)["data"]["activeTargets"]
    up = all(target["health"] == "up" for target in targets)
    return {target["labels"]["instance"] for target in targets} if up else set()


def test_the_canary_starts_beside_the_current_version(server: Server, operator: Operator, figure):
    before = running(server)
    with Everybody(server) as everybody:
        said = operator.make("next", IMAGE="localhost/daybook-e2e-next")
    assert running(server) == before
    for request in ({"x_api_version": "2"}, {"host": "v2.example.org"}, {"path": "/v2/things"}):
        assert new_version_responds(server, **request), request
    assert not any(new_version_responds(server) for _ in range(20))
    eventually(90, lambda: "replicanext" in replicas_scraped(server), "Prometheus scrapes it, too")
    figure(f"{said.splitlines()[-1]}; {everybody}")


def test_its_share_changes_while_it_runs_and_stays_when_haproxy_restarts(server: Server, operator: Operator):
    process = server.main_pid("daybook-next.service")
    for percent, least, most in (("50", 5, 35), ("100", 40, 40), ("0", 0, 0), ("100", 40, 40)):
        operator.make("next", IMAGE="localhost/daybook-e2e-next", PERCENT=percent)
        assert least <= sum(new_version_responds(server) for _ in range(40)) <= most, percent
    server.host.run("systemctl", "restart", "haproxy")
    assert all(new_version_responds(server) for _ in range(20))
    assert server.main_pid("daybook-next.service") == process


def test_after_a_reboot_it_is_there_again(server: Server):
    server.host.reboot()
    eventually(60, server.serves, "it serves")
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    assert new_version_responds(server, x_api_version="2")


def test_dropped_it_is_gone_and_nothing_is_special(server: Server, operator: Operator, figure):
    with Everybody(server) as everybody:
        operator.make("drop")
    assert not new_version_responds(server, x_api_version="2")
    eventually(90, lambda: replicas_scraped(server) == {f"replica{number}" for number in range(1, 5)}, "no target is down")
    assert server.units("daybook-next*") == []
    assert not [line for line in server.host.run("cat", "/etc/daybook/daybook.env").splitlines() if "HAPROXY_NEXT" in line]
    assert "next" not in server.host.run("podman", "images", "--format", "{{.Tag}}")
    figure(str(everybody))


def test_a_canary_that_fails_is_stopped(server: Server, operator: Operator, figure):
    with Everybody(server) as everybody:
        status, said = operator.attempt("next", IMAGE="localhost/daybook-e2e-failing", PERCENT="50")
    assert status != 0
    assert "next: POST /daybook-deploy: returned 500" in said or "next: GET /daybook-deploy: returned 500" in said
    assert server.units("daybook-next*") == server.units("daybook-next*", state="failed") == []
    assert ask(server.http, x_api_version="2").status == 200
    figure(str(everybody))


def test_promoted_it_is_the_current_one(server: Server, operator: Operator, figure):
    before = running(server)
    with Everybody(server) as everybody:
        for percent in ("10", "100"):
            operator.make("next", IMAGE="localhost/daybook-e2e-next", PERCENT=percent)
        said = operator.make("promote")
    assert running(server) == [image_of("next")] * 4
    assert server.units("daybook-next*") == []
    assert new_version_responds(server), "the same version, as the current one"
    assert ask(server.http, x_api_version="2").status == 200
    assert [named(server, "previous")] * 4 == before
    figure(f"{said.splitlines()[-1]}; {everybody}")


def test_promoted_when_it_is_the_current_one_already_it_just_ends(server: Server, operator: Operator):
    processes = [server.main_pid(f"daybook@{number}.service") for number in range(1, 5)]
    operator.make("next", IMAGE="localhost/daybook-e2e-next")
    operator.make("promote")
    assert server.units("daybook-next*") == []
    assert processes == [server.main_pid(f"daybook@{number}.service") for number in range(1, 5)]
