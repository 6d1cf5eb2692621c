"""daybook as quadlet/ and systemd/ install it, on the test host. What their READMEs say is run as it is written there."""

from __future__ import annotations

import json
import socket
import subprocess

import apsw

from client import Address, ask
from composed import REPOSITORY, eventually
from host import Host

# Where the repository's files lie on the host.
DIRECTORY = "/srv/daybook"
FILES = ("quadlet", "systemd", "haproxy", "litestream", "prometheus")
IMAGES = (
    "localhost/daybook:current",
    "localhost/daybook-restore:current",
    "docker.io/library/haproxy:3.0.11",
    "docker.io/litestream/litestream:0.5.17",
    "docker.io/prom/prometheus:v3.5.3",
    "localhost/daybook-e2e-sftp:latest",
    "localhost/daybook-e2e-s3:latest",
)


class Server:
    """`http` is the public address."""

    def __init__(self, host: Host, form: str) -> None:
        self.host = host
        self.form = form
        self.http = (host.address, 80)
        self.database = {
            "quadlet": host.directory / "containers/storage/volumes/daybook-data/_data/requests.db",
            "systemd": host.directory / "containers/private/daybook/requests.db",
        }[form]

    def prepare(self) -> None:
        """Brings the images and the repository's files to the host, as a deployment would."""
        save = subprocess.Popen(["podman", "save", "--quiet", "--multi-image-archive", *IMAGES], stdout=subprocess.PIPE)
        subprocess.run(
            self.host.enter("podman", "load", "--quiet"), stdin=save.stdout, stdout=subprocess.DEVNULL,
            check=True, timeout=300,
        )
        assert save.wait() == 0
        for name in FILES:
            self.host.put(REPOSITORY / name, f"{DIRECTORY}/{name}")
        # All requests come from one address here.
        self.host.run("sed", "-i", "s/^HAPROXY_RATE_LIMIT=.*/HAPROXY_RATE_LIMIT=off/", f"{DIRECTORY}/systemd/daybook.env")

    def shell(self, commands: str, seconds_max: float = 90) -> str:
        return self.host.run("bash", "-euc", f"cd {DIRECTORY}\n{commands}", seconds_max=seconds_max)

    def follow(self, heading: str) -> str:
        """Runs the commands under a heading; returns what they printed."""
        return self.shell(commands(self.form, heading))

    def units(self, *patterns: str, state: str = "active") -> list[str]:
        """The names of the units that match and are in that state."""
        lines = self.host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"--state={state}", *patterns)
        return sorted(line.split()[0] for line in lines.splitlines())

    def main_pid(self, unit: str) -> str:
        """The process that serves."""
        if self.form == "quadlet":
            name = unit.removesuffix(".service").replace("@", "-")
            return self.host.run("podman", "inspect", "--format", "{{.State.Pid}}", name).strip()
        return self.host.run("systemctl", "show", "--property=MainPID", "--value", unit).strip()

    def operator(self, path: str) -> str:
        return self.host.run("curl", "--silent", "--fail", "--max-time", "5", f"http://127.0.0.1:9101{path}")

    def replicas_up(self) -> int:
        """How many replicas HAProxy sends requests to."""
        lines = self.operator("/haproxy/metrics").splitlines()
        return sum(line.startswith('haproxy_server_status{proxy="replicas",') and 'state="UP"} 1' in line for line in lines)

    def replica_metric(self, replica: int, name: str) -> float:
        lines = self.operator(f"/replica/{replica}/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def rows(self, statement: str, *arguments: object) -> list[tuple]:
        connection = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5000)
            return list(connection.execute(statement, arguments))
        finally:
            connection.close()

    def missing(self, record_ids: list[int]) -> set[int]:
        """Those of the acknowledged records that are not in the database."""
        return set(record_ids) - {row[0] for row in self.rows("select id from requests")}

    def reachable(self, *ports: int) -> list[int]:
        """Those of the ports that answer from outside."""
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
        """What of daybook still runs, listens or lies about."""
        units = self.units("daybook*.socket", "daybook*@*.service", "haproxy.*", "litestream.service", "prometheus.service")
        containers = json.loads(self.host.run("podman", "ps", "--all", "--format", "json"))
        processes = self.host.run("sh", "-c", "ps -eo args | grep -E '^/?(usr/.*/)?(daybook|haproxy|litestream)' || true")
        listening = self.host.run("sh", "-c", "ss -Hltn 'sport = 80 or sport = 8080 or sport = 9101 or sport = 9102'")
        sockets = self.host.run("sh", "-c", "ls /run/daybook")
        names = [name for container in containers for name in container["Names"] if name != "sftp"]
        return [*units, *names, *processes.splitlines(), *listening.splitlines(), *sockets.split()]


def commands(folder: str, heading: str) -> str:
    """The commands that stand under a heading of that folder's README."""
    readme = (REPOSITORY / folder / "README.md").read_text()
    section = readme.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def socket_opens(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
        return True
    except OSError:
        return False
