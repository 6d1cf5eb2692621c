"""PostgreSQL, started per measurement, with the server of postgres/ before it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from process import BenchError, MissingProgram, Process, free_address
from subject import Subject
from tools import Tools


class PostgreSQL(Subject):
    """`insert`: one transaction per request; `group`: group commit. Durable as `full`."""

    def __init__(self, work: Path, tools: Tools, mode: str) -> None:
        super().__init__(work)
        self._tools, self._mode = tools, mode
        self._rows = 0

    def start(self) -> None:
        programs = find_programs()
        # PostgreSQL refuses to run as root.
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if account else []
        data = self.work / "postgres"
        data.mkdir()
        if account:
            os.chmod(self.work, 0o711)
            os.chown(data, account.pw_uid, account.pw_gid)
            if subprocess.run([*prefix, "test", "-w", data], check=False).returncode != 0:
                raise MissingProgram(f"the user postgres cannot reach {self.work.parent}: use --dir with another directory")
        made = subprocess.run(
            [*prefix, programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", data / "data"],
            capture_output=True, text=True, check=False, cwd=data,
        )
        if made.returncode != 0:
            raise BenchError(f"initdb: {made.stderr}")
        # Its defaults otherwise, but for a log and buffers that fit: synchronous_commit = on, fsync = on.
        server = Process([
            *prefix, programs / "postgres", "-D", data / "data", "-k", data, "-c", "listen_addresses=",
            "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB",
        ], data)
        self.processes.append(server)
        self._ask = [*prefix, programs / "psql", "-h", data, "-U", "postgres", "-Atc"]
        server.wait_until(lambda: self._sql("select 1") == "1", "responded to a query")
        self.address = free_address()
        front = Process([self._tools.postgres_server, self._mode, self.address, data], self.work)
        self.processes.append(front)
        front.wait_for_port(self.address)

    def _sql(self, sql: str) -> str:
        return subprocess.run([*self._ask, sql], capture_output=True, text=True, check=False).stdout.strip()

    def stop(self) -> None:
        if len(self.processes) == 2:
            server, front = self.processes
            status = front.stop()  # By SIGTERM, of which it knows nothing.
            self._rows = int(self._sql("select count(*) from requests") or 0)
            server.ask_to_stop(signal.SIGINT)
            self.statuses = [0 if status == -signal.SIGTERM else status, server.stop()]
        else:
            super().stop()

    def rows(self) -> int:
        return self._rows


def find_programs() -> Path:
    """Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise MissingProgram("PostgreSQL is missing: sudo apt-get install postgresql")
    return versions[-1].parent
