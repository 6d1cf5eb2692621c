"""One deploy or auto-update at a time. A kernel lock, which ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from machine import Refusal

PATH = "/run/lock/daybook-deploy.lock"


@contextlib.contextmanager
def held() -> Iterator[None]:
    lock = os.open(PATH, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"another deploy is under way: {holder(lock)}") from None
        yield
    finally:
        os.close(lock)


def holder(lock: int) -> str:
    """The process that holds it, from /proc/locks: `1: FLOCK ADVISORY WRITE 4711 00:1a:1234 0 EOF`."""
    status = os.fstat(lock)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == file:
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{fields[4]}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                return f"process {fields[4]}, {command.decode(errors='replace')}"
    return "a process that has just exited"
