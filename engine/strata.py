"""Comparisons over strata: the tasks of a collection, or the classes of a classification. Pure; takes numbers.

Every stratum weighs the same, however many items it has: the stratified mean is Σ_t d̄_t / T. Over classes it is the
difference of balanced accuracy.
"""

from __future__ import annotations

import math
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

    Of n items n − 1 are drawn, so that the spread of small groups is not understated (Rao and Wu, Journal of the
    American Statistical Association 83, 1988). Groups of one item have no spread of their own and are drawn from each
    other. Where there is no spread a bootstrap sees none, so the interval is widened by what may be unseen there.
    """
    single = [group for group in groups if len(group) == 1]
    pools = [[group] for group in groups if len(group) > 1] + ([single] if single else [])
    generator = np.random.default_rng((seeded(seed), 3))
    means = np.zeros(RESAMPLES)
    flat: list[int] = []
    for pool in pools:
        held, weight = np.concatenate(pool), len(pool) / len(groups)
        if np.ptp(held) < 1e-12:
            flat += map(len, pool)
            means += weight * held[0]
            continue
        # Scores take few values, so how often each is drawn is multinomial: exact, and small.
        values, counts = np.unique(held, return_counts=True)
        drawn = generator.multinomial(len(held) - 1, counts / len(held), size=RESAMPLES)
        means += weight * (drawn @ values) / (len(held) - 1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    unseen = _unseen(flat, 1 - confidence) / len(groups)
    return Interval(max(-1.0, float(low) - unseen), min(1.0, float(high) + unseen))


def _unseen(sizes: Sequence[int], chance: float) -> float:
    """The largest Σ q_t such that strata of these sizes, in which a share q_t of the items differs, show none that does
    with at least this chance: Π (1 − q_t)^{n_t} ≥ chance. For one stratum of n items it is 1 − chance^(1/n).

    By Lagrange 1 − q_t = 1/(μ n_t) for the smallest strata, and q_t = 0 for the others.
    """
    found, total, weighted = 0.0, 0, 0.0
    taken: list[int] = []
    for size in sorted(sizes):
        total, weighted = total + size, weighted + size * math.log(size)
        level = (weighted - math.log(chance)) / total
        if level < math.log(size):
            break
        taken.append(size)
        found = math.fsum(1 - each * math.exp(-level) for each in taken)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
