"""systemd/ on a server: steps in the order in which they stand."""

from __future__ import annotations

import re
import time

import pytest

from client import ask
from composed import eventually
from server import Server
from steady import Steady


@pytest.fixture(scope="module", autouse=True)
def disk(server: Server) -> None:
    """The state lies on a real file system, as on a server; the test host's root is layers."""
    server.shell(
        """
        mkdir -p -m 700 /var/lib/containers/private /var/lib/private
        echo '/var/lib/containers/private /var/lib/private none bind' >>/etc/fstab
        mount /var/lib/private
        """
    )


@pytest.fixture(scope="module", autouse=True)
def programs(server: Server) -> None:
    """What the README has from elsewhere, taken out of the images: Debian's HAProxy and Litestream's own program."""
    server.shell(
        """
        groupadd --system haproxy
        useradd --system --gid haproxy --home-dir /var/lib/haproxy --shell /usr/sbin/nologin haproxy
        container=$(podman create docker.io/litestream/litestream:0.5.17)
        podman cp "$container:/usr/local/bin/litestream" /usr/local/bin/litestream
        podman rm "$container"
        image=$(podman image mount docker.io/library/haproxy:3.0.11)
        cp "$image/usr/sbin/haproxy" /usr/sbin/haproxy
        cp --update=none "$image"/usr/lib/*-linux-gnu/*.so.* /usr/lib/*-linux-gnu/
        podman image unmount docker.io/library/haproxy:3.0.11
        """
    )


def test_what_the_readme_says_brings_it_up_and_it_serves(server: Server, figure):
    started = time.monotonic()
    server.follow("Install")
    took = time.monotonic() - started
    answer = ask(server.http, "POST", "/hello", b"hello, daybook")
    assert (answer.status, answer.body) == (200, b"hello, daybook")
    assert server.units(state="failed") == []
    assert server.replicas_up() == 4
    figure(f"serving with 4 replicas {took:.1f} s after the first command")


def test_the_clients_own_address_is_recorded(server: Server):
    ask(server.http, path="/who", X_Forwarded_For="203.0.113.1")
    # The shared port trusts nobody, for its client is no proxy.
    server.host.run("curl", "--silent", "--fail", "--header", "X-Forwarded-For: 203.0.113.1", "http://127.0.0.1:8080/who")
    addresses = server.rows("select remote_addr from requests where path = '/who' order by id")
    assert addresses == [(server.host.gateway,), ("127.0.0.1",)]


def test_only_port_80_answers_from_outside(server: Server):
    assert server.reachable(80, 8080, 9100, 9101, 9102) == [80]


def test_the_security_scores(server: Server, figure):
    lines = server.follow("How tight").splitlines()
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
    # The operator's sockets are for root and HAProxy.
    attempt = server.host.attempt(*as_replica, "curl", "--silent", "--unix-socket", "/run/daybook/2.admin.sock", "http://x/")
    assert attempt.returncode == 7
    figure("no route, no interface but its own loopback, none of the other replicas' sockets")


def test_a_restarted_replica_costs_no_request(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(1)
        server.host.run("systemctl", "restart", "daybook@1")
        time.sleep(1)
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))


def test_a_restarted_haproxy_and_litestream_cost_no_request(server: Server, figure):
    with Steady(server.http) as load:
        for unit in ("haproxy", "litestream"):
            time.sleep(1)
            server.host.run("systemctl", "restart", unit)
        time.sleep(1)
    assert load.failures == []
    figure(str(load))


def test_a_killed_replica_costs_no_get_and_no_acknowledged_record(server: Server, figure):
    with Steady(server.http) as load:
        for replica in (1, 2, 3):
            time.sleep(1)
            server.host.run("kill", "-9", server.main_pid(f"daybook@{replica}.service"))
        time.sleep(2)
    assert [failure for failure in load.failures if failure.startswith("GET")] == []
    assert server.missing(load.record_ids) == set()
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up again")
    figure(f"three killed, a second apart: {load}")


def test_a_replica_that_hangs_is_killed_and_starts_again(server: Server, figure):
    before = server.main_pid("daybook@2.service")
    server.host.run("kill", "-STOP", before)
    started = time.monotonic()
    eventually(5, lambda: server.replicas_up() == 3, "HAProxy does without it")
    noticed = time.monotonic() - started
    eventually(90, lambda: server.replicas_up() == 4, "it serves again")
    assert server.main_pid("daybook@2.service") != before
    figure(f"HAProxy did without it after {noticed:.1f} s, it served again after {time.monotonic() - started:.0f} s")


def test_a_replica_that_cannot_start_is_left_alone_until_it_is_told_to_try_again(server: Server, figure):
    """Its configuration is wrong. HAProxy's checks knock at its socket all the time."""
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
        eventually(10, lambda: server.replicas_up() == 4, "it serves again")
    assert load.failures == []
    figure(str(load))


def test_one_more_instance_joins_the_shared_port(server: Server, figure):
    server.follow("One more instance")
    eventually(10, lambda: "daybook@5.service" in server.units("daybook@*.service"), "it runs")
    server.shell("for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8080/; done")
    metrics = server.host.run("curl", "-s", "--unix-socket", "/run/daybook/5.admin.sock", "http://localhost/metrics")
    taken = next(line for line in metrics.splitlines() if line.startswith("daybook_records_committed_total{"))
    assert float(taken.split()[-1]) > 0
    figure(f"of 100 requests on 127.0.0.1:8080 the fifth replica took {taken.split()[-1]}")
    server.host.run("systemctl", "stop", "daybook@5.socket")
    eventually(20, lambda: server.units("daybook@5.service", "daybook*@5.socket") == [], "it is gone")


def test_two_replicas_become_four_without_a_failed_request(server: Server, figure):
    with Steady(server.http) as load:
        for count in (2, 4):
            time.sleep(1)
            server.shell(f"daybook-scale {count}")
            eventually(10, lambda: server.replicas_up() == count, f"{count} replicas")
    assert load.failures == []
    figure(f"4, 2, 4: {load}")


def test_a_stopped_target_leaves_nothing_and_a_started_one_serves(server: Server, figure):
    started = time.monotonic()
    server.stop()
    figure(f"nothing left after {time.monotonic() - started:.1f} s")
    server.host.run("systemctl", "start", "daybook.target", seconds_max=90)
    assert ask(server.http).status == 200


def test_after_a_reboot_it_serves_by_itself_and_has_every_acknowledged_record(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(2)
    started = time.monotonic()
    server.host.reboot()
    eventually(60, server.serves, "it serves")
    took = time.monotonic() - started
    assert server.missing(load.record_ids) == set()
    figure(f"serving {took:.1f} s after the command; {len(load.record_ids)} records, 0 missing")
