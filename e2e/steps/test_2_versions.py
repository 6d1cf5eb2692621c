"""compose.yaml under docker-compose, with a canary and a rate limit."""

from __future__ import annotations

import http.client
import ssl
import time

import pytest

from client import ask
from composed import ALWAYS, NONE, PATHS, Composed, eventually
from daybook import DIRECTORY, REPOSITORY, metric
from host import HostError

RATE_LIMIT = 40


def responses_of(composed: Composed, backend: str) -> float:
    metrics = composed.operator("/haproxy/metrics")
    return metric(metrics, "haproxy_backend_http_responses_total", f'proxy="{backend}"', 'code="2xx"')


def test_docker_compose_on_podmans_socket_starts_the_same_system(composed: Composed, figure):
    composed.clear()
    started = time.monotonic()
    composed.start(
        "docker-compose", COMPOSE_PROFILES="next", HAPROXY_NEXT="on", HAPROXY_RATE_LIMIT=str(RATE_LIMIT),
    )
    figure(f"healthy after {time.monotonic() - started:.1f} s")
    assert ask(composed.http, "POST", "/hello", b"x").headers["record-id"] == "1"
    assert len(composed.containers("next")) == 1
    eventually(30, lambda: ask(composed.http, path="/v2/").status == 200, "the canary is ready")


def test_docker_compose_all_targets_are_up_with_the_canary(composed: Composed):
    wanted = len(composed.replicas()) + 1 + 4
    eventually(90, lambda: len(composed.targets_up()) == wanted, "all replicas and 4 others are up, and no target is down")


def test_docker_compose_containers_are_as_confined(composed: Composed):
    assert composed.privileges() == {(service, NONE) for service in (*ALWAYS, "next")}


def test_a_hanging_haproxy_fails_its_health_check(composed: Composed):
    haproxy, = composed.containers("haproxy")
    check = ("podman", "healthcheck", "run", haproxy)
    assert composed.host.attempt(*check).returncode == 0
    composed.host.run("pkill", "-STOP", "haproxy")
    try:
        assert composed.host.attempt(*check).returncode == 1
    finally:
        composed.host.run("pkill", "-CONT", "haproxy")
    eventually(30, lambda: ask(composed.http).status == 200, "it responds again")


@pytest.mark.parametrize("asks", [{"path": "/v2/things"}, {"x_api_version": "2"}, {"host": "v2.example.org"}])
def test_path_header_and_host_each_select_the_canary(composed: Composed, asks: dict):
    next_before, replicas_before = responses_of(composed, "next"), responses_of(composed, "replicas")
    assert ask(composed.http, **asks).status == 200
    assert responses_of(composed, "next") == next_before + 1
    assert responses_of(composed, "replicas") == replicas_before


def test_the_runtime_socket_of_the_readme_routes_everything_to_the_canary(composed: Composed):
    section = (REPOSITORY / "haproxy/README.md").read_text().split("\n## The runtime socket\n")[1]
    where = section.split("\n\n    ")[1].split("\n\n")[0]
    socket = composed.host.run("sh", "-euc", where).strip()
    assert socket.startswith("/proc/")
    before = responses_of(composed, "next")
    composed.host.run("socat", "-", socket, input="add map maps/next-percent.map percent 100\n")
    assert [ask(composed.http).status for _ in range(3)] == [200] * 3
    assert responses_of(composed, "next") == before + 3
    composed.host.run("socat", "-", socket, input="del map maps/next-percent.map percent\n")


def test_other_requests_go_to_the_current_version(composed: Composed):
    before = responses_of(composed, "next")
    assert ask(composed.http, path="/v1/things").status == 200
    assert responses_of(composed, "next") == before


def test_the_rate_limit_returns_429_without_a_record(composed: Composed, figure):
    responses = [ask(composed.http, path="/limited") for _ in range(RATE_LIMIT + 10)]
    statuses = [response.status for response in responses]
    assert statuses == sorted(statuses) and set(statuses) == {200, 429}
    assert responses[-1].headers["retry-after"] == "10"
    assert len(composed.records("/limited")) == statuses.count(200) <= RATE_LIMIT
    figure(f"{statuses.count(200)} × 200, then {statuses.count(429)} × 429")


def test_docker_compose_down_stops_everything(composed: Composed):
    composed.script("compose", "--profile", "next", "down", seconds_max=90)
    assert composed.host.run("podman", "ps", "--all", "--quiet") == ""


