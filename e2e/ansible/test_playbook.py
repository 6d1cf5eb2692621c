"""ansible/, from a bare machine to a serving one. The tests build on each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from client import ask
from composed import eventually
from daybook import REPOSITORY, SYNC, pinned
from host import Host
from provider import Provider, store_backups
from provision import SETTINGS, Operator
from server import OPERATOR_PORT, Server, socket_opens
from steady import Steady


def test_cloud_init_lets_the_operator_in_with_a_key_and_nobody_with_a_password(
    bare: Host, provider: Provider, operator: Operator
):
    assert "Valid schema" in operator.hand_over(bare)
    assert operator.ssh(bare, "id", "-un").stdout == "root\n"
    refused = operator.ssh(bare, "true", PreferredAuthentications="password,keyboard-interactive")
    assert refused.returncode == 255 and "Permission denied (publickey)" in refused.stderr


def test_a_check_of_a_bare_machine_fails_nowhere_and_changes_nothing(server: Server, operator: Operator):
    operator.provision("--check", daybook_settings=SETTINGS).succeeded()
    assert server.host.attempt("ls", "/etc/daybook", "/usr/bin/podman").stdout == ""


def test_a_bare_machine_becomes_one_that_serves(server: Server, operator: Operator, figure):
    started = time.monotonic()
    outcome = operator.provision(daybook_settings=SETTINGS).succeeded()
    took = time.monotonic() - started
    response = ask(server.http, "POST", "/hello", b"hello, daybook")
    assert (response.status, response.body) == (200, b"hello, daybook")
    assert server.replicas_up() == min(max(int(server.host.run("nproc")), 2), 8)
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    row = "select path, content_length, remote_addr from requests where id = ?"
    assert server.rows(row, int(response.headers["record-id"])) == [("/hello", 14, server.host.gateway)]
    figure(f"from bare to serving in {took:.0f} s, {outcome.count('changed')} changes")


def test_a_second_run_and_a_check_change_nothing(server: Server, operator: Operator, figure):
    started = time.monotonic()
    assert operator.provision(daybook_settings=SETTINGS).succeeded().count("changed") == 0
    took = time.monotonic() - started
    assert operator.provision("--check", daybook_settings=SETTINGS).succeeded().count("changed") == 0
    figure(f"changed=0 in {took:.0f} s, and with --check changed=0")


def test_nothing_but_ssh_and_http_can_be_reached_from_outside(server: Server, figure):
    """Tries all ports, a service that was started by mistake, and the containers behind the machine."""
    server.host.run("systemd-run", "--quiet", "--unit=mistake", "socat", "TCP-LISTEN:8080,fork", "-")
    eventually(10, lambda: ":8080" in server.host.run("ss", "-Hltn"), "it listens")
    assert open_ports(server.host.address) == [22, 80]
    server.host.run("systemctl", "stop", "mistake")
    network = ("10.89.65.0/24", "via", server.host.address, "dev", server.host.link)
    subprocess.run(["ip", "route", "add", *network], check=True)
    try:
        assert not socket_opens(("10.89.65.3", OPERATOR_PORT))
    finally:
        subprocess.run(["ip", "route", "del", *network], check=True)
    figure("65535 ports tried: 22 and 80 are open")


def open_ports(address: str) -> list[int]:
    scan = ("nmap", "-Pn", "-n", "-p-", "--min-rate", "10000", "--max-retries", "2", "--open", "-oG", "-", address)
    printed = subprocess.run(scan, check=True, capture_output=True, text=True, timeout=300).stdout
    return [int(port) for port in re.findall(r"(\d+)/open/tcp", printed)]


def test_containers_find_each_other_also_after_the_firewall_was_restarted(server: Server):
    reach = ("podman", "exec", "litestream", "bash", "-c", f"exec 3<>/dev/tcp/haproxy/{OPERATOR_PORT}")
    server.host.run(*reach)
    server.host.run("systemctl", "restart", "nftables")
    server.host.run(*reach)
    assert "table inet netavark" in server.host.run("nft", "list", "tables")
    assert not socket_opens((server.host.address, OPERATOR_PORT))


def test_the_machine_looks_after_itself(server: Server):
    run = server.host.run
    assert run("sysctl", "--values", "net.ipv4.tcp_migrate_req") == "1\n"
    units = ("systemd-timesyncd", "nftables", "apt-daily-upgrade.timer")
    assert run("systemctl", "is-enabled", *units).split() == ["enabled"] * 3
    upgrade = run("unattended-upgrade", "--dry-run", "--debug", seconds_max=120)
    assert "label=Debian-Security" in upgrade
    limits = run("cat", f"/proc/{server.main_pid('daybook@1.service')}/limits")
    assert re.search(r"^Max open files +20000 +20000 ", limits, re.MULTILINE)


def test_a_changed_setting_and_another_number_of_replicas_cost_no_request(server: Server, operator: Operator, figure):
    wanted = {**SETTINGS, "DAYBOOK_COMMIT__DEADLINE": "4s"}
    with Steady(server.http, rate=100) as load:
        operator.provision(daybook_settings=wanted, daybook_replicas=3).succeeded()
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert server.replicas_up() == len(server.units("daybook@*.service")) == 3
    settings = server.host.run("cat", "/etc/daybook/daybook.env").splitlines()
    assert {"HAPROXY_REPLICAS=3", "HAPROXY_RATE_LIMIT=off", "DAYBOOK_COMMIT__DEADLINE=4s"} <= set(settings)
    assert operator.provision("--check", daybook_settings=wanted, daybook_replicas=3).succeeded().count("changed") == 0
    figure(str(load))


def test_what_was_changed_by_hand_is_put_back_but_for_what_the_servers_own_programs_have_set(
    server: Server, operator: Operator
):
    server.host.run("sh", "-c", "printf 'HAPROXY_NEXT=on\\nHAPROXY_NEXT_PERCENT=5\\n' >>/etc/daybook/daybook.env")
    server.host.run("tee", "-a", "/etc/daybook/checks.toml", input='[[request]]\nmethod = "GET"\npath = "/by-hand"\n')
    # A new server has both. The playbook never puts back a setting that deletes something.
    lines = "s/^DAYBOOK_RETENTION__BYTES_MAX=25%$/DAYBOOK_RETENTION__BYTES_MAX=30%/; /^BACKUP_RETENTION=24h$/d"
    server.host.run("sed", "-i", lines, "/etc/daybook/daybook.env")
    wanted = {**SETTINGS, "DAYBOOK_COMMIT__DEADLINE": "4s"}
    operator.provision(daybook_settings=wanted, daybook_replicas=2).succeeded()
    settings = server.host.run("cat", "/etc/daybook/daybook.env").splitlines()
    assert {"HAPROXY_NEXT=on", "HAPROXY_NEXT_PERCENT=5", "DAYBOOK_RETENTION__BYTES_MAX=30%"} <= set(settings)
    assert [line for line in settings if line.startswith("BACKUP_RETENTION")] == []
    assert server.host.run("cat", "/etc/daybook/checks.toml") == (REPOSITORY / "deploy/checks.toml").read_text()
    server.host.run("sed", "-i", "/^HAPROXY_NEXT/d", "/etc/daybook/daybook.env")


def test_a_mistake_is_one_line_and_changes_nothing(server: Server, operator: Operator):
    for variables, said in (
        ({"daybook_replicas": 9}, "daybook_replicas is 9, for server: it has to be a number from 1 to 8"),
        ({"daybook_settings": {"HAPROXY_TLS": True}}, "daybook_settings has HAPROXY_TLS, for server: a name is like"),
        ({"daybook_settings": {"BACKUP_URL": "ftp://x"}}, "BACKUP_URL begins with ftp:, for server: it has to begin with"),
    ):
        outcome = operator.provision(**variables)
        assert outcome.status == 2 and said in re.sub(r"\s+", " ", outcome.text), outcome.text
        assert outcome.count("changed") == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    (
        ({"DAYBOOK_COMMIT__DEADLINE": "soon"}, 'DAYBOOK_COMMIT__DEADLINE: "soon" is not a duration'),
        ({"HAPROXY_CONNECTIONS_MAX": 12000}, "HAPROXY_CONNECTIONS_MAX is 12000: it has to be at most 8984"),
    ),
    ids=("daybook", "haproxy"),
)
def test_a_setting_that_daybook_or_haproxy_refuses_is_one_line_and_changes_nothing(
    server: Server, operator: Operator, settings: dict[str, object], said: str
):
    refused(server, operator, said, settings=settings)


def test_a_mistake_in_haproxys_files_is_one_line_and_changes_nothing(server: Server, operator: Operator, tmp_path: Path):
    repository = changed(tmp_path, "haproxy/replicas.cfg", "balance leastconn", "balance leastcon")
    refused(server, operator, "[haproxy/replicas.cfg:4]", "-e", f"daybook_repository={repository}")


def test_an_image_that_cannot_be_had_changes_nothing(
    server: Server, provider: Provider, operator: Operator, tmp_path: Path
):
    image = f"{provider.registry}/haproxy:none"
    repository = changed(tmp_path, "quadlet/haproxy.container", pinned("haproxy"), image)
    refused(server, operator, image, "-e", f"daybook_repository={repository}")


def refused(
    server: Server, operator: Operator, said: str, *arguments: str, settings: dict[str, object] | None = None
) -> None:
    """Checks that the run fails with that text and that no request fails."""
    with Steady(server.http, rate=100) as load:
        outcome = operator.provision(*arguments, daybook_settings=SETTINGS | (settings or {}), daybook_replicas=2)
    assert outcome.status == 2 and said in re.sub(r"\s+", " ", outcome.text), outcome.text
    assert outcome.count("changed") == 0
    assert load.failures == []


def changed(directory: Path, file: str, old: str, new: str) -> Path:
    """A copy of the installed folders of the repository, with one change."""
    for name in ("quadlet", "server", "haproxy", "litestream", "prometheus", "deploy", "scripts"):
        shutil.copytree(REPOSITORY / name, directory / name, symlinks=True)
    text = (directory / file).read_text()
    assert old in text
    (directory / file).write_text(text.replace(old, new))
    return directory


def test_a_replica_that_does_not_start_again_costs_no_request_and_the_next_run_ends_what_was_begun(
    server: Server, operator: Operator, figure
):
    wanted = {"daybook_settings": SETTINGS | {"DAYBOOK_COMMIT__DEADLINE": "3s"}, "daybook_replicas": 2}
    failing = "/run/systemd/system/daybook@1.service.d/failing.conf"
    server.host.run("install", "-D", "/dev/stdin", failing, input="[Service]\nExecStartPre=false\n")
    with Steady(server.http, rate=100) as load:
        assert operator.provision(**wanted).status == 2
        server.host.run("rm", failing)
        operator.provision(**wanted).succeeded()
    assert load.failures == []
    for replica in ("daybook-1", "daybook-2"):
        started_with = server.host.run("podman", "inspect", "--format", "{{.Config.Env}}", replica)
        assert "DAYBOOK_COMMIT__DEADLINE=3s" in started_with
    figure(str(load))


def test_a_server_is_not_provisioned_while_a_deploy_is_under_way(server: Server, operator: Operator):
    lock = "/run/lock/daybook-deploy.lock"
    server.host.run("systemd-run", "--quiet", "--unit=deploying", "flock", lock, "sleep", "600")
    eventually(10, lambda: server.host.attempt("flock", "--nonblock", lock, "true").returncode == 1, "the lock is held")
    outcome = operator.provision(daybook_settings=SETTINGS, daybook_replicas=2)
    assert outcome.status == 2 and "a deploy or an auto-update is running on server" in re.sub(r"\s+", " ", outcome.text)
    assert outcome.count("changed") == 0
    server.host.run("systemctl", "stop", "deploying")


def test_a_key_for_the_backup_is_a_secret_of_podmans_and_is_shown_nowhere(server: Server, operator: Operator):
    sftp, key = store_backups(server.host)
    variables = {"daybook_settings": SETTINGS | sftp, "daybook_replicas": 2}

    sync = ("podman", "exec", "litestream", *SYNC)

    without = operator.provision(**variables)
    assert without.status == 2 and "set BACKUP_SFTP_KEY in the environment" in re.sub(r"\s+", " ", without.text)
    assert without.count("changed") == 0
    server.host.run(*sync)  # The existing backup continues.

    # Litestream deletes copied files after a quarter of an hour.
    copied = server.database.parent / f".{server.database.name}-litestream/ltx/0"
    for file in copied.glob("0000000000000001-*"):
        file.unlink()
    outcome = operator.provision("-vvv", environment={"BACKUP_SFTP_KEY": key}, **variables).succeeded()
    secret_line = key.splitlines()[2]
    assert secret_line not in outcome.text
    shown = "systemctl cat litestream; podman inspect litestream; cat /etc/daybook/daybook.env; journalctl --no-pager"
    assert secret_line not in server.host.run("sh", "-c", shown)
    server.host.run(*sync)  # The run ended with a proof that the backup is complete.
    # The key is on the server now: later runs do not need it.
    assert operator.provision(**variables).succeeded().count("changed") == 0


def test_a_backup_that_cannot_be_written_fails_the_run_and_the_path_that_would_be_right_is_said(
    server: Server, operator: Operator
):
    """Uses the key of the test before, and a path that looks right."""
    host_key = server.host.run("sed", "-n", "s/^BACKUP_SFTP_HOST_KEY=//p", "/etc/daybook/daybook.env").strip()
    url = f"sftp://backup@{server.host.address}:2222/home/backup/requests.db"
    settings = SETTINGS | {"BACKUP_SFTP_HOST_KEY": host_key}
    outcome = operator.provision(
        daybook_settings=settings | {"BACKUP_URL": url.replace("/home/", "/")}, daybook_replicas=2
    )
    said = re.sub(r"\s+", " ", outcome.text)
    assert outcome.status == 2 and "server serves, but has no backup: proof: no copy arrives at sftp://" in said, said
    assert "permission denied" in said and f"BACKUP_URL={url}" in said
    assert ask(server.http).status == 200
    operator.provision(daybook_settings=settings | {"BACKUP_URL": url}, daybook_replicas=2).succeeded()


def test_a_load_generator_sends_load_over_a_private_network(
    server: Server, provider: Provider, operator: Operator, figure
):
    with Host("loadgen", bare=True) as host:
        provider.serve(host)
        operator.hand_over(host)
        operator.hosts["loadgen"]["loadgen"] = host
        operator.provision("--limit", "loadgen").succeeded()
        assert open_ports(host.address) == [22]
        provider.join(server.host, host)
        before = len(server.rows("select id from requests"))
        said = operator.ssh(host, "hey", "-z", "3s", "-c", "20", "http://10.0.0.2/").stdout
        counted = [(int(code), int(count)) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", said)]
        assert [code for code, _ in counted] == [200], said
        assert len(server.rows("select id from requests")) - before >= counted[0][1]
        figure(f"hey: {counted[0][1]} responses with 200 in 3 s, all recorded")


def test_images_can_be_pulled_from_a_registry_instead(server: Server, provider: Provider, operator: Operator):
    operator.hosts["loadgen"].clear()
    server.stop()
    server.host.run("podman", "rmi", "--force", "localhost/daybook:current", "localhost/daybook-restore:current")
    operator.provision(daybook_settings=SETTINGS, daybook_registry=provider.registry).succeeded()
    assert ask(server.http).status == 200
    image = server.host.run("podman", "inspect", "--format", "{{.ImageName}} {{.Image}}", "daybook-1").split()
    built = ("podman", "image", "inspect", "--format", "{{.Id}}", "localhost/daybook:current")
    here = subprocess.run(built, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    assert image == ["localhost/daybook:current", here]
