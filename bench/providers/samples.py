"""What happened to one call and to one unit of work, as frozen data; and the moment at which an attempt left.

All instants are seconds on one clock. A *unit* is what a load begins: a prompt, or one example through a task's graph,
which makes several *calls*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from semprop.providers.base import Sent, Stop, Usage


class Outcome(StrEnum):
    """What became of a call. Only ANSWERED ones count in latencies and goodput."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        intended: when it was to begin; for later calls of a unit, when they could.
        left: when its last attempt went on the wire; before it lies the client's own queue (limits, retries); None if
            nothing was sent.
        ended: when its last byte was there, or its error.
        first: seconds from the last attempt's send to its first token; None if it was not streamed.
        gaps: seconds between later pieces.
        attempts: on the wire, retries included; `throttled` of them were refused by a limit.
        usd: its price, with what its lost attempts cost or may have cost; None if a part of it is unknown.
        lost_usd: what attempts that failed or were cancelled cost, or may have cost at the most; in `usd`, too.
    """

    intended: float
    left: float | None
    ended: float
    outcome: Outcome
    usage: Usage = Usage()
    first: float | None = None
    gaps: tuple[float, ...] = ()
    attempts: int = 1
    usd: float | None = None
    error: str = ""
    lost_usd: float = 0.0

    @property
    def answered(self) -> bool:
        return self.outcome is Outcome.ANSWERED

    @property
    def from_intended(self) -> float:
        """End to end, from when it was to begin."""
        return self.ended - self.intended

    @property
    def from_actual(self) -> float:
        """End to end, from when its last attempt left."""
        return self.ended - (self.intended if self.left is None else self.left)

    @property
    def queued(self) -> float:
        """In this client, before its last attempt left."""
        return 0.0 if self.left is None else max(0.0, self.left - self.intended)

    @property
    def per_token(self) -> float | None:
        """(end to end − first token) / (output tokens − 1); None for fewer than two tokens or an unstreamed reply."""
        tokens = self.usage.output or 0
        return None if self.first is None or tokens < 2 else (self.from_actual - self.first) / (tokens - 1)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work: its item, its calls in order, and its score in [0, 1] where there is a loss (None: a provider
    failed on it, which is no score)."""

    item: str
    calls: tuple[Call, ...]
    score: float | None = None

    @property
    def usd(self) -> float | None:
        """What it cost, failures included; None if the price of a part of it is unknown."""
        total = 0.0
        for call in self.calls:
            if call.usd is None:
                return None
            total += call.usd
        return total


def outcome_of(stop: Stop) -> Outcome:
    """What a reply is worth: a cut one and a filtered one were paid for, and are no answer."""
    match stop:
        case Stop.LENGTH:
            return Outcome.TRUNCATED
        case Stop.FILTER | Stop.REFUSAL:
            return Outcome.FILTERED
        case _:
            return Outcome.ANSWERED


class Leaving(Sent):
    """Counts attempts as they go out, and notes when the last one did."""

    __slots__ = ("_count", "_now", "last")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._count: int | None = None
        self.last: float | None = None
        super().__init__()

    @property
    def attempts(self) -> int | None:
        return self._count

    @attempts.setter
    def attempts(self, value: int | None) -> None:
        if value:
            self.last = self._now()
        self._count = value
