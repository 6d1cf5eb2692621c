"""An SFTP target for the Litestream tests."""

import shutil
import subprocess

import pytest

from programs import addresses, until


class Sftp:
    """A real OpenSSH server that serves SFTP and nothing else."""

    def __init__(self, run, directory):
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        if not sshd:
            pytest.skip("needs OpenSSH's server: apt-get install openssh-server")
        self.directory, self.address = directory, next(addresses)
        for kind in ("ed25519", "ecdsa", "rsa", "client"):
            key_type = "ed25519" if kind == "client" else kind
            subprocess.run(["ssh-keygen", "-q", "-t", key_type, *("-b", "2048") * (kind == "rsa"), "-N", "", "-f", directory / kind], check=True)
        config = directory / "sshd_config"
        config.write_text(f"""
            ListenAddress {self.address}:2222
            HostKey {directory}/rsa
            HostKey {directory}/ecdsa
            HostKey {directory}/ed25519
            AuthorizedKeysFile {directory}/client.pub
            AuthenticationMethods publickey
            PermitRootLogin prohibit-password
            StrictModes no
            PidFile none
            Subsystem sftp internal-sftp
            ForceCommand internal-sftp
        """)
        self.process = run("sshd", sshd, "-D", "-e", "-f", config)
        until(lambda: "Server listening" in self.process.log.read_text())

    def settings(self, host_key="ecdsa", path=None):
        return {
            "BACKUP_URL": f"sftp://root@{self.address}:2222{path or self.directory}/backup/requests.db",
            "BACKUP_SFTP_KEY_FILE": self.directory / "client",
            "BACKUP_SFTP_HOST_KEY": (self.directory / f"{host_key}.pub").read_text().strip() if host_key else "",
        }
