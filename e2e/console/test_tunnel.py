"""`make console HOST=…`: a tunnel through a real sshd."""

from __future__ import annotations

import os
import re
import socket
import subprocess

import pytest
from system import REPOSITORY, reserve_port

SSHD = "/usr/sbin/sshd"


@pytest.fixture
def host(tmp_path):
    """An sshd on this machine; the PATH has an ssh that knows its key, and ssh:// is its address."""
    if not os.path.exists(SSHD):
        pytest.skip("needs sshd")
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "client.pub").read_text())
    os.makedirs("/run/sshd", exist_ok=True)
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
    options = (f"AuthorizedKeysFile={tmp_path}/authorized", "StrictModes=no", "UsePAM=no", "PidFile=none", "PermitRootLogin=yes")
    command = [SSHD, "-D", "-e", "-f", "/dev/null", "-h", tmp_path / "host", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
    sshd = subprocess.Popen([*command, *(part for option in options for part in ("-o", option))], stderr=(tmp_path / "log").open("w"))
    known = " ".join((tmp_path / "host.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {known}\n")
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F none -i {tmp_path}/client -o UserKnownHostsFile={tmp_path}/known -o ConnectionAttempts=20 "$@"\n')
    ssh.chmod(0o755)
    yield f"ssh://127.0.0.1:{port}", {**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}"}
    sshd.terminate()
    sshd.wait()


def test_a_tunnel_leads_to_the_console_of_the_server(host):
    destination, environment = host
    operator_port = int(re.search(r"PROJECT_OPERATOR_PORT=(\d+)", (REPOSITORY / "project.env").read_text())[1])
    with socket.create_server(("127.0.0.1", operator_port)) as operator:
        tunnel = subprocess.Popen(
            ["make", "--silent", "console", f"HOST={destination}"], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True,
        )
        try:
            # The server is this machine, so its port is taken here.
            line = tunnel.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            assert address and int(address[1]) == operator_port + 10000, line
            with socket.create_connection(("127.0.0.1", int(address[1])), timeout=15) as client:
                client.sendall(b"hello")
                # The script looked whether the port is free here: that connection sends nothing.
                received = b""
                while not received:
                    connection, _ = operator.accept()
                    with connection:
                        received = connection.recv(5)
                assert received == b"hello"
        finally:
            tunnel.terminate()
            tunnel.wait()


def test_without_a_host_it_says_what_to_write():
    refused = subprocess.run(["make", "--silent", "console"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "which host? make console HOST=root@server.example.org" in refused.stderr
