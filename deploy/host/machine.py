"""Runs programs, reads and writes the settings, and prints progress."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SETTINGS = Path("/etc/daybook/daybook.env")


class Failure(Exception):
    """One line: what went wrong."""


class TimedOut(Failure):
    """A timeout."""


class Refusal(Failure):
    """Nothing was changed."""


class Stopped(Exception):
    """Stopped by a signal. Not a Failure, so that no handler ignores it."""


def say(text: str, to=None) -> None:
    """Prints a line of progress. Continues without output if the reader is gone."""
    try:
        print(text, file=to or sys.stdout, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)


def run(*command: str, seconds_max: float = 60) -> str:
    """Runs a program; returns its standard output."""
    try:
        # In its own process group, so that Ctrl-C reaches only us.
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds_max, process_group=0
        )
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{' '.join(command)}: not within {seconds_max:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise Failure(f"{' '.join(command)}: {said}")
    return done.stdout


def wait(seconds_max: float, condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Waits until the condition holds, or fails with the text of `otherwise`."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(otherwise())
        time.sleep(0.1)


class Settings:
    """/etc/daybook/daybook.env, locked: daybook-scale changes it, too, and waits."""

    def __init__(self, file) -> None:
        self._file = file

    def get(self, name: str, default: str) -> str:
        self._file.seek(0)
        values = re.findall(rf"^{name}=(.*)$", self._file.read(), re.MULTILINE)
        return values[-1] if values else default

    def has(self, name: str) -> bool:
        self._file.seek(0)
        return re.search(rf"^{name}=", self._file.read(), re.MULTILINE) is not None

    def set(self, **values: str | None) -> None:
        """Sets values, and removes those that are None. In place, because others wait for a lock on this file."""
        self._file.seek(0)
        lines = [line for line in self._file.read().splitlines() if line.partition("=")[0] not in values]
        lines += [f"{name}={value}" for name, value in values.items() if value is not None]
        self._file.seek(0)
        self._file.write("\n".join(lines) + "\n")
        self._file.truncate()
        self._file.flush()

    @property
    def replicas(self) -> int:
        count = self.get("HAPROXY_REPLICAS", "4")
        if not re.fullmatch("[1-8]", count):
            raise Refusal(f"{SETTINGS}: HAPROXY_REPLICAS is {count}: it must be a number from 1 to 8")
        return int(count)


@contextlib.contextmanager
def held_settings() -> Iterator[Settings]:
    try:
        file = open(SETTINGS, "r+")
    except OSError as error:
        raise Refusal(f"{SETTINGS}: {error.strerror}: is daybook installed here? See quadlet/README.md") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Settings(file)
