"""The units of a generated project, under its own names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from projects import NAME, PORT, REPOSITORY

sys.path.append(str(REPOSITORY / "new"))
import choices
import rules


def test_podman_and_systemd_accept_its_units(project: Path):
    """With scripts/check-units, which a project does not have."""
    check = rules.rename((REPOSITORY / "scripts/check-units").read_text(), choices.Choices(NAME, PORT, choices.Source("..")))
    script = project / "scripts/check-units"
    script.write_text(check.replace(f"/{NAME}/check-units", "/daybook/check-units"))
    (project / "e2e").symlink_to(REPOSITORY / "e2e")
    done = subprocess.run(["bash", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("units are verified") == 4
