"""A server of quadlet/, with deploy/ installed as its README says."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from daybook import DIRECTORY, REPOSITORY
from host import Host
from server import Server, commands


@contextlib.contextmanager
def deployed() -> Iterator[Server]:
    subprocess.run([REPOSITORY / "e2e/versions/build"], check=True)
    with Host("server") as host:
        server = Server(host, "quadlet")
        server.prepare()
        host.put(REPOSITORY / "deploy", f"{DIRECTORY}/deploy")
        server.follow("Install")
        follow(server, "Install")
        yield server


def follow(server: Server, heading: str) -> str:
    """Runs the commands under a heading of deploy/README.md; returns what they printed."""
    return server.shell(commands("deploy", heading))


def running(server: Server) -> list[str]:
    """The image of each replica."""
    names = [f"daybook-{number}" for number in range(1, 5)]
    return server.host.run("podman", "container", "inspect", "--format", "{{.Image}}", *names).split()


def image_of(version: str) -> str:
    """The id of one of the images of e2e/versions."""
    command = ["podman", "image", "inspect", "--format", "{{.Id}}", f"localhost/daybook-e2e-{version}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
