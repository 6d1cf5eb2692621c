"""One replica: unit, container and two sockets."""

from __future__ import annotations

import contextlib

import checks
from machine import Failure, TimedOut, run, wait

# Longer than a replica's StopTimeout= plus its start.
RESTART_SECONDS_MAX = 45
READY_SECONDS_MAX = 10


class Replica:
    """`name` is its number or `next`."""

    def __init__(self, name: str) -> None:
        self.name = name
        unit = "daybook-next" if name == "next" else f"daybook@{name}"
        self.service = f"{unit}.service"
        self.socket = f"{unit}.socket"
        self._admin_socket = "daybook-next-admin.socket" if name == "next" else f"daybook-admin@{name}.socket"
        self._container = f"daybook-{name}"
        self.server = "next/next1" if name == "next" else f"replicas/replica{name}"
        self.public = f"/run/daybook/{name}.sock"
        self.admin = f"/run/daybook/{name}.admin.sock"

    def __str__(self) -> str:
        return "next" if self.name == "next" else f"replica {self.name}"

    def image(self) -> str | None:
        """The image that it runs, or None."""
        try:
            return run("podman", "container", "inspect", "--format", "{{.Image}}", self._container).strip()
        except Failure:
            return None

    def restart(self) -> None:
        """Restarts it from any state. Earlier failures of the unit and its sockets do not count against this start."""
        with contextlib.suppress(Failure):
            run("systemctl", "reset-failed", self.service, self.socket, self._admin_socket)
        try:
            run("systemctl", "restart", self.service, seconds_max=RESTART_SECONDS_MAX)
        except TimedOut:
            why = f"no READY=1 within {RESTART_SECONDS_MAX} s"
            raise Failure(f"it does not start ({why}): journalctl -u {self.service}") from None
        except Failure:
            raise Failure(f"it does not start ({self._why()}): journalctl -u {self.service}") from None
        wait(READY_SECONDS_MAX, lambda: self._unready() == "", lambda: f"it is not ready: {self._unready()}")

    def _unready(self) -> str:
        try:
            status, reason, _ = checks.exchange(checks.UnixConnection(self.admin), "GET", "/readyz")
        except Failure as failure:
            return str(failure)
        return "" if status == 200 else f"{status} {reason.decode(errors='replace').strip()}"

    def _why(self) -> str:
        """Why the start failed, according to systemd."""
        shown = run("systemctl", "show", "--property=Result,ExecMainStatus", self.service)
        state = dict(line.split("=", 1) for line in shown.splitlines())
        # A connection to its socket may have started it again.
        return "it exits at once" if state["Result"] == "success" else f"{state['Result']}, exit status {state['ExecMainStatus']}"

    def check(self, requests: list[checks.Request]) -> None:
        for request in requests:
            checks.send(request, checks.UnixConnection(self.public), self.admin)
