"""The image localhost/daybook of the Containerfile."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
IMAGE = "localhost/daybook:current"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout


def files(image: str, directory: Path) -> dict[str, tarfile.TarInfo]:
    """All files of the image by path. Extracts /daybook and the certificates to `directory`."""
    container = podman("create", image).strip()
    try:
        podman("export", "--output", str(directory / "image.tar"), container)
    finally:
        podman("rm", container)
    with tarfile.open(directory / "image.tar") as archive:
        (directory / "daybook").write_bytes(archive.extractfile("daybook").read())
        (directory / "daybook").chmod(0o755)
        (directory / "certificates").write_bytes(archive.extractfile(CERTIFICATES).read())
        return {member.name: member for member in archive.getmembers()}


def test_the_image_contains_only_the_binary_two_directories_and_the_authorities_certificates(tmp_path, figure):
    config = json.loads(podman("image", "inspect", IMAGE))[0]
    assert config["Size"] <= 10_000_000
    assert config["User"] == config["Config"]["User"] == "10001:10001"
    assert config["Config"]["Entrypoint"] == ["/daybook"] and config["Config"]["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/daybook", "healthcheck"]
    members = files(IMAGE, tmp_path)
    said = subprocess.run([tmp_path / "daybook", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert config["Labels"]["org.opencontainers.image.version"] == said.split()[1]
    assert [name for name, member in members.items() if member.isfile() and member.size] == ["daybook", CERTIFICATES]
    assert len(ssl.create_default_context(cafile=tmp_path / "certificates").get_ca_certs()) > 100
    owned = {name for name, member in members.items() if (member.uid, member.gid) == (10001, 10001)}
    assert owned == {"var/lib/daybook", "run/daybook"}
    figure(f"{config['Size']:,} bytes")


def test_a_clean_rebuild_gives_the_same_binary(tmp_path, figure):
    again = "localhost/daybook-e2e-again:latest"
    # Without layers nothing is cached.
    build = ("build", "--no-cache", "--layers=false", "--isolation=chroot", "--network=host", "--pull=never")
    podman(*build, "--target=daybook", "--tag", again, ".")
    binaries = []
    try:
        for image in (IMAGE, again):
            files(image, tmp_path)
            binaries.append((tmp_path / "daybook").read_bytes())
    finally:
        podman("rmi", again)
    assert binaries[0] == binaries[1]
    figure(f"SHA-256 of both {hashlib.sha256(binaries[0]).hexdigest()[:16]}…")
