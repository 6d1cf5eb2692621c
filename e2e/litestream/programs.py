"""Shared by the tests of the Litestream configuration. They run the real Litestream, daybook and OpenSSH server, on loopback.

Needs root: each program has its own /run, so that litestream.yml is used unchanged, and each test its own loopback addresses."""

import itertools
import json
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = ROOT / "litestream" / "litestream.yml"
REPLICATE = ROOT / "litestream" / "replicate"
addresses = (f"127.0.77.{n}" for n in itertools.count(1))


def until(what, seconds=20):
    """The first true result of what(), which may raise OSError until then."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := what():
                return result
            failure = None
        except OSError as error:
            failure = error
        assert time.monotonic() < deadline, f"not within {seconds} s; last: {failure}"
        time.sleep(0.05)


def metrics(address):
    """Litestream's own metrics: {name{labels}: value}."""
    with urllib.request.urlopen(f"http://{address}:9102/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith("litestream_"))}


def lines_of(process):
    """The last line of each message in its JSON log."""
    lines = (json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{"))
    return {line["msg"]: line for line in lines}


def settings(path, url, address, **more):
    own = {"DAYBOOK_DATABASE__PATH": path, "BACKUP_URL": url, "BACKUP_RETENTION": "168h", "BACKUP_METRICS_LISTEN": address}
    return own | more
