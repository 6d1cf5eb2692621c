"""The canary: a second version beside the current one."""

from __future__ import annotations

import http.client

import pytest

from client import ask

BOTH = {"names": ("1", "next"), "HAPROXY_NEXT": "on"}


@pytest.fixture
def versions(start):
    """Record counts tell which version responded: the responses are alike, and health checks have no record."""
    with start(**BOTH) as system:
        yield system


def records(system, name: str) -> int:
    """The number of records it has committed."""
    lines = system.replicas[name].ask("/metrics")[1].decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("daybook_records_committed_total{"))


def responder(system, **request) -> str:
    before = {name: records(system, name) for name in system.replicas}
    assert ask(system.http, **request).status == 200
    [name] = [name for name in system.replicas if records(system, name) > before[name]]
    return name


def goes_to_canary(system, **request) -> bool:
    return responder(system, **request) == "next"


def test_header_host_and_path_each_select_the_canary(versions):
    assert goes_to_canary(versions, x_api_version="2")
    assert goes_to_canary(versions, host="v2.example.org")
    assert goes_to_canary(versions, host="V2.example.org:8080")
    assert goes_to_canary(versions, path="/v2/things?x")
    # The path is passed on unchanged.
    assert versions.records("/v2/")[0]["path"] == "/v2/things"


def test_similar_requests_do_not_select_it(versions):
    for request in ({}, {"x_api_version": "22"}, {"x_api_version": "1"}, {"host": "www.v2.example.org"}, {"path": "/v2"},
                    {"path": "/v22/"}, {"path": "/x/v2/"}):
        assert not goes_to_canary(versions, **request), request


def test_maps_can_be_changed_at_run_time(versions):
    versions.command("del map maps/next-by-header.map 2")
    assert not goes_to_canary(versions, x_api_version="2")
    assert goes_to_canary(versions, path="/v2/")
    versions.command("add map maps/next-by-header.map 3 next")
    assert goes_to_canary(versions, x_api_version="3")


def test_the_map_overrides_the_percentage_variable(start):
    with start(**BOTH, HAPROXY_NEXT_PERCENT="30") as system:
        assert 25 <= sum(goes_to_canary(system) for _ in range(200)) <= 100
        system.command("add map maps/next-percent.map percent 100")
        assert all(goes_to_canary(system) for _ in range(20))
        system.command("set map maps/next-percent.map percent 0")
        assert not any(goes_to_canary(system) for _ in range(20))


def test_a_local_request_can_select_a_replica(start):
    with start(names=("1", "2", "3", "next"), HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT="100") as system:
        for request in ({}, {"x_api_version": "2"}, {"path": "/v2/"}):
            for number in ("3", "1", "2"):
                assert responder(system, x_daybook_replica=number, **request) == number


def test_a_remote_request_cannot_select_a_replica(start):
    with start(names=("1", "next"), HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT="100") as system:
        assert responder(system, x_daybook_replica="1") == "1"
        connection = http.client.HTTPConnection(*system.http, timeout=15, source_address=("127.0.0.2", 0))
        before = records(system, "next")
        connection.request("GET", "/", headers={"X-Daybook-Replica": "1"})
        assert connection.getresponse().status == 200
        connection.close()
        assert records(system, "next") == before + 1


def test_another_replica_of_the_version_responds_for_one_that_is_down(start):
    with start(names=("1", "2", "next"), HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT="100") as system:
        system.replicas["1"].kill()
        system.wait_for_server("replicas/replica1", up=False)
        assert ask(system.http, x_daybook_replica="1").status == 200
        assert (records(system, "2"), records(system, "next")) == (1, 0)


def test_without_a_canary_explicit_requests_get_503_and_sampled_ones_fall_back(start):
    with start(names=("1",), HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT="100") as system:
        system.wait_for_server("next/next1", up=False)
        assert ask(system.http, path="/v2/").status == 503
        assert ask(system.http, x_api_version="2").status == 503
        assert all(ask(system.http).status == 200 for _ in range(10))


def test_nothing_selects_the_canary_by_default(start):
    with start(names=("1",)) as system:
        assert ask(system.http, path="/v2/", x_api_version="2", host="v2.example.org").status == 200
