"""Claims with their uncertainty: is a difference between two sets of scores real? Takes numbers and a seed, gives
frozen data; never draws from a shared stream of randomness.

The item is the unit: repeated draws of one item are averaged by the caller first. A claim is one predeclared
comparison, final against initial, on items that no search has seen; so it needs no correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semprop.engine.errors import SpecificationError

SIGNIFICANCE = 0.05
Z_ALPHA, Z_BETA = 1.645, 0.8416
"""Normal quantiles of a one-sided level of 5 % and of a power of 80 %, for the sizes of samples."""
FEWEST_ITEMS = 30
"""Below so many items nothing is claimed."""
PERMUTATIONS = 100_000
RESAMPLES = 10_000
ENUMERATED = 16
"""Up to so many items that differ, all signs are tried instead of random ones."""

_BLOCK = 2_000_000  # random numbers held in memory at once

Scores = NDArray[np.float64]


class Interval(NamedTuple):
    """A confidence interval for a difference."""

    low: float
    high: float


class Word(StrEnum):
    """What may be said of a comparison. There is no word for a loss: it is "no reliable gain", and the figures."""

    RELIABLE_GAIN = "reliable gain"
    NO_RELIABLE_GAIN = "no reliable gain"
    NO_GAIN = "no gain of δ or more"
    TOO_FEW = "too few to say"


@dataclass(frozen=True, slots=True)
class McNemar:
    """The exact test of paired 0/1 scores: of the items that differ, `wins` got better and `losses` worse. The
    p-values are P(Bin(wins + losses, ½) ≥ wins) and twice the smaller tail, at most 1."""

    wins: int
    losses: int
    one_sided: float
    two_sided: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of the same n items before and after. `difference` is the mean of after − before, `interval` its 95 %
    confidence interval, `p` two-sided; `wins` and `losses` count the items that got better and worse; `delta` is the
    smallest gain worth having."""

    n: int
    before: float
    after: float
    difference: float
    interval: Interval
    p: float
    test: str
    wins: int
    losses: int
    delta: float
    word: Word

    @property
    def phrase(self) -> str:
        """The word, with δ as points."""
        return self.word.replace("δ", f"{100 * self.delta:g} points")


def compare(before: Sequence[float], after: Sequence[float], seed: int, delta: float = 0.05) -> Comparison:
    """Compare scores of the same items, in the same order.

    0/1 scores: exact McNemar test and Newcombe's interval. Graded: sign-flip permutation test and BCa bootstrap over
    the items, both functions of the seed. The word: fewer than 30 items say too little; else a reliable gain iff
    p ≤ .05 and the interval lies above 0; else no gain of δ or more if it lies below δ; else no reliable gain.

    Raises:
        SpecificationError: no item, unequal lengths, or a score outside of [0, 1].
    """
    old, new = _checked(before, after)
    differences = new - old
    n = len(old)
    wins, losses = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    if np.all((old == 0) | (old == 1)) and np.all((new == 0) | (new == 1)):
        both = int(np.sum((old == 1) & (new == 1)))
        interval = newcombe(both, wins, losses, n - both - wins - losses)
        p, test = mcnemar(wins, losses).two_sided, "exact McNemar; Newcombe's interval (method 10)"
    else:
        interval = bootstrap_interval(differences, seed)
        p, test = sign_flip(differences, seed), "sign-flip permutation; BCa bootstrap interval"
    return Comparison(
        n=n,
        before=float(np.mean(old)),
        after=float(np.mean(new)),
        difference=float(np.mean(differences)),
        interval=interval,
        p=p,
        test=test,
        wins=wins,
        losses=losses,
        delta=delta,
        word=word_of(n, p, interval, delta),
    )


def _checked(before: Sequence[float], after: Sequence[float]) -> tuple[Scores, Scores]:
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if len(old) != len(new) or not len(old):
        raise SpecificationError(
            f"{len(old)} scores before and {len(new)} after: compare the same items, at least one, in the same order"
        )
    for scores in (old, new):
        outside = scores[~((scores >= 0) & (scores <= 1))]
        if len(outside):
            raise SpecificationError(f"the score {outside[0]} is outside of [0, 1]: scale scores before comparing them")
    return old, new


def word_of(n: int, p: float, interval: Interval, delta: float) -> Word:
    """What may be said of n items: fewer than 30 say too little; else a reliable gain iff p ≤ .05 and the interval lies
    above 0; else no gain of δ or more iff it lies below δ."""
    if n < FEWEST_ITEMS:
        return Word.TOO_FEW
    if p <= SIGNIFICANCE and interval.low > 0:
        return Word.RELIABLE_GAIN
    return Word.NO_GAIN if interval.high < delta else Word.NO_RELIABLE_GAIN


def mcnemar(wins: int, losses: int) -> McNemar:
    """The exact test, in integers."""
    trials = wins + losses
    upper = _tail(trials, wins)
    return McNemar(wins, losses, upper, min(1.0, 2 * min(upper, _tail(trials, losses))))


def _tail(trials: int, at_least: int) -> float:
    """P(Bin(trials, ½) ≥ at_least)."""
    term, total = 1, 0
    # The upper tail from k is the lower tail to trials − k; its terms grow from 1.
    for count in range(trials - at_least + 1):
        total += term
        term = term * (trials - count) // (count + 1)
    return total / (1 << trials)


