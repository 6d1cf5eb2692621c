"""litestream/proof and the health check, litestream/healthy."""

import os
import signal
import sqlite3
import subprocess

import pytest

from programs import ROOT, addresses, lines_of, settings, until
from sftp import Sftp

# Litestream with a fake uptime, so that tests need not wait.
CLOCK = """#!/bin/sh
if [ "$1" = info ] && [ -n "${UPTIME-}" ]; then
    exec sh -c '"$0" "$@" | sed "s/uptime_seconds\\": [0-9]*/uptime_seconds\\": $UPTIME/"' PROGRAM "$@"
fi
exec PROGRAM "$@"
"""


class Service:
    """litestream/replicate and the scripts beside it, as in the container."""

    def __init__(self, run, program, directory, target):
        self.directory, self.run = directory, run
        bin = directory / "bin"
        bin.mkdir(exist_ok=True)
        (bin / "litestream").write_text(CLOCK.replace("PROGRAM", str(program)))
        (bin / "litestream").chmod(0o755)
        database = directory / "requests.db"
        sqlite3.connect(database).executescript("pragma journal_mode=wal; create table if not exists t (x)")
        path = f"{bin}:{os.environ['PATH']}"
        target = dict(target)
        self.env = settings(database, target.pop("BACKUP_URL"), next(addresses), PATH=path) | target
        self.process = run("litestream", "sh", ROOT / "litestream/replicate", **self.env)
        until(lambda: os.path.exists(f"/proc/{self.process.pid}/root/run/litestream/litestream.sock"))

    def ask(self, script, *arguments, uptime=""):
        """Runs a script beside Litestream: (exit status, output)."""
        command = ["nsenter", "--target", str(self.process.pid), "--mount", "sh", ROOT / "litestream" / script, *arguments]
        env = {key: str(value) for key, value in self.env.items()} | {"UPTIME": str(uptime)}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        return done.returncode, done.stdout

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sftp_server(run, tmp_path):
    return Sftp(run, tmp_path)


def test_an_unwritable_target_fails_the_proof_and_after_two_minutes_the_health_check(
    litestream_program, run, tmp_path, sftp_server
):
    """/proc is not writable. Litestream itself keeps running."""
    service = Service(run, litestream_program, tmp_path, sftp_server.settings(path="/proc"))
    status, said = service.ask("proof", "20", "2")
    assert status == 1, said
    url = f"sftp://root@{sftp_server.address}:2222"
    assert f"proof: no copy arrives at {url}/proc/backup/requests.db: sync failed" in said and "cannot make" in said
    assert f"on a Hetzner Storage Box (port 23) that is /home: BACKUP_URL={url}/home/proc/backup/requests.db" in said
    assert service.process.poll() is None
    assert service.ask("healthy", uptime=119)[0] == 0
    status, said = service.ask("healthy", uptime=120)
    assert status == 1 and "no copy arrives at sftp://" in said


def test_a_slow_first_copy_is_healthy_for_an_hour(litestream_program, run, tmp_path, sftp_server):
    service = Service(run, litestream_program, tmp_path, sftp_server.settings(path="/proc"))
    until(lambda: "monitor error" in lines_of(service.process))
    # Freeze the processes of its connection.
    sessions = subprocess.run(["pgrep", "--parent", str(sftp_server.process.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
    assert sessions
    try:
        for session in sessions:
            os.kill(int(session), signal.SIGSTOP)
        status, said = service.ask("proof", "1")
        assert status == 2 and "after 1 s no copy is complete at sftp://" in said
        assert service.ask("healthy", uptime=3599)[0] == 0
        assert service.ask("healthy", uptime=3600)[0] == 2
    finally:
        for session in sessions:
            os.kill(int(session), signal.SIGCONT)


def test_after_a_first_copy_an_unreachable_target_stays_healthy(
    litestream_program, run, tmp_path, sftp_server
):
    service = Service(run, litestream_program, tmp_path, sftp_server.settings())
    status, said = service.ask("proof")
    assert status == 0 and said == f"proof: a copy has arrived at {service.env['BACKUP_URL']}\n"
    service.stop()
    # It starts, but can no longer write.
    (tmp_path / "backup").rename(tmp_path / "gone")
    (tmp_path / "backup").write_text("in its way")
    service = Service(run, litestream_program, tmp_path, sftp_server.settings())
    sqlite3.connect(tmp_path / "requests.db").executescript("insert into t values (1)")
    assert service.ask("proof", "20", "1")[0] == 1
    assert service.ask("healthy", uptime=86400) == (0, "")
    # Another target is another backup.
    service.stop()
    service = Service(run, litestream_program, tmp_path, sftp_server.settings(path="/proc"))
    assert service.ask("healthy", uptime=86400)[0] == 1


def test_a_hanging_litestream_is_unhealthy(litestream_program, run, tmp_path):
    service = Service(run, litestream_program, tmp_path, {"BACKUP_URL": f"file://{tmp_path}/backup"})
    assert service.ask("proof")[0] == 0
    service.process.send_signal(signal.SIGSTOP)
    assert service.ask("healthy")[0] == 1
    service.process.send_signal(signal.SIGCONT)
    assert service.ask("healthy")[0] == 0


def test_the_proof_leaves_litestream_its_read_lock(litestream_program, run, tmp_path):
    """Without it, a checkpoint of another process completes, and the WAL is reset before Litestream has read it."""
    service = Service(run, litestream_program, tmp_path, {"BACKUP_URL": f"file://{tmp_path}/backup"})
    assert service.ask("proof")[0] == 0
    connection = sqlite3.connect(tmp_path / "requests.db", isolation_level=None)
    for _ in range(10):
        connection.execute("insert into t values (1)")
    _, frames, moved = connection.execute("pragma wal_checkpoint(passive)").fetchone()
    assert moved < frames
