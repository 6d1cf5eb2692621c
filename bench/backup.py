"""How far Litestream's copy is behind: from nothing at all, and after a load."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from daybook import FIRST_COPY_SECONDS_MAX, WithLitestream
from load import Load, send
from process import BenchError
from tools import Tools

SNAPSHOT_LEVEL = 9
QUIET_SECONDS = 2.0
"""litestream.yml lets a record wait 1.5 s at most; so if nothing has arrived for longer, all may have."""
CATCH_UP_SECONDS_MAX = 300.0


@dataclass
class Backup:
    """Lists have one value a load."""

    first_copy_seconds: float
    requests_per_second: list[float] = field(default_factory=list)
    """While it copied."""
    behind_seconds: list[float] = field(default_factory=list)
    """From the end of the load until the copy had its last record."""


def measure_backup(tools: Tools, database: Path, loads: int, seconds: float) -> Backup:
    """How far it is behind also depends on where in its second Litestream is when a load ends: hence several."""
    subject = WithLitestream(database.parent, tools, 4, "normal")
    try:
        with subject:
            backup = Backup(subject.first_copy_seconds)
            # Its first snapshot follows the first copy at once, and would else be made during the load.
            subject.processes[-1].wait_until(
                lambda: subject.copied_txid(SNAPSHOT_LEVEL) > 0, "made a snapshot", FIRST_COPY_SECONDS_MAX
            )
            for _ in range(loads):
                counted = send(tools, subject, Load(), seconds)
                if counted.troubles:
                    raise BenchError(f"with Litestream: {counted.troubles}")
                backup.requests_per_second.append(counted.answers / counted.seconds)
                backup.behind_seconds.append(seconds_until_copied(tools, subject))
    finally:
        shutil.rmtree(subject.copy, ignore_errors=True)
        shutil.rmtree(database.with_name(f".{database.name}-litestream"), ignore_errors=True)
    # The first is Litestream's: if it was merging files of a large copy, it may not have ended in time.
    if any(subject.statuses[1:]):
        raise BenchError(f"with Litestream: daybook ended with {subject.statuses[1:]}")
    return backup


def seconds_until_copied(tools: Tools, subject: WithLitestream) -> float:
    """Watches the copy grow by itself. When it has been quiet for a while, Litestream is told to copy what there is: if it
    finds nothing that the copy had not had before, what had arrived last was the last there was."""
    ended = arrived = time.monotonic()
    copied = subject.copied_txid()
    while time.monotonic() < ended + CATCH_UP_SECONDS_MAX:
        now = subject.copied_txid()
        if now > copied:
            copied = now
            arrived = time.monotonic()
        elif time.monotonic() > arrived + QUIET_SECONDS:
            if sync(tools, subject) != copied:
                raise BenchError(f"Litestream copied nothing for {QUIET_SECONDS} s, and had not copied everything")
            return arrived - ended
        time.sleep(0.005)
    raise BenchError(f"Litestream's copy was still behind {CATCH_UP_SECONDS_MAX:.0f} s after the load")


def sync(tools: Tools, subject: WithLitestream) -> int:
    """Makes Litestream copy all that is committed; returns the last of its transactions in the copy."""
    command = [tools.litestream, "sync", "-wait", "-timeout", f"{CATCH_UP_SECONDS_MAX:.0f}", "-json",
               "-socket", subject.control_socket, subject.database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"litestream sync failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    if answer["txid"] != answer["replica_txid"]:
        raise BenchError(f"litestream sync -wait did not wait: {answer}")
    return answer["replica_txid"]
