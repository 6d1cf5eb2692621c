"""The system as started by `podman compose up` and `make up`: requests, records, metrics, confinement."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time

import pytest

from client import Load, ask
from composed import ALWAYS, NONE, PATHS, Composed, eventually
from daybook import DIRECTORY, metric, pinned
from host import HostError
from outside import assert_tmp_is_writable, outside
from system import OPERATOR_PORT

# Gives the images of the real Containerfile from local ones, and keeps the build context for inspection.
CONTAINERFILE = """
FROM localhost/daybook:built AS daybook
FROM localhost/daybook-restore:built AS restore
COPY . /given
"""


@pytest.mark.parametrize("provider", PATHS)
def test_podman_compose_up_builds_missing_images_and_starts_everything(composed: Composed, provider: str):
    def podman(*arguments: str) -> None:
        provided = f"PODMAN_COMPOSE_PROVIDER={provider}"
        composed.host.run("env", "--chdir", DIRECTORY, provided, "podman", *arguments, seconds_max=120)

    images = ("localhost/daybook", "localhost/daybook-restore")
    composed.clear()
    composed.host.run("tee", f"{DIRECTORY}/Containerfile", input=CONTAINERFILE)
    for image in images:
        podman("tag", f"{image}:current", f"{image}:built")
        podman("untag", f"{image}:current", f"{image}:current")
    try:
        podman("compose", "up", "--detach")
        started = [len(composed.containers(service)) for service in ("daybook", "haproxy", "litestream", "prometheus")]
        assert started == [2, 1, 1, 1]
        request = ("curl", "--silent", "--fail", "--max-time", "5", "http://127.0.0.1:8080/")
        eventually(30, lambda: composed.host.attempt(*request).returncode == 0, "a request succeeds")
        given = composed.host.run("podman", "run", "--rm", "--entrypoint", "ls", "localhost/daybook-restore:current", "-A", "/given")
        # docker-compose always sends these two.
        assert set(given.split()) - {".dockerignore", "Containerfile"} == {"litestream"}
    finally:
        composed.script("down", seconds_max=90)
        composed.host.run("podman", "volume", "rm", "--all", "--force")
        for image in images:
            podman("tag", f"{image}:built", f"{image}:current")


def test_the_socket_directory_keeps_its_owner(composed: Composed):
    composed.clear()
    composed.script("compose", "up", "--detach", "restore", seconds_max=90)
    (restore,) = composed.containers("restore")
    asked = ("podman", "healthcheck", "run", restore)
    eventually(30, lambda: composed.host.attempt(*asked).returncode == 0, "the step restore is done")
    mounted = ("--user", "99:99", "--volume", "daybook_sockets:/run/daybook:ro")
    composed.host.run("podman", "run", "--rm", *mounted, pinned("haproxy"), "haproxy", "-v")
    assert (composed.volumes / "daybook_sockets/_data").stat().st_uid == 10001


def test_a_new_installation_bounds_its_records_and_an_older_one_does_not_begin_to(composed: Composed):
    def bound() -> str:
        replica, *_ = composed.containers("daybook")
        section = composed.host.run("podman", "exec", replica, "/daybook", "config").split("[retention]")[1]
        return section.split("bytes_max = ")[1].splitlines()[0]

    composed.clear()
    settings = f"{DIRECTORY}/.env"
    composed.host.run("tee", settings, input="HAPROXY_LOG=all")
    try:
        assert "RETENTION_BYTES_MAX=25% BACKUP_RETENTION=24h (in .env)" in composed.start()
        written = composed.host.run("cat", settings)
        assert written == "HAPROXY_LOG=all\nRETENTION_BYTES_MAX=25%\nBACKUP_RETENTION=24h\n"
        assert bound() == '"25%"'
        assert "RETENTION" not in composed.start(), "once"
    finally:
        composed.host.run("rm", settings)
    composed.script("down", seconds_max=90)
    # As an installation of an older version, whose database is lost.
    composed.host.run("podman", "volume", "rm", "daybook_data")
    assert "RETENTION" not in composed.start()
    assert bound() == '""'
    assert composed.host.attempt("ls", settings).returncode != 0


def test_make_up_needs_no_timer_of_systemd_for_the_step_restore(composed: Composed):
    """As in a container without systemd: Podman runs no health check by itself."""
    composed.clear()
    composed.start(DISABLE_HC_SYSTEMD="true")
    assert ask(composed.http).status == 200
    composed.clear()


def test_settings_of_the_program_in_env_reach_the_replicas_and_wrong_ones_stop_make_up(composed: Composed):
    def deadline() -> str:
        replica, *_ = composed.containers("daybook")
        return composed.host.run("podman", "exec", replica, "/daybook", "config").split("\n[commit]\n")[1].split("deadline = ")[1].splitlines()[0]

    composed.clear()
    settings = f"{DIRECTORY}/.env"
    try:
        for wanted in ("7s", "8s"):
            composed.host.run("tee", settings, input=f"RETENTION_BYTES_MAX=\nDAYBOOK_COMMIT__DEADLINE='{wanted}'\n")
            composed.start()
            assert deadline() == f'"{wanted}"'
        composed.host.run("tee", settings, input="RETENTION_BYTES_MAX=\nDAYBOOK_APP__TITLE=x\n")
        with pytest.raises(HostError, match="DAYBOOK_APP__TITLE: there is no such key(.|\n)*the database could not be restored or created"):
            composed.start()
        with pytest.raises(HostError, match="DAYBOOK_LOG__LEVEL is set in the environment, which does not reach the replicas: write it into .env"):
            composed.start(DAYBOOK_LOG__LEVEL="debug")
    finally:
        composed.host.run("rm", settings)
        composed.clear()


def test_make_up_starts_everything_and_a_first_request_is_recorded(composed: Composed, figure):
    started = time.monotonic()
    composed.start()
    figure(f"{len(composed.replicas())} replicas are healthy after {time.monotonic() - started:.1f} s")
    cores = int(composed.host.run("nproc"))
    assert len(composed.replicas()) == min(max(cores, 2), 8)
    response = ask(composed.http, "POST", "/hello", b"hello, daybook")
    assert (response.status, response.body) == (200, b"hello, daybook")
    row = "select method, path, content_length from requests where id = ?"
    assert composed.rows(row, response.headers["record-id"]) == [("POST", "/hello", 14)]


def test_make_up_again_applies_new_images_and_settings(composed: Composed):
    def variables(service: str) -> str:
        container, *_ = composed.containers(service)
        return composed.host.run("podman", "inspect", "--format", "{{.Config.Env}}", container)

    run = ("podman", "ps", "--filter", "label=com.docker.compose.service=daybook", "--format", "{{.ID}}")
    before = composed.host.run(*run)
    composed.start()
    assert composed.host.run(*run) == before
    composed.start(HAPROXY_LOG="all")
    assert "HAPROXY_LOG=all" in variables("haproxy")

    change = ["podman", "build", "--quiet", "--pull=never", "--tag", "localhost/daybook:current", "-"]
    composed.host.run("podman", "tag", "localhost/daybook:current", "localhost/daybook:old")
    composed.host.run(*change, input="FROM localhost/daybook:old\nENV NEWER=1\n")
    try:
        composed.start()
        assert "NEWER=1" in variables("daybook") and "HAPROXY_LOG=errors" in variables("haproxy")
    finally:
        composed.host.run("podman", "tag", "localhost/daybook:old", "localhost/daybook:current")
        composed.start()
    assert "NEWER=1" not in variables("daybook")
    assert ask(composed.http).status == 200


def test_every_response_has_one_row_and_the_load_is_distributed(composed: Composed, figure):
    before = composed.committed()
    with Load(composed.http, method="POST", clients=16) as load:
        time.sleep(5)
    assert load.failures == []
    rows = composed.rows("select id from requests where path = '/load'")
    assert sorted(load.record_ids) == sorted(row[0] for row in rows)
    taken = [after - earlier for earlier, after in zip(before, composed.committed())]
    assert sum(taken) == len(rows)
    assert min(taken) > len(rows) * 0.1
    figure(f"{load}; {len(rows)} rows, by replica: {taken}")


def test_the_real_client_address_is_recorded(composed: Composed, figure):
    host = composed.host
    address = f"{host.network}.77"
    subprocess.run(["ip", "address", "add", f"{address}/24", "dev", host.link], check=True)
    connection = http.client.HTTPConnection(*composed.http, timeout=5, source_address=(address, 0))
    connection.request("GET", "/who", headers={"X-Forwarded-For": "203.0.113.1", "Forwarded": "for=203.0.113.1"})
    assert connection.getresponse().status == 200
    connection.close()
    assert [record["remote_addr"] for record in composed.records("/who")] == [address]
    figure(f"recorded {address}")


def test_prometheus_scrapes_all_targets(composed: Composed, figure):
    wanted = ["certificates", *["daybook"] * len(composed.replicas()), "haproxy", "litestream", "prometheus"]
    eventually(90, lambda: composed.targets_up() == wanted, "every target is up")
    ready = composed.prometheus("query?query=count(daybook_ready==1)")["result"][0]["value"][1]
    assert ready == str(len(composed.replicas()))
    figure(f"{len(wanted)} targets up, of them {wanted.count('daybook')} replicas")


def test_containers_have_no_capabilities_no_new_privileges_and_read_only_roots(composed: Composed):
    assert composed.privileges() == {(service, NONE) for service in ALWAYS}


def test_replica_numbers_match_and_litestream_metrics_are_exposed(composed: Composed):
    for number in composed.replicas():
        assert metric(composed.operator(f"/replica/{number}/metrics"), "daybook_ready", f'replica="{number}"') == 1
    assert "litestream_db_size" in composed.operator("/litestream/metrics")


@pytest.mark.parametrize("port", [9090, 9100, OPERATOR_PORT])
def test_operator_ports_are_unreachable_from_outside(composed: Composed, port: int):
    with pytest.raises(OSError):
        socket.create_connection((composed.host.address, port), timeout=2).close()


def test_replicas_are_on_an_internal_network(composed: Composed):
    """The host routes nothing from an internal network."""
    networks = json.loads(composed.host.run("podman", "inspect", composed.containers("daybook")[0]))[0]
    assert list(networks["NetworkSettings"]["Networks"]) == ["daybook_replicas"]
    assert json.loads(composed.host.run("podman", "network", "inspect", "daybook_replicas"))[0]["internal"]


def test_replicas_reach_another_server_only_with_outbound_on(composed: Composed, figure):
    def calls() -> list[tuple[bool, str]]:
        return [server.call(composed.host, container) for container in composed.containers("daybook")]

    with outside(composed.host) as server:
        refused = calls()
        assert [reached for reached, _ in refused] == [False] * len(composed.replicas()) and server.requests == []
        composed.start(OUTBOUND="on")
        assert calls() == [(True, "")] * len(composed.replicas())
        assert server.requests == [(composed.host.address, "/readyz")] * len(composed.replicas())
        assert ask(composed.http, "POST", "/hello", b"hello").status == 200
    figure(refused[0][1].strip())


def test_a_replica_may_write_to_tmp_and_nowhere_else(composed: Composed):
    assert_tmp_is_writable(composed.host, composed.containers("daybook")[0])
