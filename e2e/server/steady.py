"""A steady load: so many requests a second, whatever becomes of those before."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from dataclasses import dataclass, field

from client import Address, ask


@dataclass
class Steady:
    """Within a `with`: GETs and POSTs in turn, each on a connection of its own, as from so many clients."""

    address: Address
    rate: int = 200
    clients: int = 64
    headers: dict[str, str] = field(default_factory=dict)
    record_ids: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    worst_seconds: float = 0.0

    def __enter__(self) -> Steady:
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            number = next(self._numbers)
            due = self._began + number / self.rate
            if self._over.wait(max(0, due - time.monotonic())):
                return
            method = ("GET", "POST")[number % 2]
            try:
                answer = ask(self.address, method, "/steady", b"x" if method == "POST" else None, **self.headers)
                if answer.status == 200:
                    self.record_ids.append(int(answer.headers["record-id"]))
                else:
                    self.failures.append(f"{method}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method}: {error!r}")
            # From when it was due, or a server that stands still would look well.
            self.worst_seconds = max(self.worst_seconds, time.monotonic() - due)

    def __str__(self) -> str:
        return (
            f"{len(self.record_ids)} requests answered at {self.rate}/s, {len(self.failures)} failed, "
            f"the slowest took {self.worst_seconds * 1000:.0f} ms"
        )
