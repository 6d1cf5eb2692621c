"""A generated project is compiled as daybook itself is. test_beside.py compares the sizes of the two programs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from projects import NAME, REPOSITORY, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, because these tests only read it."""
    return make_project(REPOSITORY, tmp_path_factory.mktemp("flags") / NAME)


def manifest(directory: Path) -> dict:
    return tomllib.loads((directory / "Cargo.toml").read_text())


def test_a_project_has_daybook_s_own_profiles_and_edition(project: Path):
    own, theirs = manifest(REPOSITORY), manifest(project)
    for name in ("rust-version", "edition"):
        assert theirs["package"][name] == own["package"][name]
    assert own["profile"]["release"]["lto"] == "fat"
    for name in ("dev", "release", "quick"):
        assert theirs["profile"][name] == own["profile"][name]


@pytest.mark.parametrize("name", ["rust-toolchain.toml", ".cargo/config.toml"])
def test_a_project_has_daybook_s_own_compiler_and_options(project: Path, name: str):
    assert (project / name).read_text() == (REPOSITORY / name).read_text()


def test_the_images_of_both_are_built_by_the_same_compiler_and_command(project: Path):
    def build(directory: Path, name: str) -> tuple[list[str], list[str]]:
        text = (directory / "Containerfile").read_text()
        commands = [command.replace(name, "NAME") for command in re.findall(r'cargo build .*-musl"', text)]
        return re.findall(r"^FROM (\S+) AS build$", text, re.MULTILINE), commands

    compilers, commands = build(project, NAME)
    assert (compilers, commands) == build(REPOSITORY, "daybook")
    assert len(compilers) == 1 and len(commands) == 2 and all("--release" in command for command in commands)


def features(directory: Path) -> dict[str, list[str]]:
    """The features of each package that the program is built from. One package may be built twice."""
    tree = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"]
    found: dict[str, set[str]] = {}
    for line in subprocess.check_output(tree, cwd=directory, text=True).splitlines():
        package, enabled = line.split("|")
        found.setdefault(" ".join(package.split()[:2]), set()).add(enabled)
    return {package: sorted(enabled) for package, enabled in found.items()}


def test_every_dependency_of_daybook_has_the_same_version_and_features_in_a_project(project: Path):
    """The allocator and SQLite, for example."""
    own, theirs = features(REPOSITORY), features(project)
    assert any(package.startswith("mimalloc ") for package in own) and len(own) > 100
    differing = {package: (enabled, theirs.get(package)) for package, enabled in own.items() if theirs.get(package) != enabled}
    # This one is in both for procedural macros, and affects no program.
    assert {package for package in differing if not package.startswith("syn ")} == set()
