"""Promises of systemd/ alone. The tests build on each other."""

from __future__ import annotations

import re

import pytest

from composed import eventually
from server import Server
from steady import Steady

pytestmark = [pytest.mark.parametrize("server", ["systemd"], indirect=True), pytest.mark.usefixtures("installed")]


def test_the_shared_port_believes_nobody_for_its_client_is_no_proxy(server: Server):
    server.host.run("curl", "--silent", "--fail", "--header", "X-Forwarded-For: 203.0.113.1", "http://127.0.0.1:8080/who")
    assert server.rows("select remote_addr from requests where path = '/who'") == [("127.0.0.1",)]


def test_the_security_scores(server: Server, figure):
    lines = server.follow("Security scores").splitlines()
    assert len(lines) == 4
    for line in lines:
        figure(line.lstrip("→ "))


def test_what_a_replica_may_not_see_does_not_keep_it_from_measuring_itself(server: Server):
    metrics = server.operator("/replica/1/metrics")
    for name in ("process_resident_memory_bytes", "process_start_time_seconds"):
        assert float(re.search(f"^{name}{{.*}} (.*)$", metrics, re.MULTILINE)[1]) > 0, name


def test_a_replica_can_open_no_connection(server: Server, figure):
    pid = server.main_pid("daybook@1.service")
    within = ("nsenter", "--target", pid, "--net")
    assert server.host.run(*within, "ip", "route", "show", "table", "main") == ""
    for address in (f"{server.host.address}:80", f"{server.host.gateway}:80", "127.0.0.1:80", "127.0.0.1:8080"):
        attempt = server.host.attempt(*within, "curl", "--silent", "--max-time", "2", f"http://{address}/")
        assert attempt.returncode == 7, f"{address}: {attempt}"
    uid = server.host.run("stat", "-c", "%u", f"/proc/{pid}").strip()
    as_replica = ("setpriv", f"--reuid={uid}", "--clear-groups", "--regid", uid)
    # Only root and HAProxy may use the operator's sockets.
    attempt = server.host.attempt(*as_replica, "curl", "--silent", "--unix-socket", "/run/daybook/2.admin.sock", "http://x/")
    assert attempt.returncode == 7
    figure("no route, no interface but its own loopback, none of the other replicas' sockets")


def test_a_replica_that_cannot_start_is_left_alone_until_it_is_told_to_try_again(server: Server, figure):
    """Its configuration is wrong, while HAProxy's checks keep connecting to its socket."""
    directory = "/etc/systemd/system/daybook@2.service.d"
    with Steady(server.http) as load:
        server.shell(
            f"""
            mkdir {directory}
            printf '[Service]\nEnvironment=DAYBOOK_COMMIT__DEADLINE=soon\n' >{directory}/wrong.conf
            systemctl daemon-reload
            systemctl restart daybook@2 || true
            """
        )
        failed = ["daybook-admin@2.socket", "daybook@2.service", "daybook@2.socket"]
        eventually(60, lambda: server.units(state="failed") == failed, "it is left alone")
        server.shell(
            f"""
            rm -r {directory}
            systemctl daemon-reload
            systemctl reset-failed 'daybook*@2*'
            systemctl start daybook@2.socket
            """
        )
        eventually(30, lambda: server.replicas_up() == len(server.replicas()), "it serves again")
    assert load.failures == []
    figure(str(load))


def test_litestream_does_not_count_as_started_until_a_first_copy_has_arrived(server: Server):
    """The backup is in a directory that no service may write to. Replicas do not wait for it."""
    settings, right = "/etc/daybook/daybook.env", "file:///var/lib/backup/requests.db"
    wrong = "file:///etc/backup/requests.db"
    server.host.run("sed", "-i", f"s|^BACKUP_URL=.*|BACKUP_URL={wrong}|", settings)
    assert server.host.attempt("systemctl", "restart", "litestream", seconds_max=90).returncode == 1
    said = server.host.run("journalctl", "--unit=litestream", "--output=cat", "--no-pager")
    assert f"proof: no copy arrives at {wrong}: " in said
    assert server.units("litestream.service") == [] and server.serves()
    server.host.run("sed", "-i", f"s|^BACKUP_URL=.*|BACKUP_URL={right}|", settings)
    server.host.run("systemctl", "restart", "litestream", seconds_max=90)
    assert server.units("litestream.service") == ["litestream.service"]


def test_one_more_instance_joins_the_shared_port(server: Server, figure):
    server.follow("One more instance")
    eventually(30, lambda: "daybook@5.service" in server.units("daybook@*.service"), "it runs")
    server.shell("for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8080/; done")
    metrics = server.host.run("curl", "-s", "--unix-socket", "/run/daybook/5.admin.sock", "http://localhost/metrics")
    taken = next(line for line in metrics.splitlines() if line.startswith("daybook_records_committed_total{"))
    assert float(taken.split()[-1]) > 0
    figure(f"of 100 requests on 127.0.0.1:8080 the fifth replica took {taken.split()[-1]}")
    server.host.run("systemctl", "stop", "daybook@5.socket")
    eventually(30, lambda: server.units("daybook@5.service", "daybook*@5.socket") == [], "it is gone")


def test_another_binary_takes_the_old_ones_place_without_a_failed_request(server: Server, figure):
    server.shell("cp /usr/local/bin/daybook daybook")
    before = server.replica_pids()
    with Steady(server.http) as load:
        server.follow("Without containers", "deploy")
    assert not set(before) & set(server.replica_pids())
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))
