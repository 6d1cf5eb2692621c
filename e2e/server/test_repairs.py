"""Servers in a state that no deploy leaves, and their repair. The tests build on each other."""

from __future__ import annotations

import pytest

from client import ask
from composed import eventually
from operators import Operator, image_of, named, running, tag_current, until
from server import Server
from steady import Steady


pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("deployable")]
NEXT = "localhost/daybook-e2e-next"
FAILING = "localhost/daybook-e2e-failing"
BROKEN = "/etc/systemd/system/daybook@2.service.d/broken.conf"


@pytest.fixture(scope="module", autouse=True)
def good(server: Server, deployable: None) -> str:
    """The image that the server started with."""
    return named(server, "current")


def test_a_migration_that_takes_long_is_the_restore_steps_which_has_all_the_time_it_needs(
    server: Server, operator: Operator, good: str
):
    server.host.run("podman", "tag", good, "localhost/daybook:previous")
    tag_current(server, "next")
    server.follow("A migration that takes long", "deploy")
    assert server.rows("select version, oldest from daybook_schema") == [(3, 1)]
    assert "migrated to this version's schema" in server.host.run("journalctl", "--unit=daybook-restore", "--output=cat")
    limit = server.host.run("systemctl", "show", "--property=TimeoutStartUSec", "--value", "daybook-restore")
    assert limit == "infinity\n"
    assert running(server) == [image_of("next")] * 4
    assert "replica 4: serves requests through HAProxy" in operator.make("deploy", IMAGE=NEXT)
    operator.make("rollback")
    assert running(server) == [good] * 4


@pytest.mark.parametrize("action", ["rollback", "deploy"])
def test_a_current_version_that_returns_nonsense_is_replaced(server: Server, operator: Operator, good: str, action: str):
    """Auto-update may leave such a version."""
    operator.make("deploy", IMAGE=NEXT)
    tag_current(server, "failing")
    server.host.run("systemctl", "restart", *(f"daybook@{number}" for number in range(1, 5)))
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    assert ask(server.http).status == 500
    operator.make(action, **({"IMAGE": good} if action == "deploy" else {}))
    assert running(server) == [good] * 4
    assert ask(server.http).status == 200


def test_where_one_replica_is_left_a_version_that_is_no_good_does_not_touch_it(server: Server, operator: Operator):
    give_up(server, 2, 3, 4)
    process = server.main_pid("daybook@1.service")
    with Steady(server.http) as load:
        failed, said = operator.attempt("deploy", IMAGE="localhost/daybook-e2e-exiting")
    assert failed != 0
    assert "replica 2: it does not start" in said and "replica 1" not in said, said
    assert server.main_pid("daybook@1.service") == process
    assert load.failures == []


def test_where_one_replica_is_left_a_deploy_brings_the_others_first_and_costs_no_request(server: Server, operator: Operator):
    give_up(server, 2, 3, 4)
    with Steady(server.http) as load:
        operator.make("deploy", IMAGE=NEXT)
    assert running(server) == [image_of("next")] * 4
    assert server.replicas_up() == 4
    assert load.failures == []
    assert server.missing(load.record_ids) == set()


def test_a_replica_that_could_not_be_put_back_serves_again_when_it_is_repaired(server: Server, operator: Operator, good: str):
    """And what an earlier, interrupted deploy had changed is restored with the rest."""
    before = named(server, "current")
    cut_short(server, operator, "replica 2: out of HAProxy", good)
    server.host.run("install", "-D", "/dev/stdin", BROKEN, input="[Service]\nExecStartPre=/bin/false\n")
    server.host.run("systemctl", "daemon-reload")
    failed, said = operator.attempt("deploy", IMAGE=good)
    assert failed != 0
    assert said.splitlines()[-2].endswith(f"and not back on next ({before[:12]}): replica 2"), said
    server.host.run("rm", BROKEN)
    server.host.run("systemctl", "daemon-reload")
    server.host.run("systemctl", "reset-failed", "daybook*@2*")
    server.host.run("systemctl", "start", "daybook@2.socket")
    eventually(30, lambda: server.replicas_up() == 4, "all replicas are up")
    assert running(server) == [before] * 4


def test_a_replica_that_a_deploy_left_out_of_haproxy_is_let_back_when_there_is_nothing_else_to_do(
    server: Server, operator: Operator, good: str
):
    cut_short(server, operator, "replica 4: out of HAProxy", good)
    server.host.run("systemctl", "restart", "daybook@4")
    assert running(server) == [good] * 4
    assert server.replicas_up() == 3
    assert "is already running: nothing to do" in operator.make("deploy", IMAGE=good)
    assert server.replicas_up() == 4


def test_when_a_reboot_has_brought_a_version_that_was_never_asked_the_same_deploy_asks_it(server: Server, operator: Operator):
    before = named(server, "current")
    cut_short(server, operator, "replica 1: out of HAProxy", FAILING)
    server.host.reboot()
    eventually(60, lambda: status(server) == 500, "it returns nonsense")
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    failed, said = operator.attempt("deploy", IMAGE=FAILING)
    assert failed != 0
    assert "is already running, but replica 1: GET /daybook-deploy: returned 500 instead of 200" in said
    operator.make("rollback")
    assert running(server) == [before] * 4
    assert status(server) == 200


def give_up(server: Server, *replicas: int) -> None:
    """Stops a replica and its sockets, as too many crashes do."""
    names = [f"daybook@{number}" for number in replicas]
    server.host.run("systemctl", "stop", *(f"{name}.socket" for name in names), *(f"{name}.service" for name in names))
    eventually(20, lambda: server.replicas_up() == 4 - len(replicas), "HAProxy does without them")


def cut_short(server: Server, operator: Operator, line: str, image: str) -> None:
    """Kills a deploy after a line of its output, so that it restores nothing."""
    process = operator.start("deploy", IMAGE=image)
    until(process, line)
    server.host.run("pkill", "-KILL", "-f", "daybook-deploy deploy")
    process.communicate(timeout=30)
    assert process.returncode != 0


def status(server: Server) -> int:
    """The status of a response, or 0."""
    try:
        return ask(server.http).status
    except OSError:
        return 0
