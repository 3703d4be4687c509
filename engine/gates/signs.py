"""The one-sided sign-flip test of paired differences, exact: P(Σ ε_i |d_i| ≥ Σ d_i) over all signs ε. Pure.

It is exact where d and −d are equally likely. Differences that are 0 play no part. With 0/1 scores it is the exact
McNemar test, P(Bin(W + L, ½) ≥ W). Differences are rounded to hundredths of a score, so that the distribution of the
sum lives on whole numbers and can be computed instead of sampled.

The p-value falls with every single d_i: with d_i ≥ 0 and growing, the sums in which it has a minus fall behind; with
d_i < 0 those in which it has a plus. So the extremes over unknown cells are taken with all of them at their ends.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semprop.engine.gates.board import Cell, Hole

ONE = 100
"""A difference of a whole score, in the units of the test."""

Weights = NDArray[np.float64]


class Range:
    """The lowest and the highest difference that two cells can have, in hundredths."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high


def difference(cell: Cell, incumbent: Cell) -> Range:
    """Cell − incumbent; a cell that is missing can be anything in [0, 1]."""
    low = (0.0 if isinstance(cell, Hole) else cell) - (1.0 if isinstance(incumbent, Hole) else incumbent)
    high = (1.0 if isinstance(cell, Hole) else cell) - (0.0 if isinstance(incumbent, Hole) else incumbent)
    return Range(round(low * ONE), round(high * ONE))


class Signs:
    """Differences so far: their sum, how many are whole scores, and how the others' sum is distributed over signs."""

    __slots__ = ("_parts", "_whole", "total")

    def __init__(self) -> None:
        self.total = 0
        self._whole = 0
        self._parts: Weights = np.ones(1)  # of a sum of −F … F, F the sum of all parts

    def add(self, difference: int) -> None:
        """One more, in hundredths."""
        size = abs(difference)
        self.total += difference
        if size == ONE:
            self._whole += 1
        elif size:
            grown = np.zeros(len(self._parts) + 2 * size)
            grown[: -2 * size] = self._parts / 2
            grown[2 * size :] += self._parts / 2
            self._parts = grown

    def with_all(self, differences: list[int]) -> Signs:
        """A copy to which these are added."""
        copy = Signs()
        copy.total, copy._whole, copy._parts = self.total, self._whole, self._parts
        for entry in differences:
            copy.add(entry)
        return copy

    def p(self, gains: int = 0, losses: int = 0) -> float:
        """The p-value, if so many items more are won or lost by a whole score."""
        total, whole = self.total + ONE * (gains - losses), self._whole + gains + losses
        reach = len(self._parts) // 2
        # Σ = part + ONE·(2·heads − whole) ≥ total.
        parts = np.arange(-reach, reach + 1) if reach else np.zeros(1, dtype=np.int64)
        heads = -((parts - total - ONE * whole) // (2 * ONE))
        return float(np.dot(self._parts, tails(whole)[np.clip(heads, 0, whole + 1)]))


@lru_cache(maxsize=64)
def tails(trials: int) -> Weights:
    """P(Bin(trials, ½) ≥ k) for k = 0 … trials + 1."""
    steps = np.arange(trials)
    logarithms = np.concatenate(([0.0], np.cumsum(np.log((trials - steps) / (steps + 1)))))
    chances = np.exp(logarithms - trials * np.log(2.0))
    found = np.concatenate((np.cumsum(chances[::-1])[::-1], [0.0]))
    return np.minimum(found, 1.0)
