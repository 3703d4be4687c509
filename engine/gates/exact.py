"""The exact gates: a fixed number of items, one exact test for each candidate, decided as soon as nothing can turn it.

They accept the candidate with the highest mean among those whose one-sided p-value is at most α_t/k. Bonferroni's
share keeps the level over the k candidates of a step, whatever binds them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from semprop.engine.gates.board import Board, Decision, Fold, Need, Row, Verdict
from semprop.engine.gates.columns import Bounds, Column, is_better
from semprop.engine.gates.levels import Spending, check_share, level_at
from semprop.engine.gates.signs import ONE, Signs, difference

ALPHA = 0.05

_TOLERANCE = 1 + 1e-9
"""p-values are sums of many floats: one that equals the level on paper must not fail by the last digit."""


@dataclass(frozen=True, slots=True)
class ExactGate:
    """Accepts the best candidate whose exact one-sided p is at most its share of the level: McNemar's test on 0/1
    scores, the sign-flip test on graded ones.

    Attributes:
        alpha: the chance of accepting something false, over the whole run or as `spending` says.
        spending: how it is spent over the steps.
    """

    alpha: float = ALPHA
    spending: Spending = Spending.EVEN
    name: str = "exact"

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)

    def decide(self, board: Board) -> Verdict | Need:
        return self.folded(board).decide()

    def folded(self, board: Board) -> Fold:
        return _filled(_Exact(board, level_at(self.alpha, self.spending, board.turn), 0), board)


@dataclass(frozen=True, slots=True)
class TwoStageGate:
    """The exact gate behind a small first stage that can only reject: after a share `first` of the items, a candidate
    that is not ahead of the incumbent leaves.

    The first stage takes acceptances away and adds none, so the level is that of the exact test on the full set, α.
    It costs some power, and saves most of the calls on candidates that are no better.
    """

    alpha: float = ALPHA
    first: float = 0.25
    spending: Spending = Spending.EVEN
    name: str = "two-stage"

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        check_share("first", self.first)

    def decide(self, board: Board) -> Verdict | Need:
        return self.folded(board).decide()

    def folded(self, board: Board) -> Fold:
        cut = math.ceil(self.first * board.total)
        return _filled(_Exact(board, level_at(self.alpha, self.spending, board.turn), cut), board)


def _filled(fold: _Exact, board: Board) -> _Exact:
    for row in board.rows:
        fold.add(row)
    return fold


class _Candidate:
    """One candidate's differences from the incumbent: what is known, and what missing cells could make of it."""

    __slots__ = ("_cut", "_known", "_lows", "_missing", "ahead")

    def __init__(self, cut: int) -> None:
        self._known = Signs()
        self._missing: list[tuple[int, int]] = []
        self._cut = cut
        self.ahead = Bounds(-ONE * cut, ONE * cut) if cut else Bounds(1, 1)

    def add(self, low: int, high: int) -> None:
        if low == high:
            self._known.add(low)
        else:
            self._missing.append((low, high))
        if self._cut:
            self._cut -= 1
            # What the sum of the first stage can still be at its end.
            left, total = ONE * self._cut, self._known.total
            self.ahead = Bounds(
                total + sum(entry for entry, _ in self._missing) - left,
                total + sum(entry for _, entry in self._missing) + left,
            )

    @property
    def surely_ahead(self) -> bool:
        """Whether every completion passes the first stage."""
        return self.ahead.low > 0

    @property
    def possibly_ahead(self) -> bool:
        """Whether some completion does."""
        return self.ahead.high > 0

    def best(self) -> Signs:
        """With every missing cell in the candidate's favour."""
        return self._known.with_all([high for _, high in self._missing]) if self._missing else self._known

    def worst(self) -> Signs:
        """With every missing cell against it."""
        return self._known.with_all([low for low, _ in self._missing]) if self._missing else self._known

    def until_behind(self) -> int:
        """Rows until it may be sure to fail in the first stage; very many if there is none any more."""
        if not self._cut:
            return 1 << 62
        return min(self._cut, math.ceil(self.ahead.high / (2 * ONE)))


