"""Runs the playbook as an operator does: from this machine, by ssh, with a key."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from daybook import REPOSITORY
from host import Host

ANSIBLE = REPOSITORY / "ansible"
# All requests of the tests come from one address, so there is no rate limit.
SETTINGS = {"HAPROXY_RATE_LIMIT": "off"}
# The stages of cloud-init in order. At a first boot its units run them.
STAGES = ("init --local", "init", "modules --mode=config", "modules --mode=final")


class Operator:
    """`directory` holds the operator's key, the known hosts and the inventory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts: dict[str, dict[str, Host]] = {"daybook": {}, "loadgen": {}}
        self.key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        venv = [REPOSITORY / "scripts/venv", ANSIBLE / "requirements.txt"]
        self.programs = Path(subprocess.run(venv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip(), "bin")

    def hand_over(self, host: Host) -> str:
        """Runs cloud-init with ansible/cloud-init.yml, as a provider does; returns the output of `cloud-init schema`."""
        key = self.key.with_suffix(".pub").read_text().strip()
        text, replaced = re.subn(r"ssh-ed25519 .*", key, (ANSIBLE / "cloud-init.yml").read_text())
        assert replaced == 1
        seed = "/var/lib/cloud/seed/nocloud"
        host.run("mkdir", "-p", seed)
        host.run("tee", f"{seed}/user-data", input=text)
        host.run("tee", f"{seed}/meta-data", input=f"instance-id: {host.name}\n")
        # The test host has its network already.
        host.run("tee", "/etc/cloud/cloud.cfg.d/99-network.cfg", input="network: {config: disabled}\n")
        said = host.run("cloud-init", "schema", "--config-file", f"{seed}/user-data")
        for stage in STAGES:
            host.run("cloud-init", *stage.split(), seconds_max=120)
        with open(self.directory / "known_hosts", "a") as known:
            known.write(f"{host.address} {host.run('cat', '/etc/ssh/ssh_host_ed25519_key.pub')}")
        return said

    def ssh(self, host: Host, *command: str, **options: str) -> subprocess.CompletedProcess[str]:
        flags = [f"-o{name}={value}" for name, value in options.items()]
        return subprocess.run(
            ["ssh", *self._ssh_options().split(), *flags, f"root@{host.address}", *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
        )

    def _ssh_options(self) -> str:
        return f"-o UserKnownHostsFile={self.directory}/known_hosts -o IdentitiesOnly=yes -o BatchMode=yes -i {self.key}"

    def provision(self, *arguments: str, environment: dict[str, str] | None = None, **variables: object) -> Outcome:
        """Runs ansible-playbook with these variables for all hosts."""
        common = {"ansible_ssh_common_args": self._ssh_options(), **variables}
        inventory = {
            group: {"hosts": {name: {"ansible_host": host.address} for name, host in hosts.items()}, "vars": common}
            for group, hosts in self.hosts.items()
        }
        file = self.directory / "inventory.json"
        file.write_text(json.dumps(inventory))
        own = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self.directory / "ansible")}
        done = subprocess.run(
            [self.programs / "ansible-playbook", "--inventory", file, "playbook.yml", *arguments], cwd=ANSIBLE,
            env={**os.environ, **own, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200,
        )
        return Outcome(done.returncode, done.stdout)


class Outcome:
    """The output of a run, and the counts of its recap."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    def count(self, name: str) -> int:
        """The sum of `changed`, `failed`, … over all hosts."""
        recap = self.text.split("PLAY RECAP")[1]
        return sum(int(number) for number in re.findall(rf"\b{name}=(\d+)", recap))

    def succeeded(self) -> Outcome:
        assert self.status == 0, self.text[-6000:]
        return self
