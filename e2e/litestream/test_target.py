"""litestream/replicate when BACKUP_URL changes."""

import os
import sqlite3
import subprocess

import pytest

from programs import CONFIG, REPLICATE, addresses, settings, until


@pytest.fixture
def service(litestream_program, run, tmp_path):
    """`service(target)` runs it until the copy at that target is complete; returns the restored rows."""
    program = tmp_path / "bin" / "litestream"
    program.parent.mkdir()
    program.symlink_to(litestream_program)
    database = tmp_path / "requests.db"

    def copy_to(target):
        env = settings(database, f"file://{tmp_path}/{target}", next(addresses), PATH=f"{program.parent}:{os.environ['PATH']}")
        process = run(target, "sh", REPLICATE, **env)
        socket = f"/proc/{process.pid}/root/run/litestream/litestream.sock"
        sync = [program, "sync", "-wait", "-timeout", "5", "-socket", socket, database]
        until(lambda: subprocess.run(sync, capture_output=True).returncode == 0)
        process.terminate()
        assert process.wait(20) == 0
        restored = tmp_path / f"{target}.db"
        restored.unlink(missing_ok=True)
        restore = [program, "restore", "-config", CONFIG, "-integrity-check", "quick", "-o", restored, database]
        subprocess.run(restore, env={key: str(value) for key, value in env.items()}, check=True, capture_output=True)
        return [row[0] for row in sqlite3.connect(restored).execute("select x from t order by x")]

    copy_to.database = database
    return copy_to


def files(database):
    """Litestream's working files."""
    return sorted((database.parent / f".{database.name}-litestream/ltx/0").glob("*.ltx"))


def copied_long_ago(service):
    """A database with 1 and 2, copied to the first target. Returns a connection to it."""
    connection = sqlite3.connect(service.database, isolation_level=None)
    connection.executescript("pragma journal_mode=wal; create table t (x); insert into t values (1)")
    assert service("first") == [1]
    connection.execute("insert into t values (2)")
    assert service("first") == [1, 2]
    # Litestream deletes them itself 15 minutes after copying.
    for file in files(service.database)[:-1]:
        file.unlink()
    return connection


def test_a_new_target_starts_the_backup_over_and_the_old_one_continues(service):
    connection = copied_long_ago(service)
    assert service("second") == [1, 2]
    connection.execute("insert into t values (3)")
    assert service("first") == [1, 2, 3]
    assert service("second") == [1, 2, 3]


def test_working_files_of_an_unknown_target_start_the_backup_over(service):
    copied_long_ago(service)
    (service.database.parent / f".{service.database.name}-litestream/place").unlink()
    assert service("second") == [1, 2]


def test_the_same_target_keeps_the_working_files(service):
    connection = sqlite3.connect(service.database, isolation_level=None)
    connection.executescript("pragma journal_mode=wal; create table t (x); insert into t values (1)")
    service("first")
    before = files(service.database)
    assert service("first") == [1]
    assert before and set(before) <= set(files(service.database))