@pytest.mark.parametrize("provider, other", [tuple(PATHS), tuple(reversed(PATHS))])
def test_switching_the_compose_program_restarts_everything_and_make_down_stops_it(
    composed: Composed, provider: str, other: str
):
    """First with the deprecated variable names, in the environment and in .env."""
    more = {"COMPOSE_PROFILES": "next", "COMPOSE_PROJECT_NAME": "another"}
    image, settings = "localhost/daybook:another", f"{DIRECTORY}/.env"
    composed.clear()
    composed.host.run("podman", "tag", "localhost/daybook:current", image)
    composed.host.run("tee", settings, input=f"HAPROXY_LOG=all\nDAYBOOK_NEXT_IMAGE='{image}' # of today\n")
    try:
        said = composed.start(provider, DAYBOOK_REPLICAS="5", **more)
    finally:
        composed.host.run("rm", settings)
    assert "scripts/up: DAYBOOK_REPLICAS is deprecated: rename it to REPLICAS" in said
    assert "scripts/up: DAYBOOK_NEXT_IMAGE is deprecated: rename it to NEXT_IMAGE" in said
    assert len(composed.replicas()) == 5
    container, = composed.containers("next")
    assert composed.host.run("podman", "inspect", "--format", "{{.ImageName}}", container) == f"{image}\n"

    first = ask(composed.http).headers["record-id"]
    assert "deprecated" not in composed.start(other, REPLICAS="3")
    assert (len(composed.replicas()), len(composed.containers("next"))) == (3, 0)
    second = ask(composed.http).headers["record-id"]
    assert (first, second) == ("1", "2")

    # Fewer than are running: the others are stopped.
    composed.start(other, REPLICAS="2", **more)
    assert len(composed.replicas()) == 2
    with pytest.raises(HostError, match="REPLICAS is 9: it must be a number from 1 to 8"):
        composed.start(other, REPLICAS="9")
    composed.environment = [f"PATH={PATHS[provider]}"]
    # Also while something else is stopping them.
    composed.host.run("systemd-run", "--quiet", "podman", "stop", "--all")
    composed.script("down", seconds_max=90)
    assert composed.host.run("podman", "ps", "--all", "--quiet") == ""
    assert composed.host.run("podman", "network", "ls", "--format", "{{.Name}}").split() == ["podman"]
    assert composed.host.run("podman", "pod", "ls", "--quiet") == ""


def test_docker_compose_plugins_are_found_and_incompatible_versions_reported(
    composed: Composed
):
    program, plugin, elsewhere = "/usr/bin/docker-compose", "/root/.docker/cli-plugins/docker-compose", "/root/docker-compose"
    version = f"env PATH={PATHS['docker-compose']} {DIRECTORY}/scripts/compose --version"
    real = "/usr/libexec/docker/cli-plugins/docker-compose"
    assert "Docker Compose version 2." in composed.host.run("sh", "-c", version)
    # Debian installs a plugin and a link to it; remove both.
    composed.host.run("mv", program, f"{elsewhere}.link")
    composed.host.run("mv", real, elsewhere)
    try:
        # The host reaches no package registry.
        with pytest.raises(HostError, match="`podman compose` finds nothing that runs, and podman-compose could not be installed .*: pipx install podman-compose"):
            composed.host.run("sh", "-c", version, seconds_max=180)
        for directory in ("/root/.docker", "/usr/local/lib/docker", "/usr/lib/docker"):
            composed.host.run("install", "-D", elsewhere, f"{directory}/cli-plugins/docker-compose")
            assert "Docker Compose version 2." in composed.host.run("sh", "-c", version)
            composed.host.run("rm", f"{directory}/cli-plugins/docker-compose")
        composed.host.run(
            "install", "-D", "/dev/stdin", plugin, input="#!/bin/sh\necho Docker Compose version v5.1.0\n"
        )
        with pytest.raises(HostError, match=f"Docker Compose 5.1.0 .{plugin}. cannot talk to Podman 5.4: use 5.1.1 or later"):
            composed.host.run("sh", "-c", version)
        # Debian's podman-compose is too old.
        composed.host.run(
            "install", "-D", "/dev/stdin", plugin, input="#!/bin/sh\necho podman-compose version 1.3.0\n"
        )
        with pytest.raises(HostError, match="podman-compose version 1.3.0 is too old, and podman-compose could not be installed .*: pipx install podman-compose"):
            composed.host.run("sh", "-c", version, seconds_max=180)
    finally:
        composed.host.run("rm", "--recursive", "--force", "/root/.docker")
        composed.host.run("mv", elsewhere, real)
        composed.host.run("mv", f"{elsewhere}.link", program)


def test_with_a_certificate_https_works_and_http_redirects(composed: Composed):
    composed.clear()
    host = composed.host
    host.run("mkdir", "-p", "/srv/certificates")
    host.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=daybook.test", "-addext", f"subjectAltName=IP:{host.address}",
        "-keyout", "/srv/certificates/daybook.pem.key", "-out", "/srv/certificates/daybook.pem",
    )
    host.run("chown", "-R", "99", "/srv/certificates")
    composed.start(HAPROXY_TLS="on", HAPROXY_CERTIFICATES_DIR="/srv/certificates")
    trusted = ssl.create_default_context(cadata=host.run("cat", "/srv/certificates/daybook.pem"))
    connection = http.client.HTTPSConnection(host.address, 8443, context=trusted, timeout=5)
    connection.request("GET", "/secret")
    response = connection.getresponse()
    assert (response.status, response.headers["record-id"]) == (200, "1")
    connection.close()
    assert ask(composed.http, path="/secret").status == 308
