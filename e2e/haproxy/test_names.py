"""servers/dns.cfg, with a real DNS server and real replicas on addresses of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dnsmasq"), reason="needs root, and dnsmasq from dnsmasq-base")
def test_haproxy_follows_replicas_that_come_and_go_behind_a_name(haproxy, binary, tmp_path):
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, Path(__file__).parent / "names.py", haproxy, binary, tmp_path],
        capture_output=True, text=True, timeout=150, check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told["load"])
    assert told["no name yet"] == 503
    assert told["four replicas"] == ["11", "12", "13", "14"]
    assert told["failures"] == []
    assert told["three replicas"] == ["13", "14", "15", "503"]
    assert told["no next yet"] == 503
    assert told["no name server"] == 200
