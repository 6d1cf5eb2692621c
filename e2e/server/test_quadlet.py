"""quadlet/ on a server: steps in the order in which they stand."""

from __future__ import annotations

import json
import time

from backups import to_s3, to_sftp
from client import ask
from composed import eventually
from server import Server
from steady import Steady


def test_what_the_readme_says_brings_it_up_and_it_serves(server: Server, figure):
    started = time.monotonic()
    server.follow("Install")
    took = time.monotonic() - started
    answer = ask(server.http, "POST", "/hello", b"hello, daybook")
    assert (answer.status, answer.body) == (200, b"hello, daybook")
    assert server.units(state="failed") == []
    assert server.replicas_up() == 4
    figure(f"serving with 4 replicas {took:.1f} s after the first command")


def test_the_clients_own_address_is_recorded(server: Server, figure):
    ask(server.http, path="/who", X_Forwarded_For="203.0.113.1")
    server.host.run("curl", "--silent", "--fail", "http://127.0.0.1/who")
    addresses = server.rows("select remote_addr from requests where path = '/who' order by id")
    assert addresses == [(server.host.gateway,), ("127.0.0.1",)]
    figure(f"recorded {addresses[0][0]} and {addresses[1][0]}")


def test_a_replica_is_nobody_and_can_do_nothing(server: Server, figure):
    """Its root, its user, its capabilities and its network, as the kernel has them."""
    pid = server.main_pid("daybook@1.service")
    status = dict(line.split(":\t", 1) for line in server.host.run("cat", f"/proc/{pid}/status").splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "0" * 16, "1", "2")
    mounts = server.host.run("cat", f"/proc/{pid}/mounts").splitlines()
    writable = {line.split()[1] for line in mounts if line.split()[3].split(",")[0] == "rw"}
    assert next(line for line in mounts if line.split()[1] == "/").split()[3].startswith("ro")
    figure(f"writable for a replica: {' '.join(sorted(writable))}")


def test_a_replica_can_open_no_connection(server: Server, figure):
    """From within its own network: neither to the host, nor to HAProxy, nor to its siblings."""
    pid = server.main_pid("daybook@1.service")
    within = ("nsenter", "--target", pid, "--net")
    assert server.host.run(*within, "ip", "-brief", "link").split()[0::4][:1] == ["lo"]
    assert server.host.run(*within, "ip", "route", "show", "table", "main") == ""
    for address in (f"{server.host.address}:80", f"{server.host.gateway}:80", "10.89.65.3:9101", "127.0.0.1:80"):
        attempt = server.host.attempt(*within, "curl", "--silent", "--max-time", "2", f"http://{address}/")
        assert attempt.returncode == 7, f"{address}: {attempt}"
    # Of the sockets in /run/daybook it sees none.
    assert server.host.attempt("ls", f"/proc/{pid}/root/run/daybook").stdout == ""
    figure("no route, no interface but its own loopback, none of the other replicas' sockets")


def test_only_port_80_answers_from_outside(server: Server):
    assert server.reachable(80, 8080, 9090, 9100, 9101, 9102) == [80]


def test_prometheus_has_no_target_that_is_down_and_litestream_reaches_haproxy(server: Server, figure):
    def targets() -> list[tuple[str, str]]:
        answer = server.host.run("curl", "--silent", "--fail", "http://127.0.0.1:9090/api/v1/targets")
        found = [(target["scrapePool"], target["health"]) for target in json.loads(answer)["data"]["activeTargets"]]
        return found if found and all(health != "unknown" for _, health in found) else []

    found = eventually(60, targets, "every target has been scraped")
    assert [target for target in found if target[1] != "up"] == []
    assert [job for job, _ in found].count("daybook") == 4
    server.host.run("podman", "exec", "litestream", "bash", "-c", "exec 3<>/dev/tcp/haproxy/9101")
    figure(f"{len(found)} targets up")


