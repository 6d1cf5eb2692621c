"""A steady load: a fixed number of requests a second, whether or not earlier ones have finished."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from client import Clients


@dataclass
class Steady(Clients):
    """GETs and POSTs in turn, each on a new connection, from a number of clients."""

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
            # Measure from the due time: otherwise a server that stalls would look fast.
            self._ask(connection, ("GET", "POST")[number % 2], since=due)
            connection.close()

    def __str__(self) -> str:
        return f"at {self.rate}/s: {super().__str__()}"
