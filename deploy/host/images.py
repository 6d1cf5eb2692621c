"""The images in Podman. Units run `current`; only this module moves these tags."""

from __future__ import annotations

import contextlib
import re
import subprocess

from machine import Failure, Refusal, run

CURRENT = "localhost/daybook:current"
PREVIOUS = "localhost/daybook:previous"
NEXT = "localhost/daybook:next"


def load(archive) -> str:
    """Loads an untagged image from `podman save`; returns its id."""
    done = subprocess.run(
        ["podman", "load", "--quiet"], stdin=archive, capture_output=True, text=True, process_group=0
    )
    # Untagged, or loading it would move `current`.
    loaded = re.search(r"^Loaded image: (?:sha256:|localhost/<none>@sha256:)?([0-9a-f]{64})$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not loaded:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise Refusal(f"the image could not be loaded: podman load: {said}")
    return loaded[1]


def check(image: str) -> None:
    architecture = _inspect(image, "{{.Architecture}}")
    here = run("podman", "info", "--format", "{{.Host.Arch}}").strip()
    if architecture != here:
        forget(image)
        raise Refusal(f"the image is for {architecture}, and this machine is {here}")


def find(name: str) -> str | None:
    """The id of the image with that name, or None."""
    try:
        return _inspect(name, "{{.Id}}")
    except Failure:
        return None


def tag(image: str, name: str) -> None:
    run("podman", "tag", image, name)


def untag(name: str) -> None:
    if find(name):
        run("podman", "untag", name, name)


def forget(image: str | None) -> None:
    """Removes an untagged image, unless a container uses it."""
    with contextlib.suppress(Failure):
        if image and _inspect(image, "{{len .RepoTags}}") == "0":
            run("podman", "image", "rm", image)


def title(image: str | None) -> str:
    """The image for output: its version and short id."""
    if not image:
        return "nothing"
    version = ""
    with contextlib.suppress(Failure):
        version = _inspect(image, '{{index .Labels "org.opencontainers.image.version"}}')
    return f"{version} ({image[:12]})" if version else image[:12]


def _inspect(image: str, form: str) -> str:
    return run("podman", "image", "inspect", "--format", form, image).strip()
