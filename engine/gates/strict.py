"""No gate, and the strict gate: the candidate with the highest mean is taken, if that is above the incumbent's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from semprop.engine.gates.board import Board, Decision, Fold, Need, Row, Verdict
from semprop.engine.gates.columns import Bounds, Column, is_better, prefers


@dataclass(frozen=True, slots=True)
class NoGate:
    """Accepts the first candidate unmeasured."""

    name: str = "none"

    def decide(self, board: Board) -> Verdict:
        return Verdict(Decision.ACCEPT, 1, 0, None, None, 0, "no gate: the first candidate is taken unmeasured")


@dataclass(frozen=True, slots=True)
class StrictGate:
    """The paper's gate, raced: the candidate with the highest mean is accepted if that is above the incumbent's.

    Of candidates with equal means the shorter wins, then the earlier. It accepts an equally good candidate in
    nearly every second try, so its accepted scores are no evidence of a gain; only held-out data are.
    """

    name: str = "strict"

    def decide(self, board: Board) -> Verdict | Need:
        return self.folded(board).decide()

    def folded(self, board: Board) -> Fold:
        fold = _Strict(board.total, board.sizes)
        for row in board.rows:
            fold.add(row)
        return fold


class _Strict:
    """A board as the strict gate keeps it in mind: a few sums for each contender."""

    __slots__ = ("_columns", "_pending", "_sizes")

    def __init__(self, total: int, sizes: Sequence[int]) -> None:
        self._pending, self._sizes = total, sizes
        self._columns = [Column() for _ in sizes]

    def add(self, row: Row) -> None:
        self._pending -= 1
        for column, cell in zip(self._columns, row, strict=True):
            column.add(cell, row[0])

    def decide(self) -> Verdict | Need:
        bounds = [column.bounds(self._pending) for column in self._columns]
        low0, high0 = bounds[0]
        hopeful = [j for j in range(1, len(bounds)) if bounds[j].high > low0 and not self._columns[j].dropped]
        if not hopeful:
            best = max(range(1, len(bounds)), key=lambda j: (bounds[j].low, -self._sizes[j], -j))
            return self._columns[best].settled(Decision.REJECT, best, "no candidate can be above the incumbent")
        racing = [j for j in hopeful if not any(is_better(bounds, self._sizes, k, j) for k in hopeful if k != j)]
        if len(racing) == 1 and bounds[racing[0]].low > high0:
            reason = "above the incumbent, and no other candidate is better"
            return self._columns[racing[0]].settled(Decision.ACCEPT, racing[0], reason)
        if self._pending:
            return Need((0, *racing), self._surely(bounds, racing))
        best = max(hopeful, key=lambda j: (sum(bounds[j]), -self._sizes[j], -j))
        return self._columns[best].verdict(Decision.UNDECIDED, best, "the missing items could turn the verdict")

    def _surely(self, bounds: Sequence[Bounds], racing: Sequence[int]) -> int:
        """The fewest rows after which a verdict may come, or a candidate leave the race: a row brings the lowest sum of
        one side and the highest of another closer by two at most."""
        low0, high0 = bounds[0]
        rows = self._pending
        for j in racing:
            low, high = bounds[j]
            rows = min(rows, _closed(high - low0), _crossed(high0 - low))
            for k in racing:
                if k != j:
                    apart = high - bounds[k].low
                    rows = min(rows, _closed(apart) if prefers(self._sizes, k, j) else _crossed(apart))
        return max(rows, 1)


def _closed(apart: float) -> int:
    """Rows until two sums that are so far apart may be equal."""
    return math.ceil(round(apart, 9) / 2)


def _crossed(apart: float) -> int:
    """Rows until they may have passed each other."""
    return math.floor(round(apart, 9) / 2) + 1
