"""The rows in their order, and the wanted figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daybook import BehindHAProxy, Daybook, WithLitestream
from load import Load
from others import Nginx, NginxBehindHAProxy, PocketBase, Seed
from postgres import PostgreSQL
from subject import Subject
from tools import Tools

DEFAULT_REPLICAS = max(2, min(8, os.cpu_count() or 2))
"""The default of `make up` and of the installers."""


@dataclass(frozen=True)
class Row:
    """One service under one load."""

    name: str
    make: Callable[[Path, Tools], Subject]
    load: Load = Load()


def daybook(replicas: int, mode: str, as_units: bool = False) -> Callable[[Path, Tools], Subject]:
    return lambda work, tools: Daybook(work, tools, replicas, mode, as_units)


def seed(work: Path, tools: Tools) -> Subject:
    return Seed(work, tools, processes=4)


def haproxy(mode: str = "normal", as_units: bool = False, replicas: int = 4) -> Callable[[Path, Tools], Subject]:
    return lambda work, tools: BehindHAProxy(work, tools, replicas, mode, as_units)


def through_haproxy() -> list[Row]:
    """The default number of replicas behind HAProxy, and the upper bound: HAProxy before an nginx that returns 200."""
    rows = []
    for suffix, as_units in (("", False), (", as units", True)):
        nginx = lambda work, tools, as_units=as_units: NginxBehindHAProxy(work, tools, as_units)
        rows += [
            Row(f"HAProxy on unix sockets, {DEFAULT_REPLICAS} × full{suffix}", haproxy("full", as_units, DEFAULT_REPLICAS)),
            Row(f"HAProxy on a unix socket, nginx's bare 200{suffix}", nginx),
            Row(f"HAProxy on unix sockets, {DEFAULT_REPLICAS} × normal{suffix}", haproxy("normal", as_units, DEFAULT_REPLICAS)),
        ]
    return rows


def rows() -> list[Row]:
    """Compared rows are close together, because a machine's speed changes within minutes."""
    measured = [
        Row("nginx, a bare `return 200`", Nginx),
        *(Row(f"2 × {mode}", daybook(2, mode)) for mode in ("normal", "full")),
        *(Row(f"{replicas} × {mode}", daybook(replicas, mode)) for replicas in (1, 4) for mode in ("full", "off", "normal")),
        *through_haproxy(),
        Row("HAProxy on unix sockets, 4 × normal", haproxy()),
        Row("HAProxy on unix sockets, 4 × normal, as units", haproxy(as_units=True)),
        Row("4 × normal, as units", daybook(4, "normal", as_units=True)),
        Row("HAProxy on unix sockets, 4 × full, as units", haproxy("full", as_units=True)),
        Row("4 × full, as units", daybook(4, "full", as_units=True)),
        Row("with Litestream, 4 × normal", lambda work, tools: WithLitestream(work, tools, 4, "normal")),
        Row("seed, 4 × recording", seed),
        Row("PocketBase", PocketBase),
        Row("PostgreSQL, an insert a request", lambda work, tools: PostgreSQL(work, tools, "insert")),
        Row("PostgreSQL, group-committed", lambda work, tools: PostgreSQL(work, tools, "group")),
        Row("4 × normal, hey", daybook(4, "normal"), Load(tool="hey")),
        Row("seed, 4 × recording, hey", seed, Load(tool="hey")),
    ]
    for connections in CONNECTIONS:
        for mode in ("normal", "full"):
            measured.append(Row(f"4 × {mode}, {connections} connections", daybook(4, mode), Load(connections=connections)))
    for size, name in ((1024, "1 KiB"), (102400, "100 KiB")):
        for mode in ("off", "normal"):
            measured.append(Row(f"4 × {mode}, bodies of {name}", daybook(4, mode), Load(body_bytes=size)))
    for rate in RATES:
        load = Load(tool="oha", requests_per_second=rate)
        measured.append(Row(f"4 × full at {rate:,}/s", daybook(4, "full"), load))
    return measured


