"""The files of a generated project that its Containerfile gets."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

IMAGE = "localhost/daybook-e2e-context:latest"


def podman(directory: Path, *arguments: str, input: str | None = None) -> bytes:
    return subprocess.run(["podman", *arguments], cwd=directory, input=input and input.encode(), stdout=subprocess.PIPE, check=True).stdout


def given(directory: Path) -> set[str]:
    """The files of `COPY . .`."""
    podman(directory, "build", "--quiet", "--isolation=chroot", "--tag", IMAGE, "--file", "-", ".", input="FROM scratch\nCOPY . /\n")
    container = podman(directory, "create", IMAGE, "none").decode().strip()
    try:
        with tarfile.open(fileobj=io.BytesIO(podman(directory, "export", container))) as archive:
            made = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv"}
            return {member.name for member in archive.getmembers() if member.isfile()} - made
    finally:
        podman(directory, "rm", container)
        podman(directory, "rmi", IMAGE)


def test_the_image_s_build_gets_every_file_that_may_be_compiled_in_and_no_infrastructure(project: Path):
    assert "\nCOPY . .\n" in (project / "Containerfile").read_text()
    for name in ("assets/style.css", "templates/page.html", ".sqlx/query.json"):
        (project / name).parent.mkdir()
        (project / name).write_text("mine")
    # A change of these must not build the program again.
    for name in (".env", "requests.db", "requests.db-wal", "target/debug/my-shop"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    assert given(project) == {
        ".cargo/config.toml", "Cargo.toml", "Cargo.lock", "README.md", "build.rs", "migrations/0001_notes.sql", "src/lib.rs", "src/main.rs",
        "litestream/restore.sh", "assets/style.css", "templates/page.html", ".sqlx/query.json",
    }
