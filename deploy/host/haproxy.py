"""HAProxy's runtime socket."""

from __future__ import annotations

import csv
import socket

from machine import Failure, wait

SOCKET = "/run/haproxy/admin.sock"
# HAProxy checks every 0.3 s.
UP_SECONDS_MAX = 15


def command(text: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(SOCKET)
            connection.sendall(text.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    except OSError as error:
        raise Failure(f"HAProxy's runtime socket {SOCKET}: {error.strerror or error}") from None


def servers() -> dict[str, dict[str, str]]:
    """The statistics of each server that gets requests, such as replicas/replica1."""
    rows = csv.DictReader(command("show stat").lstrip("# ").splitlines())
    backends = ("replicas", "next")
    return {
        f"{row['pxname']}/{row['svname']}": row
        for row in rows
        if row["pxname"] in backends and row["svname"] != "BACKEND"
    }


def row_of(server: str) -> dict[str, str]:
    try:
        return servers()[server]
    except KeyError:
        raise Failure(f"HAProxy has no server {server}: restart HAProxy with the current settings") from None


def is_up(row: dict[str, str]) -> bool:
    return row["status"].startswith("UP")


def responses(server: str) -> int:
    """The number of its responses from 2xx to 4xx."""
    row = row_of(server)
    return sum(int(row[f"hrsp_{code}xx"]) for code in (2, 3, 4))


def refuse_the_last(server: str) -> None:
    """Fails if no other replica is up."""
    up = [name for name, row in servers().items() if name.startswith("replicas/") and is_up(row)]
    if up == [server]:
        raise Failure(f"{server} is the only replica that is up in HAProxy")


def drain(server: str) -> None:
    """Stops new requests to it, but not its health checks. Never the last replica that is up."""
    refuse_the_last(server)
    _set_state(server, "drain")


def ready(server: str) -> None:
    """Sends it requests again once its health checks pass."""
    _set_state(server, "ready")


def admit(server: str) -> None:
    """Like `ready`, and waits until it is up."""
    ready(server)
    wait_until_up(server)


def wait_until_up(server: str) -> None:
    def otherwise() -> str:
        row = row_of(server)
        return f"HAProxy does not reach it: {row['status']}, {row['check_status']} {row['last_chk']}".rstrip()

    wait(UP_SECONDS_MAX, lambda: is_up(row_of(server)), otherwise)


def _set_state(server: str, state: str) -> None:
    if said := command(f"set server {server} state {state}").strip():
        raise Failure(f"HAProxy did not set {server} to {state}: {said}")
