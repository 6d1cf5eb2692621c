"""The whole system of compose.yaml, on the test host."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import apsw

from host import Host

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Where the repository's files lie on the host.
DIRECTORY = "/srv/daybook"
FILES = ("compose.yaml", "scripts", "haproxy", "litestream", "prometheus")
# `next` is the same program: which of the two answers is told by HAProxy's counts.
IMAGES = {
    "localhost/daybook:current": ["localhost/daybook:next"],
    "localhost/daybook-restore:current": [],
    "docker.io/library/haproxy:3.0.11": [],
    "docker.io/litestream/litestream:0.5.17": [],
    "docker.io/prom/prometheus:v3.5.3": [],
    "localhost/daybook-e2e-sftp:latest": [],
    "localhost/daybook-e2e-s3:latest": [],
}
# podman-compose is in /usr/local/bin, docker-compose in /usr/bin; scripts/compose takes the first it finds.
PATHS = {
    "podman-compose": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "docker-compose": "/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True)
class Rows:
    """What a database holds, up to an id."""

    count: int
    last_id: int
    sha256: str


class Composed:
    """`http` is the public address. It starts with the settings it is given, and keeps its volumes until `clear`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.http = (host.address, 8080)
        self.volumes = host.directory / "containers/storage/volumes"
        self.environment: list[str] = []

    def prepare(self) -> None:
        """Brings the images and the repository's files to the host, as a deployment would."""
        save = subprocess.Popen(["podman", "save", "--quiet", "--multi-image-archive", *IMAGES], stdout=subprocess.PIPE)
        subprocess.run(
            self.host.enter("podman", "load", "--quiet"), stdin=save.stdout, stdout=subprocess.DEVNULL,
            check=True, timeout=300,
        )
        assert save.wait() == 0
        for image, further in IMAGES.items():
            for name in further:
                self.host.run("podman", "tag", image, name)
        for name in FILES:
            self.host.put(REPOSITORY / name, f"{DIRECTORY}/{name}")
        self.host.run("systemctl", "start", "podman.socket")

    def start(self, provider: str = "podman-compose", **settings: str) -> str:
        """`make up`, but for the image, which is here already. Returns what it printed."""
        self.environment = [f"PATH={PATHS[provider]}", *(f"{name}={value}" for name, value in settings.items())]
        return self.script("up", seconds_max=150)

    def script(self, name: str, *arguments: str, seconds_max: float) -> str:
        command = (f"{DIRECTORY}/scripts/{name}", *arguments)
        return self.host.run("env", *self.environment, *command, seconds_max=seconds_max)

    def clear(self) -> None:
        """`make down`, and no volume stays."""
        if self.environment:
            self.script("compose", "down", seconds_max=90)
        self.host.run("podman", "volume", "rm", "--all", "--force")
        self.environment = []

    def containers(self, service: str, state: str = "running") -> list[str]:
        """The names of a service's containers."""
        label = f"label=com.docker.compose.service={service}"
        lines = self.host.run(
            "podman", "ps", "--all", "--filter", label, "--filter", f"status={state}", "--format", "{{.Names}}"
        )
        return sorted(lines.split())

    def kill(self, container: str) -> None:
        """kill -9 of its first process, by no program of Podman's: it was not told to stop, and starts again."""
        pid = self.host.run("podman", "inspect", "--format", "{{.State.Pid}}", container).strip()
        self.host.run("kill", "-9", pid)

    def operator(self, path: str) -> str:
        """What HAProxy's operator listener, published to the host alone, answers there."""
        return self.host.run("curl", "--silent", "--fail", "--max-time", "5", f"http://127.0.0.1:9101{path}")

    def committed(self) -> list[int]:
        """How many records each replica has committed."""
        return [
            int(metric(self.operator(f"/replica/{number}/metrics"), "daybook_records_committed_total"))
            for number in range(1, 5)
        ]

    @property
    def database(self) -> Path:
        return self.volumes / "daybook_data/_data/requests.db"

    def query(self, statement: str, *arguments: object, database: Path | None = None) -> list[tuple]:
        connection = apsw.Connection(str(database or self.database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5000)
            return list(connection.execute(statement, arguments))
        finally:
            connection.close()

    def records(self, path_prefix: str = "/") -> list[dict]:
        """The records whose path begins so, oldest first."""
        rows = self.query("select id, path, method, remote_addr from requests order by id")
        names = ("id", "path", "method", "remote_addr")
        return [dict(zip(names, row)) for row in rows if row[1].startswith(path_prefix)]

    def missing(self, record_ids: list[int]) -> set[int]:
        """Those of the acknowledged records that are not in the database."""
        return set(record_ids) - {row[0] for row in self.query("select id from requests")}

    def rows(self, up_to: int = 1 << 62, database: Path | None = None) -> Rows:
        digest = hashlib.sha256()
        count, last_id = 0, 0
        for row in self.query("select * from requests where id <= ? order by id", up_to, database=database):
            digest.update(json.dumps(row).encode())
            count, last_id = count + 1, row[0]
        return Rows(count, last_id, digest.hexdigest())


def metric(text: str, name: str, *labels: str) -> float:
    """The sum of a metric's values, of those that have all the labels, such as `code="200"`."""
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))


def eventually(seconds_max: float, condition, what: str):
    """Waits until `condition()` is true, and returns what it was."""
    deadline = time.monotonic() + seconds_max
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds_max:.0f} s: {what}"
        time.sleep(0.2)
    return value
