"""The servers that daybook is compared with."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from pathlib import Path

from daybook import start_haproxy
from process import MissingProgram, Process, free_address
from subject import Subject, count_rows
from tools import Tools


class Seed(Subject):
    """The application that daybook grew out of, several processes on one port and one file."""

    dies_of_sigterm = True

    def __init__(self, work: Path, tools: Tools, processes: int) -> None:
        super().__init__(work)
        self._tools, self._count = tools, processes
        self._database = work / "requests.db"

    def start(self) -> None:
        self.address = free_address()
        app = Path(__file__).parent / "seed/app.py"
        for _ in range(self._count):
            process = Process([self._tools.python, app, self.address, self._database], self.work)
            self.processes.append(process)
            # One after another, or they set the journal mode concurrently and one of them fails with "busy".
            process.wait_until(lambda: process.has_open(self.address), f"listened at {self.address}")

    def rows(self) -> int:
        return count_rows(self._database)


class PocketBase(Subject):
    """Creates a record with the same columns through its API, in a public collection."""

    method = "POST"
    path = "/api/collections/requests/records"
    content_type = "application/json"
    body = json.dumps({
        "timestamp": 1795446000.123456, "method": "GET", "path": "/bench", "content_length": 0,
        "remote_addr": "127.0.0.1",
    }).encode()

    def __init__(self, work: Path, tools: Tools) -> None:
        super().__init__(work)
        self._tools = tools

    def start(self) -> None:
        migrations = self.work / "pb_migrations"
        migrations.mkdir()
        shutil.copy(Path(__file__).parent / "pocketbase.js", migrations / "1_requests.js")
        self.address = free_address()
        process = Process([
            self._tools.pocketbase, "serve", f"--http={self.address}", f"--dir={self.work}/pb_data",
            f"--migrationsDir={migrations}",
        ], self.work)
        self.processes.append(process)
        process.wait_until(lambda: self._has_collection(), "had its collection")

    def _has_collection(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("POST", self.path, self.body, {"content-type": self.content_type})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def rows(self) -> int:
        return count_rows(self.work / "pb_data/data.db") - 1  # Without the one from `_has_collection`.


NGINX = """
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ listen {listen}; location / {{ return 200; }} }}
}}
"""


def nginx_command(work: Path, listen: str) -> list[str | Path]:
    """The command of an nginx that returns 200 at `listen`."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise MissingProgram("nginx is missing: sudo apt-get install nginx-light")
    configuration = work / "bare.cfg"
    configuration.write_text(NGINX.format(listen=listen))
    return [nginx, "-p", work, "-c", configuration, "-e", "stderr"]


class NginxBehindHAProxy(Subject):
    """This repository's haproxy/ before an nginx that returns 200: the most that HAProxy can pass on."""

    records = False
    dies_of_sigterm = True

    def __init__(self, work: Path, tools: Tools, as_units: bool) -> None:
        super().__init__(work)
        self._tools, self._as_units = tools, as_units

    def start(self) -> None:
        share = 0 if self._as_units else None
        nginx = Process(nginx_command(self.work, f"unix:{self.work}/1.sock"), self.work, share=share)
        self.processes.append(nginx)
        nginx.wait_until((self.work / "1.sock").exists, "listened")
        start_haproxy(self, self._tools, 1, self._as_units)

    def stop(self) -> None:
        # HAProxy first, so that it has no failed requests.
        self.processes.reverse()
        super().stop()


class Nginx(Subject):
    """An nginx that returns 200 and does nothing else: the limit of this machine and its load generator."""

    records = False
    dies_of_sigterm = True

    def __init__(self, work: Path, _: Tools) -> None:
        super().__init__(work)

    def start(self) -> None:
        self.address = free_address()
        process = Process(nginx_command(self.work, self.address), self.work)
        self.processes.append(process)
        process.wait_for_port(self.address)
