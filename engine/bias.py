"""What a search found, where there is no test set: a bootstrap correction of the winner's bias. Pure; approximate.

Tsamardinos, Greasidou, Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation" (Machine Learning 107, 2018): draw items anew, let the highest mean win on those drawn, score the
winner on those that were not. It needs every candidate's score on every item, which a gate that stops early never has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semprop.engine.statistics import Interval, seeded

BOOTSTRAPS = 2_000


@dataclass(frozen=True, slots=True)
class Corrected:
    """An approximate gain without a test set: `difference` of the winner over the start, on items that did not choose
    it, with the bootstrap's 95 % interval. Over `n` items and `contenders` columns, the start among them."""

    n: int
    contenders: int
    difference: float
    interval: Interval


def bias_corrected(matrix: Sequence[Sequence[float]], seed: int, draws: int = BOOTSTRAPS) -> Corrected | None:
    """The correction on a full matrix: a row an item, a column a contender, the start first. None for fewer than two
    items or contenders."""
    scores = np.asarray(matrix, dtype=np.float64)
    if scores.ndim != 2 or min(scores.shape) < 2:
        return None
    n = scores.shape[0]
    generator = np.random.default_rng((seeded(seed), 4))
    gains = []
    for _ in range(draws):
        drawn = generator.integers(0, n, size=n)
        left = np.setdiff1d(np.arange(n), drawn)
        if not len(left):
            continue
        # Rounded, so that equal means tie: the first of them wins, and the start is the first of all.
        winner = int(np.argmax(np.round(scores[drawn].mean(axis=0), 9)))
        gains.append(float((scores[left, winner] - scores[left, 0]).mean()))
    low, high = np.quantile(gains, [0.025, 0.975])
    return Corrected(n, scores.shape[1], float(np.mean(gains)), Interval(float(low), float(high)))
