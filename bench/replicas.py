"""daybook processes: started, looked at from outside, and stopped."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 20.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that leaves nothing to measure."""


@dataclass(frozen=True)
class Variant:
    """One way to run daybook: so many processes on one file, sharing one port."""

    processes: int
    mode: str
    """`full` or `normal`: database.synchronous; `off`: record = false."""

    def __str__(self) -> str:
        return f"{self.processes} × {self.mode}"


class Replica:
    """One daybook process that has said it is ready."""

    def __init__(self, binary: Path, variant: Variant, database: Path, number: int, listen: str) -> None:
        # Nothing of the caller's configuration: neither the environment nor a ./daybook.toml.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DAYBOOK_")}
        environment |= {
            "DAYBOOK_LISTEN": listen,
            "DAYBOOK_ADMIN__LISTEN": "127.0.0.1:0",
            "DAYBOOK_REPLICA": str(number),
            "DAYBOOK_DATABASE__PATH": str(database),
            "DAYBOOK_DATABASE__SYNCHRONOUS": "normal" if variant.mode == "off" else variant.mode,
            "DAYBOOK_RECORD": "false" if variant.mode == "off" else "true",
            "DAYBOOK_LOG__FORMAT": "json",
        }
        self.last_lines: deque[str] = deque(maxlen=20)
        self._ready: queue.Queue[dict | None] = queue.Queue()
        started = time.perf_counter()
        # A process group of its own: Ctrl-C is for us, and we stop it in order. (Not a session: with its autogroups the
        # kernel would share the cores between sessions, a fifth for wrk, instead of between threads.)
        self._process = subprocess.Popen(
            [binary, "serve"], cwd=database.parent, env=environment, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self._asked_to_stop = False
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        try:
            self._reader.start()
            self.ready_line = self._wait_for_ready_line()
            self.address: str = self.ready_line["listen"][0]
            self._wait_for_readyz(self.ready_line["admin_listen"][0])
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started
        """From before the fork to the first 200 of /readyz."""

    def _read_log(self) -> None:
        # To the end, for a full pipe would stop the process.
        for line in self._process.stderr:
            self.last_lines.append(line.rstrip())
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and event.get("message") == "ready":
                self._ready.put(event)
        self._ready.put(None)

    def _wait_for_ready_line(self) -> dict:
        try:
            event = self._ready.get(timeout=START_SECONDS_MAX)
        except queue.Empty:
            event = None
        if event is None:
            raise self._failure("daybook did not become ready")
        return event

    def _failure(self, what: str) -> BenchError:
        return BenchError("\n  ".join([f"{what}; the end of its log:", *self.last_lines]))

    def _wait_for_readyz(self, admin: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            connection = http.client.HTTPConnection(admin, timeout=5)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            if time.monotonic() > deadline:
                raise self._failure(f"http://{admin}/readyz is not 200")
            time.sleep(0.001)

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads. The kernel counts it in ticks of 10 ms."""
        # The second field, in parentheses, may contain spaces.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def resident_mib(self) -> float:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise self._failure("daybook has ended by itself")

    def ask_to_stop(self) -> None:
        # Once: a second signal means at once.
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Its exit status; negative if it took a signal that cannot be handled."""
        self.ask_to_stop()
        try:
            status = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(1)
        return status


class Replicas:
    """All processes of a variant, within a `with`. None of them runs any more after it."""

    def __init__(self, binary: Path, variant: Variant, database: Path) -> None:
        self._arguments = (binary, variant, database)
        self.members: list[Replica] = []
        self.statuses: list[int] = []
        """How they ended, once they have."""

    def __enter__(self) -> Replicas:
        binary, variant, database = self._arguments
        listen = "127.0.0.1:0"
        try:
            for number in range(1, variant.processes + 1):
                self.members.append(Replica(binary, variant, database, number, listen))
                # The kernel finds the first a port, which the others then share.
                listen = self.members[0].address
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for replica in self.members:
            replica.ask_to_stop()
        self.statuses = [replica.stop() for replica in self.members]

    @property
    def address(self) -> str:
        return self.members[0].address

    def cpu_seconds(self) -> float:
        return sum(replica.cpu_seconds() for replica in self.members)
