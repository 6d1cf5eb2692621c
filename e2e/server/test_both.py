"""Promises that quadlet/ and systemd/ share, on a server. The tests build on each other."""

from __future__ import annotations

import fcntl
import json
import time

import pytest

from client import ask, send_raw
from composed import eventually
from daybook import DIRECTORY
from server import OPERATOR_PORT, Server
from steady import Steady


def test_what_the_readme_says_brings_it_up_and_it_serves(server: Server, figure):
    started = time.monotonic()
    server.follow("Install")
    took = time.monotonic() - started
    response = ask(server.http, "POST", "/hello", b"hello, daybook")
    assert (response.status, response.body) == (200, b"hello, daybook")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    wanted = min(max(int(server.host.run("nproc")), 2), 8)
    eventually(30, lambda: server.replicas_up() == wanted, "all replicas are up")
    assert list(server.replicas()) == list(range(1, wanted + 1))
    figure(f"serving with {wanted} replicas {took:.1f} s after the first command")


def test_a_second_install_changes_nothing(server: Server):
    assert server.shell(f"{server.form}/install") == "nothing to change\n"


def test_a_changed_file_is_installed_and_its_service_restarted_without_a_failed_request(server: Server, figure):
    """A dry run prints the same, and changes nothing."""
    server.shell("echo '# changed' >>haproxy/public.cfg; chmod 600 /etc/daybook/litestream/litestream.yml")
    updates = [f"update /etc/daybook/{name}" for name in ("haproxy/public.cfg", "litestream/litestream.yml")]
    restarts = [f"restart {name}.service" for name in ("haproxy", "litestream")]
    with Steady(server.http) as load:
        dry_run = server.shell(f"{server.form}/install --restart --dry-run").splitlines()
        assert dry_run == [f"would {line}" for line in updates + restarts]
        assert server.shell(f"{server.form}/install --restart").splitlines() == updates + restarts
    assert load.failures == []
    assert server.host.run("stat", "--format=%a %u %g", "/etc/daybook/litestream/litestream.yml") == "644 0 0\n"
    figure(str(load))


def test_an_install_that_was_interrupted_is_completed_by_the_next(server: Server):
    install = f"{server.form}/install"
    server.shell("for file in haproxy/public.cfg litestream/litestream.yml; do echo '# again' >>$file; done")
    # The installer dies of its next line, before it restarts Litestream.
    server.shell(f"{install} --restart | sed '/^restart haproxy/q'")
    assert server.shell(f"{install} --restart --dry-run") == "would restart litestream.service\n"
    assert server.shell(install) == "restart needed: litestream.service\n"
    assert server.shell(f"{install} --restart") == "restart litestream.service\n"
    assert server.shell(install) == "nothing to change\n"


# In a mount namespace of its own.
OLD_PYTHON = r"""printf '#!/bin/sh\necho 3.9.2\n' >/tmp/python3 && chmod +x /tmp/python3 &&
    unshare --mount sh -c "mount --bind /tmp/python3 /usr/bin/python3 && FORM/install" """


@pytest.mark.parametrize(
    "command, says",
    [
        (OLD_PYTHON, "Python 3.9.2 is too old: daybook's programs need 3.11 or later, which Debian 13 has"),
        ("setpriv --reuid 1000 --clear-groups FORM/install", "only root can install: sudo FORM/install"),
        ("FORM/install --settings /etc/none", "--settings needs a file, and '/etc/none' is none"),
        ("FORM/install --force", "unknown option '--force'; FORM/install --help lists them"),
    ],
    ids=["old Python", "no root", "no such file", "unknown option"],
)
def test_the_installer_refuses_in_one_line(server: Server, command: str, says: str):
    done = server.host.attempt("sh", "-c", f"cd {DIRECTORY} && {command}".replace("FORM", server.form))
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert done.stderr == f"{server.form}/install: {says}\n".replace("FORM", server.form)


def test_the_clients_own_address_is_recorded(server: Server, figure):
    ask(server.http, path="/who", X_Forwarded_For="203.0.113.1")
    server.host.run("curl", "--silent", "--fail", "http://127.0.0.1/who")
    addresses = server.rows("select remote_addr from requests where path = '/who' order by id")
    assert addresses == [(server.host.gateway,), ("127.0.0.1",)]
    figure(f"recorded {addresses[0][0]} and {addresses[1][0]}")


def test_only_port_80_is_reachable_from_outside(server: Server):
    assert server.reachable(80, 8080, 9090, 9100, OPERATOR_PORT, 9102) == [80]


