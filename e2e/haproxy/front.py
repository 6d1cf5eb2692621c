"""The front of server/sites/ before systems of system.py."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from client import Address, ask
from system import REPOSITORY, environment, wait_until

SITES = REPOSITORY / "server/sites"


class Front:
    """As a context manager. `directory` has its configuration and the sites' sockets."""

    def __init__(self, haproxy: Path, directory: Path) -> None:
        self._haproxy, self.directory = haproxy, directory
        # It inherits them, as from systemd.
        self._listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.http, self.https = (each.getsockname() for each in self._listening)
        self._processes: list[subprocess.Popen] = []
        (directory / "00-front.cfg").write_text((SITES / "00-front.cfg").read_text())

    def add(self, name: str, *keys: str) -> dict[str, str]:
        """Writes what a project's installer writes. Returns the variables of the project's own HAProxy."""
        (self.directory / f"{name}.cfg").write_text((SITES / "daybook.cfg").read_text().replace("daybook", name))
        names = self.directory / f"{name}.map"
        names.write_text("".join(f"{key} {name}\n" for key in keys))
        sockets = {f"HAPROXY_{kind.upper()}": f"unix@{self.directory}/{name}.{kind}.sock" for kind in ("http", "https")}
        return {**sockets, "HAPROXY_SITES": str(names)}

    def __enter__(self) -> Front:
        self._start()
        wait_until(lambda: ask(self.http, host="unknown.example").status == 421, "the front responds")
        return self

    def reload(self) -> None:
        """As its master process does: the old process stops accepting, and ends with its last connection."""
        self._start("-sf", str(self._processes[-1].pid))

    def _start(self, *arguments: str) -> None:
        # As its unit does.
        maps = sorted(self.directory.glob("*.map"))
        (self.directory / "all").write_text("".join(each.read_text() for each in maps))
        variables = {
            "SITES_HTTP": "fd@3", "SITES_HTTPS": "fd@4", "SITES_SOCKETS": str(self.directory),
            "SITES_MAP": str(self.directory / "all"),
        }
        high = [os.dup2(each.fileno(), 100 + number) for number, each in enumerate(self._listening)]
        moved = " ".join(f"{3 + number}<&{descriptor} {descriptor}<&-" for number, descriptor in enumerate(high))
        with (self.directory / "front.err").open("a") as errors:
            self._processes.append(subprocess.Popen(
                ["bash", "-c", f'exec {moved}; exec "$@"', "bash", self._haproxy, "-db", "-f", self.directory, *arguments],
                pass_fds=high, env=environment(variables), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            ))
        for descriptor in high:
            os.close(descriptor)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for each in self._listening:
            each.close()


def answer(address: Address, request: bytes) -> bytes:
    """The first bytes that the server sends after these; none if it closes the connection."""
    with socket.create_connection(address, timeout=15) as connection:
        connection.sendall(request)
        try:
            return connection.recv(65536)
        except ConnectionError:
            return b""
