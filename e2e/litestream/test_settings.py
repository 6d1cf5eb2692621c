"""The effective settings, from Litestream's log and behaviour. It ignores unknown keys."""

import calendar
import http.server
import json
import re
import sqlite3
import subprocess
import threading
import time

import pytest

from programs import CONFIG, addresses, lines_of, metrics, settings, until

SECOND = 1_000_000_000
KEY = re.compile(r"^( *(?:- )?[a-z0-9-]+:) (\S.*)$", re.M)


def test_litestream_reads_every_key_of_the_configuration(litestream_program, tmp_path):
    """Litestream ignores unknown keys but refuses a list as the value of a known one, so give each key a list."""
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


def test_litestream_logs_the_configured_values(litestream_program, run, tmp_path):
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
    assert abs(calendar.timegm(now) - calendar.timegm(oldest) - 168 * 3600) <= 1
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


def test_the_heartbeat_is_sent_only_while_copies_arrive(litestream_program, run, tmp_path):
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
    until(lambda: len(asked) >= 2, 120)  # once a minute, even without writes
    server.shutdown()
    assert process.poll() is None and set(asked) == {"/works"}


def test_a_backup_far_behind_counts_as_arrived_only_when_complete(litestream_program, run, tmp_path):
    """By default Litestream counts every 256 files as an arrived copy, and sends a heartbeat."""
    path, address = tmp_path / "requests.db", next(addresses)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("pragma journal_mode=wal; create table t (x)")
    often = changed(tmp_path, "monitor-interval", "5ms")
    env = settings(path, f"file://{tmp_path}/first", address)
    process = run("first", litestream_program, "replicate", "-config", often, **env)
    until(lambda: metrics(address))
    for number in range(300):
        until(lambda: copied(metrics(address)) > number)
        connection.execute("insert into t values (1)")
    process.kill()
    process.wait()
    limited = "replica sync limited"
    default = tmp_path / "default.yml"
    default.write_text(re.sub(r"^ *max-sync-ltx-files:.*\n", "", often.read_text(), flags=re.M))
    for name, config in (("ours", often), ("default", default)):
        place = tmp_path / f"{name}.backup"
        env = settings(path, f"file://{place}", address)
        process = run(name, litestream_program, "replicate", "-config", config, **env)
        until(lambda: len(list(place.glob("ltx/0/*.ltx"))) > 300)
        process.kill()
        process.wait()
        assert (limited in lines_of(process)) == (name == "default")


def changed(directory, key, value):
    """The configuration with another value for the key."""
    text, count = re.subn(rf"^( *{key}:).*$", rf"\1 {value}", CONFIG.read_text(), flags=re.M)
    assert count == 1
    (directory / f"{key}.yml").write_text(text)
    return directory / f"{key}.yml"


@pytest.fixture
def replicate(litestream_program, run, tmp_path):
    """`replicate(name, config)` starts a Litestream on its own database; returns it, a connection and its metrics."""
    def start(name, config=CONFIG):
        path, address = tmp_path / f"{name}.db", next(addresses)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript("pragma journal_mode=wal; pragma wal_autocheckpoint=0; create table t (x)")
        env = settings(path, f"file://{tmp_path}/{name}.backup", address, BACKUP_HEARTBEAT_URL="http://127.0.0.1:9/")
        process = run(name, litestream_program, "replicate", "-config", config, **env)
        until(lambda: metrics(address))
        return process, connection, lambda: metrics(address)

    return start


def checkpoints(measured):
    return sum(count for name, count in measured.items() if name.startswith("litestream_checkpoint_count"))


def copied(measured):
    return next(txid for name, txid in measured.items() if name.startswith("litestream_txid{"))


def test_the_checkpoint_settings_take_effect(replicate, tmp_path):
    others = {"min-checkpoint-page-count": 10, "checkpoint-interval": "1s", "truncate-page-n": 100}
    started = {key: replicate(key, changed(tmp_path, key, value)) for key, value in others.items()}
    _, ours, measure = replicate("ours")
    until(lambda: copied(measure()) == 1)
    for _, connection, _ in [*started.values(), (None, ours, None)]:
        connection.execute("insert into t values (zeroblob(2000000))")  # 489 of the 1000 pages it waits for
    for key, (_, _, measure_other) in started.items():
        until(lambda: checkpoints(measure_other()) > 0)
    until(lambda: copied(measure()) == 2)
    assert checkpoints(measure()) == 0
    ours.execute("insert into t values (zeroblob(2200000))")  # 538 more
    until(lambda: checkpoints(measure()) == 1)


def test_the_monitor_interval_takes_effect(replicate, tmp_path):
    _, _, measure = replicate("rarely", changed(tmp_path, "monitor-interval", "1h"))
    _, _, measure_ours = replicate("ours")
    until(lambda: copied(measure_ours()) == 1)
    assert copied(measure()) == 0


def test_on_sigterm_the_last_copy_is_tried_for_ten_seconds(replicate, tmp_path):
    process, connection, measure = replicate("ours")
    until(lambda: copied(measure()) == 1)
    (tmp_path / "ours.backup").rename(tmp_path / "away")
    (tmp_path / "ours.backup").write_text("a file where the directory should be")
    connection.execute("insert into t values (1)")
    process.terminate()
    says = "shutdown sync failed, retrying (press Ctrl+C again to skip)"
    until(lambda: says in lines_of(process))
    assert round(lines_of(process)[says]["elapsed"] + lines_of(process)[says]["remaining"], -8) == 10 * SECOND


def test_a_heartbeat_interval_below_a_minute_is_refused(litestream_program, tmp_path):
    command = [litestream_program, "databases", "-config", changed(tmp_path, "heartbeat-interval", "59s")]
    env = settings("/x.db", "file:///backup", "", BACKUP_HEARTBEAT_URL="http://127.0.0.1:9/")
    refused = subprocess.run(command, env=env, capture_output=True, text=True)
    assert refused.returncode == 1 and "must be at least 1 minute (got 59s)" in refused.stderr + refused.stdout
