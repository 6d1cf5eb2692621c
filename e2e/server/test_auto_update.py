"""`podman auto-update`, as deploy/README.md describes it. The tests build on each other."""

from __future__ import annotations

import subprocess

import pytest

from composed import eventually
from daybook import DIRECTORY, REPOSITORY
from operators import Operator, image_of, named, running, tag_current
from server import Server, socket_opens
from steady import Steady


pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("deployable")]


def test_unless_it_is_asked_for_nothing_is_updated(server: Server):
    before = running(server)
    current = before[0]
    tag_current(server, "next")
    server.host.run("podman", "auto-update")
    assert running(server) == before
    server.host.run("podman", "tag", current, "localhost/daybook:current")


def test_a_new_image_reaches_every_replica_and_costs_no_request(server: Server, figure):
    server.follow("Auto-update", "deploy")
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    tag_current(server, "next")
    with Steady(server.http) as load:
        server.host.run("systemctl", "start", "podman-auto-update.service", seconds_max=120)
    assert running(server) == [image_of("next")] * 4
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))


def test_an_image_that_does_not_start_is_rolled_back_and_costs_no_request(server: Server, figure):
    before = running(server)
    tag_current(server, "exiting")
    with Steady(server.http) as load:
        server.host.attempt("systemctl", "start", "podman-auto-update.service", seconds_max=120)
    assert running(server) == before
    assert named(server, "current") == before[0]
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    figure(str(load))


def test_it_waits_for_a_deploy_and_a_deploy_is_refused_while_it_runs(server: Server, operator: Operator):
    deploy = operator.start("deploy", IMAGE="localhost/daybook-e2e-alone")
    while "replica 1" not in deploy.stdout.readline():
        pass
    server.host.run("systemctl", "start", "--no-block", "podman-auto-update.service")

    def updating() -> str:
        return server.host.attempt("pgrep", "--full", "podman auto-update").stdout

    eventually(10, updating, "it waits")
    assert server.host.attempt("pgrep", "--exact", "--full", "/usr/bin/podman auto-update").stdout == ""
    said, _ = deploy.communicate(timeout=120)
    assert deploy.returncode == 0, said
    eventually(30, lambda: not updating(), "it has had its turn")
    assert running(server) == [image_of("alone")] * 4

    holder = subprocess.Popen(server.host.enter("flock", "/run/lock/daybook-deploy.lock", "sleep", "60"))
    try:
        eventually(10, lambda: server.host.attempt("pgrep", "--exact", "sleep").stdout, "it is held")
        status, said = operator.attempt("rollback")
    finally:
        server.host.run("pkill", "--exact", "sleep")
        holder.wait()
    assert status != 0
    assert "another deploy is under way: process" in said and "flock /run/lock/daybook-deploy.lock sleep 60" in said


def test_what_a_registry_has_reaches_every_replica(server: Server, tmp_path, figure):
    gateway, port = server.host.gateway, 5000
    image = f"{gateway}:{port}/daybook:current"
    program = subprocess.check_output([REPOSITORY / "e2e/server/registry"], text=True).strip()
    config = tmp_path / "registry.yml"
    storage = f"{{filesystem: {{rootdirectory: {tmp_path}/images}}}}"
    config.write_text(f"version: 0.1\nstorage: {storage}\nhttp: {{addr: '{gateway}:{port}'}}\n")
    registry = subprocess.Popen([program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(10, lambda: socket_opens((gateway, port)), "the registry listens")
        # In the format that keeps the image's id.
        push = ["podman", "push", "--quiet", "--tls-verify=false", "--format", "v2s2"]
        subprocess.run([*push, "localhost/daybook-e2e-beyond", f"docker://{image}"], check=True)
        server.shell(
            f"""
            printf '[[registry]]\nlocation = "{gateway}:{port}"\ninsecure = true\n' \\
                >/etc/containers/registries.conf.d/test.conf
            cd /etc/systemd/system/podman-auto-update.service.d
            rm lock.conf
            sed 's|registry.example.org/daybook:current|{image}|' {DIRECTORY}/deploy/auto-update/registry.conf >registry.conf
            systemctl daemon-reload
            """
        )
        with Steady(server.http) as load:
            server.host.run("systemctl", "start", "podman-auto-update.service", seconds_max=120)
    finally:
        registry.kill()
        registry.wait()
    assert running(server) == [image_of("beyond")] * 4
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))
