"""A generated project has its own names, and none of daybook's."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from projects import NAME, PORT, REPOSITORY, make_project

sys.path.append(str(REPOSITORY / "new"))
import choices
import render

# Names of the library, and sentences about it.
ALLOWED = re.compile(
    r"\bdaybook_[a-z]|\bdaybook\.toml\b|job_name: daybook$|job!?=\"daybook\"|(roles|group_vars)/daybook\b|hosts: daybook\b|^    - daybook$|^daybook:$"
    r"|'daybook' in group_names|\bdaybook::|^daybook = \{.*|\.daybook/|\^(\\\()?daybook = |an application of daybook|daybook's `src/"
)
OWN = ("README.md", "Makefile", "scripts/upgrade", ".daybook/", "Cargo.lock")
# Ports, networks and users of daybook itself that a project must not have, where it publishes or takes them on the machine.
NUMBERS = re.compile(r"\b(9101|9102|10001|10002|10\.89\.65)\b")

# The digest of each version of server/sites/00-front.cfg with the files that belong to it.
FRONTS = {1: "dcf25e85307c52ea"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, because these tests only read it."""
    return make_project(REPOSITORY, tmp_path_factory.mktemp("names") / NAME)


def files(project: Path) -> dict[str, str]:
    listed = subprocess.check_output(["git", "-C", project, "ls-files", "-z"], text=True).split("\0")
    return {name: (project / name).read_text() for name in listed if name and not name.endswith(".tar")}


def test_no_name_or_number_of_daybook_s_own_deployment_is_left(project: Path):
    left = [
        f"{name}:{number}: {line}"
        for name, text in files(project).items() if not name.startswith(OWN)
        for number, line in enumerate(text.splitlines(), 1)
        if "daybook" in ALLOWED.sub("", line) or (NUMBERS.search(line) and "--hash" not in line)
    ]
    assert left == []
    assert [name for name in files(project) if "daybook" in name.replace("roles/daybook", "").replace(".daybook/", "") and name != "daybook.toml"] == []


def test_no_program_of_daybook_s_server_keeps_a_unit_or_container_of_its_own_name(project: Path):
    shared = re.compile(r"(?<![\w.-])(haproxy-https|haproxy|litestream|prometheus)\.(service|socket|container|volume)\b"
                        r"|(ContainerName|VolumeName|RuntimeDirectory)=(?!my-shop|haproxy-sites)|/run/(haproxy(?!-sites)|litestream|daybook)\b|/var/lib/backup\b")
    left = [f"{name}: {line}" for name, text in files(project).items() for line in text.splitlines() if shared.search(line)]
    assert left == []
    units = [path.name for folder in ("quadlet", "systemd", "server") for path in (project / folder).glob("*.*") if path.suffix not in (".md", ".conf")]
    assert len(units) > 25 and all(NAME.replace("-", "_") in unit.replace("-", "_") for unit in units)


def test_every_project_brings_the_same_front_of_a_shared_server(project: Path):
    """And a changed one has a new version: server/install replaces only an older one."""
    front = [
        "haproxy/healthcheck",
        *(f"server/sites/{name}" for name in (
            "00-front.cfg", "haproxy-sites.socket", "quadlet/haproxy-sites.container", "quadlet/tmpfiles.conf",
            "systemd/haproxy-sites.service", "systemd/tmpfiles.conf",
        )),
    ]
    ours, theirs = ([(root / name).read_bytes() for name in front] for root in (REPOSITORY, project))
    assert ours == theirs
    version = int(re.match(rb"# Version (\d+)\n", ours[1])[1])
    # With and without digests of images (scripts/pins).
    digest = hashlib.sha256(re.sub(rb"@sha256:[0-9a-f]+", b"", b"".join(ours))).hexdigest()[:16]
    assert digest == FRONTS.get(version), f"raise the version in the first line of {front[1]}, and add its digest {digest} to FRONTS"


def test_no_first_request_to_try_is_for_daybook_s_echo(project: Path):
    assert [name for name, text in files(project).items() if "/hello" in text or "-d 'hello" in text] == []


def test_nothing_refers_to_a_file_that_only_daybook_has(project: Path):
    folders = "|".join(path.name for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith("."))
    mentioned = re.compile(rf"(?<![\w./-])(?:\.\./)?((?:{folders})/[\w./-]*\w)")
    present = set(files(project))
    missing = {
        f"{name}: {path}"
        for name, text in files(project).items() if name.endswith(".md") or name.startswith((".", "scripts/", "Containerfile", "compose.yaml"))
        for path in mentioned.findall(text)
        if (REPOSITORY / path).exists() and path not in present and not any(other.startswith(f"{path}/") for other in present)
    }
    of_daybook = {"README.md: docs/cookbook.md", "litestream/README.md: src/store/litestream.rs", "scripts/upgrade: new/project"}
    assert missing - of_daybook == set()


def test_every_link_of_its_pages_leads_to_a_file(project: Path):
    broken = [
        f"{name}: {link}"
        for name, text in files(project).items() if name.endswith(".md")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        if not (project / name).parent.joinpath(link).exists()
    ]
    assert broken == []


def test_two_projects_share_no_port_network_or_user():
    ours, theirs = (choices.Choices(name, port, choices.Source("..")).settings for name, port in ((NAME, PORT), ("guestbook", 8180)))
    assert set(ours.values()) & set(theirs.values()) == set()
    own = dict(re.findall(r"^PROJECT_(\w+)=(.*)$", (REPOSITORY / "project.env").read_text(), re.MULTILINE))
    assert own.keys() == ours.keys() and set(own.values()) & set(ours.values()) == set()


def test_daybook_s_own_files_repeat_the_numbers_of_project_env():
    """`make new` finds them by these numbers."""
    own = dict(re.findall(r"^PROJECT_(\w+)=(.*)$", (REPOSITORY / "project.env").read_text(), re.MULTILINE))
    where = {
        "OPERATOR_PORT": "server/haproxy.socket", "LITESTREAM_PORT": "systemd/haproxy.service", "SUBNET": "quadlet/daybook-operator.network",
        "USER_ID": "Containerfile", "PORT": "systemd/daybook@.socket", "PROMETHEUS_PORT": "quadlet/prometheus.container",
    }
    for name, file in where.items():
        assert re.search(rf"\b{re.escape(own[name])}\b", (REPOSITORY / file).read_text()), f"{file} lacks PROJECT_{name}={own[name]}"


def test_a_rule_that_no_longer_matches_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(render.rules.OF_FILE, "haproxy/README.md", lambda _: [("no such words", "")])
    with pytest.raises(LookupError, match="haproxy/README.md does not have /no such words/ any more"):
        render.render(choices.Choices(NAME, PORT, choices.Source("..")))
