"""Takes the README's screenshots of the console: the example `links` with two replicas behind HAProxy, under load, after an hour of
requests that this script writes into its database first.

    "$(scripts/venv e2e/requirements.txt)/bin/python" e2e/console/screenshots.py
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "haproxy")]

import apsw
from browser import DESKTOP, console, expect, launch, url
from client import ask
from playwright.sync_api import sync_playwright
from system import REPOSITORY, System

DOCS = REPOSITORY / "docs"
HISTORY_SECONDS = 3600
# Path, method, status, share of the requests, and median of the duration in microseconds.
REQUESTS = (
    ("/", "GET", 200, 30, 700),
    ("/", "POST", 303, 8, 2600),
    ("/1", "GET", 303, 34, 1900),
    ("/2", "GET", 303, 18, 1900),
    ("/", "POST", 422, 2, 500),
    ("/favicon.ico", "GET", 404, 5, 400),
    ("/wp-login.php", "GET", 404, 2, 400),
)
CLIENTS = ("192.0.2.7", "198.51.100.23", "203.0.113.90", "2001:db8::1f:8")


def program() -> Path:
    """The example `links`: $LINKS, or a release build."""
    if given := os.environ.get("LINKS"):
        return Path(given)
    subprocess.run(["cargo", "build", "--release", "--locked", "--example", "links"], cwd=REPOSITORY, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release/examples/links"


def rate(age: float) -> float:
    """Requests a second, that many seconds ago: waves, and a burst."""
    burst = 35 if 1300 < age < 1500 else 0
    return 22 + 9 * math.sin(age / 500) + burst + random.gauss(0, 2)


def history(now: float):
    for age in range(HISTORY_SECONDS, 0, -1):
        slow = 6 if 1300 < age < 1500 else 1
        for _ in range(max(0, round(rate(age)))):
            path, method, status, _, median = random.choices(REQUESTS, [each[3] for each in REQUESTS])[0]
            if slow > 1 and random.random() < 0.02:
                status = 503
            duration = random.lognormvariate(math.log(median * slow), 0.6)
            yield now - age + random.random(), method, path, 24, random.choice(CLIENTS), status, round(duration)


def write_history(database: Path) -> None:
    sql = "insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us) values (?, ?, ?, ?, ?, ?, ?)"
    with apsw.Connection(str(database)) as connection:
        connection.executemany(sql, sorted(history(time.time())))


def load(system: System, stop: threading.Event) -> None:
    while not stop.wait(random.expovariate(12)):
        path, method, *_ = random.choices(REQUESTS, [each[3] for each in REQUESTS])[0]
        body = f"url=https://example.org/{random.randrange(9)}".encode() if method == "POST" else None
        ask(system.http, method, path, body, content_type="application/x-www-form-urlencoded")


def main() -> None:
    random.seed(1)
    links = program()
    haproxy = Path(subprocess.check_output([REPOSITORY / "e2e/haproxy/program", "3.2"], text=True).strip())
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        database = Path(directory) / "requests.db"
        subprocess.run([links, "init"], env={**os.environ, "DAYBOOK_DATABASE__PATH": str(database)}, cwd=directory, check=True)
        write_history(database)
        with System(haproxy, links, Path(directory)) as system:
            clients = [threading.Thread(target=load, args=(system, stop)) for _ in range(2)]
            for client in clients:
                client.start()
            browser = launch(playwright)
            try:
                # Until the figures of the last minute are those of the load, and the job has run.
                time.sleep(75)
                for scheme in ("light", "dark"):
                    with console(browser, url(system), color_scheme=scheme) as page:
                        page.page.set_viewport_size(DESKTOP)
                        page.open().wait_until_live()
                        expect(page.tile("Commits").locator(".value")).not_to_have_text("–")
                        page.page.locator("#chart-latency canvas").wait_for()
                        page.page.screenshot(path=DOCS / f"console-{scheme}.png")
            finally:
                stop.set()
                for client in clients:
                    client.join()
                browser.close()


if __name__ == "__main__":
    main()
