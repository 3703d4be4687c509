"""How long a server waits for its clients: one timer for all of them, at the price of a dictionary entry each.

All have the same time, so they end in the order in which they began. Starts no task, polls nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from semprop.providers.clock import Handle
from semprop.tools.serving.times import Times

C = TypeVar("C")


class Patience(Generic[C]):
    """Whoever has waited for `seconds` is given up."""

    def __init__(self, seconds: float, give_up: Callable[[C], None], times: Times) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._times = times
        self._until: dict[C, float] = {}
        self._timer: Handle | None = None

    def __repr__(self) -> str:
        return f"Patience({self._seconds:g} s, waiting={len(self._until)})"

    def __len__(self) -> int:
        return len(self._until)

    def begin(self, client: C) -> None:
        """Its time begins; that of a client that waits already goes on."""
        if client in self._until:
            return
        self._until[client] = self._times.now() + self._seconds
        if self._timer is None:
            self._timer = self._times.later(self._seconds, self._rung)

    def end(self, client: C) -> None:
        """It need not wait any more."""
        self._until.pop(client, None)

    def close(self) -> None:
        """Wait for nobody any more."""
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rung(self) -> None:
        self._timer = None
        now = self._times.now()
        over = []
        for client, until in self._until.items():
            if until > now:
                self._timer = self._times.later(until - now, self._rung)
                break
            over.append(client)
        for client in over:
            del self._until[client]
            self._give_up(client)
