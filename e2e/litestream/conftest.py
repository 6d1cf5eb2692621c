from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def run(tmp_path):
    """Starts programs with their own /run, and kills them after the test."""
    started = []

    def start(name, *command, **env):
        log = tmp_path / f"{name}.log"
        private_run = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/litestream /run/sshd && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", private_run, "sh", *command],
            env={"PATH": os.environ["PATH"], "LOG_LEVEL": "debug"} | {k: str(v) for k, v in env.items()},
            stdin=subprocess.DEVNULL, stdout=log.open("a"), stderr=subprocess.STDOUT,
        )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
