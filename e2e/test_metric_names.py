"""Every metric that the rules and the dashboard query is exported by the real programs."""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from system import OPERATOR_PORT

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = json.loads((ROOT / "grafana" / "dashboards" / "daybook.json").read_text())
# Any duration, for promtool: Grafana inserts one that suits the screen.
PANELS = [target["expr"].replace("$__rate_interval", "1m") for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
RULES = "".join(path.read_text() for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml")))
# The rules without comments and annotations, which may abbreviate metric names.
EXPRESSIONS = re.sub(r"annotations:.*?(?=^ +- |\Z)", "", re.sub("#.*", "", RULES), flags=re.S | re.M)
ADDRESS = "127.0.78.1"


def exported(url, *command, **env):
    """The metric names that a program exports."""
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]} | env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                text = urllib.request.urlopen(url, timeout=5).read().decode()
                return set(re.findall(r"^([a-z0-9_]+)[ {]", text, re.M))
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"{command[0]} does not respond at {url}")
    finally:
        process.kill()
        process.wait()


def queried(program):
    text = re.sub('"[^"]*"', "", "\n".join([*PANELS, EXPRESSIONS]))
    return set(re.findall(rf"(?<!:)\b{program}_[a-z0-9_]+\b(?!:)", text))


def test_promtool_parses_every_panel(tmp_path):
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(PANELS)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool = subprocess.run([ROOT / "scripts" / "promtool"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    subprocess.run([promtool, "check", "rules", tmp_path / "rules.json"], check=True)


def test_every_recording_rule_in_use_exists():
    recorded = set(re.findall(r"record: (\S+)", RULES))
    used = set(re.findall(r"\b(?:app|job):[a-z0-9_]+:[a-z0-9_]+", "\n".join(PANELS) + RULES))
    assert recorded and used <= recorded


def test_daybook_exports_the_queried_metrics(binary, tmp_path):
    names = exported(f"http://{ADDRESS}:9100/metrics", binary, "serve", DAYBOOK_DATABASE__PATH=str(tmp_path / "requests.db"),
                     DAYBOOK_LISTEN=f"{ADDRESS}:8080", DAYBOOK_ADMIN__LISTEN=f"{ADDRESS}:9100")
    # These exist in an application with jobs, and with retention.
    absent = {f"daybook_{name}" for name in ("job_overdue_timestamp_seconds", "job_last_success_timestamp_seconds", "job_failures_total", "retention_oldest_record_timestamp_seconds")}
    assert queried("daybook") and queried("daybook") - names - absent == set()


def test_haproxy_exports_the_queried_metrics(haproxy, tmp_path):
    names = exported(f"http://{ADDRESS}:{OPERATOR_PORT}/haproxy/metrics", haproxy, "-f", ROOT / "haproxy",
                     HAPROXY_HTTP=f"{ADDRESS}:8080", HAPROXY_OPERATOR=f"{ADDRESS}:{OPERATOR_PORT}", HAPROXY_SOCKET=str(tmp_path / "socket"))
    assert queried("haproxy") and queried("haproxy") - names - {"haproxy_certificate_not_after_seconds"} == set()  # from lua/certificates.lua


def test_litestream_has_the_queried_metrics(litestream_program):
    """Some metrics exist only after an error, so search the binary."""
    program = litestream_program.read_bytes()
    names = queried("litestream")
    assert names and all(name.encode() in program for name in names)
