"""`make dev`: builds and starts the program again when a source file is saved."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# A debug build from nothing, on a busy machine.
BUILD_SECONDS = 600


class Dev:
    """A running `make dev` in a copy of the repository."""

    def __init__(self, directory: Path, database: Path):
        self.main = directory / "src/main.rs"
        self.lines: queue.Queue[str] = queue.Queue()
        environment = os.environ | {
            "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(REPOSITORY / "target")),
            "DAYBOOK_LISTEN": "127.0.0.1:0", "DAYBOOK_ADMIN__LISTEN": "127.0.0.1:0", "DAYBOOK_DATABASE__PATH": str(database),
        }
        self.process = subprocess.Popen(
            ["make", "--silent", "dev"], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()
        self.url = self.wait_for(r"(http://\S+)/ ")

    def wait_for(self, pattern: str) -> str:
        """The first group of the next line that matches."""
        deadline, seen = time.monotonic() + BUILD_SECONDS, []
        while True:
            try:
                seen.append(self.lines.get(timeout=deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with /{pattern}/ in:\n{''.join(seen)}") from None
            if found := re.search(pattern, seen[-1]):
                return found[found.re.groups]

    def save(self, old: str, new: str) -> None:
        self.main.write_text(self.main.read_text().replace(old, new))

    def ask(self) -> str:
        with urllib.request.urlopen(self.url + "/", data=b"hello", timeout=60) as response:
            return response.read().decode()

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=60)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    copy = tmp_path / "daybook"
    # Links to the files that Git knows; a copy of the source and the scripts, which change or look for their neighbours.
    copy.mkdir()
    tracked = subprocess.run(["git", "ls-tree", "--name-only", "HEAD"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in tracked.stdout.split():
        if name in ("src", "scripts"):
            shutil.copytree(REPOSITORY / name, copy / name)
        else:
            (copy / name).symlink_to(REPOSITORY / name)
    running = Dev(copy, tmp_path / "requests.db")
    yield running
    running.stop()


def test_a_saved_change_is_served_and_no_request_fails_meanwhile(dev: Dev, figure: Callable[[str], None]):
    dev.wait_for("built and started")
    assert dev.ask() == "hello"
    responses: set[str] = set()
    done = threading.Event()

    def ask_again_and_again() -> None:
        while not done.is_set():
            try:
                responses.add(dev.ask())
            except OSError as error:
                responses.add(f"failed: {error}")

    asking = threading.Thread(target=ask_again_and_again)
    asking.start()
    saved = time.monotonic()
    dev.save("], body)", "], [&body[..], b\"!\"].concat())")
    while "hello!" not in responses:
        assert time.monotonic() < saved + BUILD_SECONDS, responses
        time.sleep(0.05)
    figure(f"{time.monotonic() - saved:.1f} s from save to response")
    dev.save("fn main", "fn mistake")
    dev.wait_for("error")
    # The program that was built last goes on.
    assert dev.ask() == "hello!"
    dev.save("fn mistake", "fn main")
    dev.wait_for("built and started")
    done.set()
    asking.join()
    assert responses == {"hello", "hello!"}
