"""A server of quadlet/, with deploy/ installed as its README says."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from composed import REPOSITORY
from host import Host
from server import DIRECTORY, Server


@contextlib.contextmanager
def deployed() -> Iterator[Server]:
    subprocess.run([REPOSITORY / "e2e/versions/build"], check=True)
    with Host("server") as host:
        server = Server(host, "quadlet")
        server.prepare()
        host.put(REPOSITORY / "deploy", f"{DIRECTORY}/deploy")
        server.follow("Install")
        server.form = "deploy"
        server.follow("Install")
        server.form = "quadlet"
        yield server


def image_of(version: str) -> str:
    """The id of one of the images of e2e/versions."""
    command = ["podman", "image", "inspect", "--format", "{{.Id}}", f"localhost/daybook-e2e-{version}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