def test_the_longest_line_of_haproxys_log_is_whole_in_the_journal(server: Server, figure):
    path = "/" + '"' * 15_000
    server.shell("echo HAPROXY_LOG=all >>/etc/daybook/daybook.env; systemctl restart haproxy")
    send_raw(server.http, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    server.shell("sed -i /^HAPROXY_LOG=/d /etc/daybook/daybook.env; systemctl restart haproxy; journalctl --sync")
    journal = server.host.run("journalctl", "--unit=haproxy", "--output=cat", "--no-pager").splitlines()
    [line] = [line for line in journal if line.startswith('{"timestamp"') and len(line) > 15_000]
    assert json.loads(line)["path"] == path
    figure(f"{len(line):,} bytes")


@pytest.mark.parametrize("unit", ["daybook@1", "haproxy", "litestream"])
def test_a_restart_costs_no_request(server: Server, unit: str, figure):
    with Steady(server.http) as load:
        time.sleep(1)
        server.host.run("systemctl", "restart", unit)
        time.sleep(1)
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))


def test_more_replicas_and_fewer_cost_no_request(server: Server, figure):
    """Leaves four replicas for the tests after it."""
    server.shell("daybook-scale 2")
    eventually(30, lambda: server.replicas_up() == 2, "2 replicas")
    with Steady(server.http) as load:
        for count in (3, 2, 4):
            time.sleep(1)
            server.shell(f"daybook-scale {count}")
            eventually(30, lambda: server.replicas_up() == count, f"{count} replicas")
            assert len(server.units("daybook@*.service")) == len(server.units("daybook@*.socket")) == count
        time.sleep(1)
    assert load.failures == []
    figure(str(load))


def test_a_killed_replica_costs_no_get_and_no_acknowledged_record(server: Server, figure):
    with Steady(server.http) as load:
        for replica in (1, 2, 3):
            time.sleep(1)
            server.host.run("kill", "-9", server.main_pid(f"daybook@{replica}.service"))
        time.sleep(3)
    assert [failure for failure in load.failures if failure.startswith("GET")] == []
    assert server.missing(load.record_ids) == set()
    eventually(30, lambda: server.replicas_up() == 4, "all replicas are up again")
    figure(f"three killed, a second apart: {load}")


def test_a_replica_that_hangs_is_killed_and_starts_again(server: Server, figure):
    """Not a replica that has just started: for a minute only its start limit applies."""
    before = server.main_pid("daybook@4.service")
    server.host.run("kill", "-STOP", before)
    started = time.monotonic()
    eventually(30, lambda: server.replicas_up() == 3, "HAProxy does without it")
    noticed = time.monotonic() - started
    eventually(150, lambda: server.replicas_up() == 4, "it serves again")
    assert server.main_pid("daybook@4.service") != before
    figure(f"HAProxy did without it after {noticed:.1f} s, it served again after {time.monotonic() - started:.0f} s")


def test_a_busy_database_is_waited_for_and_nobody_is_killed(server: Server, figure):
    """Another process locks it for longer than a hanging replica is left alive."""
    before = server.replica_pids()
    with open(f"{server.database}.lock") as lock, Steady(server.http) as load:
        fcntl.flock(lock, fcntl.LOCK_EX)
        eventually(30, lambda: server.replicas_up() == 0, "all have noticed")
        time.sleep(40)
    eventually(30, lambda: server.replicas_up() == 4, "they serve again")
    assert ask(server.http).status == 200
    assert server.replica_pids() == before
    assert server.missing(load.record_ids) == set()
    figure(f"the same processes as before; meanwhile {load}")


def test_a_stopped_target_leaves_nothing_and_a_started_one_serves(server: Server, figure):
    started = time.monotonic()
    server.stop()
    figure(f"nothing left after {time.monotonic() - started:.1f} s")
    server.host.run("systemctl", "start", "daybook.target", seconds_max=90)
    assert ask(server.http).status == 200


def test_after_a_reboot_it_serves_by_itself_and_has_every_acknowledged_record(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(2)
    assert load.failures == []
    started = time.monotonic()
    server.host.reboot()
    eventually(60, server.serves, "it serves")
    took = time.monotonic() - started
    assert server.missing(load.record_ids) == set()
    figure(f"serving {took:.1f} s after the command; {len(load.record_ids)} records, 0 missing")
    eventually(30, lambda: server.replicas_up() == 4, "all replicas are up")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
