"""deploy/ on a server of quadlet/, over ssh and under load. The tests build on each other."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from composed import eventually
from daybook import REPOSITORY
from operators import Operator, image_of, named, running, until
from server import Server
from steady import Steady


pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("deployable")]


def test_the_next_versions_unit_is_the_replicas_but_for_names_and_image():
    def units(name: str, instance: str, folder: str = "quadlet") -> list[str]:
        text = (REPOSITORY / folder / name).read_text().replace(f"daybook@{instance}", "NAME")
        text = text.replace(f"daybook-admin@{instance}", "NAME-admin").replace("daybook-next", "NAME")
        lines = [line for line in text.splitlines() if not line.startswith(("#", "Description=", "Image="))]
        return [line.replace(instance, "next").replace("daybook-next", "NAME") for line in lines]

    assert units("daybook-next.container", "%i") == units("daybook@.container", "%i")
    assert units("daybook-next.socket", "%i") == units("daybook@.socket", "%i")
    assert units("daybook-next-admin.socket", "%i") == units("daybook-admin@.socket", "%i", "server")


def test_what_cannot_work_is_refused_before_anything_is_begun(server: Server, operator: Operator):
    def refused(action: str = "deploy", **variables: str) -> str:
        status, said = operator.attempt(action, **variables)
        assert status != 0, said
        return said

    assert "which host? make deploy HOST=" in refused(HOST="")
    assert "no connection to nowhere.invalid" in refused(HOST="nowhere.invalid")
    assert "no connection to -oProxyCommand=true" in refused(HOST="-oProxyCommand=true")
    assert "there is no image localhost/nothing in podman here" in refused(IMAGE="localhost/nothing")
    assert "PERCENT is '101': it must be a number from 0 to 100" in refused("next", PERCENT="101")
    right = "deploy takes no PERCENT; a canary does: make next HOST=server PERCENT=10"
    assert right in refused("deploy", PERCENT="10")
    right = "rollback takes no IMAGE: run another image with make deploy HOST=server IMAGE=localhost/other"
    assert right in refused("rollback", IMAGE="localhost/other")
    assert "there is no localhost/daybook:previous" in refused("rollback")
    assert "there is no localhost/daybook:next" in refused("promote")
    assert "there is no localhost/daybook:next" in refused("drop")
    assert "the image is for riscv64, and this machine is " in refused(IMAGE="localhost/daybook-e2e-foreign")

    server.host.run("mv", "/usr/local/sbin/daybook-deploy", "/root/")
    assert "/usr/local/sbin/daybook-deploy is not on server" in refused()
    server.host.run("mv", "/root/daybook-deploy", "/usr/local/sbin/")
    server.host.run("systemctl", "stop", "daybook.target")
    assert "daybook.target is not active" in refused()
    server.host.run("systemctl", "start", "daybook.target", seconds_max=90)
    server.shell("daybook-scale 1")
    assert "there is one replica" in refused()
    server.shell("daybook-scale 4")
    assert operator.make("history") == "nothing has been deployed yet\n"


def test_what_runs_already_is_not_deployed_again(server: Server, operator: Operator):
    subprocess.run(["podman", "tag", named(server, "current"), "localhost/daybook-e2e-same"], check=True)
    before = [server.main_pid(f"daybook@{number}.service") for number in range(1, 5)]
    assert "is already running: nothing to do" in operator.make("deploy", IMAGE="localhost/daybook-e2e-same")
    assert before == [server.main_pid(f"daybook@{number}.service") for number in range(1, 5)]


def test_a_deploy_that_migrates_the_database_costs_no_request(server: Server, operator: Operator, figure):
    """As on a server that was installed before there was retention."""
    server.host.run("sed", "-i", "/^DAYBOOK_RETENTION/d", "/etc/daybook/daybook.env")
    old = running(server)
    with Steady(server.http) as load:
        *_, done, advice, _, line = operator.make("deploy", IMAGE="localhost/daybook-e2e-next").splitlines()
    assert line == "DAYBOOK_RETENTION__BYTES_MAX=25%" and "Old records are never deleted on this server" in advice
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert running(server) == [image_of("next")] * 4 != old
    assert server.rows("select version, oldest from daybook_schema") == [(3, 1)]
    assert server.rows("select count(*) from notes")[0][0] > 0
    assert named(server, "previous") == old[0]
    figure(f"{done}; {load}")


def test_a_rollback_costs_no_request_and_the_old_version_goes_on_with_the_file(server: Server, operator: Operator, figure):
    with Steady(server.http) as load:
        said = operator.make("rollback")
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert image_of("next") not in running(server)
    assert server.rows("select version, oldest from daybook_schema") == [(3, 1)]
    figure(f"{said.splitlines()[-1]}; {load}")


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("exiting", "replica 1: it does not start (exit-code, exit status 2)"),
        ("failing", "replica 1: GET /daybook-deploy: returned 500 instead of 200"),
        ("mute", "replica 1: it does not start (no READY=1 within 45 s)"),
    ],
    ids=["exiting", "failing", "mute"],
)
def test_a_version_that_is_no_good_is_taken_back_and_costs_no_request(
    server: Server, operator: Operator, version: str, reason: str, figure
):
    before, names = running(server), images(server)
    with Steady(server.http) as load:
        status, said = operator.attempt("deploy", IMAGE=f"localhost/daybook-e2e-{version}")
    assert status != 0
    assert reason in said.splitlines()[-2], said
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert (running(server), images(server)) == (before, names)
    eventually(30, lambda: server.replicas_up() == 4, "all replicas are up")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    figure(str(load))


def test_when_a_later_replica_fails_those_before_it_are_taken_back_too(server: Server, operator: Operator, figure):
    """HAProxy cannot use the third replica's sockets."""
    before = running(server)
    with Steady(server.http) as load:
        process = operator.start("deploy", IMAGE="localhost/daybook-e2e-next")
        said = until(process, "replica 2: serves requests through HAProxy")
        server.host.run("chmod", "600", "/run/daybook/3.sock")
        said += process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "replica 3: HAProxy does not reach it" in said
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert running(server) == before
    assert "and not back on" in said and "replica 3" in said.splitlines()[-2]
    server.host.run("chmod", "666", "/run/daybook/3.sock")
    eventually(10, lambda: server.replicas_up() == 4, "all replicas are up")
    figure(str(load))


