"""Builds or installs the programs of the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from process import BenchError

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybook"
OHA_VERSION = "1.16.0"


@dataclass
class Tools:
    """Each is built or installed on first use, in a cache outside the tree."""

    daybook: Path

    @cached_property
    def haproxy(self) -> Path:
        return Path(output(REPOSITORY / "e2e/haproxy/program"))

    @cached_property
    def litestream(self) -> Path:
        return Path(output(REPOSITORY / "scripts/litestream"))

    @cached_property
    def oha(self) -> Path:
        """Sends at a fixed rate, and counts latency from when a request was due."""
        root = CACHE / f"oha-{OHA_VERSION}"
        binary = root / "bin/oha"
        if not binary.exists():
            run("cargo", "install", "oha", "--version", OHA_VERSION, "--locked", "--root", root)
        return binary

    @cached_property
    def postgres_server(self) -> Path:
        manifest = REPOSITORY / "bench/postgres/Cargo.toml"
        target = CACHE / "bench-postgres"
        run("cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", target)
        return target / "release/bench-postgres"

    @property
    def python(self) -> Path:
        """With the packages of requirements.txt; `pocketbase` is beside it."""
        return Path(sys.executable)

    @property
    def pocketbase(self) -> Path:
        return self.python.parent / "pocketbase"


def build_daybook(profile: str = "release") -> Path:
    """Builds it with a profile of Cargo.toml."""
    run("cargo", "build", "--profile", profile, "--locked", "--bin", "daybook")
    metadata = json.loads(output("cargo", "metadata", "--no-deps", "--format-version=1"))
    return Path(metadata["target_directory"]) / profile / "daybook"


def run(*command: str | Path) -> None:
    if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:
        raise BenchError(f"failed: {' '.join(map(str, command))}")


def output(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BenchError(f"failed: {' '.join(map(str, command))}")
    return done.stdout.strip()
