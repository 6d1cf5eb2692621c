"""A project's files, from daybook's own and from template/."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import rules
from choices import PORT, PORTS, Choices

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TEMPLATE = HERE / "template"
# The template's own name.
EXAMPLE = "guestbook"
# The project's own from the first day: an upgrade leaves them alone.
OWN = ("README.md", "build.rs", "src/", "tests/", "migrations/", "deploy/checks.toml", "ansible/inventory.yml")


@dataclass(frozen=True)
class File:
    """`link` is the target of a symbolic link, which has no content."""

    content: str
    executable: bool = False
    link: str = ""


Files = dict[str, File]


def version() -> str:
    return re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def render(choices: Choices) -> Files:
    files = {rules.rename(path, choices): copied(path, choices) for path in paths(ROOT, rules.COPIED) if path not in rules.NOT_COPIED}
    return files | {path: from_template(path, choices) for path in paths(TEMPLATE, ["."])}


def base(files: Files) -> Files:
    """The files that an upgrade merges."""
    return {path: file for path, file in files.items() if not path.startswith(OWN)}


def paths(root: Path, names: list[str] | tuple[str, ...]) -> list[str]:
    """The files of `root` that have these names, or are below them."""
    found: list[Path] = []
    for name in names:
        path = root / name
        found += [path] if not path.is_dir() else [file for file in path.rglob("*") if not file.is_dir()]
    generated = ("__pycache__", "target")
    return sorted(str(path.relative_to(root)) for path in found if not set(generated) & set(path.relative_to(root).parts))


def read(path: Path) -> File:
    if path.is_symlink():
        return File("", link=str(path.readlink()))
    return File(path.read_text(), executable=bool(path.stat().st_mode & 0o100))


def copied(path: str, choices: Choices) -> File:
    file = read(ROOT / path)
    content = rules.apply(rules.OF_FILE.get(path, lambda _: [])(choices), file.content, path)
    return File(rules.rename(content, choices), file.executable, file.link)


def from_template(path: str, choices: Choices) -> File:
    file = read(TEMPLATE / path)
    # In Rust a crate's name has no hyphens. In one pass: the new name may have the old one in it.
    content = re.sub(rf"{EXAMPLE}(::)?", lambda match: f"{choices.crate}::" if match[1] else choices.name, file.content)
    # The template's ports are those of the default.
    content = re.sub(rf"\b{PORT // 10}([0-{PORTS - 1}])\b", lambda match: str(choices.port + int(match[1])), content)
    if path == "Cargo.toml":
        content = rules.apply([(r'(?m)^daybook = \{ path = "[^"]*"', f"daybook = {{ {choices.source.cargo}")], content, path)
    return File(content, file.executable, file.link)


def write(files: Files, directory: Path) -> None:
    for name, file in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
        else:
            path.write_text(file.content)
            path.chmod(0o755 if file.executable else 0o644)


def pack(files: Files) -> bytes:
    """A tar archive that is the same for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in sorted(files.items()):
            member = tarfile.TarInfo(name)
            content = file.content.encode()
            member.mode = 0o755 if file.executable else 0o644
            member.size = len(content)
            if file.link:
                member.type, member.linkname = tarfile.SYMTYPE, file.link
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def unpack(packed: bytes) -> Files:
    files: Files = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.issym():
                files[member.name] = File("", link=member.linkname)
            else:
                files[member.name] = File(archive.extractfile(member).read().decode(), bool(member.mode & 0o100))
    return files
