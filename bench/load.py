"""The load generators: wrk and hey send as fast as responses arrive, oha at a fixed rate."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from process import BenchError
from subject import Subject
from tools import Tools

THREADS = 2


@dataclass(frozen=True)
class Load:
    """The requests that a load generator sends."""

    tool: str = "wrk"
    connections: int = 100
    body_bytes: int = 0
    requests_per_second: int | None = None
    """For oha only."""


@dataclass
class Counted:
    """The load generator's result."""

    responses: int
    """Only 2xx."""
    seconds: float
    percentiles_ms: dict[str, float]
    """By `50`, `90`, `99`, `99.9`, `100`."""
    errors: list[str] = field(default_factory=list)
    """Other responses, and broken connections."""


def send(tools: Tools, subject: Subject, load: Load, seconds: float) -> Counted:
    """Sends the load for `seconds`."""
    body = subject.body or b"x" * load.body_bytes
    method = "POST" if body else subject.method
    content = subject.work / "request-body"
    content.write_bytes(body)
    url = f"http://{subject.address}{subject.path}"
    tool = {"wrk": wrk, "hey": hey, "oha": oha}[load.tool]
    counted = tool(tools, url, method, subject.content_type, content, load, seconds)
    if counted.responses == 0:
        counted.errors.append("no responses")
    return counted


def wrk(_: Tools, url: str, method: str, content_type: str, content: Path, load: Load, seconds: float) -> Counted:
    printed = run(
        ["wrk", f"-t{THREADS}", f"-c{load.connections}", f"-d{seconds:.0f}s", "--latency", "--timeout", "20s",
         "-s", Path(__file__).parent / "wrk.lua", url, "--", method, content_type, content],
        seconds,
    )
    found = last_json(printed)
    errors = []
    if found["not_ok"] or found["socket_errors"]:
        errors.append(f"{found['not_ok']} responses were not 2xx, {found['socket_errors']} connections failed")
    return Counted(
        responses=found["responses"] - found["not_ok"],
        seconds=found["seconds"],
        percentiles_ms={name: microseconds / 1000 for name, microseconds in found["percentiles_us"].items()},
        errors=errors,
    )


def hey(_: Tools, url: str, method: str, content_type: str, content: Path, load: Load, seconds: float) -> Counted:
    printed = run(
        ["hey", "-z", f"{seconds:.0f}s", "-c", str(load.connections), "-m", method, "-T", content_type, "-D", content, url],
        seconds,
    )
    number = lambda pattern: float(re.search(pattern, printed)[1])
    statuses = {int(status): int(count) for status, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", printed)}
    others = {status: count for status, count in statuses.items() if status // 100 != 2}
    errors = [f"responses by status: {others}"] if others else []
    if "Error distribution" in printed:
        errors.append(printed.partition("Error distribution")[2].strip())
    return Counted(
        responses=sum(count for status, count in statuses.items() if status // 100 == 2),
        seconds=number(r"Total:\s+([\d.]+) secs"),
        percentiles_ms={
            **{name: number(rf"{name}%+ in ([\d.]+) secs") * 1000 for name in ("50", "90", "99")},
            "100": number(r"Slowest:\s+([\d.]+) secs") * 1000,
        },
        errors=errors,
    )


def oha(tools: Tools, url: str, method: str, content_type: str, content: Path, load: Load, seconds: float) -> Counted:
    # Latency counts from when a request was due, so a stall counts for every request that it delays.
    printed = run(
        [tools.oha, "--no-tui", "--output-format", "json", "-z", f"{seconds:.0f}s", "-c", str(load.connections),
         "-q", str(load.requests_per_second), "--latency-correction", "-m", method, "-T", content_type, "-D", content, url],
        seconds,
    )
    found = json.loads(printed)
    statuses = {int(status): count for status, count in found["statusCodeDistribution"].items()}
    others = {status: count for status, count in statuses.items() if status // 100 != 2}
    # oha counts requests in flight at the end as errors; they are not.
    failed = {error: count for error, count in found["errorDistribution"].items() if "deadline" not in error}
    errors = [f"responses by status: {others}"] if others else []
    errors += [f"errors: {failed}"] if failed else []
    milliseconds = {name.removeprefix("p"): value * 1000 for name, value in found["latencyPercentiles"].items() if value}
    return Counted(
        responses=sum(count for status, count in statuses.items() if status // 100 == 2),
        seconds=found["summary"]["total"],
        percentiles_ms={name: milliseconds[name] for name in ("50", "90", "99", "99.9") if name in milliseconds}
        | {"100": found["summary"]["slowest"] * 1000},
        errors=errors,
    )


def run(command: list[str | Path], seconds: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 40, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{command[0]} did not end") from error
    if done.returncode != 0:
        raise BenchError(f"{command[0]} failed with status {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def last_json(printed: str) -> dict:
    return json.loads(printed.strip().splitlines()[-1])
