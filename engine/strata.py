"""Comparisons over strata: the tasks of a collection, or the classes of a classification. Pure; takes numbers.

Every stratum weighs the same, however many items it has: the stratified mean is Σ_t d̄_t / T. Over classes it is the
difference of balanced accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semprop.engine.statistics import (
    RESAMPLES,
    SIGNIFICANCE,
    Comparison,
    Interval,
    Word,
    compare,
    seeded,
    sign_flip,
    word_of,
)


@dataclass(frozen=True, slots=True)
class Stratum:
    """One stratum's comparison. `holm` is its p after Holm's correction for all strata, and decides its claim."""

    name: str
    comparison: Comparison
    holm: float

    @property
    def word(self) -> Word:
        """What may be said of this stratum alone; a gain is claimed by the corrected p only."""
        word = self.comparison.word
        if word is Word.RELIABLE_GAIN and self.holm > SIGNIFICANCE:
            return Word.NO_RELIABLE_GAIN
        return word


@dataclass(frozen=True, slots=True)
class Stratified:
    """All strata, each with the same weight. `interval` is the percentile bootstrap inside strata, `p` two-sided by
    sign flips of the weighted items."""

    strata: tuple[Stratum, ...]
    n: int
    before: float
    after: float
    difference: float
    interval: Interval
    p: float
    word: Word


def stratified(
    names: Sequence[str], before: Sequence[float], after: Sequence[float], seed: int, delta: float = 0.05
) -> Stratified:
    """Compare scores of the same items in strata; strata stand in order of first mention.

    Raises:
        SpecificationError: no item, unequal lengths, or a score outside of [0, 1].
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    parts = [
        compare([before[place] for place in own], [after[place] for place in own], seed, delta)
        for own in places.values()
    ]
    corrected = holm([part.p for part in parts])
    strata = tuple(Stratum(name, part, p) for name, part, p in zip(places, parts, corrected, strict=True))
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    groups = [differences[own] for own in places.values()]
    mean_before, mean_after = (_mean([getattr(part, side) for part in parts]) for side in ("before", "after"))
    interval = _interval(groups, seed)
    weighted = np.concatenate([group / (len(group) * len(groups)) for group in groups])
    # The test forgives sums that differ in the last bits, so the weights are brought to the size of single scores.
    p = sign_flip(weighted * len(names), seed)
    word = word_of(len(names), p, interval, delta)
    return Stratified(strata, len(names), mean_before, mean_after, mean_after - mean_before, interval, p, word)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return tuple(corrected)


def _interval(groups: Sequence[np.ndarray], seed: int, confidence: float = 0.95) -> Interval:
    """The percentile bootstrap of the mean of the groups' means, items drawn anew inside each group.

    Where no group has any spread a bootstrap sees none: then, as for a single comparison, up to 1 − .05^(1/n) of all
    items may still differ.
    """
    if all(np.ptp(group) < 1e-12 for group in groups):
        mean = _mean([float(group[0]) for group in groups])
        unseen = 1 - (1 - confidence) ** (1 / sum(map(len, groups)))
        return Interval(max(-1.0, mean - unseen), min(1.0, mean + unseen))
    generator = np.random.default_rng((seeded(seed), 3))
    means = np.zeros(RESAMPLES)
    for group in groups:
        # Scores take few values, so how often each is drawn is multinomial: exact, and small.
        values, counts = np.unique(group, return_counts=True)
        drawn = generator.multinomial(len(group), counts / len(group), size=RESAMPLES)
        means += drawn @ values / len(group) / len(groups)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
