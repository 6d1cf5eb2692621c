"""The operator who deploys from this machine, with `make` and ssh as root; and the images to deploy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from daybook import REPOSITORY
from host import Host
from server import Server

NAME = "server"


class Operator:
    """`directory` holds the ssh configuration, which names the server `server`."""

    def __init__(self, host: Host, directory: Path) -> None:
        key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        public = key.with_suffix(".pub").read_text()
        host.run("install", "-D", "-m", "600", "/dev/stdin", "/root/.ssh/authorized_keys", input=public)
        (directory / "config").write_text(
            f"Host {NAME}\nHostName {host.address}\nUser root\nIdentityFile {key}\nIdentitiesOnly yes\n"
            f"StrictHostKeyChecking accept-new\nUserKnownHostsFile {directory}/known_hosts\nBatchMode yes\n"
        )
        # ssh takes the home directory from the account, not from HOME.
        ssh = directory / "bin/ssh"
        ssh.parent.mkdir()
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {directory}/config "$@"\n')
        ssh.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{ssh.parent}:{os.environ['PATH']}",
            "PODMAN_BUILD_FLAGS": "--isolation=chroot --network=host --pull=never",
        }

    def start(self, action: str, **variables: str) -> subprocess.Popen[str]:
        """Starts `make ACTION HOST=server …`, with all output on one pipe."""
        given = {"HOST": NAME, **variables}
        return subprocess.Popen(
            ["make", "--no-print-directory", action, *(f"{name}={value}" for name, value in given.items())],
            cwd=REPOSITORY, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )

    def attempt(self, action: str, **variables: str) -> tuple[int, str]:
        """Runs it to its end; returns exit status and output."""
        process = self.start(action, **variables)
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            process.kill()
        return process.returncode, said

    def make(self, action: str, **variables: str) -> str:
        status, said = self.attempt(action, **variables)
        assert status == 0, said
        return said


def image_of(version: str) -> str:
    """The id of one of the images of e2e/versions."""
    command = ["podman", "image", "inspect", "--format", "{{.Id}}", f"localhost/daybook-e2e-{version}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def tag_current(server: Server, version: str) -> None:
    """Makes another image `current`, without a deploy."""
    image = image_of(version)
    save = subprocess.Popen(["podman", "save", "--quiet", image], stdout=subprocess.PIPE)
    subprocess.run(server.host.enter("podman", "load", "--quiet"), stdin=save.stdout, stdout=subprocess.DEVNULL, check=True)
    assert save.wait() == 0
    server.host.run("podman", "tag", image, "localhost/daybook:current")


def named(server: Server, tag: str) -> str:
    """The id of localhost/daybook:TAG on the server."""
    return server.host.run("podman", "image", "inspect", "--format", "{{.Id}}", f"localhost/daybook:{tag}").strip()


def running(server: Server) -> list[str]:
    """The image of each replica."""
    names = [f"daybook-{number}" for number in range(1, 5)]
    return server.host.run("podman", "container", "inspect", "--format", "{{.Image}}", *names).split()


def until(process: subprocess.Popen[str], text: str) -> str:
    """Reads a deploy's output up to a line with the text; returns it."""
    said = ""
    while text not in said:
        line = process.stdout.readline()
        assert line, f"{text!r} was never said:\n{said}"
        said += line
    return said
