"""Counts the instructions of a request by part of the program, with callgrind. Excludes the kernel's."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from daybook import Replica
from process import BenchError
from tools import output

REQUESTS = 2000
CONNECTIONS = 25
"""100 connections over four replicas."""

THREADS = {"event loop": "hyper::", "writer": "sqlite3VdbeExec"}
"""Recognised by a function that only they call."""
PARTS = [
    # A part and the pattern of its functions. The first match counts. Functions without a Rust path are SQLite's.
    ("memory: mimalloc, the C library's malloc", r"\b_?mi_|malloc|\bc?free\b|calloc|realloc|_int_|unlink_chunk"),
    ("copying and comparing bytes", r"mem(cpy|move|set|r?chr|cmp)|str(len|n?cmp)"),
    ("daybook: guard", r"daybook::guard"),
    ("daybook: records, queue, writer", r"daybook::store"),
    ("rusqlite", r"rusqlite"),
    ("daybook: recorder, handler, connection", r"daybook::"),
    ("axum, tower", r"axum|tower|matchit"),
    ("hyper, http", r"hyper|\bhttp::|httparse|httpdate|bytes::|http_body"),
    ("metrics, log", r"prometheus|tracing"),
    ("tokio, mio", r"tokio|\bmio::"),
    ("Rust's standard library", r"::|<"),
]
SQLITE = "SQLite"
C_LIBRARY = "the C library, system calls"
LINE = re.compile(r"^\s*([\d,]+) \([\s\d.]+%\)\s+(?:.*?:)?(\S.*?)(?: \[([^\]]*)\])?$")


@dataclass
class Instructions:
    """Averages per request."""

    by_part: dict[str, dict[str, float]]
    """Thread, then part."""
    commits: int
    records: int


def count(binary: Path, directory: Path, mode: str) -> Instructions:
    """Runs a replica in callgrind and sends it a fixed number of requests. `binary` needs symbols; `mode` is `normal` or `off`."""
    with tempfile.TemporaryDirectory(prefix="callgrind-", dir=directory) as work:
        replica = Callgrind(binary, Path(work), mode)
        try:
            before = replica.counters()
            replica.control("--instr=on")
            hey(replica.address)
            replica.control("--instr=off")
            after = replica.counters()
        finally:
            status = replica.stop()
        if status != 0:
            raise BenchError(f"daybook exited with {status} in callgrind")
        commits, records = (new - old for new, old in zip(after, before))
        if records != (0 if mode == "off" else REQUESTS):
            raise BenchError(f"{records} records for {REQUESTS} requests")
        by_part: dict[str, dict[str, float]] = {}
        for profile in sorted(Path(work).glob("callgrind.out.*-*")):
            costs = read(output("callgrind_annotate", "--threshold=100", profile))
            thread = next((thread for thread, mark in THREADS.items() if any(mark in name for name, _, _ in costs)), None)
            if thread is None:
                continue  # The read pool and Tokio's threads, almost idle.
            for name, file, instructions in costs:
                parts = by_part.setdefault(thread, {})
                part = part_of(name, file)
                parts[part] = parts.get(part, 0) + instructions / REQUESTS
        return Instructions(by_part, commits, records)


class Callgrind(Replica):
    """A replica whose instructions are counted on demand."""

    def __init__(self, binary: Path, work: Path, mode: str) -> None:
        super().__init__(
            binary, work / "requests.db", mode, 1, "127.0.0.1:0",
            within=("valgrind", "--tool=callgrind", "--separate-threads=yes", "--instr-atstart=no", "--quiet"),
        )

    def control(self, option: str) -> None:
        done = subprocess.run(
            ["callgrind_control", option, str(self._process.pid)], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise BenchError(f"callgrind_control: {done.stderr or done.stdout}")

    def counters(self) -> tuple[int, int]:
        """Commits and records so far."""
        return self.metric("daybook_commit_batch_records_count"), self.metric("daybook_records_committed_total")


def hey(address: str) -> None:
    command = ["hey", "-n", str(REQUESTS), "-c", str(CONNECTIONS), f"http://{address}/bench"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if f"[200]\t{REQUESTS} responses" not in done.stdout:
        raise BenchError(f"hey: {done.stdout or done.stderr}")


def read(annotated: str) -> list[tuple[str, str, int]]:
    """Function, object and own instructions of each line."""
    found = []
    for line in annotated.splitlines():
        match = LINE.match(line)
        if match and match[2] != "PROGRAM TOTALS":
            found.append((match[2], match[3] or "", int(match[1].replace(",", ""))))
    return found


def part_of(name: str, file: str) -> str:
    for part, pattern in PARTS:
        if re.search(pattern, name):
            return part
    return C_LIBRARY if ".so" in file or "vdso" in name else SQLITE
