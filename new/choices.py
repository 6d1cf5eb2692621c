"""The choices of a project: its name, its first port, and where the library comes from. All other names and numbers derive from them."""

from __future__ import annotations

import re
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

FILE = ".daybook/project.toml"
PORT = 8180
# Ports from `port` on: the service, TLS, operator, Prometheus, Grafana, Litestream.
PORTS = 6
# Ports of daybook's own files, some of which a project keeps within its containers.
OTHER_PORTS = (3000, 8080, 8443, 9090, 9100, 9101, 9102)
# Words that daybook's own files have in other names, where they would be found again.
WORDS = {"backup", "daybook", "haproxy", "litestream", "prometheus"}
# The longest name that is made of it, with the kernel's limit for user names.
LONGEST = ("{}-certificate", 31)
# Of a unix socket, with its final zero (`sun_path`).
SOCKET_PATH_BYTES_MAX = 107
SOCKETS = ("/run/{}/next.admin.sock", "/var/lib/containers/storage/volumes/{}_sockets/_data/next.admin.sock")

RESERVED = {
    "a service or network of compose.yaml": "backup build data front grafana haproxy litestream next prometheus replicas restore sockets",
    "a word of Rust or Cargo": "alloc as async await break build const continue core crate dyn else enum extern false fn for if impl in let"
    " loop match mod move mut proc-macro pub ref return self static std struct super test trait true type unsafe use where while",
    "a crate that the project uses": "axum daybook maud rusqlite serde tokio",
    "a unit of systemd": "basic boot-complete cryptsetup emergency exit final getty graphical halt hibernate initrd kexec local-fs machines"
    " multi-user network network-online nss-lookup paths poweroff printer reboot remote-fs rescue rpcbind shutdown sleep slices sockets"
    " sound suspend swap sysinit system time-set time-sync timers umount user",
    "a program or user of Debian": "adm bin cron daemon dbus git lego mail man nginx nobody podman postgres root ssh sshd sudo sync sys systemd",
}


class ChoiceError(Exception):
    """One line: what is wrong, and what would be right."""


@dataclass(frozen=True)
class Source:
    """Where the library comes from: a directory, or a git repository and its tag."""

    place: str
    tag: str = ""

    @staticmethod
    def parse(text: str) -> Source:
        if re.search(r"""["'\\\s]""", text):
            raise ChoiceError(f"DAYBOOK is {text}: a path or URL must have no quotes, backslashes or spaces")
        if "://" not in text and not re.match(r"[\w.-]+@[\w.-]+:", text):
            return Source(text)
        place, _, tag = text.partition("#")
        if not re.fullmatch(r"[\w./-]+", tag):
            raise ChoiceError(f"DAYBOOK is {text}: a git URL needs a tag, as in https://example.org/daybook.git#v0.2.0")
        return Source(place, tag)

    def __str__(self) -> str:
        return f"{self.place}#{self.tag}" if self.tag else self.place

    @property
    def cargo(self) -> str:
        """The keys of a dependency in Cargo.toml."""
        return f'git = "{self.place}", tag = "{self.tag}"' if self.tag else f'path = "{self.place}"'


@dataclass(frozen=True)
class Choices:
    name: str
    port: int
    source: Source

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 1024 <= self.port <= 65536 - PORTS:
            raise ChoiceError(f"PORT is {self.port}: it must be a number from 1024 to {65536 - PORTS}, and the {PORTS - 1} after it are used, too")
        if taken := [port for port in OTHER_PORTS if port in range(self.port, self.port + PORTS)]:
            raise ChoiceError(f"PORT is {self.port}: it and the {PORTS - 1} after it include {taken[0]}, a port of daybook's own: choose others")

    @staticmethod
    def read(project: Path) -> Choices:
        try:
            chosen = tomllib.loads((project / FILE).read_text())
            return Choices(chosen["name"], chosen["port"], Source.parse(chosen["daybook"]))
        except FileNotFoundError:
            raise ChoiceError(f"{project / FILE} is missing: this is no project that `make new` made") from None
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise ChoiceError(f"{project / FILE}: {error}: it must have name, port and daybook") from None

    def toml(self, version: str) -> str:
        return (
            "# What `make upgrade` makes this project's infrastructure from. To change the name or the ports, edit and commit this file,\n"
            "# then run `make upgrade`.\n"
            f'name = "{self.name}"\n'
            "# The first of six ports: project.env has them all.\n"
            f"port = {self.port}\n"
            "# The library: a directory, or a git URL and a tag.\n"
            f'daybook = "{self.source}"\n'
            "# The version that base.tar, beside this file, was made from.\n"
            f'version = "{version}"\n'
        )

    @property
    def crate(self) -> str:
        """The name as an identifier."""
        return self.name.replace("-", "_")

    @property
    def settings(self) -> dict[str, str]:
        """The variables of project.env."""
        offsets = ("PORT", "TLS_PORT", "OPERATOR_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "LITESTREAM_PORT")
        hashed = zlib.crc32(self.name.encode())
        return {
            "NAME": self.name,
            **{name: str(self.port + offset) for offset, name in enumerate(offsets)},
            # 25,600 networks beyond 10.89.0.0/16, from which Podman takes its own, and beyond daybook's.
            "SUBNET": f"10.{90 + hashed % 100}.{hashed // 100 % 256}",
            # Even, because the next one is the ACME client's; above daybook's and below the users that systemd makes.
            "USER_ID": str(20_000 + hashed % 20_000 * 2),
        }


def check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ChoiceError(f"NAME is '{name}': use lower-case letters, digits and single hyphens, and begin with a letter: guestbook, my-shop2")
    for what, names in RESERVED.items():
        if name in names.split():
            raise ChoiceError(f"NAME is '{name}', which is {what}: choose another")
    if word := WORDS & set(name.split("-")):
        raise ChoiceError(f"NAME is '{name}', which has the word `{min(word)}`, a name of daybook's own: choose another")
    longest, characters_max = LONGEST
    if (length := len(longest.format(name))) > characters_max:
        raise ChoiceError(f"NAME is '{name}': a user is called {longest.format(name)}: remove {length - characters_max} characters")
    for socket in SOCKETS:
        if len(socket.format(name).encode()) > SOCKET_PATH_BYTES_MAX:
            raise ChoiceError(f"NAME is '{name}': {socket.format(name)} is longer than a socket's path may be: shorten it")
