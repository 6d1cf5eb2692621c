"""The surroundings of a rented machine, for a test host without a way out: Debian's archive, a registry of images, a private
network, an SFTP server for backups."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from pathlib import Path

from backups import to_sftp
from composed import eventually
from daybook import IMAGES
from host import Host

HERE = Path(__file__).resolve().parent
REGISTRY_PORT = 5000
# The images that units pull, and daybook's own for daybook_registry.
SERVED = [image for image in IMAGES if "-e2e-" not in image]
RELAY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen debian
    bind {gateway}:80
    server debian {debian}:80
"""
REGISTRY = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}/images}}, delete: {{enabled: true}}}}
http: {{addr: {gateway}:{port}}}
"""
# A mirror, so that the images keep their names.
MIRROR = """
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "{gateway}:{port}"
insecure = true
[[registry]]
location = "{gateway}:{port}"
insecure = true
"""


class Provider:
    """Use it in a `with`. `registry` serves daybook's own images."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.registry = f"{host.gateway}:{REGISTRY_PORT}/me"

    def __enter__(self) -> Provider:
        self._directory = tempfile.TemporaryDirectory(prefix="daybook-provider-")
        self._started: list[subprocess.Popen[bytes]] = []
        try:
            self._relay_debian()
            self._serve_images()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.terminate()
            process.wait(10)
        self._directory.cleanup()

    def serve(self, host: Host) -> None:
        """Lets a host use the archive and the registry."""
        host.run("tee", "-a", "/etc/hosts", input=f"{self.host.gateway} deb.debian.org\n")
        host.run("mkdir", "-p", "/etc/containers/registries.conf.d")
        mirror = MIRROR.format(gateway=self.host.gateway, port=REGISTRY_PORT)
        host.run("tee", "/etc/containers/registries.conf.d/mirror.conf", input=mirror)

    def join(self, first: Host, second: Host) -> None:
        """Makes a private network of two hosts, 10.0.0.2 and 10.0.0.3."""
        ends = ("private0", "netns", str(first.pid), "type", "veth", "peer", "private0", "netns", str(second.pid))
        subprocess.run(["ip", "link", "add", *ends], check=True)
        for host, address in ((first, "10.0.0.2/24"), (second, "10.0.0.3/24")):
            host.run("ip", "-batch", "-", input=f"address add {address} dev private0\nlink set private0 up\n")

    def _relay_debian(self) -> None:
        relay = RELAY.format(gateway=self.host.gateway, debian=socket.gethostbyname("deb.debian.org"))
        self._start("haproxy", [program("haproxy/program"), "-db"], relay, 80)

    def _serve_images(self) -> None:
        registry = program("server/registry")
        settings = REGISTRY.format(gateway=self.host.gateway, port=REGISTRY_PORT, directory=self._directory.name)
        self._start("registry", [registry, "serve"], settings, REGISTRY_PORT)
        for image in SERVED:
            name = image.removeprefix("docker.io/").replace("localhost/", "me/")
            target = f"docker://{self.host.gateway}:{REGISTRY_PORT}/{name}"
            push = ("podman", "push", "--quiet", "--tls-verify=false", image, target)
            subprocess.run(push, check=True, stderr=subprocess.PIPE)

    def _start(self, name: str, command: list[str], settings: str, port: int) -> None:
        file = Path(self._directory.name, f"{name}.cfg")
        file.write_text(settings)
        arguments = ["-f", str(file)] if name == "haproxy" else [str(file)]
        with open(f"{self._directory.name}/{name}.log", "wb") as log:
            process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, start_new_session=True)
        self._started.append(process)

        def listens() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"{name} has ended: {Path(self._directory.name, f'{name}.log').read_text()}")
            with socket.socket() as probe:
                return probe.connect_ex((self.host.gateway, port)) == 0

        eventually(20, listens, f"{name} listens")


def store_backups(host: Host) -> tuple[dict[str, str], str]:
    """Starts an SFTP server on a host with Podman; returns daybook's settings for it and the private key."""
    image = "localhost/daybook-e2e-sftp:latest"
    with subprocess.Popen(["podman", "save", "--quiet", image], stdout=subprocess.PIPE) as save:
        subprocess.run(host.enter("podman", "load", "--quiet"), stdin=save.stdout, check=True)
    assert save.returncode == 0
    settings = to_sftp(host)
    return settings, host.run("cat", settings.pop("BACKUP_SFTP_KEY_FILE"))


def program(script: str) -> str:
    """The path that one of e2e's own scripts prints."""
    return subprocess.run([HERE.parent / script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
