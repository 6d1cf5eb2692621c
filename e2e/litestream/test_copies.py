"""Backup and restore of records, and SFTP host keys."""

import hashlib
import http.client
import itertools
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from programs import CONFIG, addresses, metrics, settings, until
from sftp import Sftp


class Load:
    """Clients that note acknowledged records: {record-id: (time, path)}."""

    def __init__(self, address, clients=4):
        self.acknowledged = {}
        self.running = True
        self.threads = [threading.Thread(target=self.client, args=(address, n)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, address, n):
        connection = http.client.HTTPConnection(address, 8080, timeout=10)
        for i in itertools.count():
            path = f"/load/{n}/{i}"
            try:
                connection.request("POST", path, body=b"x" * (i % 50))
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                return  # killed
            if response.status == 200:
                self.acknowledged[int(response.headers["record-id"])] = (time.monotonic(), path)
            if not self.running:
                return

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()


def rows(path, last=1 << 62):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        query = "select id, timestamp, method, path, content_length, remote_addr from requests where id <= ? order by id"
        return connection.execute(query, [last]).fetchall()


def row_hash(rows):
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


@pytest.fixture
def target(request, run, tmp_path):
    """BACKUP_URL and its other variables."""
    if request.param == "file":
        return {"BACKUP_URL": f"file://{tmp_path}/backup/requests.db"}
    server = Sftp(run, tmp_path)
    return server.settings()


@pytest.mark.parametrize("target", ["file", "sftp"], indirect=True)
def test_every_record_acknowledged_2_s_before_the_disk_is_lost_is_restored(
    litestream_program, binary, run, tmp_path, target
):
    path, address = tmp_path / "requests.db", next(addresses)
    env = settings(path, target.pop("BACKUP_URL"), address) | target
    subprocess.run([binary, "init"], env={"DAYBOOK_DATABASE__PATH": str(path)}, check=True, stdout=subprocess.DEVNULL)
    litestream = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
    until(lambda: metrics(address)[f'litestream_txid{{db="{path}"}}'] > 0)
    daybook = run("daybook", binary, "serve", DAYBOOK_DATABASE__PATH=path, DAYBOOK_DATABASE__CREATE="false",
                  DAYBOOK_LISTEN=f"{address}:8080", DAYBOOK_ADMIN__LISTEN=f"{address}:9100")
    until(lambda: urllib.request.urlopen(f"http://{address}:8080/healthz"))
    load = Load(address)
    try:
        # Litestream is killed once in between, and continues.
        time.sleep(6)
        litestream.send_signal(signal.SIGKILL)
        litestream.wait()
        time.sleep(2)
        litestream = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
        time.sleep(10)
        wal = Path(f"{path}-wal").stat().st_size
        measured = metrics(address)
        lost = time.monotonic()
        litestream.kill()
        daybook.kill()
    finally:
        load.stop()
    litestream.wait()
    daybook.wait()
    # Lose the disk, but keep a copy to compare.
    for file in tmp_path.glob("requests.db*"):
        file.rename(tmp_path / f"lost-{file.name}")
    shutil.rmtree(tmp_path / ".requests.db-litestream")

    begun = time.monotonic()
    restore = [litestream_program, "restore", "-config", CONFIG, "-if-db-not-exists", "-if-replica-exists", "-integrity-check", "quick", path]
    subprocess.run(restore, env={k: str(v) for k, v in env.items()}, check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - begun
    restored = rows(path)
    original = rows(tmp_path / "lost-requests.db", restored[-1][0])
    assert row_hash(restored) == row_hash(original)
    have = {row[0]: row[3] for row in restored}
    missing = [when for id, (when, request) in load.acknowledged.items() if have.get(id) != request]
    assert sum(when < lost - 2 for when, _ in load.acknowledged.values()) > 1000, "too few to lose"
    assert max((lost - when for when in missing), default=0) <= 2
    kinds = {name.split('mode="')[1][:-2] for name, count in measured.items() if "checkpoint_count" in name and count}
    assert kinds == {"PASSIVE"} and wal < 100_000_000
    print(f"{len(load.acknowledged)} acknowledged, {len(restored)} restored in {took:.1f} s, hash {row_hash(restored)}; "
          f"oldest missing {max((lost - when for when in missing), default=0):.2f} s; log {wal / 1e6:.0f} MB")


def salts(path):
    """They change when the WAL is reset."""
    return Path(f"{path}-wal").read_bytes()[16:24]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_no_row_is_missing_after_the_wal_was_reset_while_litestream_was_away(litestream_program, binary, run, tmp_path, stop):
    path, address = tmp_path / "requests.db", next(addresses)
    env = settings(path, f"file://{tmp_path}/backup", address)
    daybook = run("daybook", binary, "serve", DAYBOOK_DATABASE__PATH=path, DAYBOOK_DATABASE__SYNCHRONOUS="normal",
                  DAYBOOK_LISTEN=f"{address}:8080", DAYBOOK_ADMIN__LISTEN=f"{address}:9100")
    until(lambda: urllib.request.urlopen(f"http://{address}:8080/healthz"))
    connection = http.client.HTTPConnection(address, 8080, timeout=10)

    def write():
        connection.request("GET", "/row")
        response = connection.getresponse()
        response.read()
        return int(response.headers["record-id"])

    def restored():
        """The ids in the backup."""
        target = tmp_path / "restored.db"
        target.unlink(missing_ok=True)
        restore = [litestream_program, "restore", "-config", CONFIG, "-if-replica-exists", "-o", target, path]
        subprocess.run(restore, env={k: str(v) for k, v in env.items()}, check=True, stdout=subprocess.DEVNULL)
        return [row[0] for row in rows(target)] if target.exists() else []

    def start():
        litestream = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
        until(lambda: metrics(address)[f'litestream_txid{{db="{path}"}}'] > 0)
        return litestream

    litestream = start()
    for _ in range(400):
        last = write()
    until(lambda: restored()[-1:] == [last])
    litestream.send_signal(stop)
    litestream.wait()
    reset = salts(path)
    while salts(path) == reset:
        last = write()
    start()
    for _ in range(10):
        last = write()
    until(lambda: restored()[-1:] == [last])
    assert restored() == list(range(1, last + 1))


def refused(program, env):
    command = [program, "restore", "-config", CONFIG, "-if-replica-exists", "-o", "/nonexistent/x", env["DAYBOOK_DATABASE__PATH"]]
    return subprocess.run(command, env={k: str(v) for k, v in env.items()}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("host_key, says", [
    ("another", "host key mismatch"),
    # Litestream prefers ECDSA to RSA to ED25519.
    ("ed25519", "host key mismatch"),
    # By default Litestream would trust any server.
    ("", "cannot parse sftp host key"),
])
def test_an_unexpected_host_key_is_refused(litestream_program, run, tmp_path, host_key, says):
    server = Sftp(run, tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "another"], check=True)
    sqlite3.connect(tmp_path / "requests.db").executescript("pragma journal_mode=wal; create table t (x)")
    env = settings(tmp_path / "requests.db", "", next(addresses)) | server.settings(host_key)
    process = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
    assert process.wait(20) == 1
    assert says in process.log.read_text()
    assert not (tmp_path / "backup").exists()
    restore = refused(litestream_program, env)
    assert restore.returncode == 1 and says in restore.stdout + restore.stderr
