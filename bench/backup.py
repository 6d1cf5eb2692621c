"""Measures Litestream's first copy and its lag after a load."""

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
"""litestream.yml delays a record by at most 1.5 s, so after a longer silence everything should have arrived."""
CATCH_UP_SECONDS_MAX = 300.0


@dataclass
class Backup:
    """Lists have one value per load."""

    first_copy_seconds: float
    requests_per_second: list[float] = field(default_factory=list)
    """During the load, beside Litestream."""
    behind_seconds: list[float] = field(default_factory=list)
    """From the end of the load until the copy had its last record."""


def measure_backup(tools: Tools, database: Path, loads: int, seconds: float) -> Backup:
    """Several loads, because the lag depends on where in its one-second cycle Litestream is."""
    subject = WithLitestream(database.parent, tools, 4, "normal")
    try:
        with subject:
            backup = Backup(subject.first_copy_seconds)
            # The first snapshot follows the first copy; wait, so that it does not disturb the load.
            subject.processes[-1].wait_until(
                lambda: subject.copied_txid(SNAPSHOT_LEVEL) > 0, "made a snapshot", FIRST_COPY_SECONDS_MAX
            )
            for _ in range(loads):
                counted = send(tools, subject, Load(), seconds)
                if counted.errors:
                    raise BenchError(f"with Litestream: {counted.errors}")
                backup.requests_per_second.append(counted.responses / counted.seconds)
                backup.behind_seconds.append(seconds_until_copied(tools, subject))
    finally:
        shutil.rmtree(subject.copy, ignore_errors=True)
        shutil.rmtree(database.with_name(f".{database.name}-litestream"), ignore_errors=True)
    # Ignore Litestream's own: merging files of a large copy may exceed its stop timeout.
    if any(subject.statuses[1:]):
        raise BenchError(f"with Litestream: daybook exited with {subject.statuses[1:]}")
    return backup


def seconds_until_copied(tools: Tools, subject: WithLitestream) -> float:
    """Waits until the copy is quiet, then makes Litestream copy everything: if that adds nothing, the last arrival was the end."""
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
    """Makes Litestream copy everything; returns the last transaction in the copy."""
    command = [tools.litestream, "sync", "-wait", "-timeout", f"{CATCH_UP_SECONDS_MAX:.0f}", "-json",
               "-socket", subject.control_socket, subject.database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"litestream sync failed: {done.stderr.strip()}")
    response = json.loads(done.stdout)
    if response["txid"] != response["replica_txid"]:
        raise BenchError(f"litestream sync -wait did not wait: {response}")
    return response["replica_txid"]