CONNECTIONS = (10, 400, 1000, 2000)
"""In addition to 100."""
RATES = (2_000, 5_000, 10_000, 15_000)


@dataclass(frozen=True)
class Ratio:
    """Requests per second of one row divided by those of another, per round."""

    name: str
    of: str
    to: str
    at_least: float | None = None


def through_haproxy_ratios() -> list[Ratio]:
    """Throughput with daybook over the most that HAProxy can pass on."""
    return [
        Ratio(
            f"{DEFAULT_REPLICAS} × `{mode}` / nginx's bare 200, both through HAProxy{suffix}",
            f"HAProxy on unix sockets, {DEFAULT_REPLICAS} × {mode}{suffix}",
            f"HAProxy on a unix socket, nginx's bare 200{suffix}",
            at_least,
        )
        for suffix in ("", ", as units")
        for mode, at_least in (("normal", 0.85), ("full", 0.75))
    ]


RATIOS = (
    *through_haproxy_ratios(),
    Ratio("recorded (`normal`) / not recorded, 1 replica", "1 × normal", "1 × off", 0.90),
    Ratio("recorded (`normal`) / not recorded, 4 replicas", "4 × normal", "4 × off", 0.90),
    Ratio("`full` / `normal`, 1 replica", "1 × full", "1 × normal"),
    Ratio("`full` / `normal`, 4 replicas", "4 × full", "4 × normal", 0.80),
    Ratio("`full` / `normal`, 4 replicas, 400 connections", "4 × full, 400 connections", "4 × normal, 400 connections", 0.95),
    Ratio("4 replicas / 1 replica, recording", "4 × normal", "1 × normal", 0.95),
    Ratio("4 replicas / the seed's 4 processes, `wrk`", "4 × normal", "seed, 4 × recording", 20),
    Ratio("4 replicas / the seed's 4 processes, `hey`", "4 × normal, hey", "seed, 4 × recording, hey", 8),
    Ratio("with Litestream / without", "with Litestream, 4 × normal", "4 × normal", 0.85),
    Ratio("through HAProxy on unix sockets / direct", "HAProxy on unix sockets, 4 × normal", "4 × normal", 0.60),
    Ratio("through HAProxy / direct, as units", "HAProxy on unix sockets, 4 × normal, as units", "4 × normal, as units", 0.60),
    Ratio("through HAProxy / direct, as units, `full`", "HAProxy on unix sockets, 4 × full, as units", "4 × full, as units", 0.50),
    Ratio("recorded / not recorded, bodies of 1 KiB", "4 × normal, bodies of 1 KiB", "4 × off, bodies of 1 KiB"),
    Ratio("recorded / not recorded, bodies of 100 KiB", "4 × normal, bodies of 100 KiB", "4 × off, bodies of 100 KiB"),
    Ratio("4 × `normal` / PocketBase", "4 × normal", "PocketBase"),
    Ratio("4 × `full` / PostgreSQL, an insert a request", "4 × full", "PostgreSQL, an insert a request"),
    Ratio("4 × `full` / PostgreSQL, group-committed", "4 × full", "PostgreSQL, group-committed"),
    Ratio("4 × `normal` / nginx's bare 200", "4 × normal", "nginx, a bare `return 200`"),
)


@dataclass(frozen=True)
class Latency:
    """A percentile of one row, in milliseconds."""

    name: str
    of: str
    percentile: str
    at_most_ms: float


LATENCIES = (
    Latency("p99, 4 × `normal`", "4 × normal", "99", 5),
    Latency("worst, 4 × `normal`", "4 × normal", "100", 20),
    Latency("p99 through HAProxy on unix sockets", "HAProxy on unix sockets, 4 × normal", "99", 20),
    Latency("p99 through HAProxy, as units", "HAProxy on unix sockets, 4 × normal, as units", "99", 20),
    Latency("p99 through HAProxy, as units, `full`", "HAProxy on unix sockets, 4 × full, as units", "99", 20),
    Latency("worst with Litestream", "with Litestream, 4 × normal", "100", 250),
)
