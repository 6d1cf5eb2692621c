"""HAProxy's cost: throughput through it and past it, interleaved, with the load generator on the same machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

from composed import Composed
from daybook import DIRECTORY

ROUNDS = 3
SECONDS = 5
HAPROXY_PORT, REPLICAS_PORT = 8080, 8081

# nftables distributes connections to REPLICAS_PORT over the replicas, as a published port does for one container. Masquerading lets
# replicas on their internal network respond.
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
    """Requests/s and p99 in ms with 100 connections from within the host. With `replicas`, each has its own wrk thread."""
    done = subprocess.run(
        [
            "nsenter", "--target", str(composed.host.pid), "--net",
            "wrk", "--threads", str(len(replicas) or 2), "--connections", "100", "--duration", f"{SECONDS}s", "--latency",
            "--timeout", "20s",
            "--script", Path(__file__).parent / "wrk.lua", f"http://{composed.host.address}:{port}/", "--", *replicas,
        ],
        check=True, capture_output=True, text=True, timeout=SECONDS + 30,
    )
    responses, seconds, errors, p99 = done.stdout.strip().splitlines()[-1].split()
    assert int(errors) == 0, done.stdout
    return int(responses) / float(seconds), float(p99)


def test_through_haproxy_and_directly_to_the_replicas(composed: Composed, figure):
    """Goal: at least half, and p99 within 20 ms. Only printed, because the machine is noisy.

    Both ways get the same load, spread over the replicas. A wrk thread with a replica of its own falls into step with it, and
    gets a fifth more than independent clients; that is printed, too."""
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
