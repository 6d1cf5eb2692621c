"""litestream/restore.sh: when it restores, and when it must not."""

import os
import sqlite3
import subprocess

import pytest

from programs import CONFIG, REPLICATE, addresses, settings, until

RESTORE = CONFIG.parent / "restore.sh"
# It reads /etc/litestream, so it gets its own /etc.
PRIVATE_ETC = f"mount -t tmpfs tmpfs /etc && mkdir /etc/litestream && cp {CONFIG} /etc/litestream && exec sh {RESTORE}"


class Server:
    """A lost database and its backup."""

    def __init__(self, litestream_program, binary, run, directory):
        programs = directory / "bin"
        programs.mkdir()
        (programs / "litestream").symlink_to(litestream_program)
        (programs / "daybook").symlink_to(binary)
        self.database = directory / "requests.db"
        self.env = settings(self.database, f"file://{directory}/backup", next(addresses), PATH=f"{programs}:{os.environ['PATH']}")
        self.env = {key: str(value) for key, value in self.env.items()}
        subprocess.run([binary, "init"], env=self.env, check=True, capture_output=True)
        with sqlite3.connect(self.database) as connection:
            connection.execute("insert into requests (timestamp, method, path, content_length) values (1, 'GET', '/kept', 0)")
        connection.close()
        process = run("replicate", "sh", REPLICATE, **self.env)
        socket = f"/proc/{process.pid}/root/run/litestream/litestream.sock"
        sync = [litestream_program, "sync", "-wait", "-timeout", "5", "-socket", socket, self.database]
        until(lambda: subprocess.run(sync, capture_output=True).returncode == 0)
        process.terminate()
        assert process.wait(20) == 0
        for file in directory.glob("requests.db*"):
            file.unlink()

    def beside(self, suffix):
        return self.database.with_name(self.database.name + suffix)

    def restore(self):
        return subprocess.run(["unshare", "--mount", "sh", "-c", PRIVATE_ETC], env=self.env, capture_output=True, text=True, timeout=60)

    def paths(self):
        with sqlite3.connect(self.database) as connection:
            return [path for path, in connection.execute("select path from requests")]


@pytest.fixture
def server(litestream_program, binary, run, tmp_path):
    return Server(litestream_program, binary, run, tmp_path)


@pytest.mark.parametrize("is_empty", [False, True], ids=["missing", "empty"])
def test_a_database_that_is_missing_or_empty_is_restored(server, is_empty):
    if is_empty:
        server.database.touch()
    # An empty log cannot damage the restored database.
    server.beside("-wal").touch()
    restored = server.restore()
    assert restored.returncode == 0, restored.stderr
    assert server.paths() == ["/kept"]


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("is_empty", [False, True], ids=["missing", "empty"])
def test_a_left_over_log_or_journal_is_neither_applied_nor_deleted(server, suffix, is_empty):
    if is_empty:
        server.database.touch()
    left_over = server.beside(suffix)
    left_over.write_bytes(b"commits")
    refused = server.restore()
    assert refused.returncode != 0 and str(left_over) in refused.stderr and "restore the backup" in refused.stderr
    assert left_over.read_bytes() == b"commits"
    assert server.database.exists() == is_empty and (not is_empty or server.database.stat().st_size == 0)

    # As the message says.
    left_over.rename(left_over.with_suffix(".kept"))
    assert server.restore().returncode == 0
    assert server.paths() == ["/kept"]