def test_a_restarted_replica_costs_no_request(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(1)
        server.host.run("systemctl", "restart", "daybook@1")
        time.sleep(1)
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    figure(str(load))


def test_a_restarted_haproxy_costs_no_request(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(1)
        server.host.run("systemctl", "restart", "haproxy")
        time.sleep(1)
    assert load.failures == []
    figure(str(load))


def test_a_restarted_litestream_costs_no_request(server: Server, figure):
    with Steady(server.http) as load:
        time.sleep(1)
        server.host.run("systemctl", "restart", "litestream")
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


def test_two_replicas_become_four_and_four_two_without_a_failed_request(server: Server, figure):
    server.shell("daybook-scale 2")
    assert server.replicas_up() == 2
    with Steady(server.http) as load:
        for count in (4, 2):
            time.sleep(1)
            server.shell(f"daybook-scale {count}")
            eventually(10, lambda: server.replicas_up() == count, f"{count} replicas")
            assert len(server.units("daybook@*.service")) == len(server.units("daybook@*.socket")) == count
        time.sleep(1)
    assert load.failures == []
    server.shell("daybook-scale 4")
    figure(str(load))


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
    eventually(20, lambda: server.replicas_up() == 4, "all replicas are up")
    assert server.units(state="failed") == []


def test_a_stopped_target_leaves_nothing_and_a_started_one_serves(server: Server, figure):
    started = time.monotonic()
    server.stop()
    figure(f"nothing left after {time.monotonic() - started:.1f} s")
    server.host.run("systemctl", "start", "daybook.target", seconds_max=90)
    assert ask(server.http).status == 200


def test_the_other_commands_of_the_readme_work(server: Server):
    server.follow("Run it")
    assert server.replicas_up() == 2
    server.follow("Share the CPU")


def test_a_lost_database_comes_back_from_an_sftp_server_whose_key_is_a_secret(server: Server, figure):
    settings = to_sftp(server)
    server.shell(
        f"""
        install -m 600 {settings["BACKUP_SFTP_KEY_FILE"]} /root/backup-sftp-key
        sed -i 's|^BACKUP_URL=.*|BACKUP_URL={settings["BACKUP_URL"]}|' /etc/daybook/daybook.env
        echo 'BACKUP_SFTP_HOST_KEY={settings["BACKUP_SFTP_HOST_KEY"]}' >>/etc/daybook/daybook.env
        """
    )
    server.follow("Secrets")
    server.host.run("systemctl", "restart", "litestream")
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
    settings = to_s3(server)
    secret = settings["LITESTREAM_SECRET_ACCESS_KEY"]
    server.shell(
        f"""
        printf %s {settings["LITESTREAM_ACCESS_KEY_ID"]} | podman secret create backup-s3-key-id -
        printf %s {secret} | podman secret create backup-s3-secret -
        for unit in litestream daybook-restore; do
            rm -rf /etc/containers/systemd/$unit.container.d
            install -D -m 644 -t /etc/containers/systemd/$unit.container.d quadlet/secrets/s3.conf
        done
        sed -i 's|^BACKUP_URL=.*|BACKUP_URL={settings["BACKUP_URL"]}|' /etc/daybook/daybook.env
        echo 'BACKUP_S3_ENDPOINT={settings["BACKUP_S3_ENDPOINT"]}' >>/etc/daybook/daybook.env
        echo 'BACKUP_S3_REGION={settings["BACKUP_S3_REGION"]}' >>/etc/daybook/daybook.env
        systemctl daemon-reload
        systemctl restart litestream
        """
    )
    eventually(30, lambda: server.host.attempt("podman", "exec", "litestream", *SYNC).returncode == 0, "all is copied")
    objects = server.host.run("podman", "exec", "s3", "find", "/srv/backup", "-name", "*.ltx").split()
    assert objects
    assert secret not in server.host.run("sh", "-c", "systemctl cat litestream; podman inspect litestream")
    figure(f"{len(objects)} files at the S3 server")


def lose(server: Server) -> None:
    """The database's volume is gone, as after the loss of a disk."""
    server.stop()
    server.shell("podman volume rm daybook-data && systemctl restart daybook-data-volume.service")


SYNC = (
    "litestream", "sync", "-wait", "-timeout", "20", "-socket", "/run/litestream/litestream.sock",
    "/var/lib/daybook/requests.db",
)
