"""Where outcomes and decisions go: the protocol that the asker writes to, and the ledger that forgets.

Law L2: a reply is durable before it is used. `settle` returns once that holds, as far as the ledger can promise it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

from semprop.engine.outcomes import Failure, Outcome, Position


class Ledger(Protocol):
    """Records of one run. Usable outcomes (everything but provider failures) are found again by content key."""

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        """In a replay: the key and outcome at a position. Otherwise None."""

    def decided(self, step: int) -> bool:
        """In a replay: whether this step's verdict is on record, so that all it needs is, too. Otherwise False."""

    def stored(self, key: str) -> Outcome | None:
        """A usable outcome of this key, if there is one."""

    async def intend(self, position: Position, key: str, role: str, request: dict[str, Any]) -> None:
        """Make durable that a request is about to be sent."""

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        """Make an outcome durable.

        Raises:
            StorageError: it could not be written; the run must stop.
        """

    def link(self, position: Position, key: str) -> None:
        """Note that this position is answered by the stored outcome of this key."""

    def decide(self, step: int, kind: str, name: str, body: dict[str, Any]) -> None:
        """Note a decision. Durable at the next `settle` or `flush`."""

    async def flush(self) -> None:
        """Return when everything noted so far is durable."""

    async def close(self) -> None:
        """Flush and let go of the storage."""


class MemoryLedger:
    """Keeps the last `size` usable outcomes, so that equal requests are paid once; keeps nothing after the run."""

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    def recorded(self, position: Position) -> None:
        return None

    def decided(self, step: int) -> bool:
        return False

    def stored(self, key: str) -> Outcome | None:
        outcome = self._outcomes.get(key)
        if outcome is not None:
            self._outcomes.move_to_end(key)
        return outcome

    async def intend(self, position: Position, key: str, role: str, request: dict[str, Any]) -> None:
        return None

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        if is_usable(outcome):
            self._outcomes[key] = outcome
            if len(self._outcomes) > self._size:
                self._outcomes.popitem(last=False)

    def link(self, position: Position, key: str) -> None:
        return None

    def decide(self, step: int, kind: str, name: str, body: dict[str, Any]) -> None:
        return None

    async def flush(self) -> None:
        return None

    async def close(self) -> None:
        return None


def is_usable(outcome: Outcome) -> bool:
    """Whether an equal request may be served by this outcome: all but provider failures."""
    return not isinstance(outcome, Failure) or outcome.is_model_failure
