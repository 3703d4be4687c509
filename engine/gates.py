"""Gates: pure decisions on a board of scores. They say what to measure next, or the verdict; they never measure.

A board holds one row an item, in canonical order, and one column a contender, the incumbent first. Law L1: a verdict
uses the shortest prefix of rows that decides. Law L3: a missing cell (a provider failure) excludes its item from both
sides, and a verdict that some completion of the missing cells in [0, 1] could turn is "undecided".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from semprop.engine.statistics import fall_unequally


class Hole(Enum):
    """A cell without a score: the provider failed, or the contender had already left the race."""

    MISSING = "missing"
    DROPPED = "dropped"


Cell = float | Hole

Row = tuple[Cell, ...]
"""What one item gave: a cell for each contender."""


@dataclass(frozen=True, slots=True)
class Board:
    """What has been measured. `rows[i][j]` is the score of contender j (0 is the incumbent) on item i; `total` is how
    many items there are; `sizes[j]` is the length in bytes of contender j's parameters, to break ties."""

    rows: tuple[Row, ...]
    total: int
    sizes: tuple[int, ...]

    @property
    def pending(self) -> int:
        """Items that no row holds yet."""
        return self.total - len(self.rows)


class Decision(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a race.

    `winner` is a column (0 = the incumbent stays); `n` counts the items that both sides of the comparison have;
    `before` and `after` are their mean scores on these items; `missing` counts excluded items.
    """

    decision: Decision
    winner: int
    n: int
    before: float | None
    after: float | None
    missing: int
    reason: str


@dataclass(frozen=True, slots=True)
class Need:
    """Measure the next items, for these columns only (0 is always among them).

    `surely` is how many items more every verdict takes, in all of these columns and whatever they hold: measured at
    once, none of them is speculative.
    """

    racing: tuple[int, ...]
    surely: int = 1


class Gate(Protocol):
    """Decides a race."""

    @property
    def name(self) -> str: ...

    def decide(self, board: Board) -> Verdict | Need: ...


class Fold(Protocol):
    """A board that grows by rows, as a gate keeps it in mind."""

    def add(self, row: Row) -> None:
        """The next row, in canonical order."""

    def decide(self) -> Verdict | Need:
        """What the gate's `decide` says of the board with all rows so far."""


@runtime_checkable
class Folding(Gate, Protocol):
    """A gate that decides row by row, at a cost that does not grow with the board."""

    def folded(self, board: Board) -> Fold:
        """The board so far."""


def folded(gate: Gate, board: Board) -> Fold:
    """The board so far, as the gate keeps it in mind; a gate that keeps nothing reads it again for every row."""
    return gate.folded(board) if isinstance(gate, Folding) else _Whole(gate, board)


class _Whole:
    """Every row, for a gate that only knows whole boards."""

    def __init__(self, gate: Gate, board: Board) -> None:
        self._gate, self._board = gate, board
        self._rows = list(board.rows)

    def add(self, row: Row) -> None:
        self._rows.append(row)

    def decide(self) -> Verdict | Need:
        return self._gate.decide(Board(tuple(self._rows), self._board.total, self._board.sizes))


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
        self._columns = [_Column() for _ in sizes]

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
        racing = [j for j in hopeful if not any(self._is_better(bounds, k, j) for k in hopeful if k != j)]
        if len(racing) == 1 and bounds[racing[0]].low > high0:
            reason = "above the incumbent, and no other candidate is better"
            return self._columns[racing[0]].settled(Decision.ACCEPT, racing[0], reason)
        if self._pending:
            return Need((0, *racing), self._surely(bounds, racing))
        best = max(hopeful, key=lambda j: (sum(bounds[j]), -self._sizes[j], -j))
        return self._columns[best].verdict(Decision.UNDECIDED, best, "the missing items could turn the verdict")

    def _prefers(self, one: int, other: int) -> bool:
        """Whether `one` wins a tie: the shorter, then the earlier."""
        return (self._sizes[one], one) < (self._sizes[other], other)

    def _is_better(self, bounds: Sequence[_Bounds], one: int, other: int) -> bool:
        """Whether `one` beats `other` under every completion."""
        low, high = bounds[one].low, bounds[other].high
        return low > high or (low == high and self._prefers(one, other))

    def _surely(self, bounds: Sequence[_Bounds], racing: Sequence[int]) -> int:
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
                    rows = min(rows, _closed(apart) if self._prefers(k, j) else _crossed(apart))
        return max(rows, 1)


class _Bounds(NamedTuple):
    """The lowest and the highest sum that a column can still have over all items.

    They are rounded to 1e-9, so that scores which are no binary fractions can tie.
    """

    low: float
    high: float


class _Column:
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

    def bounds(self, pending: int) -> _Bounds:
        known = self._known.value
        return _Bounds(round(known, 9), round(known + pending + self._missing, 9))

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


def _closed(apart: float) -> int:
    """Rows until two sums that are so far apart may be equal."""
    return math.ceil(round(apart, 9) / 2)


def _crossed(apart: float) -> int:
    """Rows until they may have passed each other."""
    return math.floor(round(apart, 9) / 2) + 1
