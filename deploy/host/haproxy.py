"""HAProxy, by its runtime socket."""

from __future__ import annotations

import csv
import socket

from machine import Failure, wait

SOCKET = "/run/haproxy/admin.sock"
# Its checks come every 0.3 s.
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
    """Each server that requests are sent to, such as replicas/replica1, with what HAProxy counts of it."""
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
        raise Failure(f"HAProxy has no server {server}: does it run with the settings of today?") from None


def is_up(row: dict[str, str]) -> bool:
    return row["status"].startswith("UP")


def answers(server: str) -> int:
    """How many answers of 2xx to 4xx it has given."""
    row = row_of(server)
    return sum(int(row[f"hrsp_{code}xx"]) for code in (2, 3, 4))


def refuse_the_last(server: str) -> None:
    """Fails if this is the last one that is up."""
    up = [name for name, row in servers().items() if name.startswith("replicas/") and is_up(row)]
    if up == [server]:
        raise Failure(f"HAProxy has no other replica that is up beside {server}")


def drain(server: str) -> None:
    """Sends it nothing new, and goes on checking it. Never the last one that is up."""
    refuse_the_last(server)
    _set_state(server, "drain")


def ready(server: str) -> None:
    """Sends it requests again, from when the checks say that it is up."""
    _set_state(server, "ready")


def admit(server: str) -> None:
    """The same, and waits for it."""
    ready(server)
    wait_until_up(server)


def wait_until_up(server: str) -> None:
    def otherwise() -> str:
        row = row_of(server)
        return f"HAProxy does not reach it: {row['status']}, {row['check_status']} {row['last_chk']}".rstrip()

    wait(UP_SECONDS_MAX, lambda: is_up(row_of(server)), otherwise)


def _set_state(server: str, state: str) -> None:
    if said := command(f"set server {server} state {state}").strip():
        raise Failure(f"HAProxy, asked to {state} {server}: {said}")