def test_of_two_deploys_at_once_the_second_is_refused_and_told_who_has_begun(server: Server, operator: Operator):
    first = operator.start("deploy", IMAGE="localhost/daybook-e2e-next")
    until(first, "replica 1: out of HAProxy")
    for action, variables in (("deploy", {"IMAGE": "localhost/daybook-e2e-failing"}), ("rollback", {})):
        status, said = operator.attempt(action, **variables)
        assert status != 0
        assert re.search("another deploy is under way: process [0-9]+, .*daybook-deploy deploy --by ", said), said
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 0, said


def test_a_deploy_goes_on_when_the_connection_breaks(server: Server, operator: Operator, figure):
    with Steady(server.http) as load:
        process = operator.start("rollback")
        until(process, "replica 1: out of HAProxy")
        subprocess.run(["pkill", "--parent", str(process.pid)], check=False)
        process.kill()
        process.communicate()
        eventually(60, lambda: len(history(server)) == 8, "it is in the history")
    assert history(server)[-1]["outcome"] == "done"
    assert load.failures == []
    assert image_of("next") not in running(server)
    figure(str(load))


def test_a_deploy_that_is_stopped_takes_back_what_it_has_done(server: Server, operator: Operator):
    before = running(server)
    process = operator.start("deploy", IMAGE="localhost/daybook-e2e-next")
    until(process, "replica 2: ready")
    server.host.run("pkill", "-TERM", "-f", "daybook-deploy deploy")
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "stopped by SIGTERM" in said
    assert running(server) == before
    eventually(30, lambda: server.replicas_up() == 4, "all replicas are up")


def test_a_deploy_that_was_cut_short_is_finished_by_the_next_one(server: Server, operator: Operator):
    old = named(server, "current")
    with Steady(server.http) as load:
        process = operator.start("deploy", IMAGE="localhost/daybook-e2e-next")
        until(process, "replica 2: out of HAProxy")
        server.host.run("pkill", "-KILL", "-f", "daybook-deploy deploy")
        process.communicate(timeout=30)
        assert process.returncode != 0
        operator.make("deploy", IMAGE="localhost/daybook-e2e-next")
    assert load.failures == []
    assert running(server) == [image_of("next")] * 4
    assert (named(server, "current"), named(server, "previous")) == (image_of("next"), old)


def test_the_history_says_who_what_and_with_what_outcome(server: Server, operator: Operator):
    entries = history(server)
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("deploy", "done"), ("rollback", "done"), ("deploy", "put back"), ("deploy", "put back"), ("deploy", "put back"),
        ("deploy", "failed"), ("deploy", "done"), ("rollback", "done"), ("deploy", "put back"), ("deploy", "done"),
    ]
    assert {entry["by"] for entry in entries} == {f"root@{Path('/proc/sys/kernel/hostname').read_text().strip()}"}
    lines = operator.make("history").splitlines()
    assert len(lines) == len(entries)
    first = r"20\S+Z  deploy    next \(\w{12}\) in place of \S+ \(\w{12}\), by root@\S+, in \S+ s: done"
    assert re.fullmatch(first, lines[0])


def test_after_a_reboot_the_restore_step_is_the_deployed_versions_own(server: Server, operator: Operator):
    """Otherwise it could not open a file that only the deployed version may use."""
    operator.make("deploy", IMAGE="localhost/daybook-e2e-alone")
    assert server.rows("select version, oldest from daybook_schema") == [(4, 4)]
    server.host.reboot()
    eventually(60, server.serves, "it serves")
    assert running(server) == [image_of("alone")] * 4


def images(server: Server) -> list[str]:
    return sorted(server.host.run("podman", "images", "--format", "{{.Id}} {{.Repository}} {{.Tag}}").splitlines())


def history(server: Server) -> list[dict]:
    lines = server.host.run("cat", "/var/lib/daybook-deploy/history.jsonl").splitlines()
    return [json.loads(line) for line in lines]
