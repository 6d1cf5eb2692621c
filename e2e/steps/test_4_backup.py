"""The data volume is lost under load, and the system is restored from its backup."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from backups import S3_SECRET, to_a_volume, to_s3, to_sftp
from client import Load, ask
from composed import PATHS, Composed, eventually
from host import HostError


def lose_the_machine(composed: Composed) -> None:
    """Kills everything, Litestream first, so that it copies nothing more."""
    for service in ("litestream", "haproxy", "daybook", "prometheus", "restore"):
        composed.host.run("podman", "rm", "--force", "--time", "0", *composed.containers(service))


def shown(composed: Composed) -> str:
    """`podman inspect` of the containers, with their create commands and environments."""
    names = [*composed.containers("litestream"), *composed.containers("restore")]
    inspected = composed.host.run("podman", "inspect", *names)
    assert "CreateCommand" in inspected
    pids = [container["State"]["Pid"] for container in json.loads(inspected)]
    return inspected + composed.host.run("cat", *(f"/proc/{pid}/environ" for pid in pids))


@pytest.mark.parametrize("provider", PATHS)
def test_a_changed_target_gets_a_complete_backup(composed: Composed, provider, figure):
    composed.clear()
    composed.start(provider)
    first = ask(composed.http, "POST", "/before").headers["record-id"]
    eventually(30, composed.all_copied, "the first place has the record")
    # Litestream deletes them itself 15 minutes after copying.
    for file in (composed.database.parent / f".{composed.database.name}-litestream/ltx/0").glob("*0001-*"):
        file.unlink()

    settings = to_sftp(composed.host)
    composed.start(provider, **settings)
    second = ask(composed.http, "POST", "/after").headers["record-id"]
    eventually(60, composed.all_copied, "the other place has all records")
    before = composed.contents()
    lose_the_machine(composed)
    composed.host.run("podman", "volume", "rm", "daybook_data", "daybook_backup")
    composed.start(provider, **settings)
    assert composed.contents() == before
    assert composed.missing([int(first), int(second)]) == set()
    figure(f"{provider}: {before.count} rows copied to the first place, then to another, restored from there")


@pytest.mark.parametrize("target", [to_sftp, to_s3, to_a_volume])
def test_every_record_acknowledged_two_seconds_before_the_volume_was_lost_is_restored(
    composed: Composed, target, figure, tmp_path
):
    composed.clear()
    settings = target(composed.host)
    composed.start(**settings)
    inspected = shown(composed)
    assert S3_SECRET not in inspected and "PRIVATE KEY" not in inspected
    if target is to_sftp:
        assert composed.host.run("cat", settings["BACKUP_SFTP_KEY_FILE"]).splitlines()[1] not in inspected

    with Load(composed.http, method="POST", clients=16) as load:
        time.sleep(6)
        acknowledged = len(load.record_ids)
        assert acknowledged > 0
        time.sleep(2)
        lose_the_machine(composed)
    for suffix in ("", "-wal"):
        shutil.copy(f"{composed.database}{suffix}", f"{tmp_path}/lost.db{suffix}")
    composed.host.run("podman", "volume", "rm", "daybook_data")
    lost = composed.contents(database=tmp_path / "lost.db")

    started = time.monotonic()
    composed.start(**settings)
    seconds = time.monotonic() - started

    restored = composed.contents()
    assert composed.missing(load.record_ids[:acknowledged]) == set()
    assert restored == composed.contents(up_to=restored.last_id, database=tmp_path / "lost.db")
    assert ask(composed.http, "POST", "/after").status == 200
    figure(
        f"{lost.count} rows lost, {restored.count} restored and the system healthy within {seconds:.1f} s; all"
        f" {acknowledged} acknowledged more than 2 s before are there; SHA-256 of the {restored.count} rows, before and"
        f" after: {restored.sha256[:16]}…"
    )


def test_make_down_under_load_backs_up_everything_acknowledged(composed: Composed, figure):
    composed.start()
    with Load(composed.http, method="POST", clients=2) as load:
        eventually(30, lambda: len(load.record_ids) > 100, "it is under way")
        composed.script("down", seconds_max=90)
    composed.host.run("podman", "volume", "rm", "daybook_data")
    composed.start()
    assert composed.missing(load.record_ids) == set()
    figure(f"{len(load.record_ids)} acknowledged before `make down` had stopped it are all restored")


def test_a_failed_restore_starts_no_replica_and_changes_nothing(
    composed: Composed, figure
):
    """Continues after the previous test, with the backup on a volume."""
    composed.script("down", seconds_max=90)
    before = composed.contents()
    composed.host.run("podman", "volume", "rm", "daybook_data")
    backup = composed.volumes / "daybook_backup/_data"
    files = {path: path.read_bytes() for path in backup.rglob("*.ltx")}
    for path in files:
        path.write_bytes(b"damaged")

    started = time.monotonic()
    with pytest.raises(HostError, match="cannot restore /var/lib/daybook/requests.db from file:///var/lib/backup/"):
        composed.start()
    figure(f"refused after {time.monotonic() - started:.1f} s")
    # Without `make up` the other services wait, and no replica starts either.
    up = ("timeout", "25", "/srv/daybook/scripts/compose", "up", "--detach")
    composed.host.attempt("env", *composed.environment, *up)
    assert composed.containers("daybook") == []
    assert not composed.database.exists()
    assert {path.read_bytes() for path in backup.rglob("*.ltx")} == {b"damaged"}
    assert set(backup.rglob("*.ltx")) == set(files)

    # Repair the backup: everything is restored.
    composed.script("down", seconds_max=90)
    for path, content in files.items():
        path.write_bytes(content)
    composed.start()
    assert composed.contents() == before


def test_make_up_fails_for_an_unwritable_target_and_suggests_the_right_one(
    composed: Composed, figure
):
    """The obvious path, on a server that allows writes only below /home."""
    composed.clear()
    settings = to_sftp(composed.host)
    right = settings["BACKUP_URL"]
    wrong = settings | {"BACKUP_URL": right.replace("/home/", "/")}
    started = time.monotonic()
    with pytest.raises(HostError) as failed:
        composed.start(**wrong)
    said = str(failed.value)
    figure(f"refused after {time.monotonic() - started:.1f} s")
    assert f"proof: no copy arrives at {wrong['BACKUP_URL']}: " in said and "permission denied" in said
    assert f"BACKUP_URL={right}\n" in said
    assert "scripts/up: there is no backup" in said
    # Without `make up` the health check reports it.
    litestream, = composed.containers("litestream")
    check = composed.host.run("podman", "inspect", "--format", "{{.Config.Healthcheck.Test}}", litestream)
    assert check == "[CMD sh /etc/litestream/healthy]\n"

    assert f"proof: a copy has arrived at {right}\n" in composed.start(**settings)
    assert composed.host.attempt("podman", "healthcheck", "run", litestream).returncode == 0


def test_s3_without_a_key_is_refused_at_once(composed: Composed):
    composed.clear()
    with pytest.raises(HostError, match="BACKUP_S3_CREDENTIALS_FILE must name a file with it, readable for user 10001"):
        composed.start(BACKUP_URL="s3://backup/requests.db")
    assert composed.containers("daybook") == []
