"""daybook as quadlet/ and systemd/ install it, on the test host. The commands come from their READMEs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

from client import Address, ask
from composed import eventually
from daybook import DIRECTORY, REPOSITORY, Daybook, metric, pinned
from host import Host

# HAProxy's port for the operator, on the loopback.
OPERATOR_PORT = int(re.search(r"127\.0\.0\.1:(\d+)", (REPOSITORY / "server/haproxy.socket").read_text())[1])
FILES = ("quadlet", "systemd", "server", "haproxy", "litestream", "prometheus", "deploy", "scripts")


class Server(Daybook):
    def __init__(self, host: Host, form: str) -> None:
        database = {"quadlet": "storage/volumes/daybook-data/_data", "systemd": "private/daybook"}[form]
        super().__init__(host, (host.address, 80), host.directory / "containers" / database / "requests.db")
        self.form = form

    def prepare(self) -> None:
        """Puts in place what the form's README presumes."""
        self.bring(*FILES)
        # All requests of the tests come from one address.
        self.host.run("sed", "-i", "s/^HAPROXY_RATE_LIMIT=.*/HAPROXY_RATE_LIMIT=off/", f"{DIRECTORY}/server/daybook.env")
        if self.form == "systemd":
            program = subprocess.check_output([REPOSITORY / "e2e/haproxy/program", "3.0"], text=True).strip()
            self.host.put(Path(program).parent, f"{DIRECTORY}/haproxy-3.0")
            self.shell(DISK + PROGRAMS)

    def commands(self, heading: str, page: str = "") -> str:
        """The commands under a heading of the form's README, or of another folder's."""
        readme = (REPOSITORY / (page or self.form) / "README.md").read_text()
        section = readme.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))

    def shell(self, commands: str, seconds_max: float = 90) -> str:
        return self.host.run("bash", "-euc", f"cd {DIRECTORY}\n{commands}", seconds_max=seconds_max)

    def follow(self, heading: str, page: str = "") -> str:
        """Runs the commands under a heading; returns what they printed."""
        return self.shell(self.commands(heading, page))

    def units(self, *patterns: str, state: str = "active") -> list[str]:
        """The names of the units that match and are in that state."""
        lines = self.host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"--state={state}", *patterns)
        return sorted(line.split()[0] for line in lines.splitlines())

    def failed_units(self) -> list[str]:
        """May include the health check of a container that has just started, until the next check."""
        return self.units(state="failed")

    def main_pid(self, unit: str) -> str:
        """The process that serves."""
        if self.form == "quadlet":
            name = unit.removesuffix(".service").replace("@", "-")
            return self.host.run("podman", "inspect", "--format", "{{.State.Pid}}", name).strip()
        return self.host.run("systemctl", "show", "--property=MainPID", "--value", unit).strip()

    def replicas(self) -> range:
        """The numbers of the replicas, as daybook-scale has set them."""
        count = self.host.run("sed", "-n", "s/^HAPROXY_REPLICAS=//p", "/etc/daybook/daybook.env")
        return range(1, int(count) + 1)

    def replica_pids(self) -> list[str]:
        """The process of each replica."""
        return [self.main_pid(f"daybook@{number}.service") for number in self.replicas()]

    def replicas_up(self) -> int:
        """How many replicas HAProxy sends requests to."""
        return int(metric(self.operator("/haproxy/metrics"), "haproxy_server_status", 'proxy="replicas"', 'state="UP"'))

    def reachable(self, *ports: int) -> list[int]:
        """The ports of these that accept connections from outside."""
        return [port for port in ports if socket_opens((self.host.address, port))]

    def serves(self) -> bool:
        try:
            return ask(self.http).status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.host.run("systemctl", "stop", "daybook.target")
        eventually(30, lambda: not self.leftovers(), "nothing is left")

    def leftovers(self) -> list[str]:
        """The units, processes, ports and sockets of daybook that are left."""
        units = self.units("daybook*.socket", "daybook*@*.service", "haproxy*", "litestream.service", "prometheus.service")
        containers = json.loads(self.host.run("podman", "ps", "--all", "--format", "json"))
        processes = self.host.run("sh", "-c", "ps -eo args | grep -E '^/?(usr/.*/)?(daybook|haproxy|litestream)' || true")
        ports = " or ".join(f"sport = {port}" for port in (80, 443, 8080, OPERATOR_PORT, 9102))
        listening = self.host.run("ss", "-Hltn", ports)
        sockets = self.host.run("sh", "-c", "ls /run/daybook")
        names = [name for container in containers for name in container["Names"] if name not in ("sftp", "acme")]
        return [*units, *names, *processes.splitlines(), *listening.splitlines(), *sockets.split()]

    def last_words(self) -> str:
        """The end of the journal, for the report of a failed test: the host is removed afterwards."""
        return self.host.attempt("sh", "-c", "systemctl --failed --no-pager; journalctl --no-pager --lines 80").stdout


# Keeps the state on a real file system, as on a server; the test host's root is an overlay.
DISK = """
    mkdir -p -m 700 /var/lib/containers/private /var/lib/private
    echo '/var/lib/containers/private /var/lib/private none bind' >>/etc/fstab
    mount /var/lib/private
"""
# The programs that systemd/ needs: Litestream and lego from the images, and Debian 13's HAProxy, of an older series than the
# image's.
PROGRAMS = f"""
    groupadd --system haproxy
    useradd --system --gid haproxy --home-dir /var/lib/haproxy --shell /usr/sbin/nologin haproxy
    container=$(podman create {pinned("litestream")})
    podman cp "$container:/usr/local/bin/litestream" /usr/local/bin/litestream
    podman rm "$container"
    container=$(podman create {pinned("lego")})
    podman cp "$container:/lego" /usr/bin/lego
    podman rm "$container"
    cp {DIRECTORY}/haproxy-3.0/usr/sbin/haproxy /usr/sbin/haproxy
    cp --update=none {DIRECTORY}/haproxy-3.0/usr/lib/*-linux-gnu/*.so.* /usr/lib/*-linux-gnu/
"""


def socket_opens(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
        return True
    except OSError:
        return False
