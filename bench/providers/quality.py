"""Quality, price and latency side by side: a figure and its interval by item, and the front of what nothing beats.

The item is the unit: repeated draws of one item are averaged first. The interval of a score is that of an evaluation;
that of the price of the correct a percentile bootstrap over items, of the ratio as a ratio (dollars and scores of the
same drawn items), so that an item that costs much and one that is answered well move together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semprop.bench.evaluate import interval_of
from semprop.bench.providers.samples import Unit
from semprop.engine.statistics import Interval

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Quality:
    """What an endpoint's answers were worth.

    Attributes:
        n: items with a score; `missing` had none, because a provider failed on every try of them.
        score: the mean score.
        usd_per_thousand_correct: 1,000 × dollars / sum of scores, failures' dollars included; None if a price is
            unknown or nothing was right.
    """

    n: int
    missing: int
    score: Estimate | None
    usd_per_thousand_correct: Estimate | None


def quality_of(units: Sequence[Unit], seed: int) -> Quality:
    """Score and price of the correct, by item; a function of the units and the seed.

    A resample in which nothing is right has no price of the correct: it counts as infinite, and so may the upper end.
    """
    items: dict[str, list[Unit]] = {}
    for unit in units:
        items.setdefault(unit.item, []).append(unit)
    scored = {name: [one.score for one in tries if one.score is not None] for name, tries in items.items()}
    # Of every item, with or without a score: what failed was paid for.
    price = {name: _mean([one.usd for one in tries]) for name, tries in items.items()}
    known = [name for name in items if scored[name]]
    missing = len(items) - len(known)
    if not known:
        return Quality(0, missing, None, None)
    scores = np.array([sum(scored[name]) / len(scored[name]) for name in known])
    generator = np.random.default_rng((2 * abs(seed) + (seed < 0), 17))
    drawn = generator.integers(0, len(known), size=(RESAMPLES, len(known)))
    # A bootstrap sees no spread where all are alike: 0/1 scores have Wilson's interval.
    interval, _ = interval_of([float(value) for value in scores], seed)
    score = Estimate(float(scores.mean()), interval)
    paid = [price[name] for name in items]
    if any(usd is None for usd in paid) or not scores.sum():
        return Quality(len(known), missing, score, None)
    # The dollars of items without a score are spread over the others.
    extra = sum(usd for name in items if not scored[name] and (usd := price[name]) is not None) / len(known)
    dollars = np.array([price[name] for name in known], dtype=np.float64) + extra
    right = scores[drawn].sum(axis=1)
    spent = dollars[drawn].sum(axis=1)
    ratios = np.where(right > 0, 1000.0 * spent / np.where(right > 0, right, 1.0), np.inf)
    value = float(1000.0 * dollars.sum() / scores.sum())
    return Quality(len(known), missing, score, Estimate(value, _ends(ratios)))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _ends(values: np.ndarray) -> Interval:
    ordered = np.sort(values)
    last = len(ordered) - 1
    return Interval(float(ordered[round(0.025 * last)]), float(ordered[round(0.975 * last)]))


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint's place: its score (higher is better), dollars and seconds (lower is better); None where unknown."""

    name: str
    score: float | None
    usd: float | None
    seconds: float | None


def front(standings: Sequence[Standing]) -> tuple[str, ...]:
    """The endpoints that no other one beats: none is at least as good in everything that is known of both and better in
    something. An unknown figure can neither beat nor be beaten."""
    return tuple(
        one.name for one in standings if not any(_beats(other, one) for other in standings if other is not one)
    )


def _beats(one: Standing, other: Standing) -> bool:
    pairs = [(one.score, other.score, 1), (one.usd, other.usd, -1), (one.seconds, other.seconds, -1)]
    if any((mine is None) != (yours is None) for mine, yours, _ in pairs):
        return False
    known = [(sign * mine, sign * yours) for mine, yours, sign in pairs if mine is not None and yours is not None]
    return all(mine >= yours for mine, yours in known) and any(mine > yours for mine, yours in known)
