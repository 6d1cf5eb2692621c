"""Backup targets: the server and the settings for each kind."""

from __future__ import annotations

from host import Host

S3_KEY_ID, S3_SECRET = "daybook", "only-on-the-test-host"
S3_CREDENTIALS = f"[default]\naws_access_key_id = {S3_KEY_ID}\naws_secret_access_key = {S3_SECRET}\n"


def to_a_volume(host: Host) -> dict[str, str]:
    return {}


def to_sftp(host: Host) -> dict[str, str]:
    """OpenSSH in its own container, reached over the host's address like a remote server. Only its /home is writable, as on a
    Storage Box."""
    host.run("rm", "-rf", "/srv/sftp")
    host.run("mkdir", "/srv/sftp")
    for key in ("host_key", "user_key"):
        host.run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", f"/srv/sftp/{key}")
    host.run("cp", "/srv/sftp/user_key.pub", "/srv/sftp/authorized_keys")
    host.run("chown", "10001", "/srv/sftp/user_key")
    serve(host, "sftp", 2222, "--volume", "/srv/sftp:/keys:ro")
    kind, key, *_ = host.run("cat", "/srv/sftp/host_key.pub").split()
    return {
        "BACKUP_URL": f"sftp://backup@{host.address}:2222/home/backup/requests.db",
        "BACKUP_SFTP_KEY_FILE": "/srv/sftp/user_key",
        "BACKUP_SFTP_HOST_KEY": f"{kind} {key}",
    }


def to_s3(host: Host) -> dict[str, str]:
    serve(host, "s3", 9000, "--env", f"S3_ACCESS_KEY={S3_KEY_ID}", "--env", f"S3_SECRET_KEY={S3_SECRET}")
    file = "/srv/s3/credentials"
    host.run("install", "-D", "-o", "10001", "-m", "400", "/dev/stdin", file, input=S3_CREDENTIALS)
    return {
        "BACKUP_URL": "s3://backup/requests.db",
        "BACKUP_S3_ENDPOINT": f"http://{host.address}:9000",
        "BACKUP_S3_REGION": "us-east-1",
        "BACKUP_S3_CREDENTIALS_FILE": file,
    }


def serve(host: Host, name: str, port: int, *arguments: str) -> None:
    host.run(
        "podman", "run", "--replace", "--detach", "--name", name, "--publish", f"{port}:{port}", *arguments,
        f"localhost/daybook-e2e-{name}:latest",
    )