def newcombe(both: int, wins: int, losses: int, neither: int, confidence: float = 0.95) -> Interval:
    """Interval for the difference of paired proportions, after − before.

    Newcombe, Statistics in Medicine 17 (1998) 2635–2650, method 10: the Wilson intervals of the two proportions,
    joined by a correlation φ with continuity correction. `both` items are right before and after, `neither` never.
    """
    n = both + wins + losses + neither
    after, before = both + wins, both + losses
    low_after, high_after = wilson(after, n, confidence)
    low_before, high_before = wilson(before, n, confidence)
    product = both * neither - wins * losses
    margins = after * (n - after) * before * (n - before)
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    share_after, share_before = after / n, before / n
    down_after, up_after = share_after - low_after, high_after - share_after
    down_before, up_before = share_before - low_before, high_before - share_before
    difference = (wins - losses) / n
    below = math.sqrt(max(0.0, down_after**2 - 2 * phi * down_after * up_before + up_before**2))
    above = math.sqrt(max(0.0, up_after**2 - 2 * phi * up_after * down_before + down_before**2))
    return Interval(max(-1.0, difference - below), min(1.0, difference + above))


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion, without continuity correction."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def sign_flip(differences: Sequence[float] | Scores, seed: int, draws: int = PERMUTATIONS) -> float:
    """Two-sided p of "the differences are as likely to be negative as positive".

    Exact over all signs for up to 16 items that differ; else the share of random sign vectors, this sample counted
    in, whose sum is at least as far from 0.
    """
    differing = np.asarray(differences, dtype=np.float64)
    differing = differing[differing != 0]
    count = len(differing)
    if not count:
        return 1.0
    # Sums that are equal on paper differ in the last bits.
    bar = abs(float(np.sum(differing))) - 1e-9
    if count <= ENUMERATED:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float(np.mean(np.abs(signs @ differing) >= bar))
    generator = np.random.default_rng((seeded(seed), 1))
    rows = max(1, _BLOCK // count)
    hits = 0
    for start in range(0, draws, rows):
        flips = generator.integers(0, 2, size=(min(rows, draws - start), count), dtype=np.int8)
        hits += int(np.sum(np.abs((1 - 2 * flips) @ differing) >= bar))
    return (1 + hits) / (1 + draws)


def bootstrap_interval(
    differences: Sequence[float] | Scores, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """BCa bootstrap interval of the mean over items (Efron 1987); the acceleration is the jackknife's.

    Where all items differ alike a bootstrap sees no spread: then up to 1 − .05^(1/n) of the items ("rule of three")
    may still differ, each by at most 1.
    """
    sample = np.asarray(differences, dtype=np.float64)
    n = len(sample)
    mean = float(np.mean(sample))
    if np.ptp(sample) < 1e-12:
        unseen = 1 - (1 - confidence) ** (1 / n)
        return Interval(max(-1.0, mean - unseen), min(1.0, mean + unseen))
    generator = np.random.default_rng((seeded(seed), 2))
    rows = max(1, _BLOCK // n)
    means = np.concatenate(
        [
            np.mean(sample[generator.integers(0, n, size=(min(rows, resamples - start), n))], axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    normal = NormalDist()
    below = (np.sum(means < mean - 1e-12) + np.sum(np.abs(means - mean) <= 1e-12) / 2) / resamples
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples)))
    centred = sample - mean
    acceleration = float(np.sum(centred**3) / (6 * np.sum(centred**2) ** 1.5))

    def quantile(level: float) -> float:
        z = bias + normal.inv_cdf(level)
        return float(np.quantile(means, normal.cdf(bias + z / (1 - acceleration * z))))

    return Interval(quantile((1 - confidence) / 2), quantile((1 + confidence) / 2))


def seeded(seed: int) -> int:
    """Generators take whole numbers from 0; different seeds stay different."""
    return 2 * seed if seed >= 0 else -2 * seed - 1


def items_needed(delta: float, discordance: float) -> int:
    """How many paired items show a gain of `delta`, if a share `discordance` of the items differ: one-sided α = .05,
    power 80 %. n = (z_α·√ρ + z_β·√(ρ − Δ²))² / Δ².

    Raises:
        SpecificationError: not 0 < delta ≤ discordance ≤ 1; a gain of Δ needs at least a share Δ that differs.
    """
    if not 0 < delta <= discordance <= 1:
        raise SpecificationError(
            f"a gain of {delta} cannot come of a share {discordance} of items that differ: 0 < delta ≤ discordance ≤ 1"
        )
    return math.ceil(_items(delta, discordance))


def _items(delta: float, discordance: float) -> float:
    root = Z_ALPHA * math.sqrt(discordance) + Z_BETA * math.sqrt(max(0.0, discordance - delta**2))
    return (root / delta) ** 2


def smallest_visible_gain(n: int, discordance: float) -> float:
    """The smallest gain that n paired items show, by the formula of `items_needed`; infinite if they show none.

    Raises:
        SpecificationError: not n ≥ 1 and 0 < discordance ≤ 1.
    """
    if n < 1 or not 0 < discordance <= 1:
        raise SpecificationError(f"{n} items, a share {discordance} that differ: n ≥ 1 and 0 < discordance ≤ 1")
    if _items(discordance, discordance) > n:
        return math.inf
    low, high = 0.0, discordance
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _items(middle, discordance) <= n else (middle, high)
    return high


def smallest_gain(n: int, discordance: float) -> float:
    """The smallest gain that n paired items show, at least at this discordance: a gain above it makes its own, since
    as many items differ at the least. Infinite below three items.

    Raises:
        SpecificationError: not n ≥ 1 and 0 < discordance ≤ 1.
    """
    found = smallest_visible_gain(n, discordance)
    if not math.isinf(found) or _items(1.0, 1.0) > n:
        return found
    low, high = discordance, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _items(middle, middle) <= n else (middle, high)
    return high


def fall_unequally(only_before: int, only_after: int) -> bool:
    """Whether failures fall unequally on two sides: of the items that failed on one side only, the exact two-sided
    test gives p < .05. A verdict on such cells is undecided (law L3)."""
    return mcnemar(only_before, only_after).two_sided < SIGNIFICANCE
