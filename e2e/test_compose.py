"""scripts/compose on this machine, which is Debian 12: its Podman 4.3 has no `podman compose`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DEBIAN_12 = "podman version 4.3.1"


def version(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [REPOSITORY / "scripts/compose", "--version"], env={**os.environ, **path, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


@pytest.fixture(autouse=True)
def without_a_provider():
    said = subprocess.run(["podman", "compose", "--version"], capture_output=True, text=True).stdout.strip()
    if said != DEBIAN_12:
        pytest.skip(f"podman compose --version prints {said!r} here")


def test_podman_s_own_version_is_no_compose_program_so_one_is_installed(tmp_path: Path):
    said = version(tmp_path)
    assert said.returncode == 0 and "podman-compose version 1.6" in said.stdout


def test_where_none_can_be_installed_the_message_says_what_to_install(tmp_path: Path):
    said = version(tmp_path, PIP_INDEX_URL="http://127.0.0.1:1/", PIP_RETRIES="0")
    assert said.returncode == 1
    assert said.stdout.splitlines()[-1].endswith("(the reason is above): pipx install podman-compose (1.6 or later)")
