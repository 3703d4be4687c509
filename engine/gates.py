"""Gates: pure decisions on a board of scores. They say what to measure next, or the verdict; they never measure.

A board holds one row an item, in canonical order, and one column a contender, the incumbent first. Law L1: a verdict
uses the shortest prefix of rows that decides. Law L3: a missing cell (a provider failure) excludes its item from both
sides, and a verdict that some completion of the missing cells in [0, 1] could turn is "undecided".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

from semprop.engine.statistics import fall_unequally


class Hole(Enum):
    """A cell without a score: the provider failed, or the contender had already left the race."""

    MISSING = "missing"
    DROPPED = "dropped"


Cell = float | Hole


@dataclass(frozen=True, slots=True)
class Board:
    """What has been measured. `rows[i][j]` is the score of contender j (0 is the incumbent) on item i; `total` is how
    many items there are; `sizes[j]` is the length in bytes of contender j's parameters, to break ties."""

    rows: tuple[tuple[Cell, ...], ...]
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
    """Measure the next items, for these columns only (0 is always among them)."""

    racing: tuple[int, ...]


class Gate(Protocol):
    """Decides a race."""

    @property
    def name(self) -> str: ...

    def decide(self, board: Board) -> Verdict | Need: ...


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
        bounds = [_bounds(board, column) for column in range(len(board.sizes))]
        low0, high0 = bounds[0]
        hopeful = [j for j in range(1, len(bounds)) if bounds[j][1] > low0 and not _dropped(board, j)]
        if not hopeful:
            best = max(range(1, len(bounds)), key=lambda j: (bounds[j][0], -board.sizes[j], -j))
            return _settled(board, Decision.REJECT, best, "no candidate can be above the incumbent")
        winner = next((j for j in hopeful if bounds[j][0] > high0 and _beats_all(board, bounds, j, hopeful)), None)
        if winner is not None:
            return _settled(board, Decision.ACCEPT, winner, "above the incumbent, and no other candidate is better")
        if board.pending:
            racing = [j for j in hopeful if not any(_surely_better(board, bounds, k, j) for k in hopeful if k != j)]
            return Need((0, *racing))
        best = max(hopeful, key=lambda j: (sum(bounds[j]), -board.sizes[j], -j))
        return _verdict(board, Decision.UNDECIDED, best, "the missing items could turn the verdict")


def _bounds(board: Board, column: int) -> tuple[float, float]:
    """The lowest and the highest sum that this column can still have over all items.

    Sums are exact for 0/1 scores and rounded to 1e-9 for graded ones, so that order of addition cannot decide.
    """
    known = sum(cell for row in board.rows if isinstance(cell := row[column], float))
    unknown = board.pending + sum(row[column] is Hole.MISSING for row in board.rows)
    return round(known, 9), round(known + unknown, 9)


def _dropped(board: Board, column: int) -> bool:
    return any(row[column] is Hole.DROPPED for row in board.rows)


def _preferred(board: Board, one: int, other: int) -> bool:
    """Whether `one` wins a tie: the shorter, then the earlier."""
    return (board.sizes[one], one) < (board.sizes[other], other)


def _surely_better(board: Board, bounds: list[tuple[float, float]], one: int, other: int) -> bool:
    low, high = bounds[one][0], bounds[other][1]
    return low > high or (low == high and _preferred(board, one, other))


def _beats_all(board: Board, bounds: list[tuple[float, float]], one: int, racing: list[int]) -> bool:
    return all(_surely_better(board, bounds, one, other) for other in racing if other != one)


def _unequal_failures(board: Board, column: int) -> str:
    """Why failures that fall on one side forbid a verdict, or ""."""
    only_candidate = sum(row[column] is Hole.MISSING and row[0] is not Hole.MISSING for row in board.rows)
    only_incumbent = sum(row[0] is Hole.MISSING and row[column] is not Hole.MISSING for row in board.rows)
    if fall_unequally(only_incumbent, only_candidate):
        return f"failures fall unequally: {only_candidate} on the candidate alone, {only_incumbent} on the incumbent"
    return ""


def _settled(board: Board, decision: Decision, column: int, reason: str) -> Verdict:
    """The verdict, unless failures fell unequally on the two sides."""
    skew = _unequal_failures(board, column)
    return _verdict(board, Decision.UNDECIDED if skew else decision, column, skew or reason)


def _verdict(board: Board, decision: Decision, column: int, reason: str) -> Verdict:
    pairs = [
        (row[0], row[column]) for row in board.rows if isinstance(row[0], float) and isinstance(row[column], float)
    ]
    missing = sum(Hole.MISSING in (row[0], row[column]) for row in board.rows)
    n = len(pairs)
    before = sum(float(pair[0]) for pair in pairs if isinstance(pair[0], float)) / n if n else None
    after = sum(float(pair[1]) for pair in pairs if isinstance(pair[1], float)) / n if n else None
    winner = column if decision is Decision.ACCEPT else 0
    return Verdict(decision, winner, n, before, after, missing, reason)
