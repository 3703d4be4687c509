"""What gates and the race speak of: boards of scores, verdicts, and what to measure next. Data; decides nothing.

A board holds one row an item, in canonical order, and one column a contender, the incumbent first. Law L1: a verdict
uses the shortest prefix of rows that decides. Law L3: a missing cell (a provider failure) excludes its item from both
sides, and a verdict that some completion of the missing cells in [0, 1] could turn is "undecided".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol, runtime_checkable


class Hole(Enum):
    """A cell without a score: the provider failed, or the contender had already left the race."""

    MISSING = "missing"
    DROPPED = "dropped"


Cell = float | Hole

Row = tuple[Cell, ...]
"""What one item gave: a cell for each contender."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Which of the run's steps a race belongs to, counted from 1: a gate may spend its level over them."""

    step: int = 1
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Board:
    """What has been measured. `rows[i][j]` is the score of contender j (0 is the incumbent) on item i; `total` is how
    many items there are; `sizes[j]` is the length in bytes of contender j's parameters, to break ties."""

    rows: tuple[Row, ...]
    total: int
    sizes: tuple[int, ...]
    turn: Turn = Turn()

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
    `before` and `after` are their mean scores on these items; `missing` counts excluded items. They are figures of a
    search, on items where it stopped because they looked well: never a claim.

    `level` is the α that this step may spend, over all of its candidates; None: the gate keeps none. `p` is what an
    exact gate compares with its share: at an acceptance the largest, at a rejection the smallest p-value that the
    unmeasured cells leave possible. `wealth` is a sequential gate's K: at an acceptance the least, at a rejection the
    most that missing cells leave possible.
    """

    decision: Decision
    winner: int
    n: int
    before: float | None
    after: float | None
    missing: int
    reason: str
    level: float | None = None
    p: float | None = None
    wealth: float | None = None


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
        """What the gate's `decide` says of the board with all rows so far; `surely` may be less."""


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
        board = self._board
        return self._gate.decide(Board(tuple(self._rows), board.total, board.sizes, board.turn))
