"""What HAProxy costs: through it and past it, in turns, on this machine, with the load generator beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

from composed import Composed
from daybook import DIRECTORY

ROUNDS = 3
SECONDS = 5


def wrk(composed: Composed, *replicas: str) -> tuple[float, float]:
    """Requests a second and the 99th percentile in ms, of 100 connections from within the host."""
    done = subprocess.run(
        [
            "nsenter", "--target", str(composed.host.pid), "--net",
            "wrk", "--threads", "4", "--connections", "100", "--duration", f"{SECONDS}s", "--latency",
            "--timeout", "20s",
            "--script", Path(__file__).parent / "wrk.lua", f"http://{composed.host.address}:8080/", "--", *replicas,
        ],
        check=True, capture_output=True, text=True, timeout=SECONDS + 30,
    )
    answers, seconds, errors, p99 = done.stdout.strip().splitlines()[-1].split()
    assert int(errors) == 0, done.stdout
    return int(answers) / float(seconds), float(p99)


def test_through_haproxy_and_directly_to_the_replicas(composed: Composed, figure):
    """Wanted: at least half, and p99 within 20 ms. Noise of the machine fails nothing: the figures are printed."""
    composed.clear()
    composed.host.put(Path(__file__).parent / "direct.yaml", DIRECTORY)
    composed.start(COMPOSE_FILE="compose.yaml:direct.yaml")
    replicas = [
        composed.host.run(
            "podman", "inspect", "--format", "{{.NetworkSettings.Networks.daybook_replicas.IPAddress}}", name
        ).strip()
        for name in composed.containers("daybook")
    ]
    direct, through = [], []
    for _ in range(ROUNDS):
        direct.append(wrk(composed, *replicas))
        through.append(wrk(composed))
    ratio = median(ours[0] / theirs[0] for ours, theirs in zip(through, direct))
    for name, runs in (("direct", direct), ("through HAProxy", through)):
        rate, p99 = median(run[0] for run in runs), median(run[1] for run in runs)
        figure(f"{name}: {rate:,.0f} requests/s, p99 {p99:.1f} ms (medians of {ROUNDS} runs of {SECONDS} s, c=100)")
    figure(f"ratio {ratio:.2f} (wanted: 0.5)")
    assert len(composed.records()) > 0
