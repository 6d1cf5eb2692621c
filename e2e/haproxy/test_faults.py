"""Clients get responses while replicas die, freeze or restart."""

from __future__ import annotations

import socket
import socketserver
import threading
import time

import pytest

from client import Load, ask
from system import wait_until


def in_flight_at_a_replica_that_dies(system, method: str) -> int:
    """The client's status for a request that a replica has read when it is killed, while another is up."""
    system.command("disable server replicas/replica2")
    system.replicas["1"].freeze()
    responses = []
    client = threading.Thread(target=lambda: responses.append(ask(system.http, method, "/once", b"x").status))
    client.start()
    # The request is in the frozen replica's socket.
    wait_until(lambda: current_sessions(system, "replica1") == 1, "the request is sent")
    time.sleep(0.1)
    system.command("enable server replicas/replica2")
    system.wait_for_server("replicas/replica2", up=True)
    system.replicas.pop("1").kill()
    client.join()
    return responses[0]


def current_sessions(system, server: str) -> int:
    for line in system.command("show stat").splitlines():
        fields = line.split(",")
        if fields[:2] == ["replicas", server]:
            return int(fields[4])
    raise AssertionError(f"no {server}")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_unsafe_methods_are_never_retried(start, method):
    with start() as system:
        assert in_flight_at_a_replica_that_dies(system, method) == 502
        assert system.records("/once") == []


def test_a_get_is_retried_on_another_replica(start):
    with start() as system:
        assert in_flight_at_a_replica_that_dies(system, "GET") == 200
        assert len(system.records("/once")) == 1


@pytest.mark.parametrize("method, status, rows", [("GET", 200, 2), ("POST", 502, 1)])
def test_a_retried_get_leaves_a_row_per_attempt(start, tmp_path, method, status, rows):
    class Dying(socketserver.StreamRequestHandler):
        """Proxies replica 2, but drops the first response: the row exists, and the client does not know."""

        spared = False

        def handle(self):
            request = self.connection.recv(65536)
            with socket.socket(socket.AF_UNIX) as replica:
                replica.connect(str(tmp_path / "2.sock"))
                replica.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                response = b"".join(iter(lambda: replica.recv(65536), b""))
            if b"/once" in request and not Dying.spared:
                Dying.spared = True
                return
            self.wfile.write(response)

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "1.sock"), Dying) as dying:
        dying.daemon_threads = True
        threading.Thread(target=dying.serve_forever, daemon=True).start()
        with start(names=("2",), HAPROXY_REPLICAS="2") as system:
            system.wait_for_server("replicas/replica1", up=True)
            response = ask(system.http, method, "/once", X_Daybook_Replica="1")
            assert (response.status, len(system.records("/once"))) == (status, rows)
            if method == "GET":
                # Logged even without HAPROXY_LOG=all.
                assert [(line["path"], line["retries"]) for line in system.log_lines(1)] == [("/once", 1)]
        dying.shutdown()


def test_no_get_fails_and_no_record_is_lost_while_replicas_are_killed(start):
    with start(names=("1", "2", "3", "4")) as system:
        with Load(system.http) as load:
            for name in ("2", "3", "2"):
                time.sleep(0.7)
                system.replicas[name].kill()
                time.sleep(0.7)
                system.start_replica(name)
            time.sleep(0.7)
        print(load)
        assert load.failures == []
        assert len(load.record_ids) > 100
        assert len(set(load.record_ids)) == len(load.record_ids)
        assert set(load.record_ids) <= system.record_ids()


def test_only_posts_in_flight_fail_when_a_replica_is_killed(start):
    with start(names=("1", "2", "3", "4")) as system:
        with Load(system.http, "POST") as load:
            time.sleep(0.7)
            system.replicas["2"].kill()
            time.sleep(0.7)
            system.start_replica("2")
            time.sleep(0.7)
        print(load)
        # At most one request of each client was at that replica. (HAProxy closes keep-alive connections instead of a 502.)
        assert len(load.failures) <= load.clients
        assert set(load.record_ids) <= system.record_ids()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_rolling_restart_fails_no_request(start, method):
    with start(names=("1", "2", "3", "4")) as system:
        with Load(system.http, method) as load:
            for name in ("1", "2", "3", "4"):
                time.sleep(0.2)
                assert system.replicas[name].stop() == 0
                system.start_replica(name)
                system.wait_for_server(f"replicas/replica{name}", up=True)
        print(load)
        assert load.failures == []
        assert set(load.record_ids) <= system.record_ids()


def test_the_runtime_socket_drains_and_restores_a_replica(start):
    with start() as system:
        system.command("set server replicas/replica1 state drain")
        with Load(system.http, clients=2) as load:
            time.sleep(0.3)
            system.command("set server replicas/replica1 state ready")
            system.command("set server replicas/replica2 state maint")
            time.sleep(0.3)
        assert load.failures == []
        assert oct(system.socket.stat().st_mode & 0o777) == "0o600"
