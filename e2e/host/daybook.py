"""daybook on the test host, in any form of deployment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import apsw

from client import Address
from host import Host
from system import OPERATOR_PORT

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def pinned(name: str) -> str:
    """The reference of a third-party image, from scripts/pins."""
    return subprocess.check_output([REPOSITORY / "scripts/pins", "image", name], text=True).strip()


# The repository's files on the host.
DIRECTORY = "/srv/daybook"
IMAGES = (
    "localhost/daybook:current",
    "localhost/daybook-restore:current",
    *map(pinned, ("haproxy", "litestream", "prometheus", "lego")),
    "localhost/daybook-e2e-acme:latest",
    "localhost/daybook-e2e-sftp:latest",
    "localhost/daybook-e2e-s3:latest",
)
# In Litestream's container: copies every commit, and returns when done.
SYNC = (
    "litestream", "sync", "-wait", "-timeout", "20", "-socket", "/run/litestream/litestream.sock",
    "/var/lib/daybook/requests.db",
)


class Daybook:
    """`http` is the public address, `database` the path on this machine."""

    def __init__(self, host: Host, http: Address, database: Path) -> None:
        self.host, self.http, self.database = host, http, database

    def bring(self, *files: str) -> None:
        """Copies the images and these repository files to the host."""
        save = subprocess.Popen(["podman", "save", "--quiet", "--multi-image-archive", *IMAGES], stdout=subprocess.PIPE)
        subprocess.run(
            self.host.enter("podman", "load", "--quiet"), stdin=save.stdout, stdout=subprocess.DEVNULL,
            check=True, timeout=300,
        )
        assert save.wait() == 0
        for name in files:
            self.host.put(REPOSITORY / name, f"{DIRECTORY}/{name}")

    def operator(self, path: str) -> str:
        """The body of a response of HAProxy's operator listener, which only the host can reach."""
        return self.host.run("curl", "--silent", "--fail", "--max-time", "5", f"http://127.0.0.1:{OPERATOR_PORT}{path}")

    def replica_metric(self, replica: int, name: str) -> float:
        return metric(self.operator(f"/replica/{replica}/metrics"), name)

    def rows(self, statement: str, *arguments: object, database: Path | None = None) -> list[tuple]:
        """The rows of a query, on the database in use or another one."""
        connection = apsw.Connection(str(database or self.database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5000)
            return list(connection.execute(statement, arguments))
        finally:
            connection.close()

    def missing(self, record_ids: list[int]) -> set[int]:
        """The acknowledged records that are not in the database."""
        return set(record_ids) - {row[0] for row in self.rows("select id from requests")}


def metric(text: str, name: str, *labels: str) -> float:
    """The sum of a metric's values over series with all these labels, such as `code="200"`."""
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))
