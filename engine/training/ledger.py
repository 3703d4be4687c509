"""Where outcomes and decisions go: the protocol that the asker writes to, and the ledger that forgets.

Law L2: a reply is durable before it is used. `answer` and then `reach` return once that holds, as far as the ledger can
promise it; `settle` is both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from semprop.engine.outcomes import Failure, Outcome, Position, Returned
from semprop.providers.base import Request

AT_ONCE, SOON, ONCE = 0.0, 1.0, 2.0
"""How patient whoever waits for durability is, so that others share its price: not at all, where nothing else is under
way that would be noted soon; in general; and where it is the only wait of a call."""


class Ledger(Protocol):
    """Records of one run. Usable outcomes (everything but provider failures) are found again by content key."""

    @property
    def replaying(self) -> bool:
        """Whether positions may be on record."""

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        """In a replay: the key and outcome at a position. Otherwise None."""

    def decided(self, step: int) -> bool:
        """In a replay: whether this step's verdict is on record, so that all it needs is, too. Otherwise False."""

    def stored(self, key: str) -> Outcome | None:
        """A usable outcome of this key, if there is one."""

    @property
    def durable(self) -> int:
        """The mark up to which everything noted is durable."""

    def intend(self, position: Position, key: str, role: str, request: Request) -> int:
        """Note that a request is about to be sent; gives the mark that must be durable before it is.

        Raises:
            StorageError: nothing can be noted any more; nothing may be sent.
        """

    async def reach(self, mark: int, patience: float = SOON) -> None:
        """Return when everything up to a mark is durable.

        Args:
            patience: for how long that may be put off: AT_ONCE, SOON or ONCE, in the ledger's own paces.

        Raises:
            StorageError: it could not be written; nothing may be sent.
        """

    def charge(self, position: Position, key: str, attempts: int, spent: Mapping[str, float] | None, more: bool) -> int:
        """Note what the attempts of a request may have cost so far, where its outcome alone will not tell; gives the
        mark that must be durable before a further attempt is sent.

        Args:
            attempts: on the wire so far; 0: it was not sent, and will not be.
            spent: as a budget counted them; None: nobody did.
            more: whether a further attempt is about to be sent.
        """

    def answer(self, position: Position, key: str, outcome: Outcome) -> int:
        """Note what came of a request; gives the mark that must be durable before it is used. Equal requests are served
        by it from then on, if it is usable.

        Raises:
            StorageError: nothing can be noted any more; the run must stop.
        """

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        """Note an outcome, and return when it is durable. Being cancelled does not lose it.

        Raises:
            StorageError: it could not be written; the run must stop.
        """

    def link(self, position: Position, key: str) -> None:
        """Note that this position is answered by the stored outcome of this key."""

    def decide(self, step: int, kind: str, name: str, body: dict[str, Any]) -> None:
        """Note a decision. Durable at the next `flush`, or once a later mark is reached."""

    async def flush(self) -> None:
        """Return when everything noted so far is durable."""

    async def close(self) -> None:
        """Flush and let go of the storage."""


class MemoryLedger:
    """Keeps the latest usable outcomes, up to so many characters of text, so that equal requests are paid once; keeps
    nothing after the run. A journal keeps them all."""

    def __init__(self, characters: int = 64_000_000) -> None:
        self._room = characters
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    @property
    def replaying(self) -> bool:
        return False

    def recorded(self, position: Position) -> None:
        return None

    def decided(self, step: int) -> bool:
        return False

    def stored(self, key: str) -> Outcome | None:
        outcome = self._outcomes.get(key)
        if outcome is not None:
            self._outcomes.move_to_end(key)
        return outcome

    @property
    def durable(self) -> int:
        return 0

    def intend(self, position: Position, key: str, role: str, request: Request) -> int:
        return 0

    async def reach(self, mark: int, patience: float = SOON) -> None:
        return None

    def charge(self, position: Position, key: str, attempts: int, spent: Mapping[str, float] | None, more: bool) -> int:
        return 0

    def answer(self, position: Position, key: str, outcome: Outcome) -> int:
        if is_usable(outcome) and key not in self._outcomes:
            self._outcomes[key] = outcome
            self._room -= _weight(outcome)
            while self._room < 0 and len(self._outcomes) > 1:
                self._room += _weight(self._outcomes.popitem(last=False)[1])
        return 0

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        self.answer(position, key, outcome)

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


_ENTRY = 500
"""Characters that an outcome weighs besides its text."""


def _weight(outcome: Outcome) -> int:
    text = outcome.text if not isinstance(outcome, Returned) else str(outcome.value)
    return _ENTRY + len(text)
