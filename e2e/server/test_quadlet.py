"""Promises of quadlet/ alone. The tests build on each other."""

from __future__ import annotations

import json
import time

import pytest

from backups import S3_KEY_ID, S3_SECRET, to_s3, to_sftp
from client import ask
from composed import eventually
from daybook import DIRECTORY, SYNC
from outside import assert_tmp_is_writable, outside
from server import OPERATOR_PORT, Server
from steady import Steady

pytestmark = [pytest.mark.parametrize("server", ["quadlet"], indirect=True), pytest.mark.usefixtures("installed")]


@pytest.mark.parametrize(
    "prepare, says",
    [
        ("fake='echo 4.3.1'", "Podman 4.3.1 is too old: these quadlets need 5.4 or later, which Debian 13 has"),
        ("fake='[ $1 = image ] && exit 1; echo 5.4.2'", "the image localhost/daybook:current is missing: build it elsewhere with"),
    ],
    ids=["old Podman", "no image"],
)
def test_the_installer_refuses_a_server_that_cannot_run_it(server: Server, prepare: str, says: str):
    done = server.host.attempt(
        "sh", "-c",
        f"""
        {prepare}
        mkdir -p /tmp/fake && printf '#!/bin/sh\n%s' "$fake" >/tmp/fake/podman && chmod 755 /tmp/fake/podman
        PATH=/tmp/fake:$PATH {DIRECTORY}/quadlet/install
        """,
    )
    assert done.returncode == 1 and done.stdout == "" and f"quadlet/install: {says}" in done.stderr


def test_a_replica_is_nobody_and_can_do_nothing(server: Server, figure):
    """Its root, user, capabilities and network, as the kernel reports them."""
    pid = server.main_pid("daybook@1.service")
    status = dict(line.split(":\t", 1) for line in server.host.run("cat", f"/proc/{pid}/status").splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "0" * 16, "1", "2")
    mounts = server.host.run("cat", f"/proc/{pid}/mounts").splitlines()
    writable = {line.split()[1] for line in mounts if line.split()[3].split(",")[0] == "rw"}
    assert next(line for line in mounts if line.split()[1] == "/").split()[3].startswith("ro")
    figure(f"writable for a replica: {' '.join(sorted(writable))}")


def test_a_replica_can_open_no_connection(server: Server, figure):
    """From its own network: neither to the host, nor to HAProxy, nor to other replicas."""
    pid = server.main_pid("daybook@1.service")
    within = ("nsenter", "--target", pid, "--net")
    assert server.host.run(*within, "ip", "-brief", "link").split()[0::4][:1] == ["lo"]
    assert server.host.run(*within, "ip", "route", "show", "table", "main") == ""
    for address in (f"{server.host.address}:80", f"{server.host.gateway}:80", f"10.89.65.3:{OPERATOR_PORT}", "127.0.0.1:80"):
        attempt = server.host.attempt(*within, "curl", "--silent", "--max-time", "2", f"http://{address}/")
        assert attempt.returncode == 7, f"{address}: {attempt}"
    # It sees none of the sockets in /run/daybook.
    assert server.host.attempt("ls", f"/proc/{pid}/root/run/daybook").stdout == ""
    figure("no route, no interface but its own loopback, none of the other replicas' sockets")


def test_a_replica_reaches_another_server_only_with_outbound_on(server: Server, figure):
    replicas = [f"daybook-{number}" for number in server.replicas()]

    def install(setting: str) -> list[str]:
        server.shell(f"sed -i 's/^OUTBOUND=.*/OUTBOUND={setting}/' /etc/daybook/daybook.env")
        return server.shell("quadlet/install --restart").splitlines()

    with outside(server.host) as other, Steady(server.http) as load:
        assert [other.call(server.host, name)[0] for name in replicas] == [False] * len(replicas)
        changes = install("on")
        assert [f"restart daybook@{number}.service" in changes for number in server.replicas()] == [True] * len(replicas)
        assert [other.call(server.host, name) for name in replicas] == [(True, "")] * len(replicas)
        assert other.requests == [(server.host.address, "/readyz")] * len(replicas)
        install("off")
        assert [other.call(server.host, name)[0] for name in replicas] == [False] * len(replicas)
    assert load.failures == []
    figure(str(load))


def test_a_replica_may_write_to_tmp(server: Server):
    assert_tmp_is_writable(server.host, "daybook-1")


