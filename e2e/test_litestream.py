"""Litestream with the project's own configuration: the real Litestream, daybook and OpenSSH server, on loopback.

Needs root: each program runs with a /run of its own, so that litestream.yml is used as it stands. Every test has
loopback addresses of its own, so that ports are free.
"""

import hashlib
import http.client
import http.server
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "litestream" / "litestream.yml"
SECOND = 1_000_000_000
addresses = (f"127.0.77.{n}" for n in itertools.count(1))


@pytest.fixture(scope="session")
def litestream_program():
    return subprocess.run([ROOT / "scripts" / "litestream"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="session")
def daybook_program():
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "daybook"], cwd=ROOT, check=True)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release" / "daybook")


@pytest.fixture
def run(tmp_path):
    """Starts programs with a /run of their own, and ends them after the test."""
    started = []

    def start(name, *command, **env):
        log = tmp_path / f"{name}.log"
        private_run = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/litestream /run/sshd && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", private_run, "sh", *command],
            env={"PATH": os.environ["PATH"], "LOG_LEVEL": "debug"} | {k: str(v) for k, v in env.items()},
            stdin=subprocess.DEVNULL, stdout=log.open("a"), stderr=subprocess.STDOUT,
        )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(what, seconds=20):
    """The first true result of what(), which may also raise while it is not ready."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := what():
                return result
            failure = None
        except OSError as error:
            failure = error
        assert time.monotonic() < deadline, f"not within {seconds} s; last: {failure}"
        time.sleep(0.05)


def metrics(address):
    """Litestream's own metrics: {name{labels}: value}."""
    with urllib.request.urlopen(f"http://{address}:9102/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith("litestream_"))}


def lines_of(process):
    """Its JSON log, by message; the last of each."""
    lines = (json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{"))
    return {line["msg"]: line for line in lines}


def settings(path, url, address, **more):
    return {"DAYBOOK_DATABASE__PATH": path, "BACKUP_URL": url, "BACKUP_METRICS_LISTEN": address} | more


# The settings in force.

KEY = re.compile(r"^( *(?:- )?[a-z0-9-]+:) (\S.*)$", re.M)


def test_every_key_of_the_configuration_is_one_that_litestream_reads(litestream_program, tmp_path):
    """Litestream ignores unknown keys. A key it reads, it refuses when its value is a list: so each is given one."""
    def accepts(text):
        (tmp_path / "litestream.yml").write_text(text)
        command = [litestream_program, "databases", "-config", tmp_path / "litestream.yml"]
        return subprocess.run(command, env=settings("/x.db", "file:///backup", ""), capture_output=True).returncode == 0

    text = CONFIG.read_text()
    assert accepts(text)
    assert accepts(text + "no-such-key: [[]]\n"), "an unknown key is accepted, else this test shows nothing"
    keys = list(KEY.finditer(text))
    unread = [key[1].strip() for key in keys if accepts(text[: key.start(2)] + "[[]]" + text[key.end(2) :])]
    assert len(keys) >= 20 and unread == []
    print(f"{len(keys)} keys, all read")


def test_litestream_says_what_the_configuration_says(litestream_program, run, tmp_path):
    sqlite3.connect(tmp_path / "requests.db").executescript("pragma journal_mode=wal; create table t (x)")
    address = next(addresses)
    env = settings(tmp_path / "requests.db", f"file://{tmp_path}/backup", address, BACKUP_HEARTBEAT_URL="http://127.0.0.1:9/")
    process = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
    until(lambda: "enforcing snapshot retention" in lines_of(process))
    log = lines_of(process)
    levels = [json.loads(line) for line in process.log.read_text().splitlines() if "starting compaction monitor" in line]
    assert {line["level"]: line["interval"] // SECOND for line in levels} == {1: 30, 2: 300, 3: 3600, 9: 24 * 3600}
    l0 = log["starting L0 retention monitor"]
    assert (l0["retention"] // SECOND, l0["interval"] // SECOND) == (15 * 60, 60)
    oldest, now = (time.strptime(log["enforcing snapshot retention"][key][:19], "%Y-%m-%dT%H:%M:%S") for key in ("timestamp", "time"))
    assert abs(time.mktime(now) - time.mktime(oldest) - 168 * 3600) <= 1
    target = log["replicating to"]
    assert (target["type"], target["path"], target["sync-interval"]) == ("file", f"{tmp_path}/backup", SECOND // 2)
    assert "starting heartbeat monitor" in log
    assert log["serving metrics on"]["url"] == f"http://{address}:9102/metrics"
    # Through the control socket, as an operator would.
    socket = f"/proc/{process.pid}/root/run/litestream/litestream.sock"
    info = subprocess.run([litestream_program, "info", "-json", "-socket", socket], check=True, capture_output=True, text=True)
    assert json.loads(info.stdout)["version"] == "0.5.17"


def test_litestream_waits_for_the_write_lock_longer_than_its_default(litestream_program, run, tmp_path):
    def errors(name, config):
        path = tmp_path / f"{name}.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript("pragma journal_mode=wal; create table t (x); begin immediate")
        address = next(addresses)
        run(name, litestream_program, "replicate", "-config", config, **settings(path, f"file://{tmp_path}/{name}", address))
        until(lambda: metrics(address))
        time.sleep(4)  # the default is 1 s
        connection.execute("rollback")
        until(lambda: metrics(address)[f'litestream_txid{{db="{path}"}}'] > 0)
        return metrics(address)[f'litestream_sync_error_count{{db="{path}"}}']

    default = tmp_path / "default.yml"
    default.write_text(re.sub(r"^ *busy-timeout:.*\n", "", CONFIG.read_text(), flags=re.M))
    assert errors("default", default) > 0
    assert errors("ours", CONFIG) == 0


def test_the_heartbeat_comes_while_copies_arrive_and_only_then(litestream_program, run, tmp_path):
    asked = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((next(addresses), 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "broken").write_text("a file where the directory should be")
    for name in ("works", "broken"):
        path = tmp_path / f"{name}.db"
        sqlite3.connect(path).executescript("pragma journal_mode=wal; create table t (x)")
        url = f"http://{server.server_address[0]}:{server.server_port}/{name}"
        env = settings(path, f"file://{tmp_path}/{name}{'' if name == 'broken' else '.backup'}", next(addresses))
        process = run(name, litestream_program, "replicate", "-config", CONFIG, **env, BACKUP_HEARTBEAT_URL=url)
    time.sleep(40)  # it looks every 15 s
    server.shutdown()
    assert process.poll() is None and asked == ["/works"]


# The copies.


class Load:
    """Clients that note what was acknowledged, and when: {record-id: (time, path)}."""

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
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return  # killed
            if answer.status == 200:
                self.acknowledged[int(answer.headers["record-id"])] = (time.monotonic(), path)
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
    """BACKUP_URL and what belongs to it."""
    if request.param == "file":
        return {"BACKUP_URL": f"file://{tmp_path}/backup/requests.db"}
    server = Sftp(run, tmp_path)
    return server.settings()


class Sftp:
    """A real OpenSSH server that serves SFTP and nothing else."""

    def __init__(self, run, directory):
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        if not sshd:
            pytest.skip("needs OpenSSH's server: apt-get install openssh-server")
        self.directory, self.address = directory, next(addresses)
        for kind in ("ed25519", "ecdsa", "rsa", "client"):
            key_type = "ed25519" if kind == "client" else kind
            subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", "", "-f", directory / kind], check=True)
        config = directory / "sshd_config"
        config.write_text(f"""
            ListenAddress {self.address}:2222
            HostKey {directory}/rsa
            HostKey {directory}/ecdsa
            HostKey {directory}/ed25519
            AuthorizedKeysFile {directory}/client.pub
            AuthenticationMethods publickey
            PermitRootLogin prohibit-password
            StrictModes no
            PidFile none
            Subsystem sftp internal-sftp
            ForceCommand internal-sftp
        """)
        self.process = run("sshd", sshd, "-D", "-e", "-f", config)
        until(lambda: "Server listening" in self.process.log.read_text())

    def settings(self, host_key="ecdsa"):
        return {
            "BACKUP_URL": f"sftp://root@{self.address}:2222{self.directory}/backup/requests.db",
            "BACKUP_SFTP_KEY_FILE": self.directory / "client",
            "BACKUP_SFTP_HOST_KEY": (self.directory / f"{host_key}.pub").read_text().strip() if host_key else "",
        }


@pytest.mark.parametrize("target", ["file", "sftp"], indirect=True)
def test_every_record_acknowledged_2_s_before_the_disk_is_lost_is_restored(
    litestream_program, daybook_program, run, tmp_path, target
):
    path, address = tmp_path / "requests.db", next(addresses)
    env = settings(path, target.pop("BACKUP_URL"), address) | target
    subprocess.run([daybook_program, "init"], env={"DAYBOOK_DATABASE__PATH": str(path)}, check=True, stdout=subprocess.DEVNULL)
    litestream = run("litestream", litestream_program, "replicate", "-config", CONFIG, **env)
    until(lambda: metrics(address)[f'litestream_txid{{db="{path}"}}'] > 0)
    daybook = run("daybook", daybook_program, "serve", DAYBOOK_DATABASE__PATH=path, DAYBOOK_DATABASE__CREATE="false",
                  DAYBOOK_LISTEN=f"{address}:8080", DAYBOOK_ADMIN__LISTEN=f"{address}:9100")
    until(lambda: urllib.request.urlopen(f"http://{address}:8080/healthz"))
    load = Load(address)
    try:
        # Litestream itself is killed once in between, and takes up where it was.
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
    # The disk is lost; we keep a copy to compare with.
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
    assert max((lost - when for when in missing), default=0) <= 2
    kinds = {name.split('mode="')[1][:-2] for name, count in measured.items() if "checkpoint_count" in name and count}
    assert kinds == {"PASSIVE"} and wal < 100_000_000
    print(f"{len(load.acknowledged)} acknowledged, {len(restored)} restored in {took:.1f} s, hash {row_hash(restored)}; "
          f"oldest missing {max((lost - when for when in missing), default=0):.2f} s; log {wal / 1e6:.0f} MB")


def refused(program, env):
    command = [program, "restore", "-config", CONFIG, "-if-replica-exists", "-o", "/nonexistent/x", env["DAYBOOK_DATABASE__PATH"]]
    return subprocess.run(command, env={k: str(v) for k, v in env.items()}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("host_key, says", [
    ("another", "host key mismatch"),
    # Which of a server's keys it wants to see, Litestream decides: ECDSA before RSA before ED25519.
    ("ed25519", "host key mismatch"),
    # Its own default would be to trust whoever answers.
    ("", "cannot parse sftp host key"),
])
def test_a_server_that_does_not_show_the_expected_host_key_is_refused(litestream_program, run, tmp_path, host_key, says):
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
