"""A server that is not as a deploy leaves it, and what repairs it: steps in the order in which they stand."""

from __future__ import annotations

import pytest

from client import ask
from composed import eventually
from operators import Operator, image_of, named, running, tag_current
from server import Server
from steady import Steady


pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("deployable")]
NEXT = "localhost/daybook-e2e-next"


@pytest.fixture(scope="module", autouse=True)
def good(server: Server, deployable: None) -> str:
    """The image with which it began."""
    return named(server, "current")


@pytest.mark.parametrize("action", ["rollback", "deploy"])
def test_a_current_version_that_answers_nonsense_is_replaced(server: Server, operator: Operator, good: str, action: str):
    """As auto-update may leave one."""
    operator.make("deploy", IMAGE=NEXT)
    tag_current(server, "failing")
    server.host.run("systemctl", "restart", *(f"daybook@{number}" for number in range(1, 5)))
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    assert ask(server.http).status == 500
    operator.make(action, IMAGE=good)
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


def give_up(server: Server, *replicas: int) -> None:
    """What is left of a replica that has crashed too often: neither it nor its sockets."""
    names = [f"daybook@{number}" for number in replicas]
    server.host.run("systemctl", "stop", *(f"{name}.socket" for name in names), *(f"{name}.service" for name in names))
    eventually(20, lambda: server.replicas_up() == 4 - len(replicas), "HAProxy does without them")
