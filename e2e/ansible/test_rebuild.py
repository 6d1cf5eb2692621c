"""A machine is lost under load, and a new one replaces it from the backup."""

from __future__ import annotations

import os
import signal
import time

from client import ask
from composed import eventually
from daybook import SYNC
from host import Host
from provider import Provider, store_backups
from provision import SETTINGS, Operator
from server import Server
from steady import Steady


def test_another_machine_takes_a_lost_ones_place_by_one_command(bare: Host, operator: Operator, figure):
    server = Server(bare, "quadlet")
    with Host("backups") as backups, Host("another", bare=True) as another, Provider(backups) as provider:
        settings, key = store_backups(backups)
        # On the private network, which the next machine reaches, too.
        settings["BACKUP_URL"] = settings["BACKUP_URL"].replace(backups.address, "10.0.0.3")

        def provision() -> None:
            environment = {"BACKUP_SFTP_KEY": key}
            operator.provision(environment=environment, daybook_settings=SETTINGS | settings).succeeded()

        provider.serve(bare)
        provider.join(bare, backups)
        operator.hand_over(bare)
        provision()
        eventually(30, lambda: bare.attempt("podman", "exec", "litestream", *SYNC).returncode == 0, "the backup is complete")
        with Steady(server.http, rate=100) as load:
            eventually(30, lambda: len(load.record_ids) > 500, "there is something to lose")
            acknowledged = len(load.record_ids)
            time.sleep(2)
            os.kill(bare.pid, signal.SIGKILL)
            lost = time.time()
        eventually(20, lambda: backups.attempt("ip", "link", "show", "private0").returncode != 0, "its network is gone")

        provider.serve(another)
        provider.join(another, backups)
        operator.hosts["daybook"]["server"] = another
        operator.hand_over(another)
        started = time.monotonic()
        provision()
        rebuilt = Server(another, "quadlet")
        assert ask(rebuilt.http).status == 200
        took = time.monotonic() - started

        assert rebuilt.missing(load.record_ids[:acknowledged]) == set()
        # The new machine's record ids continue after the last restored one.
        of_restored = "select count(*), max(id), max(timestamp) from requests where timestamp < ?"
        [(rows, newest_id, newest)] = rebuilt.rows(of_restored, lost)
        gone = sum(record_id > newest_id for record_id in load.record_ids)
        figure(
            f"serving {took:.0f} s after the command began, on a bare machine; {rows} records restored, those of the last"
            f" {lost - newest:.1f} s are lost, {gone} that were acknowledged"
        )
