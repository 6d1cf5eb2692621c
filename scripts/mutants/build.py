"""Compiles a copy of the tree with all mutants in it, without those that the compiler rejects."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

from schemata import Mutant, Region, Schemata, Source

# The tests of `make mutants`, as in .cargo/mutants.toml.
COMMAND = ["cargo", "test", "--locked", "--profile=mutants", "--lib", "--test=all", "--no-run", "--message-format=json"]
# Errors in a mutant's own code that cargo-mutants would get as well: wrong types, missing traits, functions and modules. Others,
# such as errors of the borrow checker, may be due to the condition around it.
UNVIABLE = {"E0061", "E0277", "E0282", "E0283", "E0308", "E0369", "E0423", "E0425", "E0432", "E0433", "E0599", "E0600", "E0604", "E0605",
            "E0606", "E0614"}  # fmt: skip


class BuildError(Exception):
    """The compiler's messages about an error that no mutant explains."""


class Build:
    """The compiled mutants. `unviable` and `not_held` are those left out, by id."""

    def __init__(self, root: Path, tree: Path, target: Path, mutants: list[Mutant]):
        self.root, self.tree, self.target = root, tree, target
        self.files: dict[str, list[Mutant]] = defaultdict(list)
        for mutant in mutants:
            self.files[mutant.file].append(mutant)
        # It gets the module, even without mutants.
        self.files.setdefault("src/lib.rs", [])
        self.unviable: set[int] = set()
        self.not_held: set[int] = set()
        self.regions: dict[str, list[Region]] = {}
        self.binaries: list[Path] = []

    def clean(self) -> None:
        """Removes what was compiled of daybook. Cargo would take a build with mutants for one of the tree itself, which has the
        same profile, the same dependencies and older files."""
        command = ["cargo", "clean", "--quiet", "--profile=mutants", "--package=daybook", f"--target-dir={self.target}"]
        subprocess.run(command, cwd=self.root, check=True)

    def run(self) -> None:
        self.clean()
        self.copy_tree()
        while True:
            self.write_sources()
            process = subprocess.run([*COMMAND, f"--target-dir={self.target}"], cwd=self.tree, capture_output=True, text=True)
            messages = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
            if process.returncode == 0:
                break
            self.leave_out_errors(messages, process.stderr)
        artifacts = [message for message in messages if message["reason"] == "compiler-artifact"]
        self.binaries = [Path(artifact["executable"]) for artifact in artifacts if artifact["profile"]["test"]]
        # Some tests compare the sources with the documentation.
        for name in self.files:
            shutil.copy2(self.root / name, self.tree / name)

    def leave_out_errors(self, messages: list[dict], stderr: str) -> None:
        compiler = [message["message"] for message in messages if message["reason"] == "compiler-message"]
        errors = [message for message in compiler if message["level"] == "error"]
        before = len(self.unviable | self.not_held)
        for error in errors:
            self.leave_out(error)
        left_out = len(self.unviable | self.not_held)
        if left_out == before:
            raise BuildError(stderr + "".join(error["rendered"] for error in errors))
        print(f"scripts/mutants: again, without {left_out} mutants that do not compile", flush=True)

    def copy_tree(self) -> None:
        """Copies what Git knows or would add. Files keep their times, so that Cargo compiles only what has changed."""
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root, capture_output=True, check=True
        ).stdout.decode()
        shutil.rmtree(self.tree, ignore_errors=True)
        for name in filter(None, names.split("\0")):
            if (self.root / name).exists():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, self.tree / name, follow_symlinks=False)
        shutil.copy(Path(__file__).parent / "mutant.rs", self.tree / "src/mutant.rs")

    def write_sources(self) -> None:
        """Writes each file with its mutants, and notes those that have no place in it."""
        for name, mutants in self.files.items():
            wanted = [mutant for mutant in mutants if mutant.id not in self.unviable | self.not_held]
            crate = "daybook" if name == "src/main.rs" else "crate"
            schemata = Schemata(Source((self.root / name).read_bytes()), wanted, crate)
            self.not_held |= {mutant.id for mutant in wanted} - schemata.held
            self.regions[name] = schemata.regions
            text = bytes(schemata.text)
            if name == "src/lib.rs":
                text += b"\n#[doc(hidden)]\n#[allow(missing_docs)]\npub mod mutant;\n"
            if (self.tree / name).read_bytes() != text:
                (self.tree / name).write_bytes(text)

    def leave_out(self, error: dict) -> None:
        """Leaves out the mutants that cause an error: the one whose code it points at, else the nearest site's."""
        code = (error["code"] or {}).get("code")
        for span in sorted(error["spans"], key=lambda span: not span["is_primary"]):
            around = [
                region
                for region in self.regions.get(span["file_name"], [])
                if region.start <= span["byte_start"] and span["byte_end"] <= region.end
            ]
            if around:
                smallest = min(around, key=lambda region: region.end - region.start)
                is_unviable = smallest.is_mutated_code and span["is_primary"] and code in UNVIABLE
                (self.unviable if is_unviable else self.not_held).update(smallest.ids)
                return
