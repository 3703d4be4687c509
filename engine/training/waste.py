"""What a run paid for nothing: attempts and replies that no decision used, each in one kind, once. Counters only.

An attempt that an endpoint failed, or that was cancelled, has no usage: what it may have cost is known only as its
worst case, as a budget reserved it (`at_most`); what was refused before anything was computed cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from semprop.engine.outcomes import Failure, FailureKind
from semprop.providers.base import Completion, Lost, Sent, Stop, Usage

PICODOLLARS = 1e12


class Wasted(StrEnum):
    """What became of an attempt whose reply, if it had one, was of no use.

    RETRIED failed, and another followed; FAILED was the last of a request that was given up; CANCELLED was cut by us (a
    hedge that lost, a look-ahead that was not needed, a stop); TRUNCATED was cut at its limit of tokens; FILTERED was
    refused by a filter or the model; UNREADABLE could not be parsed; AHEAD was answered for an example that its pass
    did not need.
    """

    RETRIED = "retried"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    UNREADABLE = "unreadable"
    AHEAD = "ahead"


_FILTERS = (FailureKind.FILTER, FailureKind.REFUSAL)
SPOILT = {Stop.LENGTH: Wasted.TRUNCATED, Stop.FILTER: Wasted.FILTERED, Stop.REFUSAL: Wasted.FILTERED}
"""Why a reply ended → what it is then worth nothing as."""


@dataclass(slots=True)
class Tally:
    """Attempts, their tokens, and dollars of those that have a price; `at_most` of them count at their worst case."""

    attempts: int = 0
    input: int = 0
    output: int = 0
    usd: float = 0.0
    unpriced: int = 0
    at_most: int = 0

    def add(self, given: int, produced: int, usd: float | None) -> None:
        """Count one attempt."""
        self.attempts += 1
        self.input += given
        self.output += produced
        if usd is None:
            self.unpriced += 1
        else:
            self.usd += usd

    def plus(self, other: Tally, sign: int = 1) -> None:
        """Add another tally, or take it away."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + sign * getattr(other, each.name))

    def document(self) -> dict[str, Any]:
        """As JSON data; dollars are None where no attempt has a price."""
        known = self.attempts > self.unpriced or not self.attempts
        return {
            "attempts": self.attempts,
            "tokens": {"input": self.input, "output": self.output},
            "usd": round(self.usd, 12) if known else None,
            "unpriced": self.unpriced,
            "at_most": self.at_most,
        }


class Waste:
    """One tally of each kind."""

    def __init__(self) -> None:
        self.of = {kind: Tally() for kind in Wasted}

    def attempts(
        self, outcome: Completion | Failure | None, sent: int, lost: Sequence[Lost] | None, is_priced: bool
    ) -> None:
        """Count the attempts of one asking that gave no reply.

        Args:
            outcome: what the asking ended with; None: it was cancelled, or the provider stopped.
            sent: attempts on the wire.
            lost: those that failed or were cancelled; None: nobody told them apart. Beside these there are only such as
                were cancelled before they were sent.
            is_priced: whether the price is known.
        """
        known = [each for each in lost or () if each.calls]
        kinds = [Wasted.CANCELLED if each.cancelled else Wasted.RETRIED for each in known]
        untold = max(0, sent - len(known) - isinstance(outcome, Completion))
        kinds += [Wasted.RETRIED if lost is None and outcome is not None else Wasted.CANCELLED] * untold
        ended = not isinstance(outcome, Completion) and Wasted.RETRIED in kinds
        if ended and (outcome is not None or Wasted.CANCELLED not in kinds):
            last = len(kinds) - 1 - kinds[::-1].index(Wasted.RETRIED)
            filtered = isinstance(outcome, Failure) and outcome.kind in _FILTERS
            kinds[last] = Wasted.FILTERED if filtered else Wasted.FAILED
        for number, kind in enumerate(kinds):
            self._attempt(kind, known[number] if number < len(known) else None, is_priced)

    def _attempt(self, kind: Wasted, lost: Lost | None, is_priced: bool) -> None:
        tally = self.of[kind]
        if lost is None:
            tally.add(0, 0, None)
            return
        costs = bool(lost.input or lost.output)
        tally.at_most += costs
        tally.add(lost.input, lost.output, None if costs and not is_priced else lost.picodollars / PICODOLLARS)

    def reply(self, completion: Completion, usd: float | None) -> bool:
        """Count a reply that was cut or filtered; whether it was."""
        kind = SPOILT.get(completion.stop)
        if kind is None:
            return False
        self.spoilt(kind, completion.usage, usd)
        return True

    def spoilt(self, kind: Wasted, usage: Usage, usd: float | None) -> None:
        """Count a reply of a kind."""
        self.of[kind].add(usage.input or 0, usage.output or 0, usd)

    def absorb(self, other: Waste) -> None:
        """Add what another one counted."""
        for kind, tally in other.of.items():
            self.of[kind].plus(tally)

    def document(self) -> dict[str, Any]:
        """The `waste` part of a telemetry: every kind, and their sum."""
        total = Tally()
        for tally in self.of.values():
            total.plus(tally)
        return {**{str(kind): tally.document() for kind, tally in self.of.items()}, "total": total.document()}


def overtaken(sent: Sent) -> Lost:
    """The attempt whose answer came in the moment in which its request was cancelled: what the others did not cost."""
    each = [sum(part) for part in zip(*(lost[1:] for lost in sent.lost), strict=True)] or [0, 0, 0, 0]
    spent = sent.spent
    return Lost(True, spent.calls - each[0], spent.input - each[1], spent.output - each[2], spent.picodollars - each[3])


def spent_on(sent: Sent, beside: Any = None) -> dict[str, Any] | None:
    """What a budget counted of a request, as JSON data, and what of it gave no reply; `beside` is what those may
    cost that are under way, and counts, too."""
    spent = sent.spent if beside is None else beside if sent.spent is None else sent.spent + beside
    return None if spent is None else {**spent.document(), "lost": [list(each) for each in sent.lost]}
