"""What a run cost: calls, attempts, tokens, dollars, failures. Counters only; never a part of a decision."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from semprop.engine.outcomes import Failure, Outcome, Position, Unread
from semprop.engine.training.waste import SPOILT, Tally, Waste, Wasted
from semprop.providers.base import Completion, Lost, Usage

Price = Callable[[str, Usage], float | None]
"""(role, usage) → dollars, or None where the price is unknown."""


RUN_AHEAD = ("forward", "gate")
"""Passes that may stop early, so that calls of theirs may be speculative."""

REPAIRED = 65_536
"""Repairs that are remembered, so that what equal requests could not read is counted once."""

UNANSWERED = "unanswered"
"""What calls without an outcome are counted as among the failures."""


def unpriced(role: str, usage: Usage) -> float | None:
    """The price list of somebody who has none: every price is unknown, never 0."""
    return None


@dataclass(slots=True)
class _Open:
    """What one example of a pass that may stop early has called so far, and what of that was answered."""

    calls: int = 0
    answered: Tally = field(default_factory=Tally)


class Earlier(NamedTuple):
    """The attempts that an earlier sitting lost at a position: on the way to its outcome, and without one."""

    answered: tuple[Lost, ...] | None = None
    unanswered: tuple[Lost, ...] | None = None


class Telemetry:
    """Counts every outcome once."""

    def __init__(self, price: Price = unpriced) -> None:
        self._price = price
        self.calls: Counter[str] = Counter()
        self.reused: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.attempts = 0
        self.speculative = 0
        self.input = self.cached = self.output = self.reasoning = 0
        self.usd = 0.0
        self.priced = self.unpriced = 0
        self.in_flight = 0
        self.test: dict[str, int] | None = None  # How often the test was opened before; None: unknown, or not opened.
        self.waste = Waste()
        self._open: dict[tuple[str, str], _Open] = {}
        self._repaired: OrderedDict[str, None] = OrderedDict()

    def called(
        self, position: Position, role: str, outcome: Completion | Failure, lost: Sequence[Lost] | None = None
    ) -> float | None:
        """Count an outcome that came from a provider, and the attempts that were lost on the way; its price in dollars,
        if known."""
        self.calls[position.phase] += 1
        self.attempts += outcome.attempts
        opened = self._note(position)
        if outcome.attempts > 1 or isinstance(outcome, Failure):
            self.waste.attempts(outcome, outcome.attempts, lost, self._is_priced(role))
        if isinstance(outcome, Failure):
            self.failures[str(outcome.kind)] += 1
            return None
        usage = outcome.usage
        if usage.member:
            self.served[usage.member] += 1
        self.input += usage.input or 0
        self.cached += usage.cached_read or 0
        self.output += usage.output or 0
        self.reasoning += usage.reasoning or 0
        usd = self._price(role, usage)
        if usd is None:
            self.unpriced += 1
        else:
            self.priced += 1
            self.usd += usd
        if not self.waste.reply(outcome, usd) and opened is not None:
            opened.answered.add(usage.input or 0, usage.output or 0, usd)
        return usd

    def asked_again(self, key: str, position: Position, role: str, unread: Unread, outcome: Outcome) -> None:
        """Count what could not be read, once for all equal requests, of which `key` is the address: the reply that was
        asked for again, and the new one, if that cannot be read either."""
        if key in self._repaired:
            return
        self._repaired[key] = None
        if len(self._repaired) > REPAIRED:
            self._repaired.popitem(last=False)
        self.unread(position, role, unread.reply)
        if isinstance(outcome, Completion) and not unread.reads(outcome):
            self.unread(position, role, outcome)

    def unread(self, position: Position, role: str, reply: Completion) -> None:
        """A reply that this run paid for could not be read. One that was cut or filtered is counted as that."""
        if not reply.attempts or reply.stop in SPOILT:
            return
        spoilt, usd = Tally(), self._price(role, reply.usage)
        spoilt.add(reply.usage.input or 0, reply.usage.output or 0, usd)
        self.waste.of[Wasted.UNREADABLE].plus(spoilt)
        opened = self._open.get((position.phase, position.example))
        if opened is not None and opened.answered.attempts:
            opened.answered.plus(spoilt, -1)

    def unanswered(
        self, position: Position, attempts: int = 1, role: str = "", lost: Sequence[Lost] | None = None
    ) -> None:
        """Count a call that was sent and has no outcome: it was cancelled, or the provider stopped. Each of its
        attempts may have been charged, so its price is unknown."""
        self.waste.attempts(None, attempts, lost, self._is_priced(role))
        self.calls[position.phase] += 1
        self.attempts += attempts
        self.failures[UNANSWERED] += 1
        self.unpriced += 1
        self._note(position)

    def earlier(
        self, position: Position, role: str, outcome: Outcome | None, unanswered: int, lost: Earlier = Earlier()
    ) -> None:
        """Count what an earlier sitting of the run sent at a position."""
        # A reply without attempts was found elsewhere: nothing was sent for it.
        if isinstance(outcome, Failure) or (isinstance(outcome, Completion) and outcome.attempts):
            self.called(position, role, outcome, lost.answered)
        if unanswered:
            self.unanswered(position, unanswered, role, lost.unanswered)

    def _is_priced(self, role: str) -> bool:
        return self._price(role, Usage(1, 0, 0, 1, 0)) is not None

    def _note(self, position: Position) -> _Open | None:
        if position.phase not in RUN_AHEAD:
            return None
        key = position.phase, position.example
        opened = self._open.get(key)
        if opened is None:
            opened = self._open[key] = _Open()
        opened.calls += 1
        return opened

    def again(self, position: Position) -> None:
        """Count a request that a store or an equal request in flight served."""
        self.reused[position.phase] += 1

    def close_pass(self, phase: str, used: Iterable[str]) -> None:
        """End a pass: calls for examples that it did not use ran ahead, and were speculative."""
        wanted = dict.fromkeys(used)
        for (of_phase, example), opened in list(self._open.items()):
            if of_phase == phase:
                del self._open[of_phase, example]
                if example not in wanted:
                    self.speculative += opened.calls
                    self.waste.of[Wasted.AHEAD].plus(opened.answered)

    def absorb(self, other: Telemetry) -> None:
        """Add what another one counted, of work that is part of the same order."""
        self.calls += other.calls
        self.reused += other.reused
        self.failures += other.failures
        self.served += other.served
        self.waste.absorb(other.waste)
        for name in ("attempts", "speculative", "input", "cached", "output", "reasoning", "usd", "priced", "unpriced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def document(self, seconds: float) -> dict[str, Any]:
        """The `telemetry` part of a result."""
        return {
            "calls": dict(sorted(self.calls.items())),
            "reused": dict(sorted(self.reused.items())),
            "attempts": self.attempts,
            "tokens": {
                "input": self.input,
                "cached": self.cached,
                "output": self.output,
                "reasoning": self.reasoning,
            },
            "cost": {"usd": round(self.usd, 8) if self.priced else None, "unpriced_requests": self.unpriced},
            "seconds": round(seconds, 3),
            "failures": dict(sorted(self.failures.items())),
            "speculative": self.speculative,
            "served": dict(sorted(self.served.items())),
            "waste": self.waste.document(),
            "test": self.test,
        }
