"""Merges newer infrastructure into a project: `git merge-tree` of the base it was made from, the project, and the new base."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from choices import FILE, Choices
from render import Files, base, pack, render, unpack, version, write

BASE = ".daybook/base.tar"
OURS = (FILE, BASE)


class UpgradeError(Exception):
    """One line: why nothing was changed."""


@dataclass
class Outcome:
    changed: list[str]
    conflicts: list[str]


class Repository:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def git(self, *arguments: str, input: bytes | None = None, status: tuple[int, ...] = (0,), **environment: str) -> bytes:
        done = subprocess.run(
            ["git", "-C", self.directory, *arguments], input=input, stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True, env={**os.environ, **environment},
        )
        if done.returncode not in status:
            raise UpgradeError(f"git {' '.join(arguments[:2])}: {done.stderr.decode().strip() or done.stdout.decode().strip()}")
        return done.stdout

    def check_clean(self) -> None:
        top = self.git("rev-parse", "--show-toplevel").decode().strip()
        if not self.directory.samefile(top):
            raise UpgradeError(f"{self.directory} is not the root of its git repository, which is {top}")
        if dirty := self.git("status", "--porcelain").decode().splitlines():
            raise UpgradeError(f"there are {len(dirty)} uncommitted changes, such as {dirty[0][3:]}: commit or stash them first")

    def tree(self, files: Files, over: str = "") -> str:
        """Writes these files to the object store, in place of those of the tree `over`. Returns the tree."""
        with tempfile.TemporaryDirectory() as work:
            write(files, Path(work) / "files")
            environment = {"GIT_INDEX_FILE": f"{work}/index", "GIT_WORK_TREE": f"{work}/files"}
            if over:
                self.git("read-tree", over, **environment)
            self.git("--git-dir", self.git_dir, "add", "--force", "--all", ".", **environment)
            return self.git("write-tree", **environment).decode().strip()

    @property
    def git_dir(self) -> str:
        return self.git("rev-parse", "--absolute-git-dir").decode().strip()

    def commit(self, tree: str, *parents: str) -> str:
        nobody = {f"GIT_{role}_{what}": "daybook" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        arguments = [argument for parent in parents for argument in ("-p", parent)]
        return self.git("commit-tree", tree, *arguments, "-m", "base", **nobody).decode().strip()


def upgrade(project: Path, choices: Choices) -> Outcome:
    """Leaves the result in the index and the working tree, uncommitted."""
    repository = Repository(project)
    repository.check_clean()
    if not (project / BASE).exists():
        raise UpgradeError(f"{project / BASE} is missing: restore it with git, for without it nothing can be merged")
    before = unpack((project / BASE).read_bytes())
    after = base(render(choices))

    # merge-tree takes commits: Git before 2.40 has no --merge-base.
    root = repository.commit(repository.tree(before))
    ours = repository.commit(repository.git("rev-parse", "HEAD^{tree}").decode().strip(), root)
    theirs = repository.commit(repository.tree(after), root)
    merged = repository.git("merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs, status=(0, 1))
    tree, *staged = merged.decode().split("\0")
    staged = [entry for entry in staged if entry]

    repository.git("read-tree", "-m", "-u", "HEAD", tree)
    conflicts = sorted({entry.partition("\t")[2] for entry in staged})
    if staged:
        # As after `git merge`: Git shows the files as unmerged until they are added.
        removed = "".join(f"0 {'0' * 40}\t{path}\0" for path in conflicts)
        repository.git("update-index", "-z", "--index-info", input=(removed + "".join(f"{entry}\0" for entry in staged)).encode())
    (project / FILE).write_text(choices.toml(version()))
    (project / BASE).write_bytes(pack(after))
    repository.git("add", *OURS)
    changed = repository.git("diff", "--name-only", "HEAD").decode().splitlines()
    return Outcome([path for path in changed if path not in OURS], conflicts)
