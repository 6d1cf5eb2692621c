"""Queries container image registries for the tags of an image and the current digest of a tag. Public images only."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request

# Index of all architectures, or a single one.
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
)
SECONDS_MAX = 20


class RegistryError(Exception):
    """One line: the registry and what is wrong."""


def tags(image: str) -> list[str]:
    found, path = [], "tags/list?n=1000"
    while path:
        response = _ask(image, path)
        found += json.loads(response.read())["tags"] or []
        # Long lists are paginated.
        more = re.match(r"<[^>]*/(tags/list[^>]*)>", response.headers.get("Link") or "")
        path = more[1] if more else ""
    return found


def digest(image: str, tag: str) -> str:
    found = _ask(image, f"manifests/{tag}", method="HEAD").headers["Docker-Content-Digest"]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", found or ""):
        raise RegistryError(f"{image}:{tag}: the registry returned no digest")
    return found


def _ask(image: str, path: str, method: str = "GET"):
    host, name = image.split("/", 1)
    # Plain HTTP for a registry on this machine, as podman does.
    scheme = "http" if re.match(r"(localhost|127\.0\.0\.1)(:|$)", host) else "https"
    url = f"{scheme}://{'registry-1.docker.io' if host == 'docker.io' else host}/v2/{name}/{path}"
    headers = {"Accept": ", ".join(MANIFESTS)}
    try:
        try:
            return _open(url, headers, method)
        except urllib.error.HTTPError as refused:
            if refused.code != 401:
                raise
            # Anonymous access needs a token, too; the 401 says where to get it.
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers["WWW-Authenticate"]))
            query = urllib.parse.urlencode({key: challenge[key] for key in ("service", "scope") if key in challenge})
            token = json.loads(_open(f"{challenge['realm']}?{query}", {}, "GET").read())
            headers["Authorization"] = f"Bearer {token.get('token') or token['access_token']}"
            return _open(url, headers, method)
    except urllib.error.HTTPError as error:
        raise RegistryError(f"{host}: {error.code} {error.reason} for {name}") from None
    except (OSError, ValueError, KeyError) as error:
        raise RegistryError(f"{host}: {getattr(error, 'reason', error)}") from None


def _open(url: str, headers: dict[str, str], method: str):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=SECONDS_MAX)
