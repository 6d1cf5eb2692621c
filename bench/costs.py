"""Measures the costs of a database size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from backup import Backup
from daybook import Daybook
from load import Load, send
from process import BenchError
from tools import Tools


@dataclass
class Size:
    """The figures for one database size. Lists have one value per round; `one_record_ms` is empty without records."""

    rows: int
    database: Path
    mib: float
    requests_per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    ready_ms: list[float] = field(default_factory=list)
    newest_page_ms: list[float] = field(default_factory=list)
    middle_page_ms: list[float] = field(default_factory=list)
    one_record_ms: list[float] = field(default_factory=list)
    backup: Backup | None = None


def measure_round(tools: Tools, size: Size, seconds: float) -> None:
    subject = Daybook(size.database.parent, tools, 4, "normal")
    with subject:
        replica = subject.processes[0]
        size.ready_ms.append(replica.start_seconds * 1000)
        newest = json.loads(replica.ask("/requests?limit=50"))["requests"]
        middle = max(size.rows // 2, 51)
        size.newest_page_ms.append(time_ms(lambda: replica.ask("/requests?limit=50")))
        size.middle_page_ms.append(time_ms(lambda: replica.ask(f"/requests?limit=50&before={middle}")))
        if newest:
            size.one_record_ms.append(time_ms(lambda: replica.ask(f"/requests/{newest[0]['id']}")))
        counted = send(tools, subject, Load(), seconds)
        size.requests_per_second.append(counted.responses / counted.seconds)
        size.p99_ms.append(counted.percentiles_ms["99"])
    if counted.errors or any(subject.statuses):
        raise BenchError(f"{size.rows:,} rows: {counted.errors}, exited with {subject.statuses}")


def time_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(50):
        before = time.perf_counter()
        work()
        taken.append((time.perf_counter() - before) * 1000)
    return median(taken)
