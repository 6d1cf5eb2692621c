"""`make upgrade` in a project whose daybook has changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from projects import NAME, make, make_project


def git(project: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Me", "-c", "user.email=me@example.org")
    return subprocess.check_output(["git", "-C", project, *identity, *arguments], text=True)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_an_upgrade_brings_changed_new_and_removed_files_and_keeps_own_changes(daybook: Path, project: Path):
    edit(project / "haproxy/base.cfg", "timeout http-request 5s", "timeout http-request 9s")
    edit(project / "README.md", "An application", "My application")
    (project / "grafana/dashboards/provider.yml").unlink()
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    edit(daybook / "haproxy/base.cfg", "hard-stop-after 10s", "hard-stop-after 11s")
    edit(daybook / "server/daybook-scale", "replicas_max=8", "replicas_max=7")
    (daybook / "haproxy/maps/next-by-cookie.map").write_text("# Of daybook's next version.\n")
    (daybook / "haproxy/static/robots.txt").unlink()
    edit(daybook / "haproxy/public.cfg", "static/robots.txt", "static/humans.txt")
    edit(daybook / "Cargo.toml", 'version = "0.1.0"', 'version = "0.1.9"')
    edit(daybook / "new/template/README.md", "Change it", "Change everything")

    said = make(project, "upgrade")
    assert said.returncode == 0, said.stdout
    base = (project / "haproxy/base.cfg").read_text()
    assert "timeout http-request 9s" in base and "hard-stop-after 11s" in base
    assert "replicas_max=7" in (project / f"server/{NAME}-scale").read_text()
    assert (project / "haproxy/maps/next-by-cookie.map").read_text() == f"# Of {NAME}'s next version.\n"
    assert not (project / "haproxy/static/robots.txt").exists()
    assert not (project / "grafana/dashboards/provider.yml").exists()
    assert "My application" in (project / "README.md").read_text() and "Change it" in (project / "README.md").read_text()
    assert 'version = "0.1.9"' in (project / ".daybook/project.toml").read_text()
    assert git(project, "diff", "--name-only") == "", "everything is staged"
    git(project, "commit", "--quiet", "--message", "upgrade")

    assert "nothing to change" in make(project, "upgrade").stdout
    assert git(project, "status", "--porcelain") == ""


def test_lines_that_both_changed_are_marked_as_a_conflict(daybook: Path, project: Path):
    edit(project / "haproxy/base.cfg", "hard-stop-after 10s", "hard-stop-after 20s")
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    edit(daybook / "haproxy/base.cfg", "hard-stop-after 10s", "hard-stop-after 30s")
    said = make(project, "upgrade")
    assert said.returncode != 0 and "conflict  haproxy/base.cfg" in said.stdout
    merged = (project / "haproxy/base.cfg").read_text()
    assert re.search(r"<<<<<<<.*\n +hard-stop-after 20s\n=======\n +hard-stop-after 30s\n>>>>>>>", merged)
    assert "UU haproxy/base.cfg" in git(project, "status", "--porcelain")
    refused = make(project, "upgrade")
    assert refused.returncode != 0 and "uncommitted changes" in refused.stdout
    git(project, "reset", "--quiet", "--hard")
    assert "hard-stop-after 20s" in (project / "haproxy/base.cfg").read_text()


def test_uncommitted_changes_are_refused_and_stay(daybook: Path, project: Path):
    (project / "notes.txt").write_text("mine")
    edit(daybook / "haproxy/base.cfg", "hard-stop-after 10s", "hard-stop-after 30s")
    said = make(project, "upgrade")
    assert said.returncode != 0 and "1 uncommitted changes, such as notes.txt: commit or stash them first" in said.stdout
    assert git(project, "status", "--porcelain") == "?? notes.txt\n"


def test_another_port_in_project_toml_moves_all_ports(project: Path):
    edit(project / ".daybook/project.toml", "port = 8280", "port = 9380")
    git(project, "commit", "--quiet", "--all", "--message", "other ports")
    said = make(project, "upgrade")
    assert said.returncode == 0, said.stdout
    assert "PROJECT_PORT=9380\n" in (project / "project.env").read_text()
    assert "ListenStream=127.0.0.1:9382" in (project / f"server/{NAME}-haproxy.socket").read_text()
    assert "8282" not in (project / "prometheus/server.yml").read_text()


def test_a_library_in_git_is_upgraded_to_a_newer_tag(daybook: Path, tmp_path: Path):
    git(daybook, "init", "--quiet", "--initial-branch=main")
    git(daybook, "add", "--all")
    git(daybook, "commit", "--quiet", "--message", "first")
    git(daybook, "tag", "v0.1.0")
    url, project = f"file://{daybook}", tmp_path / NAME
    made = make(daybook, "new", f"NAME={NAME}", f"DIR={project}", f"DAYBOOK={url}#v0.1.0")
    assert made.returncode == 0, made.stdout
    assert f'daybook = {{ git = "{url}", tag = "v0.1.0" }}' in (project / "Cargo.toml").read_text()
    assert "--from=library" not in (project / "Containerfile").read_text() and "build-context" not in (project / "scripts/image").read_text()
    edit(daybook / "haproxy/base.cfg", "hard-stop-after 10s", "hard-stop-after 30s")
    git(daybook, "commit", "--quiet", "--all", "--message", "second")
    git(daybook, "tag", "v0.2.0")
    said = make(project, "upgrade", f"DAYBOOK={url}#v0.2.0")
    assert said.returncode == 0, said.stdout
    assert f'daybook = {{ git = "{url}", tag = "v0.2.0" }}' in (project / "Cargo.toml").read_text()
    assert "hard-stop-after 30s" in (project / "haproxy/base.cfg").read_text()
    assert f'daybook = "{url}#v0.2.0"' in (project / ".daybook/project.toml").read_text()
