"""Gate: the race, its canonical prefix, its look-ahead, and the second try for missing cells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Example, NoGate, StrictGate
from semprop.engine.gates import (
    Board,
    Decision,
    ExactGate,
    Gate,
    Hole,
    Need,
    SequentialGate,
    Spending,
    Turn,
    TwoStageGate,
    Verdict,
)
from semprop.engine.passes.gate import Race, race
from semprop.engine.scheduler import Start
from semprop.providers import VirtualClock

Scores = Sequence[Sequence[float | None]]
"""A row an item, a column a contender; None fails at the first try."""


def items(count: int) -> list[Example]:
    return [Example(f"e{index}", {"question": str(index)}) for index in range(count)]


@dataclass
class Measured:
    """Measures from a table, with a latency for each cell; counts what it was asked."""

    table: Scores
    again: Scores = ()
    latency: Sequence[float] = (1.0,)
    clock: VirtualClock = field(default_factory=VirtualClock)
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    open: int = 0
    peak: int = 0

    async def __call__(self, column: int, item: Example, again: int, start: Start) -> float | None:
        row = int(item.id[1:])
        self.asked.append((row, column, again))
        self.open += 1
        self.peak = max(self.peak, self.open)
        await self.clock.sleep(self.latency[(row * 5 + column * 3 + again) % len(self.latency)])
        self.open -= 1
        return (self.again if again else self.table)[row][column]


async def ran(measured: Measured, gate: Gate = StrictGate(), lookahead: int = 4, window: int | None = None) -> Race:
    width = len(measured.table[0]) if measured.table else 2
    return await race(gate, items(len(measured.table)), (1,) * width, measured, lookahead, window)


async def test_the_race_stops_at_the_shortest_prefix_that_decides() -> None:
    table = [(0.0, 1.0)] * 3 + [(1.0, 0.0)] * 2
    result = await ran(Measured(table), lookahead=1)
    assert result.verdict.decision is Decision.ACCEPT
    assert (result.verdict.n, result.verdict.before, result.verdict.after) == (3, 0.0, 1.0)
    assert len(result.board.rows) == 3


async def test_what_ran_ahead_is_paid_and_never_used() -> None:
    measured = Measured([(0.0, 1.0)] * 5 + [(1.0, 0.0)] * 3)
    result = await ran(measured, lookahead=8)
    assert len(measured.asked) == 16
    assert (result.verdict.n, len(result.board.rows)) == (5, 5)


async def test_no_more_items_than_the_look_ahead_are_open() -> None:
    measured = Measured([(1.0, 1.0)] * 20, latency=(1.0, 4.0, 2.0))
    await ran(measured, lookahead=3)
    assert measured.peak <= 3 * 2


async def test_a_candidate_that_left_the_race_is_not_measured_further() -> None:
    table = [(1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    measured = Measured(table)
    result = await ran(measured, lookahead=1)
    assert (result.verdict.decision, result.verdict.winner) == (Decision.ACCEPT, 1)
    assert [row for row, column, _ in measured.asked if column == 2] == [0, 1, 2]
    assert result.board.rows[3][2] is Hole.DROPPED


cell = st.sampled_from([0.0, 1.0, 0.0, 1.0, 0.5, None])

GATES = [
    StrictGate(),
    ExactGate(alpha=0.6),
    TwoStageGate(alpha=0.6, first=0.4),
    SequentialGate(alpha=0.6, beta=0.5, delta=0.5),
]
"""Lax ones, so that a few items decide."""
each_gate = pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)


@each_gate
@given(
    table=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=12),
    again=st.lists(st.tuples(cell, cell, cell), min_size=12, max_size=12),
    latency=st.lists(st.integers(1, 9).map(float), min_size=1, max_size=11),
    lookahead=st.integers(0, 16),
    window=st.none() | st.integers(1, 16),
)
def test_verdict_and_board_are_the_same_at_every_look_ahead_window_and_latency(
    gate: Gate, table: Scores, again: Scores, latency: list[float], lookahead: int, window: int | None
) -> None:
    one = asyncio.run(ran(Measured(table, again), gate, lookahead=1))
    other = asyncio.run(ran(Measured(table, again, latency), gate, lookahead=lookahead, window=window))
    assert other == one


@each_gate
@given(
    table=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=12),
    latency=st.lists(st.integers(1, 9).map(float), min_size=1, max_size=11),
    window=st.integers(1, 16),
)
def test_without_a_look_ahead_nothing_is_measured_that_the_verdict_does_not_use(
    gate: Gate, table: Scores, latency: list[float], window: int
) -> None:
    measured = Measured(table, [(0.0, 0.0, 0.0)] * 12, latency)
    result = asyncio.run(ran(measured, gate, lookahead=0, window=window))
    used = {(i, j) for i, row in enumerate(result.board.rows) for j, cell in enumerate(row) if cell is not Hole.DROPPED}
    first = [(row, column) for row, column, again in measured.asked if not again]
    assert sorted(first) == sorted(used)
    assert measured.peak <= window * 3


async def test_items_that_every_verdict_needs_are_measured_at_once_whatever_the_look_ahead() -> None:
    measured = Measured([(1.0, 0.0)] * 100)
    result = await ran(measured, lookahead=0, window=200)
    assert (result.verdict.decision, result.verdict.n, len(measured.asked)) == (Decision.REJECT, 50, 100)
    assert measured.clock.now() == 1.0


async def test_a_race_between_equals_takes_few_rounds_without_a_look_ahead() -> None:
    measured = Measured([(1.0, 1.0), (0.0, 0.0)] * 128)
    result = await ran(measured, lookahead=0, window=256)
    assert (result.verdict.n, len(measured.asked)) == (256, 512)
    assert measured.clock.now() <= 9.0


async def test_a_race_of_very_many_items_costs_each_of_them_the_same() -> None:
    count = 20_000
    result = await ran(Measured([(1.0, 1.0)] * count, latency=(0.0,)), lookahead=64)
    assert result.verdict.n == count


async def test_missing_cells_are_asked_once_more_at_the_end() -> None:
    measured = Measured([(0.0, 1.0), (0.0, None), (None, 0.0)], [(9, 9), (9, 1.0), (0.0, 9)])
    result = await ran(measured)
    assert result.verdict.decision is Decision.ACCEPT
    assert (result.verdict.n, result.verdict.after, result.verdict.missing) == (3, 2 / 3, 0)
    assert measured.asked[-2:] == [(1, 1, 1), (2, 0, 1)]


async def test_cells_that_fail_twice_are_excluded_from_both_sides_and_counted() -> None:
    table = [(None, 1.0), (1.0, None), (0.0, 0.0), (0.0, 1.0)]
    measured = Measured(table, [(None, None)] * 4)
    result = await ran(measured)
    assert (result.verdict.decision, result.verdict.n, result.verdict.missing) == (Decision.UNDECIDED, 2, 2)
    assert (result.verdict.before, result.verdict.after) == (0.0, 0.5)
    assert sorted(entry for entry in measured.asked if entry[2]) == [(0, 0, 1), (1, 1, 1)]


async def test_a_verdict_that_stands_whatever_is_missing_asks_nothing_again() -> None:
    measured = Measured([(None, 1.0), (1.0, None)] + [(0.0, 1.0)] * 4)
    result = await ran(measured)
    assert (result.verdict.decision, result.verdict.n, result.verdict.missing) == (Decision.ACCEPT, 3, 2)
    assert [again for _, _, again in measured.asked] == [0] * len(measured.asked)


async def test_the_second_try_keeps_to_the_look_ahead_too() -> None:
    measured = Measured([(None, None)] * 30, [(1.0, 0.0)] * 30)
    await ran(measured, lookahead=2)
    again = [entry for entry in measured.asked if entry[2]]
    assert len(again) == 60
    assert measured.peak <= 4


async def test_without_a_gate_nothing_is_measured() -> None:
    measured = Measured([(0.0, 1.0)] * 4)
    result = await ran(measured, NoGate())
    assert (result.verdict.winner, measured.asked, result.board.rows) == (1, [], ())


async def test_a_gate_that_still_wants_items_when_there_are_none_left_is_undecided() -> None:
    @dataclass(frozen=True)
    class Insatiable:
        name: str = "insatiable"

        def decide(self, board: Board) -> Verdict | Need:
            return Need((0, 1))

    result = await ran(Measured([(0.0, 1.0)] * 3), Insatiable())
    assert (result.verdict.decision, result.verdict.winner) == (Decision.UNDECIDED, 0)
    assert "no items left" in result.verdict.reason
    assert (await ran(Measured([]), Insatiable())).verdict.decision is Decision.UNDECIDED


async def test_a_race_that_missing_cells_ended_too_soon_goes_on_once_they_are_there() -> None:
    gate = SequentialGate(alpha=0.6, beta=0.5, delta=0.5)
    lost = [(0.0, None), (0.0, None), (1.0, None), (1.0, None)]
    measured = Measured(lost + [(0.5, 0.5)] * 3 + [(0.0, 1.0)] * 9, [(9, 0.0), (9, 0.0), (9, 1.0), (9, 1.0)])
    short = await ran(Measured(measured.table, [(None, None)] * 16), gate)
    assert (short.verdict.decision, len(short.board.rows)) == (Decision.UNDECIDED, 3)
    result = await ran(measured, gate)
    assert (result.verdict.decision, result.verdict.winner) == (Decision.ACCEPT, 1)
    assert len(result.board.rows) > 3
    assert sorted(entry for entry in measured.asked if entry[2]) == [(row, 1, 1) for row in range(4)]


async def test_the_gate_is_told_which_step_of_the_run_this_is() -> None:
    measured = Measured([(0.0, 1.0)] * 9)
    gate = ExactGate(alpha=0.5, spending=Spending.EVEN)
    result = await race(gate, items(9), (1, 1), measured, 4, turn=Turn(3, 10))
    assert result.verdict.level == 0.05
    assert result.board.turn == Turn(3, 10)
