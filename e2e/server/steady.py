"""A steady load: so many requests a second, whatever becomes of those before."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from client import Clients


@dataclass
class Steady(Clients):
    """GETs and POSTs in turn, each on a connection of its own, as from so many clients."""

    rate: int = 200
    clients: int = 64

    def __enter__(self) -> Steady:
        self._numbers = itertools.count()
        self._began = time.monotonic()
        return super().__enter__()

    def _run(self) -> None:
        while True:
            number = next(self._numbers)
            due = self._began + number / self.rate
            if self._over.wait(max(0, due - time.monotonic())):
                return
            connection = self._connection()
            # From when it was due, or a server that stands still would look well.
            self._ask(connection, ("GET", "POST")[number % 2], since=due)
            connection.close()

    def __str__(self) -> str:
        return f"at {self.rate}/s: {super().__str__()}"
