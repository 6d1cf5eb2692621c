"""A test host: Debian 13 with its own systemd, Podman, network and processes, in systemd-nspawn on this machine.

    with Host("server") as host:
        print(host.run("podman", "info"))

A host starts from the image and leaves nothing. Its files are in one directory that is removed, and its mounts in a mount namespace.
Its processes end with the process that started it, even when that is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybook"

BOOT_SECONDS_MAX = 90
STOP_SECONDS_MAX = 20

# The host's root is an overlay on the image. Podman's storage cannot be on an overlay, so it is a directory of this machine; SQLite
# then uses a real file system, too. Each host has its own control groups.
BOOT = """
set -eu
for group in $CGROUPS; do mkdir -p "$group" && echo $$ >"$group/cgroup.procs"; done
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$INSTANCE/upper,workdir=$INSTANCE/work" "$INSTANCE/root"
until
    status=0
    systemd-nspawn --quiet --directory="$INSTANCE/root" --machine="$MACHINE" --hostname="$NAME" --boot \
        --network-veth --console=read-only --register=no --keep-unit --capability=all --bind=/dev/fuse \
        --system-call-filter="add_key keyctl bpf" --bind="$INSTANCE/containers:/var/lib/containers" || status=$?
    [ $status != 133 ] # The host wants to reboot.
do :; done
exit $status
"""


# Namespaces for mounts and processes, which end with this process, even when it is killed.
CONFINE = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
)
SBIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HostError(Exception):
    """A host or a command in it failed."""


class Host:
    """`address` is the host's on the link to this machine, `gateway` this machine's; tests may add addresses of `network` to
    `link`. `pid` is the host's init as seen from here. A `bare` host is as a provider delivers it, without Podman."""

    def __init__(self, name: str, bare: bool = False) -> None:
        self.name = name
        self.bare = bare
        self.pid = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Host:
        making = [HERE / "image", *["bare"] * self.bare]
        image = subprocess.run(making, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.take_number()
        try:
            self.boot(image)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str, input: str | None = None, seconds_max: float = 60) -> str:
        """Runs a command in the host; returns its standard output."""
        done = self.attempt(*command, input=input, seconds_max=seconds_max)
        if done.returncode != 0:
            raise HostError(
                f"in the host: {' '.join(command)[:500]}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def attempt(
        self, *command: str, input: str | None = None, seconds_max: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Like `run`, but returns failures."""
        return subprocess.run(
            self.enter(*command), input=input, stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds_max,
        )

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command in the host."""
        clean = ["env", "--ignore-environment", "HOME=/root", "LANG=C.UTF-8", f"PATH={SBIN_PATH}"]
        return ["nsenter", "--target", str(self.pid), "--all", "--wdns=/root", *clean, *command]

    def put(self, source: Path, target: str) -> None:
        """Copies a file, or a directory's contents, to `target` in the host."""
        self.run("mkdir", "-p", target if source.is_dir() else os.path.dirname(target))
        inside = Path(f"/proc/{self.pid}/root{target}")
        subprocess.run(["cp", "-r", f"{source}/." if source.is_dir() else source, inside], check=True)

    def take_number(self) -> None:
        """Takes a number that no other host has. (`boot` clears the files of an earlier owner.)"""
        for number in range(1, 255):
            directory = CACHE / "hosts" / str(number)
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self.lock, self.directory = lock, directory
            self.machine, self.link = f"daybook-{number}", f"ve-daybook-{number}"
            self.network = f"10.231.{number}"
            self.gateway, self.address = f"{self.network}.1", f"{self.network}.2"
            return
        raise HostError("all numbers are taken")

    def boot(self, image: str) -> None:
        self.clear()
        for name in ("upper", "work", "root", "containers"):
            (self.directory / name).mkdir(mode=0o755)
        with open(self.directory / "console", "wb") as console:
            self.process = subprocess.Popen(
                [*CONFINE, "sh", "-c", BOOT],
                env={
                    "PATH": SBIN_PATH, "IMAGE": image, "INSTANCE": str(self.directory), "MACHINE": self.machine,
                    "NAME": self.name, "CGROUPS": " ".join(map(str, self.cgroups())),
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                },
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True,  # Ctrl-C must not reach it: `stop` ends it.
            )
        self.wait_until_up()

    def reboot(self) -> None:
        """Reboots it on the same files."""
        before = self.pid
        self.attempt("systemctl", "reboot")
        deadline = time.monotonic() + STOP_SECONDS_MAX * 3
        while os.path.exists(f"/proc/{before}"):
            if time.monotonic() > deadline:
                raise HostError("the host did not stop for its reboot")
            time.sleep(0.05)
        self.pid = 0
        self.wait_until_up()

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS_MAX
        while not (self.pid and self.attempt("test", "-S", "/run/dbus/system_bus_socket").returncode == 0):
            if self.process.poll() is not None or time.monotonic() > deadline:
                console_end = (self.directory / "console").read_text(errors="replace")[-2000:]
                raise HostError(f"the host did not start:\n{console_end}")
            time.sleep(0.05)
            self.pid = self.pid or init_of(self.process.pid)
        # It may be "degraded", because some units need real hardware.
        self.attempt("systemctl", "is-system-running", "--wait", seconds_max=BOOT_SECONDS_MAX)
        here = f"address replace {self.gateway}/24 dev {self.link}\nlink set {self.link} up\n"
        subprocess.run(["ip", "-batch", "-"], input=here, text=True, check=True)
        there = f"address replace {self.address}/24 dev host0\nlink set host0 up\nroute replace default via {self.gateway}\n"
        self.run("ip", "-batch", "-", input=there)

    def stop(self) -> None:
        """Kills the host and removes its files."""
        if self.process and self.process.poll() is None:
            if self.pid:
                os.kill(self.pid, 9)  # Kills all its processes; systemd-nspawn then removes its cgroups.
            else:
                self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.clear()
        os.close(self.lock)

    def clear(self) -> None:
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for group in self.cgroups():
            for path, _, _ in os.walk(group, topdown=False):
                os.rmdir(path)

    def cgroups(self) -> list[Path]:
        """Its group in each of systemd's hierarchies: one, or two on older machines."""
        hierarchies = [Path("/sys/fs/cgroup", name) for name in ("", "unified", "systemd")]
        return [path / self.machine for path in hierarchies if (path / "cgroup.procs").exists()]


def init_of(nspawn: int) -> int:
    """The process with number 1 in systemd-nspawn's namespace, or 0."""
    pending = [nspawn]
    while pending:
        pid = pending.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue  # It has just exited.
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        if len(numbers) > 1 and numbers[-1] == "1" and command == "systemd":
            return pid
        pending += [int(child) for child in children.split()]
    return 0
