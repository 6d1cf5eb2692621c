"""The read API does what /openapi.json says, whatever it is sent: schemathesis makes up valid and invalid requests from it."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.78.2"
PUBLIC = f"http://{ADDRESS}:8080"
ADMIN = f"http://{ADDRESS}:9100"


@pytest.fixture
def daybook(binary, tmp_path):
    """A replica with some records."""
    environment = {
        "DAYBOOK_DATABASE__PATH": str(tmp_path / "requests.db"),
        "DAYBOOK_LISTEN": f"{ADDRESS}:8080",
        "DAYBOOK_ADMIN__LISTEN": f"{ADDRESS}:9100",
    }
    process = subprocess.Popen([binary, "serve"], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        # Its log is short; it is ready at the line that says so.
        assert any(b'"ready"' in line for line in process.stderr)
        for n in range(20):
            urllib.request.urlopen(urllib.request.Request(f"{PUBLIC}/{n}/%20?q", data=b"x" * n), timeout=10).read()
        yield process
    finally:
        process.kill()
        process.wait()


def test_every_described_request_is_accepted_and_every_other_one_refused(daybook):
    venv = subprocess.run([ROOT / "scripts" / "venv", ROOT / "e2e" / "openapi" / "requirements.txt"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    # All of its checks: no 5xx, the status and the body as described, valid requests accepted, invalid ones refused.
    command = [Path(venv) / "bin" / "schemathesis", "run", f"{ADMIN}/openapi.json", "--max-examples=200", "--seed=1", "--no-color"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    assert "4 selected / 4 total" in run.stdout
    assert daybook.poll() is None
