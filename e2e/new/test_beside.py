"""A generated project, built and run with its own commands, beside daybook's own system on one host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import ask
from composed import ALWAYS, Composed, eventually
from daybook import DIRECTORY
from host import Host
from projects import NAME, PORT, REPOSITORY, make, make_project

WHERE = f"/srv/{NAME}"
IMAGES = (f"localhost/{NAME}:current", f"localhost/{NAME}-restore:current")
BUILD = "--isolation=chroot --network=host --pull=never"


@dataclass
class Project:
    directory: Path
    host: Host

    def script(self, name: str, seconds_max: float = 150) -> str:
        return self.host.run("sh", "-c", f"exec {WHERE}/scripts/{name} 2>&1", seconds_max=seconds_max)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(REPOSITORY, tmp_path_factory.mktemp("projects") / NAME)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host("server") as host:
        yield host


@pytest.fixture(scope="module")
def composed(host: Host) -> Composed:
    composed = Composed(host)
    composed.prepare()
    composed.start()
    return composed


@pytest.fixture(scope="module")
def project(directory: Path, host: Host, composed: Composed) -> Project:
    """On the host, with the images that its own script built."""
    subprocess.run(["scripts/image"], cwd=directory, env={**os.environ, "PODMAN_BUILD_FLAGS": BUILD}, check=True)
    save = subprocess.Popen(["podman", "save", "--quiet", "--multi-image-archive", *IMAGES], stdout=subprocess.PIPE)
    subprocess.run(host.enter("podman", "load", "--quiet"), stdin=save.stdout, stdout=subprocess.DEVNULL, check=True, timeout=300)
    assert save.wait() == 0
    host.put(directory, WHERE)
    return Project(directory, host)


def test_the_project_passes_its_own_lint_and_tests(directory: Path):
    for target in ("lint", "test"):
        done = make(directory, target)
        assert done.returncode == 0, done.stdout
    assert subprocess.check_output(["git", "-C", directory, "status", "--porcelain"], text=True) == ""


def test_its_program_is_about_as_large_as_daybook_s_own(project: Project, figure):
    """So the flags of its release profile apply to it."""
    def size(name: str) -> int:
        mounted = subprocess.check_output(["podman", "image", "mount", f"localhost/{name}:current"], text=True).strip()
        try:
            return (Path(mounted) / name).stat().st_size
        finally:
            subprocess.run(["podman", "image", "unmount", f"localhost/{name}:current"], stdout=subprocess.DEVNULL, check=True)

    own, theirs = size("daybook"), size(NAME)
    assert 0.9 * own < theirs < 1.1 * own and theirs <= 7_000_000
    figure(f"{theirs:,} bytes, daybook's own {own:,}")


def test_make_up_starts_it_beside_daybook_s_own_system(project: Project, composed: Composed):
    said = project.script("up")
    assert f"http://127.0.0.1:{PORT}/" in said
    response = ask((composed.host.address, PORT), path="/")
    assert response.status == 200 and response.headers["record-id"] == "1"
    assert ask(composed.http, "POST", "/hello", b"hello").body == b"hello"

    def names(*command: str) -> tuple[set[str], set[str]]:
        """daybook's own and the project's; there are no others."""
        listed = set(composed.host.run("podman", *command, "--format", "{{.Name}}").split()) - {"podman"}
        theirs = {name for name in listed if name.startswith((NAME, f"pod_{NAME}"))}
        ours = {name for name in listed - theirs if name.startswith(("daybook", "pod_daybook"))}
        assert ours | theirs == listed
        return ours, theirs

    for command in (("volume", "ls"), ("network", "ls")):
        ours, theirs = names(*command)
        assert {name.replace(NAME, "daybook") for name in theirs} == ours != set()


def test_its_prometheus_scrapes_only_its_own_and_labels_it(project: Project, composed: Composed):
    def up() -> list[dict]:
        url = f"http://127.0.0.1:{PORT + 3}/api/v1/targets"
        targets = json.loads(composed.host.run("curl", "--silent", "--fail", "--max-time", "5", url))["data"]["activeTargets"]
        return targets if targets and all(target["health"] == "up" for target in targets) else []

    targets = eventually(90, up, "every target is up")
    assert {target["labels"]["app"] for target in targets} == {NAME}
    assert {target["labels"]["job"] for target in targets} == {"daybook", "haproxy", "certificates", "litestream", "prometheus"}
    assert [target["labels"]["job"] for target in targets].count("daybook") == len(composed.replicas())


def test_its_own_e2e_passes_and_leaves_daybook_s_system_running(project: Project, composed: Composed):
    running = composed.host.attempt("sh", "-c", f"exec {WHERE}/scripts/e2e 2>&1")
    assert running.returncode != 0 and "the system is running: make down" in running.stdout
    project.script("down", seconds_max=90)
    said = project.script("e2e", seconds_max=240)
    assert "scripts/e2e: passed: " in said and '"path":"/"' in said
    label = f"label=com.docker.compose.project={NAME}"
    assert composed.host.run("podman", "ps", "--all", "--quiet", "--filter", label) == ""
    assert ask(composed.http).status == 200
    assert [len(composed.containers(service)) > 0 for service in ALWAYS] == [True] * len(ALWAYS)


def test_the_installers_of_both_write_no_file_of_the_other(project: Project, host: Host):
    for name in ("quadlet", "server", "deploy"):
        host.put(REPOSITORY / name, f"{DIRECTORY}/{name}")
    ours, theirs = (host.run(f"{place}/quadlet/install", "--files-only").splitlines() for place in (DIRECTORY, WHERE))
    assert len(ours) == len(theirs) > 60
    assert all(line.startswith("create /") for line in ours + theirs)
    assert "nothing to change" in host.run(f"{DIRECTORY}/quadlet/install", "--files-only")
