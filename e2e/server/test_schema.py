"""Two versions of daybook on one database, side by side: versions that a patch makes of this one, and the release 0.1."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from client import Load
from daybook import REPOSITORY
from system import Replica, UnixConnection, wait_until

VERSIONS = {name: f"localhost/daybook-e2e-{name}" for name in ("0.1", "next", "alone")} | {"current": "localhost/daybook:current"}
Start = Callable[[str], Replica]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs are static, so they run on this machine."""
    for script in ("build", "released"):
        subprocess.run([REPOSITORY / "e2e/versions" / script], check=True)
    directory = tmp_path_factory.mktemp("programs")
    for name, image in VERSIONS.items():
        container = subprocess.run(["podman", "create", image], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(["podman", "cp", f"{container}:/daybook", directory / name], check=True)
        subprocess.run(["podman", "rm", container], check=True, stdout=subprocess.DEVNULL)
    return {name: directory / name for name in VERSIONS}


@pytest.fixture
def start(programs: dict[str, Path], tmp_path: Path) -> Iterator[Start]:
    started: list[Replica] = []

    def start(version: str) -> Replica:
        started.append(Replica(programs[version], tmp_path, version, {}))
        return started[-1]

    yield start
    for replica in started:
        replica.kill()


class UnixLoad(Load):
    """Clients of a unix socket: the address is its path."""

    def _connection(self) -> UnixConnection:
        return UnixConnection(self.address)


def load(replica: Replica) -> UnixLoad:
    return UnixLoad(public_socket(replica), clients=2)


def public_socket(replica: Replica) -> Path:
    return replica.admin.with_name(f"{replica.name}.sock")


def write(replica: Replica, text: str) -> int:
    connection = UnixConnection(public_socket(replica))
    try:
        connection.request("POST", f"/{text}", text)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, text.encode())
        return int(response.headers["record-id"])
    finally:
        connection.close()


def paths(replica: Replica) -> list[str]:
    """The paths of all records, as this version reads them."""
    status, body = replica.ask("/requests")
    assert status == 200
    return [record["path"] for record in reversed(json.loads(body)["requests"])]


def query(directory: Path, statement: str) -> list[tuple]:
    connection = apsw.Connection(str(directory / "requests.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return list(connection.execute(statement))
    finally:
        connection.close()


SCHEMA = "select version, oldest from daybook_schema"


def test_a_migration_leaves_the_file_usable_by_the_version_before_it(start: Start, tmp_path: Path):
    old = start("current")
    write(old, "old")
    assert query(tmp_path, SCHEMA) == [(2, 1)]
    new = start("next")
    assert query(tmp_path, SCHEMA) == [(3, 1)]
    write(new, "new")
    assert query(tmp_path, "select text from notes") == [("new",)]

    # Side by side, each sees the other's records.
    ids = [write((old, new)[number % 2], f"{number}") for number in range(20)]
    assert ids == list(range(3, 23))
    assert paths(old) == paths(new) == ["/old", "/new", *(f"/{number}" for number in range(20))]

    # Back: the old version starts on the new schema and leaves it as it is.
    assert (old.stop(), new.stop()) == (0, 0)
    again = start("current")
    write(again, "again")
    assert paths(again)[-1] == "/again"
    assert query(tmp_path, SCHEMA) == [(3, 1)]
    assert query(tmp_path, "select count(*) from notes") == [(11,)]
    # Forward again: nothing is migrated twice.
    write(start("next"), "forward")
    assert query(tmp_path, "pragma integrity_check") == [("ok",)]


def test_a_file_that_older_versions_may_not_use_any_more_is_refused_by_them(
    start: Start, programs: dict[str, Path], tmp_path: Path
):
    old = start("current")
    start("alone")
    assert query(tmp_path, SCHEMA) == [(4, 4)]
    # A process that has it open continues, so that a deploy can replace one replica after another.
    write(old, "still")
    assert old.stop() == 0
    for version, schema in (("current", 2), ("next", 3)):
        environment = {"DAYBOOK_DATABASE__PATH": str(tmp_path / "requests.db")}
        for command in ("serve", "init"):
            refused = subprocess.run([programs[version], command], env=environment, capture_output=True, text=True, timeout=30)
            assert refused.returncode == 78
            assert "4" in refused.stderr and str(schema) in refused.stderr, refused.stderr


def test_0_1_records_while_its_database_is_migrated_and_after_a_rollback(
    start: Start, programs: dict[str, Path], tmp_path: Path
):
    def init(version: str, **settings: str) -> subprocess.CompletedProcess:
        """As the restore step does before a start."""
        environment = {"DAYBOOK_DATABASE__PATH": str(tmp_path / "requests.db")} | settings
        return subprocess.run(
            [programs[version], "init"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
        )

    old = start("0.1")
    of_old = [write(old, "created")]
    assert query(tmp_path, SCHEMA) == [(1, 1)]

    # An upgrade under load: the migration, then both side by side.
    with load(old) as old_load:
        wait_until(lambda: len(old_load.record_ids) >= 100, "0.1 records alone")
        migrated = init("current")
        assert migrated.returncode == 0, migrated.stderr
        assert query(tmp_path, SCHEMA) == [(2, 1)]
        seen = len(old_load.record_ids)
        wait_until(lambda: len(old_load.record_ids) >= seen + 100, "0.1 records after the migration")
        new = start("current")
        with load(new) as new_load:
            seen = len(old_load.record_ids)
            wait_until(lambda: len(new_load.record_ids) >= 100, "this version records")
            wait_until(lambda: len(old_load.record_ids) >= seen + 100, "0.1 records beside it")
    assert (old_load.failures, new_load.failures) == ([], [])
    of_old += old_load.record_ids
    of_new = list(new_load.record_ids)

    # A rollback: 0.1 continues alone, and starts on the new schema.
    assert new.stop() == 0
    of_old.append(write(old, "alone"))
    assert old.stop() == 0
    unknown = init("0.1", DAYBOOK_RETENTION__BYTES_MAX="25%")
    assert unknown.returncode == 78 and "retention" in unknown.stderr.lower(), unknown.stderr
    assert init("0.1").returncode == 0
    again = start("0.1")
    of_old.append(write(again, "restarted"))
    assert paths(again)[-1] == "/restarted"
    assert query(tmp_path, SCHEMA) == [(2, 1)]

    # Forward again, beside it.
    new = start("current")
    of_new.append(write(new, "forward"))
    of_old.append(write(again, "beside"))
    assert paths(new)[-2:] == ["/forward", "/beside"]
    assert (again.stop(), new.stop()) == (0, 0)

    # Each response has its own row. Rows of 0.1 have neither status nor duration.
    rows = {id: outcome for id, *outcome in query(tmp_path, "select id, status, duration_us > 0 from requests")}
    assert sorted(of_old + of_new) == sorted(rows)
    assert all(rows[id] == [None, None] for id in of_old)
    assert all(rows[id] == [200, 1] for id in of_new)
    assert query(tmp_path, "pragma integrity_check") == [("ok",)]
