"""Charts of what database size costs."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from costs import Size
from memory import QUEUED_RECORDS, Memory
from plots import pyplot, save


def draw_growth(sizes: list[Size], memory: Memory, directory: Path) -> list[Path]:
    return [draw_sizes(sizes, directory / "growth.svg"), draw_memory(memory, directory / "memory.svg")]


def draw_sizes(sizes: list[Size], path: Path) -> Path:
    """Cost against database size, one chart per unit."""
    figure, charts = pyplot.subplots(5, 1, sharex=True, figsize=(6, 10), layout="constrained")
    millions = [size.rows / 1e6 for size in sizes]
    ratios = [
        median(here / empty for here, empty in zip(size.requests_per_second, sizes[0].requests_per_second)) for size in sizes
    ]
    curves = (
        (f"requests/s, {sizes[0].rows:,} rows = 1", {"": ratios}),
        ("a page of the log, ms", {
            "the newest 50": [median(size.newest_page_ms) for size in sizes],
            "50 from the middle": [median(size.middle_page_ms) for size in sizes],
        }),
        ("ready after its start, ms", {"": [median(size.ready_ms) for size in sizes]}),
        ("Litestream's first copy, s", {"": [size.backup.first_copy_seconds for size in sizes]}),
        ("backup lag after a load, s", {
            "the median": [median(size.backup.behind_seconds) for size in sizes],
            "the largest": [max(size.backup.behind_seconds) for size in sizes],
        }),
    )
    for chart, (title, lines) in zip(charts.flat, curves):
        for label, values in lines.items():
            chart.plot(millions, values, "o-", label=label)
        if len(lines) > 1:
            chart.legend()
        highest = max((value for values in lines.values() for value in values if value > 0), default=1)
        # From zero, so that small changes look small.
        chart.set(title=title, ylim=(0, 1.15 * highest))
        chart.grid(alpha=0.3)
    charts[-1].set(xlabel="million rows")
    charts[-1].set_xticks(millions, [f"{count:g}" for count in millions])
    return save(figure, path)


def draw_memory(memory: Memory, path: Path) -> Path:
    figure, charts = pyplot.subplots(1, 2, sharey=True, figsize=(8, 3.5), layout="constrained")
    for chart, label, found in (
        (charts[0], "open connections", memory.by_connections),
        (charts[1], f"records in the queue, {QUEUED_RECORDS[-1]:,} connections open", memory.by_queued_records),
    ):
        chart.plot(list(found), [median(values) for values in found.values()], "o-")
        chart.set(xlabel=label, ylim=(0, None))
        chart.xaxis.set_major_formatter("{x:,.0f}")
        chart.grid(alpha=0.3)
    charts[0].set(ylabel="resident, MiB")
    return save(figure, path)
