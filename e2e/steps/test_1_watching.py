"""Every panel of the dashboard has data from the Prometheus of compose.yaml, under load, with a canary, retention and a firing alert."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.parse

from client import Load, ask
from composed import Composed, eventually
from daybook import REPOSITORY

DASHBOARD = json.loads((REPOSITORY / "grafana/dashboards/daybook.json").read_text())
# Values that Grafana inserts for an hour on a wide screen: four scrapes, the interval of a point, the whole range.
GRAFANA = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h"}
WITHOUT_DATA = {"Certificates": "this system has no TLS; e2e/haproxy/test_tls.py has the metric"}


def queries() -> dict[str, str]:
    """The expression of each target, by its panel's title and its refId."""
    found = {}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable in sorted(GRAFANA, key=len, reverse=True):
                expression = expression.replace(variable, GRAFANA[variable])
            assert "$" not in expression, f"{panel['title']} has a variable that this test does not know: {expression}"
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def labels(composed: Composed, expression: str) -> list[dict[str, str]]:
    """The labels of each series that has a value now."""
    result = composed.prometheus("query?" + urllib.parse.urlencode({"query": expression}))["result"]
    return [series["metric"] for series in result if not math.isnan(float(series["value"][1]))]


def flap(composed: Composed) -> None:
    """HAProxy's health checks fail three times, so that ReplicaFlapping fires, which has no `for`. Prometheus sees the increase of a
    counter that it knows."""
    counter = 'haproxy_server_check_up_down_total{proxy="replicas"}'
    eventually(60, lambda: labels(composed, counter), "Prometheus has scraped HAProxy")
    pid = composed.host.run("podman", "inspect", "--format", "{{.State.Pid}}", composed.containers("daybook")[0]).strip()
    for _ in range(3):
        composed.host.run("kill", "-STOP", pid)
        time.sleep(2)
        composed.host.run("kill", "-CONT", pid)
        time.sleep(1)


def test_every_panel_of_the_dashboard_has_data_for_the_application(composed: Composed, figure):
    composed.start(COMPOSE_PROFILES="next", HAPROXY_NEXT="on", RETENTION_BYTES_MAX="25%")
    eventually(30, lambda: ask(composed.http, path="/v2/").status == 200, "the canary is ready")
    wanted = queries()
    started = time.monotonic()
    with Load(composed.http, method="POST", clients=2):
        flap(composed)
        while True:
            # Each panel needs its event: a request to the canary, and a read.
            ask(composed.http, path="/v2/")
            composed.operator("/api/requests?limit=10")
            found = {query: labels(composed, expression) for query, expression in wanted.items()}
            without = [query for query, series in found.items() if not series and query.rsplit(" ", 1)[0] not in WITHOUT_DATA]
            if not without or time.monotonic() > started + 150:
                break
            time.sleep(5)
    assert without == []
    strangers = {query: series for query, series in found.items() if any(one.get("app") != "daybook" for one in series)}
    assert strangers == {}
    figure(f"{len(wanted)} queries of {len(DASHBOARD['panels'])} panels and rows have data after {time.monotonic() - started:.0f} s")
    series = composed.prometheus("query?query=prometheus_tsdb_head_series")["result"][0]["value"][1]
    figure(f"Prometheus holds {series} series")


def test_a_name_of_each_legend_is_a_label_of_its_series(composed: Composed):
    """Otherwise Grafana shows an empty name. Continues after the test before it."""
    wanted = queries()
    unknown = {}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            series = labels(composed, wanted[f"{panel['title']} {target['refId']}"])
            names = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            if series and not any(names <= set(one) for one in series):
                unknown[panel["title"]] = sorted(names)
    assert unknown == {}
