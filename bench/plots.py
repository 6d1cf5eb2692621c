"""The figures as SVG charts, with matplotlib."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "daybook"  # Reproducible files.

from matplotlib import pyplot  # noqa: E402

from measure import Measurement  # noqa: E402
from report import Measured  # noqa: E402
from suite import CONNECTIONS  # noqa: E402

LATENCY_ROWS = ("4 × normal", "4 × full", "HAProxy on unix sockets, 4 × normal", "with Litestream, 4 × normal",
                "seed, 4 × recording")
PERCENTILES = ("50", "75", "90", "95", "99", "99.9", "100")


def draw(measured: Measured, directory: Path) -> list[Path]:
    by_name = {row.name: runs for row, runs in measured.items()}
    return [draw_connections(by_name, directory / "connections.svg"), draw_latency(by_name, directory / "latency.svg")]


def draw_connections(by_name: dict[str, list[Measurement]], path: Path) -> Path:
    """Throughput and p99 against connections."""
    figure, (throughput, p99) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    for mode in ("normal", "full"):
        points = []
        for connections in sorted((100, *CONNECTIONS)):
            name = f"4 × {mode}" if connections == 100 else f"4 × {mode}, {connections} connections"
            if name in by_name:
                points.append((connections, by_name[name]))
        counts = [count for count, _ in points]
        throughput.plot(counts, [median(run.requests_per_second for run in runs) for _, runs in points], "o-", label=mode)
        p99.plot(counts, [median(run.percentiles_ms["99"] for run in runs) for _, runs in points], "o-", label=mode)
    throughput.set(title="4 replicas, recording", ylabel="requests/s", ylim=(0, None), xscale="log")
    p99.set(ylabel="p99, ms", xlabel="connections", ylim=(0, None))
    throughput.legend()
    p99.set_xticks(counts, [f"{count:,}" for count in counts])
    p99.minorticks_off()
    for axes in (throughput, p99):
        axes.grid(alpha=0.3)
    return save(figure, path)


def draw_latency(by_name: dict[str, list[Measurement]], path: Path) -> Path:
    """The distribution of latency at 100 connections."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name in LATENCY_ROWS:
        if name in by_name:
            runs = by_name[name]
            values = [median(run.percentiles_ms[percentile] for run in runs) for percentile in PERCENTILES]
            axes.plot(range(len(PERCENTILES)), values, "o-", label=name)
    axes.set(title="Latency at 100 connections", ylabel="ms", yscale="log", xlabel="percentile")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xticks(range(len(PERCENTILES)), [*PERCENTILES[:-1], "worst"])
    axes.grid(alpha=0.3)
    axes.legend()
    return save(figure, path)


def save(figure: pyplot.Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