class _Exact:
    """A board as the exact gates keep it in mind."""

    def __init__(self, board: Board, level: float, cut: int) -> None:
        self._pending, self._sizes, self._level = board.total, board.sizes, level
        self._columns = [Column() for _ in board.sizes]
        self._candidates = [_Candidate(cut) for _ in board.sizes]
        self._share = level / max(1, len(board.sizes) - 1) * _TOLERANCE
        self._racing: tuple[int, ...] = ()
        self._surely = 0

    def add(self, row: Row) -> None:
        self._pending -= 1
        self._surely -= 1
        for j, (column, cell) in enumerate(zip(self._columns, row, strict=True)):
            column.add(cell, row[0])
            if j and not column.dropped:
                between = difference(cell, row[0])
                self._candidates[j].add(between.low, between.high)

    def decide(self) -> Verdict | Need:
        if self._surely > 0:
            return Need(self._racing, self._surely)
        best = {j: entry.best() for j, entry in enumerate(self._candidates) if j and self._may_win(j)}
        possible = [j for j, signs in best.items() if signs.p(gains=self._pending) <= self._share]
        bounds = [column.bounds(self._pending) for column in self._columns]
        if not possible:
            return self._rejected(bounds)
        worst = {j: self._candidates[j].worst() for j in possible}
        sure = [j for j in possible if self._candidates[j].surely_ahead and self._passes(worst[j])]
        racing = [j for j in possible if not any(is_better(bounds, self._sizes, k, j) for k in sure if k != j)]
        if len(racing) == 1 and racing[0] in sure:
            p = worst[racing[0]].p(losses=self._pending)
            words = f"p ≤ {p:.3g}, within its share {self._shown} of the level, and no other candidate is better"
            return self._settled(Decision.ACCEPT, racing[0], p, words)
        if self._pending:
            self._racing = (0, *racing)
            self._surely = min(self._pending, max(1, self._rows_left(racing, best, worst, sure)))
            return Need(self._racing, self._surely)
        leader = max(racing, key=lambda j: (sum(bounds[j]), -self._sizes[j], -j))
        verdict = self._columns[leader].verdict(Decision.UNDECIDED, leader, "the missing items could turn the verdict")
        return replace(verdict, level=self._level)

    @property
    def _shown(self) -> str:
        return f"{self._level / max(1, len(self._sizes) - 1):.3g}"

    def _may_win(self, j: int) -> bool:
        return not self._columns[j].dropped and self._candidates[j].possibly_ahead

    def _passes(self, worst: Signs) -> bool:
        return worst.p(losses=self._pending) <= self._share

    def _rejected(self, bounds: Sequence[Bounds]) -> Verdict:
        left = [j for j in range(1, len(bounds)) if not self._columns[j].dropped] or range(1, len(bounds))
        best = max(left, key=lambda j: (bounds[j].low, -self._sizes[j], -j))
        p = self._candidates[best].best().p(gains=self._pending)
        words = f"no candidate can reach p ≤ {self._shown}, its share of the level, any more"
        return self._settled(Decision.REJECT, best, p, words)

    def _settled(self, decision: Decision, column: int, p: float, reason: str) -> Verdict:
        return replace(self._columns[column].settled(decision, column, reason), level=self._level, p=p)

    def _rows_left(
        self, racing: Sequence[int], best: dict[int, Signs], worst: dict[int, Signs], sure: Sequence[int]
    ) -> int:
        """The fewest rows after which a verdict may come, or a candidate leave the race: by then one candidate has won
        or lost every item."""
        pending, share = self._pending, self._share

        def turned(j: int, rows: int) -> bool:
            lost = best[j].p(gains=pending - rows, losses=rows) > share
            return lost or worst[j].p(gains=rows, losses=pending - rows) <= share

        found = pending
        for j in racing:
            found = _first(min(found, self._candidates[j].until_behind()), partial(turned, j))
        return 1 if sure else found


def _first(limit: int, holds: Callable[[int], bool]) -> int:
    """The smallest number from 1 to `limit` for which something holds that goes on holding from there on; the limit
    if there is none."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
