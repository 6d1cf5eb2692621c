"""What HAProxy costs: through it and past it, in turns, on this machine, with the load generator beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

from composed import Composed
from daybook import DIRECTORY

ROUNDS = 3
SECONDS = 5
HAPROXY_PORT, REPLICAS_PORT = 8080, 8081

# The host leads each connection to REPLICAS_PORT to the next replica, as it leads those to a published port to their
# container. The replicas' network has no way out: to response, they have to know who asks.
SPREAD = """
table ip direct {{
    chain output {{
        type nat hook output priority -101;
        ip daddr {address} tcp dport {port} dnat to numgen inc mod {count} map {{ {replicas} }} : 8080
    }}
    chain postrouting {{
        type nat hook postrouting priority 99;
        ip daddr {{ {addresses} }} masquerade
    }}
}}
"""


def wrk(composed: Composed, port: int, *replicas: str) -> tuple[float, float]:
    """Requests a second and the 99th percentile in ms, of 100 connections from within the host. With `replicas` each has
    a thread of wrk's to itself."""
    done = subprocess.run(
        [
            "nsenter", "--target", str(composed.host.pid), "--net",
            "wrk", "--threads", str(len(replicas) or 2), "--connections", "100", "--duration", f"{SECONDS}s", "--latency",
            "--timeout", "20s",
            "--script", Path(__file__).parent / "wrk.lua", f"http://{composed.host.address}:{port}/", "--", *replicas,
        ],
        check=True, capture_output=True, text=True, timeout=SECONDS + 30,
    )
    answers, seconds, errors, p99 = done.stdout.strip().splitlines()[-1].split()
    assert int(errors) == 0, done.stdout
    return int(answers) / float(seconds), float(p99)


def test_through_haproxy_and_directly_to_the_replicas(composed: Composed, figure):
    """Wanted: at least half, and p99 within 20 ms. Noise of the machine fails nothing: the figures are printed.

    The same load takes both ways, and its connections are spread over the replicas on both. A thread of wrk's that has a
    replica to itself falls into step with it, and gets a fifth more out of it than clients who know nothing of each other:
    that is printed, too."""
    composed.clear()
    composed.host.put(Path(__file__).parent / "direct.yaml", DIRECTORY)
    composed.start(COMPOSE_FILE="compose.yaml:direct.yaml")
    replicas = [
        composed.host.run(
            "podman", "inspect", "--format", "{{.NetworkSettings.Networks.daybook_replicas.IPAddress}}", name
        ).strip()
        for name in composed.containers("daybook")
    ]
    spread = SPREAD.format(
        address=composed.host.address, port=REPLICAS_PORT, count=len(replicas), addresses=", ".join(replicas),
        replicas=", ".join(f"{number} : {replica}" for number, replica in enumerate(replicas)),
    )
    composed.host.run("nft", "-f", "-", input=spread)
    direct, in_step, through = [], [], []
    for _ in range(ROUNDS):
        direct.append(wrk(composed, REPLICAS_PORT))
        through.append(wrk(composed, HAPROXY_PORT))
        in_step.append(wrk(composed, REPLICAS_PORT, *replicas))
    composed.host.run("nft", "delete", "table", "ip", "direct")
    for name, runs in (("direct", direct), ("direct, in step", in_step), ("through HAProxy", through)):
        rate, p99 = median(run[0] for run in runs), median(run[1] for run in runs)
        figure(f"{name}: {rate:,.0f} requests/s, p99 {p99:.1f} ms (medians of {ROUNDS} runs of {SECONDS} s, c=100)")
    half, of_in_step = (median(ours[0] / theirs[0] for ours, theirs in zip(through, runs)) for runs in (direct, in_step))
    figure(f"ratio {half:.2f} (wanted: 0.5), to those in step {of_in_step:.2f}")
    assert len(composed.records()) > 0