def test_prometheus_has_no_target_that_is_down_and_litestream_reaches_haproxy(server: Server, figure):
    def targets() -> list[tuple[str, str]]:
        response = server.host.attempt("curl", "--silent", "--fail", "http://127.0.0.1:9090/api/v1/targets")
        if response.returncode != 0:
            return []
        found = [(target["scrapePool"], target["health"]) for target in json.loads(response.stdout)["data"]["activeTargets"]]
        return found if all(health == "up" for _, health in found) else []

    found = eventually(60, targets, "every target is up")
    assert [job for job, _ in found].count("daybook") == len(server.replicas())
    server.host.run("podman", "exec", "litestream", "bash", "-c", f"exec 3<>/dev/tcp/haproxy/{OPERATOR_PORT}")
    figure(f"{len(found)} targets up")


def test_the_other_commands_of_the_readme_work(server: Server):
    for heading in ("Run it", "Change a setting", "Share the CPU"):
        server.follow(heading, page="server")
    eventually(30, lambda: server.replicas_up() == 3, "three replicas are up")


def test_a_lost_database_comes_back_from_an_sftp_server_whose_key_is_a_secret(server: Server, figure):
    settings = to_sftp(server.host)
    server.shell(
        f"""
        install -m 600 {settings["BACKUP_SFTP_KEY_FILE"]} /root/backup-sftp-key
        sed -i 's|^BACKUP_URL=.*|BACKUP_URL={settings["BACKUP_URL"]}|' /etc/daybook/daybook.env
        echo 'BACKUP_SFTP_HOST_KEY={settings["BACKUP_SFTP_HOST_KEY"]}' >>/etc/daybook/daybook.env
        """
    )
    assert "a copy has arrived at sftp://" in server.follow("Secrets")
    with Steady(server.http) as load:
        time.sleep(3)
    eventually(30, lambda: server.host.attempt("podman", "exec", "litestream", *SYNC).returncode == 0, "all is copied")
    lose(server)
    started = time.monotonic()
    server.host.run("systemctl", "start", "daybook.target", seconds_max=90)
    assert ask(server.http).status == 200
    took = time.monotonic() - started
    assert server.missing(load.record_ids) == set()
    figure(f"serving {took:.1f} s after the start; {len(load.record_ids)} records, 0 missing")


def test_without_database_and_backup_nothing_is_created_and_it_recovers_by_itself(server: Server, figure):
    records = len(server.rows("select id from requests"))
    server.host.run("podman", "exec", "litestream", *SYNC)
    lose(server)
    server.host.run("podman", "stop", "--time", "1", "sftp")
    server.host.attempt("systemctl", "start", "daybook.target", seconds_max=120)
    assert not server.serves()
    assert not server.database.exists()
    started = time.monotonic()
    server.host.run("podman", "start", "sftp")
    eventually(90, server.serves, "it serves")
    assert len(server.rows("select id from requests")) > records
    figure(f"serving {time.monotonic() - started:.1f} s after the backup could be reached again")


def test_the_credentials_of_an_s3_server_are_secrets_too(server: Server, figure):
    settings = to_s3(server.host)
    server.shell(
        f"""
        printf %s {S3_KEY_ID} | podman secret create backup-s3-key-id -
        printf %s {S3_SECRET} | podman secret create backup-s3-secret -
        sed -i 's|^BACKUP_URL=.*|BACKUP_URL={settings["BACKUP_URL"]}|' /etc/daybook/daybook.env
        echo 'BACKUP_S3_ENDPOINT={settings["BACKUP_S3_ENDPOINT"]}' >>/etc/daybook/daybook.env
        echo 'BACKUP_S3_REGION={settings["BACKUP_S3_REGION"]}' >>/etc/daybook/daybook.env
        quadlet/install --restart
        """
    )
    eventually(30, lambda: server.host.attempt("podman", "exec", "litestream", *SYNC).returncode == 0, "all is copied")
    objects = server.host.run("podman", "exec", "s3", "find", "/srv/backup", "-name", "*.ltx").split()
    assert objects
    assert S3_SECRET not in server.host.run("sh", "-c", "systemctl cat litestream; podman inspect litestream")
    figure(f"{len(objects)} files at the S3 server")


def lose(server: Server) -> None:
    """Removes the database's volume, as the loss of a disk does."""
    server.stop()
    server.shell("podman volume rm daybook-data && systemctl restart daybook-data-volume.service")
