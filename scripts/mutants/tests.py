"""Runs one test at a time, each in a process of its own, and notes which mutants' places it reaches."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

# A mutant may loop, and fill the memory or the disk: at most 8 GiB of addresses and 1 GiB a file.
LIMITS = ["prlimit", f"--as={8 << 30}", f"--fsize={1 << 30}", "--core=0", "nice", "-n10"]
# For a test with no mutant, in seconds.
TIMEOUT = 600


class TestError(Exception):
    """A test fails although no mutant is active."""


@dataclass(eq=False)
class Test:
    binary: Path
    name: str
    seconds: float = 0
    reaches: set[int] = field(default_factory=set)

    def run(self, tree: Path, variables: dict[str, str], timeout: float = TIMEOUT) -> str:
        """Runs it once. Returns nothing if it passes, else its output or that it did not end."""
        with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
            # Some tests start the program as another user.
            os.chmod(folder, 0o755)
            output = Path(folder) / "output"
            environment = {**os.environ, "CARGO_MANIFEST_DIR": str(tree), "TMPDIR": folder, **variables}
            with output.open("wb") as stream:
                process = subprocess.Popen(
                    [*LIMITS, self.binary, "--exact", self.name],
                    cwd=tree,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                status = None
            # With the processes that it has left.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            if status == 0:
                return ""
            if status is None:
                return f"not within {timeout:.0f} s"
            return output.read_text(errors="replace") + f"exit status {status}"

    def fails(self, tree: Path, mutant: int) -> bool:
        """Whether it fails twice with this mutant: a test that fails once may have been disturbed."""
        variables = {"MUTANT_ID": str(mutant)}
        # Most tests wait 10 s at most for a condition, and the machine may be busier by now.
        timeout = 60 + 3 * self.seconds
        failure = self.run(tree, variables, timeout)
        return failure.startswith("not within") or bool(failure and self.run(tree, variables, timeout))


def list_tests(binaries: list[Path], tree: Path) -> list[Test]:
    tests = []
    for binary in binaries:
        listed = subprocess.run([binary, "--list", "--format=terse"], cwd=tree, capture_output=True, text=True, check=True).stdout
        tests += [Test(binary, line.removesuffix(": test")) for line in listed.splitlines() if line.endswith(": test")]
    return tests


def run_all(tests: list[Test], tree: Path, mutants: int, jobs: int) -> None:
    """Runs all tests with no mutant, and notes how long each takes and what it reaches."""

    def run(test: Test) -> str:
        with tempfile.NamedTemporaryFile(prefix="mutant-") as coverage:
            os.chmod(coverage.name, 0o666)
            coverage.write(bytes(mutants))
            coverage.flush()
            for _ in range(2):
                begin = time.monotonic()
                failure = test.run(tree, {"MUTANT_COVERAGE": coverage.name})
                test.seconds = time.monotonic() - begin
                if not failure:
                    break
            test.reaches |= {id for id, byte in enumerate(Path(coverage.name).read_bytes()) if byte}
            return failure

    failures = {}
    with ThreadPoolExecutor(jobs) as pool:
        for index, (test, failure) in enumerate(zip(tests, pool.map(run, tests)), 1):
            if failure:
                failures[test.name] = failure
            if index % 50 == 0 or index == len(tests):
                print(f"scripts/mutants: {index} of {len(tests)} tests ran with no mutant, {len(failures)} failed", flush=True)
    if failures:
        raise TestError("\n".join(f"{name} fails with no mutant:\n{failure}" for name, failure in failures.items()))
