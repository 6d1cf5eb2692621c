"""The stand-ins of e2e/images match official.toml."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
OFFICIAL = tomllib.loads((HERE / "images/official.toml").read_text())


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def reference(name: str) -> str:
    return subprocess.check_output([HERE.parent / "scripts/pins", "image", name], text=True).strip()


def test_every_stand_in_is_in_official_toml():
    stand_ins = {path.parent.name for path in HERE.glob("images/*/Containerfile") if "Stands in for" in path.read_text()}
    assert set(OFFICIAL) == stand_ins


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_stand_in_is_configured_as_the_official_image(name, figure):
    official = OFFICIAL[name]
    image = reference(name)
    [inspected] = json.loads(podman("image", "inspect", image))
    config = inspected["Config"]
    environment = dict(variable.split("=", 1) for variable in config.get("Env") or [])
    assert {
        "user": config.get("User", ""),
        "directory": config.get("WorkingDir", "").rstrip("/"),
        "entrypoint": config.get("Entrypoint") or [],
        "command": config.get("Cmd") or [],
        "volumes": list(config.get("Volumes") or {}),
        "ports": list(config.get("ExposedPorts") or {}),
        "stop_signal": config.get("StopSignal", ""),
    } == {
        "user": official.get("user", ""),
        "directory": official.get("directory", ""),
        "entrypoint": official.get("entrypoint", []),
        "command": official.get("command", []),
        "volumes": official.get("volumes", []),
        "ports": official.get("ports", []),
        "stop_signal": official.get("stop_signal", ""),
    }
    assert official.get("environment", {}).items() <= environment.items()
    figure(f"{image} runs {official['runs']}")


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_stand_in_has_the_official_images_files_and_user(name, tmp_path):
    official = OFFICIAL[name]
    container = podman("create", reference(name)).strip() if official.get("entrypoint") else podman("create", reference(name), "sh").strip()
    try:
        podman("export", "--output", str(tmp_path / "image.tar"), container)
    finally:
        podman("rm", "--volumes", container)
    with tarfile.open(tmp_path / "image.tar") as archive:
        # Debian's /bin is a link to /usr/bin.
        names = {member.name.removeprefix("usr/") for member in archive}
        users = archive.extractfile("etc/passwd").read().decode()
    assert [file for file in official["files"] if file.removeprefix("usr/") not in names] == []
    if "user" in official:
        [ids] = [line.split(":")[2:4] for line in users.splitlines() if line.startswith(f"{official['user']}:")]
        assert list(map(int, ids)) == official["ids"]


@pytest.mark.parametrize("arguments, run", [
    (["haproxy", "-f", "/etc/x"], "haproxy -W -db -f /etc/x"),
    (["-f", "/etc/x"], "haproxy -W -db -f /etc/x"),
    (["haproxy"], "haproxy -W -db"),
    (["other", "-f", "x"], "other -f x"),
])
def test_the_haproxy_entry_point_adds_the_official_arguments(arguments, run, tmp_path):
    for program in ("haproxy", "other"):
        (tmp_path / program).write_text('#!/bin/sh\necho "${0##*/}" "$@"\n')
        (tmp_path / program).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [HERE / "images/haproxy/docker-entrypoint.sh", *arguments], env=environment, check=True, capture_output=True, text=True,
    )
    assert done.stdout.strip() == run
