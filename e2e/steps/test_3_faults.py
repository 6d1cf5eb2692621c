"""kill -9 under load: counts failed requests and looks up acknowledged records."""

from __future__ import annotations

import http.client
import time

from client import Load
from composed import Composed, eventually
from system import OPERATOR_PORT


def under_load(composed: Composed, *victims: str) -> tuple[Load, Load]:
    """Kills each of these containers, two seconds apart, under a load of GETs and POSTs."""
    with Load(composed.http, clients=8) as gets, Load(composed.http, method="POST", clients=8) as posts:
        eventually(30, lambda: min(len(gets.record_ids), len(posts.record_ids)) > 100, "both loads are running")
        for victim in victims:
            composed.kill(victim)
            time.sleep(2)
        time.sleep(1)
    return gets, posts


def test_a_killed_replica_loses_no_get_and_no_acknowledged_record(composed: Composed, figure):
    composed.clear()
    composed.start(REPLICAS="4")
    victims = composed.containers("daybook")[:3]
    gets, posts = under_load(composed, *victims)
    assert gets.failures == []
    assert composed.missing(gets.record_ids + posts.record_ids) == set()
    # POSTs are not retried, so those in flight can fail.
    assert len(posts.failures) <= 8 * len(victims)
    eventually(30, lambda: len(composed.containers("daybook")) == 4, "all replicas run again")
    figure(f"{len(victims)} replicas killed in turn: {gets}; {posts}; 0 acknowledged records missing")


def test_a_killed_haproxy_restarts_and_loses_no_acknowledged_record(composed: Composed, figure):
    haproxy, = composed.containers("haproxy")
    gets, posts = under_load(composed, haproxy)
    assert composed.missing(gets.record_ids + posts.record_ids) == set()
    composed.kill(haproxy)
    killed = time.monotonic()
    eventually(30, lambda: responds(composed), "HAProxy responds again")
    figure(f"back after {time.monotonic() - killed:.1f} s; {gets}; {posts}; 0 acknowledged records missing")


def responds(composed: Composed) -> bool:
    # A short timeout: connections opened while it was down never succeed.
    connection = http.client.HTTPConnection(*composed.http, timeout=0.5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_a_killed_litestream_fails_no_request_and_catches_up(composed: Composed, figure):
    litestream, = composed.containers("litestream")
    gets, posts = under_load(composed, litestream)
    assert gets.failures == posts.failures == []
    assert composed.missing(gets.record_ids + posts.record_ids) == set()
    eventually(30, lambda: composed.containers("litestream") == [litestream], "Litestream runs again")
    started = time.monotonic()
    eventually(60, composed.all_copied, "all is copied")
    figure(f"{gets}; {posts}; all copied {time.monotonic() - started:.1f} s after the load")


def test_haproxy_follows_a_new_litestream_address(composed: Composed):
    litestream, = composed.containers("litestream")
    before = address(composed, litestream)
    composed.host.run("podman", "rm", "--force", "--time", "0", litestream)
    composed.script("up", seconds_max=150)
    assert address(composed, litestream) != before
    eventually(30, lambda: exposes_litestream_metrics(composed), "HAProxy passes Litestream's metrics on")


def address(composed: Composed, container: str) -> str:
    return composed.host.run("podman", "inspect", "--format", "{{.NetworkSettings.Networks.daybook_front.IPAddress}}", container)


def exposes_litestream_metrics(composed: Composed) -> bool:
    return "litestream_" in composed.host.attempt("curl", "--silent", f"http://127.0.0.1:{OPERATOR_PORT}/litestream/metrics").stdout
