"""From calls to figures: each with its formula, which is printed. Pure; memory does not grow with the calls.

Latencies are of answered calls alone; a cut, filtered or failed one is waste. Percentiles come from `Histogram`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semprop.bench.providers.histogram import Histogram
from semprop.bench.providers.samples import Call, Outcome

PERCENTILES = (0.5, 0.9, 0.99)

FORMULAS: Mapping[str, str] = {
    "first_token": "first visible token − send of the last attempt (streamed replies)",
    "gap": "between pieces of a reply, all of all replies pooled (a piece may hold several tokens)",
    "per_token": "(end to end from the send − first token) / (output tokens − 1), by the endpoint's own count",
    "from_intended": "last byte − the instant at which the load wanted it to begin",
    "from_actual": "last byte − send of the last attempt",
    "queued": "send of the last attempt − the instant at which the load wanted it: limits, retries, a full client",
    "requests_per_second": "answered calls / wall seconds",
    "tokens_per_second": "output tokens of answered calls / wall seconds",
    "goodput": "answered calls that meet every objective / wall seconds",
    "retries": "attempts − calls",
    "usd_per_request": (
        "dollars of all calls / answered calls; in them the attempts that failed, were made again or lost a hedge: "
        "what was refused cost nothing, what was begun counts at the most that it may have cost"
    ),
    "usd_per_million_tokens": "10⁶ × dollars of all calls / (input + output tokens of answered calls)",
    "usd_per_thousand_correct": "1,000 × dollars of all calls / sum of scores",
    "wasted_usd": "dollars of calls that were cut, filtered or failed, and of lost attempts of the others",
}


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a call must keep to count in goodput, in seconds; None: anything will do."""

    first_token: float | None = None
    per_token: float | None = None
    total: float | None = None

    def met(self, call: Call) -> bool:
        """Whether an answered call keeps all of them; `total` is from the intended start. What was not measured (a
        reply of one token has no time per token) breaks nothing; a first token that nobody saw does."""
        if self.first_token is not None and (call.first is None or call.first > self.first_token):
            return False
        if self.per_token is not None and call.per_token is not None and call.per_token > self.per_token:
            return False
        return self.total is None or call.from_intended <= self.total


@dataclass(slots=True)
class Figures:
    """What was seen of one endpoint under one load. Grows only with the kinds of errors. `throttled` counts attempts
    that a limit refused, whatever became of their calls."""

    objectives: Objectives = Objectives()
    seconds: float = 0.0
    calls: int = 0
    attempts: int = 0
    good: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    input: int = 0
    output: int = 0
    usd: float = 0.0
    wasted: float = 0.0
    unpriced: int = 0
    throttled: int = 0
    latencies: dict[str, Histogram] = field(
        default_factory=lambda: {
            name: Histogram() for name in ("first_token", "gap", "per_token", "from_intended", "from_actual", "queued")
        }
    )

    def add(self, call: Call) -> None:
        """Count one call."""
        self.calls += 1
        self.attempts += call.attempts
        self.outcomes[str(call.outcome)] += 1
        if call.error:
            self.errors[call.error] += 1
        if call.usd is None:
            self.unpriced += 1
        else:
            self.usd += call.usd
            self.wasted += call.lost_usd if call.answered else call.usd
        if call.answered:
            self._answered(call)

    def _answered(self, call: Call) -> None:
        self.good += self.objectives.met(call)
        self.input += call.usage.input or 0
        self.output += call.usage.output or 0
        seen = self.latencies
        seen["from_intended"].add(call.from_intended)
        seen["from_actual"].add(call.from_actual)
        seen["queued"].add(call.queued)
        if call.first is not None:
            seen["first_token"].add(call.first)
        if call.per_token is not None:
            seen["per_token"].add(call.per_token)
        for gap in call.gaps:
            seen["gap"].add(gap)

    @property
    def answered(self) -> int:
        return self.outcomes[str(Outcome.ANSWERED)]

    def document(self) -> dict[str, Any]:
        """Every figure; None where it is unknown: a price that nobody lists is never 0."""
        priced = None if self.unpriced else self.usd
        tokens = self.input + self.output
        return {
            "seconds": self.seconds,
            "calls": self.calls,
            "answered": self.answered,
            "outcomes": dict(sorted(self.outcomes.items())),
            "errors": dict(sorted(self.errors.items())),
            "attempts": self.attempts,
            "retries": self.attempts - self.calls,
            "throttled": self.throttled,
            "requests_per_second": _over(self.answered, self.seconds),
            "tokens_per_second": _over(self.output, self.seconds),
            "goodput": _over(self.good, self.seconds),
            "tokens": {"input": self.input, "output": self.output},
            "latency": {name: summary(histogram) for name, histogram in self.latencies.items()},
            "usd": priced,
            "unpriced_calls": self.unpriced,
            "usd_per_request": None if priced is None else _over(priced, self.answered),
            "usd_per_million_tokens": None if priced is None else _over(1e6 * priced, tokens),
            "wasted_usd": None if self.unpriced else self.wasted,
        }


def summary(histogram: Histogram) -> dict[str, float | int | None]:
    """A distribution in seconds: how many, mean, percentiles, the largest."""
    told: dict[str, float | int | None] = {"n": histogram.count, "mean": histogram.mean}
    for share in PERCENTILES:
        told[f"p{100 * share:g}"] = histogram.percentile(share)
    told["max"] = histogram.largest if histogram.count else None
    return told


def _over(amount: float, by: float) -> float | None:
    return amount / by if by else None
