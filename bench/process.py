"""Starts, observes and stops a program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 20.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The measurement is impossible."""


class MissingProgram(BenchError):
    """A program for a comparison is missing, or cannot run here; its rows are skipped."""


class Process:
    """One program, with its last lines of standard error."""

    def __init__(
        self, command: list[str | Path], directory: Path, environment: dict[str, str] | None = None,
        on_line: Callable[[str], None] = lambda _: None, share: int | None = None,
    ) -> None:
        """With a `share` the process is an autogroup, which gets CPU as a systemd unit does: 0 is one replica's share, each step below
        0 a quarter more (sched(7))."""
        self.name = Path(command[0]).name
        self.last_lines: deque[str] = deque(maxlen=20)
        self._on_line = on_line
        self._asked_to_stop = False
        # Its own process group, so that Ctrl-C reaches only us. A session only with a share: the kernel divides the cores between
        # sessions.
        session = {"process_group": 0} if share is None else {"start_new_session": True}
        self._process = subprocess.Popen(
            command, cwd=directory, env=environment, **session,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        if share is not None:
            self._take_share(share)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _take_share(self, share: int) -> None:
        try:
            grouped = Path("/proc/sys/kernel/sched_autogroup_enabled").read_text() == "1\n"
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(share))
        except OSError:
            grouped = False
        if not grouped:
            self._process.kill()
            self._process.wait()
            raise MissingProgram("sharing the cores as units do needs root and kernel.sched_autogroup_enabled=1")

    def _read_log(self) -> None:
        # To the end, because a full pipe would block the process.
        for line in self._process.stderr:
            self.last_lines.append(line.rstrip())
            self._on_line(line)

    def failure(self, what: str) -> BenchError:
        return BenchError("\n  ".join([f"{self.name} {what}; its last lines:", *self.last_lines]))

    def wait_until(self, is_true: Callable[[], bool], what: str, seconds_max: float = START_SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds_max
        while not is_true():
            if self._process.poll() is not None:
                self._reader.join(1)
                raise self.failure(f"exited with {self._process.returncode} before it {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"timed out before it {what}")
            time.sleep(0.001)

    def has_open(self, address: str) -> bool:
        """Whether it listens there. Unlike a connection, this works for processes that share a port."""
        _, _, port = address.rpartition(":")
        inodes = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()
                  if line.split()[3] == "0A" and line.split()[1].endswith(f":{int(port):04X}")}
        descriptors = Path(f"/proc/{self._process.pid}/fd")
        try:
            names = [os.readlink(descriptor) for descriptor in descriptors.iterdir()]
        except OSError:  # One of them was closed meanwhile.
            return False
        return any(f"socket:[{inode}]" in names for inode in inodes)

    def wait_for_port(self, address: str) -> None:
        self.wait_until(lambda: accepts(address), f"accepted connections at {address}")

    def cpu_seconds(self) -> float:
        """User and system time so far, with its children. The kernel counts in ticks of 10 ms."""
        return sum(ticks(pid) for pid in family(self._process.pid)) / CLOCK_TICKS

    def cpu_seconds_by_thread(self) -> dict[tuple[str, str], float]:
        """User and system time so far, by thread name and `user` or `kernel`."""
        spent: dict[tuple[str, str], float] = {}
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            try:
                name, user, kernel = task_ticks(task)
            except (FileNotFoundError, ProcessLookupError):
                continue  # A read pool thread may exit meanwhile.
            for kind, ticks_ in (("user", user), ("kernel", kernel)):
                spent[name, kind] = spent.get((name, kind), 0) + ticks_ / CLOCK_TICKS
        return spent

    def resident_mib(self) -> float:
        return sum(resident_kib(pid) for pid in family(self._process.pid)) / 1024

    def ask_to_stop(self, number: int = signal.SIGTERM) -> None:
        # Once: a second signal means an immediate exit.
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._process.send_signal(number)

    def stop(self) -> int:
        """Its exit status; negative if a signal killed it."""
        self.ask_to_stop()
        try:
            status = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(1)
        return status


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def ticks(pid: int) -> int:
    # The second field, in parentheses, may contain spaces. Fields 11 to 14: its times, and those of exited children.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def task_ticks(task: Path) -> tuple[str, int, int]:
    """A thread's name and its ticks in user and kernel mode."""
    head, _, tail = (task / "stat").read_text().rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], int(fields[11]), int(fields[12])


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def free_address() -> str:
    """A free loopback port, for programs that cannot report their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
