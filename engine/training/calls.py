"""What was sent at a position, read off its records: askings, what came of them, and what each may have cost. Pure.

A position is asked again in a later sitting if an earlier one ended before its outcome. Each asking begins with its
intent; what it says of its attempts replaces what it said before, and an outcome ends the asking that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from semprop.engine.outcomes import Failure, Outcome, Position, outcome_of
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.records import Kind
from semprop.engine.training.telemetry import Earlier
from semprop.providers.base import Completion, Lost


@dataclass(frozen=True, slots=True)
class Charge:
    """What the attempts of one asking may have cost, as a budget counted it. `is_open`: a further attempt was about to
    be sent, whose cost is not in it and not known."""

    attempts: int
    spent: dict[str, Any] | None
    is_open: bool

    @property
    def lost(self) -> tuple[Lost, ...]:
        """The attempts that gave no reply, as far as they were told apart."""
        return () if self.spent is None else tuple(Lost(*each) for each in self.spent.get("lost", ()))


@dataclass(frozen=True, slots=True)
class Call:
    """What was sent to a provider at one position, in all sittings.

    Attributes:
        outcome: what came of it, if anything did. One that was found elsewhere has no attempts.
        charge: what the asking of the outcome may have cost; None: the outcome alone tells.
        charges: of each asking without an outcome that said something of its attempts.
        unknown: askings of which only the intent is on record: one attempt of each may have been charged.
        request: what was asked.
    """

    position: Position
    role: str
    outcome: Outcome | None
    charge: Charge | None
    charges: tuple[Charge, ...]
    unknown: int
    request: dict[str, Any]

    @property
    def is_plain(self) -> bool:
        """Whether the outcome alone tells what its asking cost."""
        return self.charge is None and _was_sent(self.outcome)

    @property
    def unanswered(self) -> int:
        """Attempts of askings without an outcome, which may have been charged."""
        return sum(charge.attempts + charge.is_open for charge in self.charges) + self.unknown

    @property
    def lost(self) -> Earlier:
        """The attempts that gave no reply."""
        of_outcome = None if self.charge is None or self.charge.spent is None else self.charge.lost
        return Earlier(of_outcome, tuple(each for charge in self.charges for each in charge.lost))


def call_of(
    position: Position,
    rows: Iterable[tuple[str, str | None, bytes]],
    whole: Callable[[bytes], dict[str, Any]],
    is_batched: bool = False,
) -> Call | None:
    """What the records of one position say; None if nothing was asked there.

    Args:
        rows: kind, role and body of each, in their order.
        whole: gives a recorded request with the texts that it names.
        is_batched: whether its request stands in a batch: what becomes of it is counted when its results are fetched.

    Raises:
        StorageError: a record is damaged.
    """
    askings: list[Charge | None] = []
    asked: tuple[str, bytes] | None = None
    outcome: Outcome | None = None
    answered: int | None = None
    for kind, role, body in rows:
        if kind == Kind.INTENT:
            asked = str(role), body
            askings.append(None)
        elif kind == Kind.CHARGE:
            _note(askings, Charge(*(unpacked(body)[name] for name in ("attempts", "spent", "open"))))
        elif outcome is None:
            outcome = outcome_of(unpacked(body))
            # Journals of older forms went by times: there an outcome may stand before its intent.
            answered = max(0, len(askings) - 1) if _was_sent(outcome) else None
    if asked is None:
        return None
    of_outcome = None if answered is None else askings.pop(answered)
    told = tuple(charge for charge in askings if charge is not None)
    unknown = 0 if is_batched else len(askings) - len(told)
    charge = None if of_outcome is None or _is_superseded(of_outcome, outcome) else of_outcome
    return Call(position, asked[0], outcome, charge, told, unknown, whole(asked[1]))


def _note(askings: list[Charge | None], charge: Charge) -> None:
    """An asking says more and more of its attempts, until it is over."""
    latest = askings[-1] if askings else None
    if not askings or (latest is not None and not latest.is_open):
        askings.append(charge)  # Its intent is gone.
    else:
        askings[-1] = charge


def _was_sent(outcome: Outcome | None) -> bool:
    """Whether an outcome came of an asking: what was found in a store, or computed by a function, did not."""
    return isinstance(outcome, Failure) or (isinstance(outcome, Completion) and outcome.attempts > 0)


def _is_superseded(charge: Charge, outcome: Outcome | None) -> bool:
    """Whether the further attempt that a charge announces was not sent after all: the only one was answered before."""
    return charge.is_open and isinstance(outcome, Completion) and outcome.attempts == 1
