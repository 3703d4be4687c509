"""What one contender has so far, alone and beside the incumbent: sums that do not depend on the order of rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from semprop.engine.gates.board import Cell, Decision, Hole, Verdict
from semprop.engine.statistics import fall_unequally


class Bounds(NamedTuple):
    """The lowest and the highest sum that a column can still have over all items.

    They are rounded to 1e-9, so that scores which are no binary fractions can tie.
    """

    low: float
    high: float


def prefers(sizes: Sequence[int], one: int, other: int) -> bool:
    """Whether `one` wins a tie: the shorter, then the earlier."""
    return (sizes[one], one) < (sizes[other], other)


def is_better(bounds: Sequence[Bounds], sizes: Sequence[int], one: int, other: int) -> bool:
    """Whether `one` beats `other` under every completion."""
    low, high = bounds[one].low, bounds[other].high
    return low > high or (low == high and prefers(sizes, one, other))


class Column:
    """What one contender has so far, alone, and beside the incumbent where both have a score."""

    __slots__ = (
        "_after",
        "_before",
        "_excluded",
        "_known",
        "_missing",
        "_n",
        "_only_incumbent",
        "_only_this",
        "dropped",
    )

    def __init__(self) -> None:
        self._known, self._before, self._after = _Sum(), _Sum(), _Sum()
        self._n = self._missing = self._excluded = self._only_this = self._only_incumbent = 0
        self.dropped = False

    def add(self, cell: Cell, incumbent: Cell) -> None:
        if isinstance(cell, float):
            self._known.add(cell)
            if isinstance(incumbent, float):
                self._n += 1
                self._before.add(incumbent)
                self._after.add(cell)
        fails, incumbent_fails = cell is Hole.MISSING, incumbent is Hole.MISSING
        self._missing += fails
        self._excluded += fails or incumbent_fails
        self._only_this += fails and not incumbent_fails
        self._only_incumbent += incumbent_fails and not fails
        self.dropped = self.dropped or cell is Hole.DROPPED

    @property
    def excluded(self) -> int:
        """How many items lack a score on one side or on both."""
        return self._excluded

    def bounds(self, pending: int) -> Bounds:
        known = self._known.value
        return Bounds(round(known, 9), round(known + pending + self._missing, 9))

    def settled(self, decision: Decision, column: int, reason: str) -> Verdict:
        """The verdict, unless failures fell unequally on the two sides."""
        if fall_unequally(self._only_incumbent, self._only_this):
            skew = (
                f"failures fall unequally: {self._only_this} on the candidate alone, "
                f"{self._only_incumbent} on the incumbent"
            )
            return self.verdict(Decision.UNDECIDED, column, skew)
        return self.verdict(decision, column, reason)

    def verdict(self, decision: Decision, column: int, reason: str) -> Verdict:
        """A verdict on this column, which is number `column`."""
        before = self._before.value / self._n if self._n else None
        after = self._after.value / self._n if self._n else None
        winner = column if decision is Decision.ACCEPT else 0
        return Verdict(decision, winner, self._n, before, after, self._excluded, reason)


class _Sum:
    """A sum of floats that rounds once, at the end, so that the order of addition cannot decide: the partial sums of
    Shewchuk (Discrete & Computational Geometry 18, 1997), as in `math.fsum`."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, term: float) -> None:
        kept = 0
        for part in self._parts:
            large, small = (term, part) if abs(term) >= abs(part) else (part, term)
            term = large + small
            lost = small - (term - large)
            if lost:
                self._parts[kept] = lost
                kept += 1
        self._parts[kept:] = [term]

    @property
    def value(self) -> float:
        return math.fsum(self._parts)
