"""scripts/pins and scripts/outdated, on a small tree with a local registry."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
DIGEST = "sha256:" + "0123456789abcdef" * 4
TAGS = ["3.2.9", "3.2.26", "3.2.27", "3.2.27-alpine", "3.2.28-dev1", "3.4.3", "3", "latest"]


class Registry(http.server.BaseHTTPRequestHandler):
    """Like Docker Hub: anonymous access needs a token, long lists are paginated."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/token":
            return self.respond(200, json.dumps({"token": "given"}))
        if self.headers["Authorization"] != "Bearer given":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="registry",scope="repository:library/haproxy:pull"'
            return self.respond(401, "{}", **{"WWW-Authenticate": challenge})
        if path == "/v2/library/haproxy/tags/list":
            if "last=" in query:
                return self.respond(200, json.dumps({"tags": TAGS[4:]}))
            return self.respond(200, json.dumps({"tags": TAGS[:4]}), Link='</v2/library/haproxy/tags/list?n=4&last=x>; rel="next"')
        if path == "/v2/library/haproxy/manifests/3.2.26":
            return self.respond(200, "", **{"Docker-Content-Digest": DIGEST})
        return self.respond(404, "{}")

    do_HEAD = do_GET

    def respond(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Tree:
    def __init__(self, directory: Path, image: str) -> None:
        self.directory, self.image = directory, image
        for name in ("scripts", "quadlet", "e2e/images/haproxy"):
            (directory / name).mkdir(parents=True)
        for name in ("pins", "outdated", "registry.py"):
            shutil.copy(SCRIPTS / name, directory / "scripts")
        self.write("compose.yaml", f"    image: {image}:3.2.26\n")
        self.write("quadlet/haproxy.container", f"Image={image}:3.2.26\n")
        self.write("e2e/images/haproxy/Containerfile", f"# Stands in for {image}:3.2.26.\n")

    def write(self, file: str, text: str) -> None:
        (self.directory / file).write_text(text)

    def read(self, *files: str) -> list[str]:
        return [(self.directory / file).read_text().strip() for file in files]

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.directory / "scripts" / script, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        yield Tree(tmp_path, f"127.0.0.1:{registry.server_port}/library/haproxy")
        registry.shutdown()


def test_different_versions_of_an_image_are_reported_with_their_places(tree):
    assert tree.run("pins", "check").returncode == 0
    tree.write("quadlet/haproxy.container", f"Image={tree.image}:3.0.11\n")
    done = tree.run("pins", "check")
    assert done.returncode == 1
    assert f"{tree.image} has different versions: 3.2.26 in compose.yaml:1, e2e/images/haproxy/Containerfile:1; 3.0.11 in quadlet/haproxy.container:1" in done.stderr


@pytest.mark.parametrize("tag", ["latest", "3", "3.2"])
def test_a_tag_that_can_change_is_refused(tree, tag):
    tree.run("pins", "set", "haproxy", tag)
    done = tree.run("pins", "check")
    assert done.returncode == 1 and f"{tree.image}:{tag} can change" in done.stderr


def test_set_pins_a_tag_everywhere(tree):
    assert tree.run("pins", "set", "haproxy", "3.2.27").returncode == 0
    assert tree.run("pins", "image", "haproxy").stdout.strip() == f"{tree.image}:3.2.27"
    assert tree.run("pins", "check").returncode == 0


def test_digests_are_pinned_except_in_stand_ins_and_removed_by_tags(tree):
    done = tree.run("pins", "digests")
    assert done.returncode == 0, done.stderr
    files = ("compose.yaml", "quadlet/haproxy.container", "e2e/images/haproxy/Containerfile")
    assert tree.read(*files) == [
        f"image: {tree.image}:3.2.26@{DIGEST}", f"Image={tree.image}:3.2.26@{DIGEST}", f"# Stands in for {tree.image}:3.2.26.",
    ]
    assert tree.run("pins", "check").returncode == 0
    assert tree.run("pins", "image", "haproxy").stdout.strip() == f"{tree.image}:3.2.26"
    before = tree.read(*files)
    tree.run("pins", "digests")
    assert tree.read(*files) == before
    tree.run("pins", "tags")
    assert tree.read(*files)[1] == f"Image={tree.image}:3.2.26"


def test_a_digest_in_some_places_only_is_reported(tree):
    tree.write("compose.yaml", f"    image: {tree.image}:3.2.26@{DIGEST}\n")
    done = tree.run("pins", "check")
    assert done.returncode == 1 and "has a digest in some places only" in done.stderr


def test_a_tag_that_the_registry_lacks_changes_nothing(tree):
    tree.run("pins", "set", "haproxy", "3.2.99")
    done = tree.run("pins", "digests")
    assert done.returncode == 1 and "404 Not Found for library/haproxy" in done.stderr
    assert tree.read("compose.yaml") == [f"image: {tree.image}:3.2.99"]


def test_outdated_lists_newer_versions_and_failed_checks(tree):
    done = tree.run("outdated")
    assert f"{tree.image}:3.2.26: the newest of its series is 3.2.27\n" in done.stdout
    assert f"{tree.image}:3.2.26: the newest of all is 3.4.3\n" in done.stdout
    assert "dev" not in done.stdout and "alpine" not in done.stdout
    # This tree has no crates.
    assert done.returncode == 1 and "NOT CHECKED, perhaps behind:\n    crates of Cargo.toml: cargo says:" in done.stderr


def test_outdated_lists_a_rebuilt_tag(tree):
    other = DIGEST.replace("0123", "3210")
    for file in ("compose.yaml", "quadlet/haproxy.container"):
        tree.write(file, f"image: {tree.image}:3.2.26@{other}\n")
    assert f"{tree.image}:3.2.26: was rebuilt, as {DIGEST}\n" in tree.run("outdated").stdout
