"""Gate: measure incumbent and candidates on the same items, in canonical order, until a pure rule decides.

Awaits the measurements; decides nothing itself. Items ahead of the decided prefix run speculatively, at most
`lookahead` of them, and never enter a verdict (law L1). Cells that a provider failure left empty are asked once more
at the end, if the verdict still needs them (law L3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from semprop.engine.example import Example
from semprop.engine.gates import Board, Cell, Decision, Gate, Hole, Need, Verdict
from semprop.engine.scheduler import Start, in_order, together

Measure = Callable[[int, Example, int, Start], Awaitable[float | None]]
"""(column, item, again, start) → score of that contender on that item; None for a provider failure."""


@dataclass(frozen=True, slots=True)
class Race:
    """A verdict, and the board it was given on."""

    verdict: Verdict
    board: Board


async def race(gate: Gate, items: Sequence[Example], sizes: Sequence[int], measure: Measure, lookahead: int) -> Race:
    """Run a race to its verdict.

    Args:
        items: gate items in canonical order, disjoint from those that gave the gradients.
        sizes: bytes of each contender's parameters, the incumbent's first.
        lookahead: how many items beyond the decided prefix may be open, at least 1.
    """
    state = _Racing(gate, len(items), tuple(sizes))
    if isinstance(state.latest, Need) and items:
        await in_order(items, partial(_row, state, measure), state.consume, lookahead)
        if state.wants_missing:
            await _fill(state, items, measure, lookahead)
    verdict = state.latest
    if isinstance(verdict, Need):
        verdict = Verdict(Decision.UNDECIDED, 0, len(state.rows), None, None, 0, "the gate has no items left")
    return Race(verdict, state.board)


class _Racing:
    """Rows so far, and the rule's latest word on them."""

    def __init__(self, gate: Gate, total: int, sizes: tuple[int, ...]) -> None:
        self._gate, self._total, self._sizes = gate, total, sizes
        self.rows: list[tuple[Cell, ...]] = []
        self.latest: Verdict | Need = gate.decide(self.board)

    @property
    def board(self) -> Board:
        return Board(tuple(self.rows), self._total, self._sizes)

    @property
    def racing(self) -> tuple[int, ...]:
        return self.latest.racing if isinstance(self.latest, Need) else ()

    @property
    def wants_missing(self) -> bool:
        unsettled = isinstance(self.latest, Need) or self.latest.decision is Decision.UNDECIDED
        return unsettled and any(Hole.MISSING in row for row in self.rows)

    def consume(self, _: Example, cells: dict[int, float | None]) -> bool:
        """Add the next row in canonical order. A column that left the race meanwhile stays out, measured or not."""
        self.rows.append(tuple(self._cell(column, cells) for column in range(len(self._sizes))))
        self.latest = self._gate.decide(self.board)
        return isinstance(self.latest, Verdict)

    def _cell(self, column: int, cells: dict[int, float | None]) -> Cell:
        if column not in self.racing:
            return Hole.DROPPED
        score = cells[column]
        return Hole.MISSING if score is None else float(score)

    def fill(self, filled: dict[tuple[int, int], float | None]) -> None:
        """Replace missing cells by what the second try gave."""
        for (index, column), score in filled.items():
            if score is not None:
                row = list(self.rows[index])
                row[column] = float(score)
                self.rows[index] = tuple(row)
        self.latest = self._gate.decide(self.board)


async def _row(state: _Racing, measure: Measure, item: Example, start: Start) -> dict[int, float | None]:
    columns = state.racing
    scores = await together([partial(measure, column, item, 0, start) for column in columns])
    return dict(zip(columns, scores, strict=True))


async def _fill(state: _Racing, items: Sequence[Example], measure: Measure, lookahead: int) -> None:
    holes = [
        (index, column)
        for index, row in enumerate(state.rows)
        for column, cell in enumerate(row)
        if cell is Hole.MISSING
    ]
    filled: dict[tuple[int, int], float | None] = {}

    async def again(hole: tuple[int, int], start: Start) -> float | None:
        return await measure(hole[1], items[hole[0]], 1, start)

    def keep(hole: tuple[int, int], score: float | None) -> bool:
        filled[hole] = score
        return False

    await in_order(holes, again, keep, lookahead)
    state.fill(filled)
