"""Replicas behind a DNS name, as containers have them: who comes and goes, and what clients see of it.

Run by test_names.py in namespaces of its own (loopback, and /etc/resolv.conf), where a real DNS server may have port 53:

    unshare --net --mount python3 names.py HAPROXY DAYBOOK DIRECTORY

Prints one JSON object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from client import Load, ask
from system import configuration, environment, wait_until

HAPROXY, DAYBOOK, DIRECTORY = map(Path, sys.argv[1:4])
HTTP, OPERATOR = ("127.0.0.1", 18080), ("127.0.0.1", 19101)
# For DNS and HAProxy to agree with what was changed: two resolutions and `hold obsolete`, and some.
SETTLE_SECONDS = 3.0


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolv_conf = DIRECTORY / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", resolv_conf, os.path.realpath("/etc/resolv.conf")], check=True)
    (DIRECTORY / "hosts").write_text("")
    dns = start(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/#/",
        "--local-ttl=0", f"--addn-hosts={DIRECTORY}/hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
        "--user=root", "--pid-file=",
    )
    replicas: dict[int, subprocess.Popen] = {}
    processes = [dns]
    told = {}
    try:
        processes.append(start(str(HAPROXY), "-db", *configuration("dns"), variables={
            "HAPROXY_HTTP": "%s:%d" % HTTP, "HAPROXY_OPERATOR": "%s:%d" % OPERATOR,
            "HAPROXY_SOCKET": f"{DIRECTORY}/haproxy.sock", "HAPROXY_NEXT": "on",
        }))
        wait_until(lambda: status("/") is not None, "HAProxy answers")
        told["no name yet"] = status("/")

        for number in (11, 12, 13, 14):
            replicas[number] = start_replica(number)
        name(dns, daybook=[11, 12, 13, 14])
        wait_until(lambda: who_answers() == ["11", "12", "13", "14"], "the name is known")
        told["four replicas"] = who_answers()

        with Load(HTTP) as load:
            replicas[11].kill()
            name(dns, daybook=[12, 13, 14])
            time.sleep(SETTLE_SECONDS)
            replicas[15] = start_replica(15)
            name(dns, daybook=[12, 13, 14, 15])
            wait_until(lambda: who_answers() == ["12", "13", "14", "15"], "the new one has the place of the one that died")
            replicas[12].terminate()
            replicas[12].wait()
            name(dns, daybook=[13, 14, 15])
            time.sleep(SETTLE_SECONDS)
            wait_until(lambda: who_answers() == ["13", "14", "15", "503"], "the one that has ended is forgotten")
        told["load"], told["failures"] = str(load), load.failures
        told["three replicas"] = who_answers()

        told["no next yet"] = status("/v2/")
        replicas[16] = start_replica(16)
        name(dns, daybook=[13, 14, 15], next=[16])
        wait_until(lambda: status("/v2/") == 200, "next is known")

        dns.kill()
        dns.wait()
        time.sleep(SETTLE_SECONDS)
        told["no name server"] = status("/")
    finally:
        for process in [*processes, *replicas.values()]:
            process.kill()
            process.wait()
    print(json.dumps(told))


def start(*command: str, variables: dict[str, str] | None = None) -> subprocess.Popen:
    with (DIRECTORY / "errors.log").open("ab") as errors:
        return subprocess.Popen(
            command, cwd=DIRECTORY, env=environment(variables or {}), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        )


def start_replica(number: int) -> subprocess.Popen:
    process = start(str(DAYBOOK), "serve", variables={
        "DAYBOOK_LISTEN": f"127.0.0.{number}:8080", "DAYBOOK_ADMIN__LISTEN": f"127.0.0.{number}:9100",
        "DAYBOOK_REPLICA": str(number), "DAYBOOK_DATABASE__PATH": f"{DIRECTORY}/requests.db",
        "DAYBOOK_SHUTDOWN__DRAIN_DELAY": "2s",
    })
    wait_until(lambda: status("/readyz", (f"127.0.0.{number}", 9100)) == 200, f"replica {number} is ready")
    return process


def name(dns: subprocess.Popen, **addresses: list[int]) -> None:
    lines = [f"127.0.0.{number} {host}\n" for host, numbers in addresses.items() for number in numbers]
    (DIRECTORY / "hosts").write_text("".join(lines))
    dns.send_signal(signal.SIGHUP)


def status(path: str, address: tuple[str, int] = HTTP) -> int | None:
    try:
        return ask(address, path=path).status
    except OSError:
        return None


def who_answers() -> list[str]:
    """The name of the replica behind each /replica/N/metrics, or the status."""
    answers = [ask(OPERATOR, path=f"/replica/{number}/metrics") for number in (1, 2, 3, 4)]
    return sorted(
        answer.body.split(b'replica="')[1].split(b'"')[0].decode() if answer.status == 200 else str(answer.status)
        for answer in answers
    )


main()
