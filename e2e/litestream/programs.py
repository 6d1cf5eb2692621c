"""What the tests of Litestream with the project's own configuration share. They run the real Litestream, daybook and
OpenSSH server, on loopback.

Needs root: each program runs with a /run of its own, so that litestream.yml is used as it stands. Every test has
loopback addresses of its own, so that ports are free."""

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
    """The first true result of what(), which may also raise while it is not ready."""
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
    """Its JSON log, by message; the last of each."""
    lines = (json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{"))
    return {line["msg"]: line for line in lines}


def settings(path, url, address, **more):
    return {"DAYBOOK_DATABASE__PATH": path, "BACKUP_URL": url, "BACKUP_METRICS_LISTEN": address} | more
