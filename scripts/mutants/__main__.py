"""usage: make mutants [ARGS="--file 'src/store/**'"]

Makes small changes (mutants) in src/, one at a time, and prints those that no test notices. The arguments select mutants, as those of
`cargo mutants --list`. .cargo/mutants.toml has the survivors that are accepted, each with its reason. Exits 1 if there is another.

cargo-mutants compiles once for each mutant, which takes most of a day. So this compiles all mutants into one build (schemata.py),
notes which tests reach each (mutant.rs), and runs only these. Constants and `const fn` cannot ask which mutant is active, and some
code does not compile with a condition in it: cargo-mutants tests such mutants, one by one. Mutants that do not compile by themselves
are left out."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from build import Build, BuildError
from schemata import Mutant
from tests import Test, TestError, list_tests, run_all

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ["CARGO_TARGET_DIR"])
# Tests wait more than they work.
JOBS = 2 * (os.cpu_count() or 1)
OUTCOME = re.compile(r"(caught|MISSED|TIMEOUT|unviable)\s+(.+?)( in [\d.]+s .*)?$")


def say(text: str) -> None:
    print(f"scripts/mutants: {text}", flush=True)


def survived(name: str, why: str) -> None:
    print(f"SURVIVED {name} ({why})", flush=True)


def list_mutants(arguments: list[str]) -> list[Mutant]:
    command = ["cargo", "mutants", "--list", "--json", *arguments]
    listed = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    fields = ("name", "file", "genre", "span", "replacement")
    return [Mutant(id, *(each[field] for field in fields)) for id, each in enumerate(listed)]


def killer(mutant: Mutant, tests: list[Test], tree: Path) -> Test | None:
    """The first test that fails with this mutant."""
    # Quick tests first, and those that reach little else: they are about this code.
    reaching = sorted((test for test in tests if mutant.id in test.reaches), key=lambda test: test.seconds * len(test.reaches))
    return next((test for test in reaching if test.fails(tree, mutant.id)), None)


def test_held(mutants: list[Mutant], tests: list[Test], tree: Path) -> int:
    """Tests the mutants of the build. Returns how many survive."""
    reached = set().union(*(test.reaches for test in tests))
    survivors = 0
    for mutant in mutants:
        if mutant.id not in reached:
            survived(mutant.name, "no test reaches it")
            survivors += 1
    mutants = [mutant for mutant in mutants if mutant.id in reached]
    killers: set[Test] = set()
    begin = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool:
        running = {pool.submit(killer, mutant, tests, tree): mutant for mutant in mutants}
        try:
            for done, future in enumerate(as_completed(running), 1):
                if test := future.result():
                    killers.add(test)
                else:
                    survived(running[future].name, "all tests that reach it pass")
                    survivors += 1
                if done % 25 == 0 or done == len(mutants):
                    left = (time.monotonic() - begin) / done * (len(mutants) - done) / 60
                    say(f"{done} of {len(mutants)} mutants tested, {survivors} survived, about {left:.0f} min left")
        except KeyboardInterrupt:
            say("stops when the tests that are running have ended")
            pool.shutdown(cancel_futures=True)
            raise
    # A full disk, for example, would have killed all later mutants.
    run_all(list(killers), tree, 0, JOBS)
    return survivors


def test_with_cargo_mutants(mutants: list[Mutant]) -> int:
    """Tests mutants one by one, each with a build of its own. Returns how many survive."""
    say(f"now {len(mutants)} mutants, a minute each")
    # It tests mutants of struct fields in any case.
    names = {mutant.name for mutant in mutants}
    pattern = "^(" + "|".join(map(re.escape, names)) + ")$"
    command = ["cargo", "mutants", "--output", TARGET, "--colors=never", "--no-times", "--caught", "--unviable", "--re", pattern]
    survivors = done = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if not (outcome := OUTCOME.match(line)):
                print(line, end="", flush=True)
                continue
            if outcome[2] not in names:
                continue
            done += 1
            if outcome[1] == "MISSED":
                survived(outcome[2], "no test notices it")
                survivors += 1
            say(f"{done} of {len(mutants)}, {survivors} survived: {outcome[1].lower()} {outcome[2]}")
    # 2: some survived; 3: the tests did not end with some.
    if process.returncode not in (0, 2, 3) or done < len(mutants):
        raise TestError(f"cargo-mutants tested {done} of {len(mutants)} mutants and ended with status {process.returncode}")
    return survivors


def main() -> int:
    mutants = list_mutants(sys.argv[1:])
    build = Build(ROOT, TARGET / "mutants.tree", TARGET, mutants)
    say(f"compiling {len(mutants)} mutants into one build")
    build.run()
    say(f"{len(build.unviable)} mutants never compile, {len(build.not_held)} need a build of their own")
    held = [mutant for mutant in mutants if mutant.id not in build.unviable | build.not_held]
    tests = list_tests(build.binaries, build.tree)
    run_all(tests, build.tree, len(mutants), JOBS)
    survivors = test_held(held, tests, build.tree)
    build.clean()
    others = [mutant for mutant in mutants if mutant.id in build.not_held]
    if others:
        survivors += test_with_cargo_mutants(others)
    say(f"{len(mutants)} mutants: {survivors} survived, {len(build.unviable)} do not compile")
    return 1 if survivors else 0


signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
except (BuildError, TestError, subprocess.CalledProcessError) as error:
    say(str(error))
    sys.exit(2)
