"""`haproxy -c` accepts the configuration, and variables are validated."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest

from system import BASE_CFG, REPOSITORY, environment
from test_tls import certificates  # noqa: F401

SWITCHES = {
    "HAPROXY_TLS": "on", "HAPROXY_NEXT": "on", "HAPROXY_RATE_LIMIT": "100", "HAPROXY_LOG": "all", "HAPROXY_ACME": "127.0.0.1:81",
    # Any map.
    "HAPROXY_SITES": str(REPOSITORY / "haproxy/maps/next-by-host.map"),
}


@pytest.mark.parametrize("litestream", ["litestream:9102", "127.0.0.1:9102"])
def test_every_combination_of_switches_is_valid_without_warnings(haproxy, certificates, litestream):  # noqa: F811
    for count in range(len(SWITCHES) + 1):
        for names in itertools.combinations(SWITCHES, count):
            variables = {name: SWITCHES[name] for name in names}
            variables |= {"HAPROXY_CERTIFICATES": str(certificates), "HAPROXY_LITESTREAM": litestream}
            checked = check(haproxy, variables)
            assert checked.returncode == 0, (names, checked.stderr)
            assert "WARNING" not in checked.stderr, (names, checked.stderr)


@pytest.mark.parametrize("name, value, wanted", [
    ("HAPROXY_REPLICAS", "0", "a number from 1 to 8"),
    ("HAPROXY_REPLICAS", "9", "a number from 1 to 8"),
    ("HAPROXY_REPLICAS", "04", "a number from 1 to 8"),
    ("HAPROXY_REPLICAS", "four", "a number from 1 to 8"),
    ("HAPROXY_TLS", "yes", "off or on"),
    ("HAPROXY_NEXT", "true", "off or on"),
    ("HAPROXY_NEXT_PERCENT", "101", "a number from 0 to 100"),
    ("HAPROXY_LOG", "", "errors or all"),
    ("HAPROXY_RATE_LIMIT", "0", "off or a number from 1 to"),
    ("HAPROXY_BODY_MAX", "1M", "a number from 1 to"),
    ("HAPROXY_CONNECTIONS_MAX", "-1", "a number from 1 to"),
    ("HAPROXY_OPERATOR_HOSTS", "haproxy,replicas", "host names without ports, with spaces between them"),
    ("HAPROXY_OPERATOR_HOSTS", "haproxy:80", "host names without ports, with spaces between them"),
    ("HAPROXY_OPERATOR_HOSTS", "", "host names without ports, with spaces between them"),
])
def test_an_invalid_variable_is_reported_with_the_valid_values(haproxy, name, value, wanted):
    checked = check(haproxy, {name: value})
    assert checked.returncode == 1
    assert f"{name} is {value}: it has to be {wanted}" in checked.stderr


def test_more_connections_than_file_descriptors_allow_are_refused(haproxy):
    for count, status in (("8984", 0), ("8985", 1)):
        checked = check(haproxy, {"HAPROXY_CONNECTIONS_MAX": count}, "prlimit", "--nofile=20000:20000")
        assert checked.returncode == status, checked.stderr
    assert "HAPROXY_CONNECTIONS_MAX is 8985: it has to be at most 8984 with 20000 file descriptors" in checked.stderr


def test_compose_yaml_repeats_the_defaults():
    """compose.yaml needs the values: podman-compose does not notice a changed variable without one."""
    defaults = re.findall(r"^    presetenv (\w+) +(\S+)$", BASE_CFG, re.MULTILINE)
    ours = re.findall(r"^      (HAPROXY_\w+): \$\{\1:-(\S+)\}$", (REPOSITORY / "compose.yaml").read_text(), re.MULTILINE)
    assert len(ours) >= 8 and set(ours) <= set(defaults)


def check(haproxy, variables, *prefix) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*prefix, haproxy, "-c", "-f", REPOSITORY / "haproxy"], env=environment(variables), capture_output=True, text=True, check=False,
    )
