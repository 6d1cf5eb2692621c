"""The system of compose.yaml on the test host."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from daybook import DIRECTORY, SYNC, Daybook
from host import Host

# podman-compose is in /usr/local/bin, docker-compose in /usr/bin; scripts/compose uses the first.
PATHS = {
    "podman-compose": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "docker-compose": "/usr/sbin:/usr/bin:/sbin:/bin",
}


# The services without profiles, and privileges() of a fully confined one.
ALWAYS = ("restore", "daybook", "haproxy", "litestream", "prometheus")
NONE = ", ".join(["0000000000000000"] * 4 + ["1", "read-only root"])


@dataclass(frozen=True)
class Contents:
    """A database's contents up to an id."""

    count: int
    last_id: int
    sha256: str


class Composed(Daybook):
    """Keeps its volumes until `clear`."""

    def __init__(self, host: Host) -> None:
        self.volumes = host.directory / "containers/storage/volumes"
        super().__init__(host, (host.address, 8080), self.volumes / "daybook_data/_data/requests.db")
        self.environment: list[str] = []

    def prepare(self) -> None:
        self.bring("compose.yaml", "compose.outbound.yaml", "project.env", ".containerignore", ".dockerignore", "scripts", "haproxy", "litestream", "prometheus")
        # The canary is the same program; HAProxy's counters tell which of the two responds.
        self.host.run("podman", "tag", "localhost/daybook:current", "localhost/daybook:next")
        self.host.run("systemctl", "start", "podman.socket")

    def start(self, provider: str = "podman-compose", **settings: str) -> str:
        """`make up` without building images. Returns its output."""
        self.environment = [f"PATH={PATHS[provider]}", *(f"{name}={value}" for name, value in settings.items())]
        up = ("sh", "-c", f"exec {DIRECTORY}/scripts/up 2>&1")
        return self.host.run("env", *self.environment, *up, seconds_max=150)

    def script(self, name: str, *arguments: str, seconds_max: float) -> str:
        command = (f"{DIRECTORY}/scripts/{name}", *arguments)
        return self.host.run("env", *self.environment, *command, seconds_max=seconds_max)

    def clear(self) -> None:
        """`make down`, and removes the volumes."""
        if self.environment:
            self.script("down", seconds_max=90)
        self.host.run("podman", "volume", "rm", "--all", "--force")
        self.environment = []

    def containers(self, service: str, state: str = "running") -> list[str]:
        """The container names of a service."""
        label = f"label=com.docker.compose.service={service}"
        lines = self.host.run(
            "podman", "ps", "--all", "--filter", label, "--filter", f"status={state}", "--format", "{{.Names}}"
        )
        return sorted(lines.split())

    def replicas(self) -> range:
        """The numbers of the replicas, without the canary."""
        return range(1, len(self.containers("daybook")) + 1)

    def kill(self, container: str) -> None:
        """kill -9 of its first process, past Podman, so that its restart policy applies."""
        pid = self.host.run("podman", "inspect", "--format", "{{.State.Pid}}", container).strip()
        self.host.run("kill", "-9", pid)

    def prometheus(self, path: str) -> dict:
        """The data of a Prometheus API response."""
        url = f"http://127.0.0.1:9090/api/v1/{path}"
        return json.loads(self.host.run("curl", "--silent", "--fail", "--max-time", "5", url))["data"]

    def targets_up(self) -> list[str]:
        """The job of each target; empty while one is not up."""
        targets = self.prometheus("targets")["activeTargets"]
        up = all(target["health"] == "up" for target in targets)
        return sorted(target["labels"]["job"] for target in targets) if up else []

    def privileges(self) -> set[tuple[str, str]]:
        """The service of each container, with the privileges of its first process."""
        found = set()
        for container in json.loads(self.host.run("podman", "inspect", *self.host.run("podman", "ps", "--quiet").split())):
            status = self.host.run("cat", f"/proc/{container['State']['Pid']}/status")
            lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            held = [lines[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")]
            root = "read-only root" if container["HostConfig"]["ReadonlyRootfs"] else "writable root"
            service = container["Config"]["Labels"]["com.docker.compose.service"]
            found.add((service, ", ".join([*held, root])))
        return found

    def all_copied(self) -> bool:
        """Whether Litestream runs and has copied every commit to the backup."""
        running = self.containers("litestream")
        return len(running) == 1 and self.host.attempt("podman", "exec", *running, *SYNC).returncode == 0

    def committed(self) -> list[int]:
        """The number of records each replica has committed."""
        return [int(self.replica_metric(number, "daybook_records_committed_total")) for number in self.replicas()]

    def records(self, path_prefix: str = "/") -> list[dict]:
        """The records with that path prefix, oldest first."""
        rows = self.rows("select id, path, method, remote_addr from requests order by id")
        names = ("id", "path", "method", "remote_addr")
        return [dict(zip(names, row)) for row in rows if row[1].startswith(path_prefix)]

    def contents(self, up_to: int = 1 << 62, database: Path | None = None) -> Contents:
        digest = hashlib.sha256()
        count, last_id = 0, 0
        for row in self.rows("select * from requests where id <= ? order by id", up_to, database=database):
            digest.update(json.dumps(row).encode())
            count, last_id = count + 1, row[0]
        return Contents(count, last_id, digest.hexdigest())

    def last_words(self) -> str:
        """The containers' last log lines, for a failed test."""
        return self.host.attempt(
            "sh", "-c", "podman ps --all; for name in $(podman ps --all --format '{{.Names}}'); do"
            " echo \"== $name\"; podman logs --tail 15 $name 2>&1; done",
        ).stdout


def eventually(seconds_max: float, condition, what: str):
    """Waits until `condition()` is true, and returns its result."""
    deadline = time.monotonic() + seconds_max
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds_max:.0f} s: {what}"
        time.sleep(0.2)
    return value
