"""Gate: measure incumbent and candidates on the same items, in canonical order, until a pure rule decides.

Awaits the measurements; decides nothing itself. Items that the verdict may turn out not to need run speculatively, no
more than `lookahead` beyond the decided prefix, and never enter a verdict (law L1). Cells that a provider failure left
empty are asked once more at the end, if the verdict still needs them (law L3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from semprop.engine.example import Example
from semprop.engine.gates import Board, Cell, Decision, Gate, Hole, Need, Row, Turn, Verdict, folded
from semprop.engine.scheduler import Start, in_order, together

Measure = Callable[[int, Example, int, Start], Awaitable[float | None]]
"""(column, item, again, start) → score of that contender on that item; None for a provider failure."""


@dataclass(frozen=True, slots=True)
class Race:
    """A verdict, and the board it was given on."""

    verdict: Verdict
    board: Board


async def race(
    gate: Gate,
    items: Sequence[Example],
    sizes: Sequence[int],
    measure: Measure,
    lookahead: int,
    window: int | None = None,
    turn: Turn = Turn(),
) -> Race:
    """Run a race to its verdict.

    Args:
        items: gate items in canonical order, disjoint from those that gave the gradients.
        sizes: bytes of each contender's parameters, the incumbent's first.
        lookahead: how many items beyond the decided prefix may be open though the verdict may not need them; 0: only
            such as every verdict needs.
        window: the most items that may be open, needed or not; None: no more than `lookahead`, and one.
        turn: which step of the run this is, for gates that spend their level over the steps.
    """
    window = max(lookahead, 1) if window is None else window
    state = _Racing(gate, Board((), len(items), tuple(sizes), turn), lookahead)
    while isinstance(state.latest, Need) and len(state.rows) < len(items):
        rest = [*enumerate(items)][len(state.rows) :]
        await in_order(rest, partial(_row, state, measure), state.consume, window)
        if state.wants_missing:
            # What was missing may have ended the race too soon: then it goes on.
            await _fill(state, items, measure, window)
    verdict = state.latest
    if isinstance(verdict, Need):
        verdict = Verdict(Decision.UNDECIDED, 0, len(state.rows), None, None, 0, "the gate has no items left")
    return Race(verdict, state.board)


class _Racing:
    """Rows so far, the rule's latest word on them, and which items may be measured now."""

    def __init__(self, gate: Gate, empty: Board, lookahead: int) -> None:
        self._gate, self._empty, self._lookahead = gate, empty, lookahead
        self.rows: list[Row] = []
        self._fold = folded(gate, self.board)
        self.asked_again = 0  # In so many rows missing cells were asked for a second time.
        self._open = 0
        self._waiting: dict[int, anyio.Event] = {}
        self._decide()

    @property
    def board(self) -> Board:
        return replace(self._empty, rows=tuple(self.rows))

    @property
    def racing(self) -> tuple[int, ...]:
        return self.latest.racing if isinstance(self.latest, Need) else ()

    @property
    def wants_missing(self) -> bool:
        unsettled = isinstance(self.latest, Need) or self.latest.decision is Decision.UNDECIDED
        return unsettled and any(Hole.MISSING in row for row in self.rows[self.asked_again :])

    async def turn(self, index: int) -> None:
        """Return when this item may be measured: every verdict needs it, or it is within the look-ahead."""
        if index >= self._open:
            self._waiting[index] = anyio.Event()
            await self._waiting[index].wait()

    def consume(self, _: tuple[int, Example], cells: Mapping[int, float | None]) -> bool:
        """Add the next row in canonical order. A column that left the race meanwhile stays out, measured or not."""
        row = tuple(self._cell(column, cells) for column in range(len(self._empty.sizes)))
        self.rows.append(row)
        self._fold.add(row)
        self._decide()
        return isinstance(self.latest, Verdict)

    def _decide(self) -> None:
        self.latest: Verdict | Need = self._fold.decide()
        ahead = max(self._lookahead, self.latest.surely) if isinstance(self.latest, Need) else 0
        before, self._open = self._open, max(self._open, len(self.rows) + ahead)
        for index in range(before, self._open) if self._waiting else ():
            if (event := self._waiting.pop(index, None)) is not None:
                event.set()

    def _cell(self, column: int, cells: Mapping[int, float | None]) -> Cell:
        if column not in self.racing:
            return Hole.DROPPED
        score = cells[column]
        return Hole.MISSING if score is None else float(score)

    def fill(self, filled: Mapping[tuple[int, int], float | None]) -> None:
        """Replace missing cells by what the second try gave."""
        for (index, column), score in filled.items():
            if score is not None:
                row = list(self.rows[index])
                row[column] = float(score)
                self.rows[index] = tuple(row)
        self.asked_again = len(self.rows)
        self._fold = folded(self._gate, self.board)
        self._decide()


async def _row(state: _Racing, measure: Measure, entry: tuple[int, Example], start: Start) -> dict[int, float | None]:
    index, item = entry
    await state.turn(index)
    columns = state.racing
    scores = await together([partial(measure, column, item, 0, start) for column in columns], start)
    return dict(zip(columns, scores, strict=True))


async def _fill(state: _Racing, items: Sequence[Example], measure: Measure, window: int) -> None:
    """Ask once more for every missing cell; the verdict needs them all."""
    holes = [
        (index, column)
        for index, row in enumerate(state.rows)
        if index >= state.asked_again
        for column, cell in enumerate(row)
        if cell is Hole.MISSING
    ]
    filled: dict[tuple[int, int], float | None] = {}

    async def again(hole: tuple[int, int], start: Start) -> float | None:
        return await measure(hole[1], items[hole[0]], 1, start)

    def keep(hole: tuple[int, int], score: float | None) -> bool:
        filled[hole] = score
        return False

    await in_order(holes, again, keep, window)
    state.fill(filled)
