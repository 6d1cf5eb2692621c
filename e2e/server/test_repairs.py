"""A server that is not as a deploy leaves it, and what repairs it: steps in the order in which they stand."""

from __future__ import annotations

import pytest

from client import ask
from composed import eventually
from operators import Operator, named, running, tag_current
from server import Server


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
