"""The history of deploys: one JSON line each."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

FILE = Path("/var/lib/daybook-deploy/history.jsonl")


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def append(**entry: object) -> None:
    FILE.parent.mkdir(mode=0o755, exist_ok=True)
    with open(FILE, "a") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def show() -> None:
    if not FILE.exists():
        print("nothing has been deployed yet")
        return
    for line in FILE.read_text().splitlines():
        entry = json.loads(line)
        reason = f": {entry['reason']}" if entry["reason"] else ""
        other = f"in place of {entry['from']}" if "from" in entry else f"beside {entry['beside']}"
        print(
            f"{entry['at']}  {entry['action']:<8}  {entry['image']} {other}, by {entry['by']}, "
            f"in {entry['seconds']} s: {entry['outcome']}{reason}"
        )
