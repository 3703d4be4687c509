"""What a run cost: calls, attempts, tokens, dollars, failures. Counters only; never a part of a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from semprop.engine.outcomes import Failure, Outcome, Position
from semprop.providers.base import Completion, Usage

Price = Callable[[str, Usage], float | None]
"""(role, usage) → dollars, or None where the price is unknown."""


RUN_AHEAD = ("forward", "gate")
"""Passes that may stop early, so that calls of theirs may be speculative."""

UNANSWERED = "unanswered"
"""What calls without an outcome are counted as among the failures."""


def unpriced(role: str, usage: Usage) -> float | None:
    """The price list of somebody who has none: every price is unknown, never 0."""
    return None


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
        self._open: Counter[tuple[str, str]] = Counter()

    def called(self, position: Position, role: str, outcome: Completion | Failure) -> float | None:
        """Count an outcome that came from a provider; its price in dollars, if known."""
        self.calls[position.phase] += 1
        self.attempts += outcome.attempts
        self._note(position)
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
        return usd

    def unanswered(self, position: Position, attempts: int = 1) -> None:
        """Count a call that was sent and has no outcome: it was cancelled, or the provider stopped. Each of its
        attempts may have been charged, so its price is unknown."""
        self.calls[position.phase] += 1
        self.attempts += attempts
        self.failures[UNANSWERED] += 1
        self.unpriced += 1
        self._note(position)

    def earlier(self, position: Position, role: str, outcome: Outcome | None, unanswered: int) -> None:
        """Count what an earlier sitting of the run sent at a position."""
        if isinstance(outcome, Completion | Failure):
            self.called(position, role, outcome)
        if unanswered:
            self.unanswered(position, unanswered)

    def _note(self, position: Position) -> None:
        if position.phase in RUN_AHEAD:
            self._open[position.phase, position.example] += 1

    def again(self, position: Position) -> None:
        """Count a request that a store or an equal request in flight served."""
        self.reused[position.phase] += 1

    def close_pass(self, phase: str, used: Iterable[str]) -> None:
        """End a pass: calls for examples that it did not use ran ahead, and were speculative."""
        wanted = dict.fromkeys(used)
        for (of_phase, example), count in list(self._open.items()):
            if of_phase == phase:
                del self._open[of_phase, example]
                if example not in wanted:
                    self.speculative += count

    def absorb(self, other: Telemetry) -> None:
        """Add what another one counted, of work that is part of the same order."""
        self.calls += other.calls
        self.reused += other.reused
        self.failures += other.failures
        self.served += other.served
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
            "test": self.test,
        }
