"""Two versions of daybook on one database: the programs of the images, side by side."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from daybook import REPOSITORY
from system import Replica, UnixConnection

VERSIONS = {name: f"localhost/daybook-e2e-{name}" for name in ("next", "alone")} | {"current": "localhost/daybook:current"}
Start = Callable[[str], Replica]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs are static, so they run on this machine."""
    subprocess.run([REPOSITORY / "e2e/versions/build"], check=True)
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


def write(replica: Replica, text: str) -> int:
    connection = UnixConnection(replica.admin.with_name(f"{replica.name}.sock"))
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
