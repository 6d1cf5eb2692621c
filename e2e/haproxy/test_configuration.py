"""HAProxy's own check has nothing to say, whatever is switched on."""

from __future__ import annotations

import itertools
import subprocess

import pytest

from system import REPOSITORY, environment
from test_tls import certificates  # noqa: F401

SWITCHES = {"HAPROXY_TLS": "on", "HAPROXY_NEXT": "on", "HAPROXY_RATE_LIMIT": "100", "HAPROXY_LOG": "all", "HAPROXY_ACME": "127.0.0.1:81"}


@pytest.mark.parametrize("litestream", ["litestream:9102", "127.0.0.1:9102"])
def test_every_combination_is_valid_without_a_warning(haproxy, certificates, litestream):  # noqa: F811
    for count in range(len(SWITCHES) + 1):
        for names in itertools.combinations(SWITCHES, count):
            variables = {name: SWITCHES[name] for name in names}
            variables |= {"HAPROXY_CERTIFICATES": str(certificates), "HAPROXY_LITESTREAM": litestream}
            checked = check(haproxy, variables)
            assert checked.returncode == 0, (names, checked.stderr)
            assert "WARNING" not in checked.stderr, (names, checked.stderr)


def test_it_says_so_when_there_can_not_be_that_many_replicas(haproxy):
    for count in ("0", "9", "four"):
        checked = check(haproxy, {"HAPROXY_REPLICAS": count})
        assert checked.returncode == 1
        assert f"HAPROXY_REPLICAS is {count}: it has to be a number from 1 to 8" in checked.stderr


def check(haproxy, variables) -> subprocess.CompletedProcess:
    return subprocess.run(
        [haproxy, "-c", "-f", REPOSITORY / "haproxy"], env=environment(variables), capture_output=True, text=True, check=False,
    )
