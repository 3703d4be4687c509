"""The exact gates, against their definition on every completion."""

from __future__ import annotations

import math
from functools import partial

import gating
import pytest
from gating import D, M, boards, exact_winner, outcome, raced, random_board
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import SpecificationError
from semprop.engine.gates import (
    Board,
    Decision,
    ExactGate,
    Gate,
    Need,
    Row,
    Spending,
    Turn,
    TwoStageGate,
    Verdict,
    folded,
)
from semprop.engine.statistics import fall_unequally

# A level so lax that a few items can reach it.
GATES = [ExactGate(alpha=0.3), ExactGate(alpha=0.6), TwoStageGate(alpha=0.6, first=0.4)]
each_gate = pytest.mark.parametrize("gate", GATES, ids=repr)
binary = st.sampled_from([0.0, 1.0])
holed = st.sampled_from([0.0, 1.0, 0.0, 1.0, M])
tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)


def cut_of(gate: Gate, total: int) -> int:
    return math.ceil(gate.first * total) if isinstance(gate, TwoStageGate) else 0


def winners(gate: ExactGate | TwoStageGate, given: Board) -> set[int]:
    winner = partial(exact_winner, sizes=given.sizes, level=gate.alpha, cut=cut_of(gate, given.total))
    return {winner(rows) for rows in gating.completions(given)}


def is_skewed(given: Board, column: int) -> bool:
    alone = [(row[0] is M) - (row[column] is M) for row in given.rows]
    return fall_unequally(alone.count(1), alone.count(-1))


@each_gate
@given(given=boards(holed, 5, 1))
def test_a_verdict_is_that_of_every_completion(gate: ExactGate | TwoStageGate, given: Board) -> None:
    decided = gate.decide(given)
    if isinstance(decided, Verdict) and decided.decision is not Decision.UNDECIDED:
        assert winners(gate, given) == {decided.winner}


@each_gate
@given(given=boards(binary, 5, 2, widest=2))
def test_with_one_candidate_the_verdict_comes_at_the_shortest_prefix_that_decides(
    gate: ExactGate | TwoStageGate, given: Board
) -> None:
    decided = gate.decide(given)
    if isinstance(decided, Need):
        assert given.pending
        assert len(winners(gate, given)) == 2


@each_gate
@given(given=boards(holed, 4, 0, widest=2))
def test_undecided_means_that_completions_differ_or_failures_fall_unequally(
    gate: ExactGate | TwoStageGate, given: Board
) -> None:
    decided = gate.decide(given)
    assert isinstance(decided, Verdict)
    if decided.decision is Decision.UNDECIDED:
        assert len(winners(gate, given)) == 2 or is_skewed(given, 1)


@each_gate
@given(given=boards(tenths, 12, 0))
def test_without_holes_the_verdict_is_the_definition(gate: ExactGate | TwoStageGate, given: Board) -> None:
    rows = [[float(cell) for cell in row if isinstance(cell, float)] for row in given.rows]
    winner = exact_winner(rows, given.sizes, gate.alpha, cut_of(gate, given.total))
    assert outcome(gate.decide(given)) == (Decision.ACCEPT if winner else Decision.REJECT, winner)  # type: ignore[arg-type]


@pytest.mark.parametrize("gate", [ExactGate(), ExactGate(alpha=0.3), TwoStageGate(), TwoStageGate(0.3, 0.1)], ids=repr)
def test_in_eighty_races_the_early_verdict_is_the_full_evaluations(gate: ExactGate | TwoStageGate) -> None:
    short, accepted = 0, 0
    for seed in range(80):
        given = random_board(seed)
        early, length = raced(gate, given)
        full = gate.decide(given)
        assert isinstance(full, Verdict)
        assert outcome(early) == outcome(full), seed
        rows = [[float(cell) for cell in row if isinstance(cell, float)] for row in given.rows]
        assert full.winner == exact_winner(rows, given.sizes, gate.alpha, cut_of(gate, given.total)), seed
        short += length < len(given.rows)
        accepted += early.winner > 0
    assert short > 60
    assert accepted > 15


@each_gate
@given(given=boards(st.one_of(holed, tenths), 8, 8))
def test_a_row_at_a_time_gives_the_same_and_nothing_turns_before_what_is_surely_needed(
    gate: ExactGate | TwoStageGate, given: Board
) -> None:
    fold = folded(gate, Board((), given.total, given.sizes))
    sure, racing = 0, ()
    for length in range(len(given.rows) + 1):
        decided, whole = fold.decide(), gate.decide(Board(given.rows[:length], given.total, given.sizes))
        if sure > 0:
            assert isinstance(decided, Need)
            assert decided.racing == racing
            assert decided.surely >= sure
        if isinstance(decided, Verdict):
            assert decided == whole
            return
        assert isinstance(whole, Need)
        assert decided.racing == whole.racing
        assert 1 <= decided.surely <= whole.surely <= given.total - length
        sure, racing = decided.surely - 1, decided.racing
        if length < len(given.rows):
            fold.add(given.rows[length])


# Single rules --------------------------------------------------------------------------------------------------------


def verdict(gate: Gate, *rows: Row, sizes: tuple[int, ...] = (1, 1), turn: Turn = Turn()) -> Verdict:
    decided = gate.decide(Board(rows, len(rows), sizes, turn))
    assert isinstance(decided, Verdict)
    return decided


def test_it_accepts_iff_mcnemars_one_sided_p_is_at_most_alpha() -> None:
    # P(Bin(5, ½) ≥ 5) = 1/32: on the level it is accepted, below it is not.
    rows = ((0.0, 1.0),) * 5 + ((1.0, 1.0),) * 5
    found = verdict(ExactGate(alpha=1 / 32), *rows)
    assert (found.decision, found.winner, found.n, found.before, found.after) == (Decision.ACCEPT, 1, 10, 0.5, 1.0)
    assert found.p == pytest.approx(1 / 32)
    assert found.level == 1 / 32
    missed = verdict(ExactGate(alpha=1 / 32 - 1e-6), *rows)
    assert (missed.decision, missed.p) == (Decision.REJECT, pytest.approx(1 / 32))


def test_candidates_share_the_level() -> None:
    five = ((0.0, 1.0, 0.0),) * 5
    assert verdict(ExactGate(alpha=1 / 32), *five, sizes=(1, 1, 1)).decision is Decision.REJECT
    assert verdict(ExactGate(alpha=1 / 16), *five, sizes=(1, 1, 1)).winner == 1


def test_a_steps_share_of_the_level_is_what_the_spending_says() -> None:
    rows = ((0.0, 1.0),) * 5
    even, squares = ExactGate(alpha=1 / 8), ExactGate(alpha=1 / 8, spending=Spending.SQUARES)
    assert verdict(even, *rows, turn=Turn(1, 4)).winner == 1
    assert verdict(even, *rows, turn=Turn(1, 5)).winner == 0
    assert [verdict(squares, *rows, turn=Turn(step, 9)).winner for step in (1, 2)] == [1, 0]
    assert verdict(ExactGate(1 / 32, Spending.EACH), *rows, turn=Turn(9, 9)).winner == 1


def test_of_equal_candidates_the_shorter_wins_and_then_the_earlier() -> None:
    rows = ((0.0, 1.0, 1.0, 1.0),) * 9
    assert verdict(ExactGate(), *rows, sizes=(9, 7, 5, 5)).winner == 2


def test_a_significant_candidate_loses_to_a_better_one() -> None:
    rows = ((0.0, 1.0, 1.0),) * 9 + ((0.0, 0.0, 1.0),)
    assert verdict(ExactGate(), *rows, sizes=(1, 1, 9)).winner == 2


def test_missing_cells_that_could_turn_the_verdict_leave_it_undecided() -> None:
    rows = ((0.0, 1.0),) * 5 + ((0.0, M),)
    found = verdict(ExactGate(alpha=1 / 64), *rows)
    assert (found.decision, found.n, found.missing) == (Decision.UNDECIDED, 5, 1)
    assert "missing" in found.reason
    assert verdict(ExactGate(alpha=1 / 32), *rows).decision is Decision.ACCEPT


def test_failures_that_fall_unequally_leave_a_clear_gain_undecided() -> None:
    rows = ((0.0, 1.0),) * 40 + ((M, 1.0),) * 8
    assert verdict(ExactGate(), *rows).decision is Decision.UNDECIDED


def test_the_first_stage_rejects_who_is_not_ahead_after_its_share_of_the_items() -> None:
    rows = ((0.0, 0.0),) * 5 + ((0.0, 1.0),) * 15
    assert verdict(ExactGate(), *rows).decision is Decision.ACCEPT
    found, length = raced(TwoStageGate(first=0.25), Board(rows, 20, (1, 1)))
    assert (found.decision, length) == (Decision.REJECT, 5)


def test_a_missing_cell_in_the_first_stage_can_leave_the_verdict_undecided() -> None:
    rows = ((0.0, M), (0.0, 0.0)) + ((0.0, 1.0),) * 14
    found = verdict(TwoStageGate(first=0.1), *rows)
    assert found.decision is Decision.UNDECIDED


def test_a_dropped_column_never_wins() -> None:
    rows = ((0.0, 1.0, 1.0),) * 9 + ((0.0, 1.0, D),)
    assert verdict(ExactGate(), *rows, sizes=(1, 9, 1)).winner == 1


def test_a_race_that_nobody_can_win_ends_early_and_without_items_the_incumbent_stays() -> None:
    found, length = raced(ExactGate(), Board(((1.0, 0.0),) * 20, 20, (1, 1)))
    assert (found.decision, length) == (Decision.REJECT, 6)
    assert verdict(ExactGate()).decision is Decision.REJECT


def test_very_many_items_cost_little() -> None:
    rows = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)) * 2_500
    assert raced(ExactGate(), Board(rows, len(rows), (1, 1)))[0].decision is Decision.REJECT


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"alpha": -1}, {"alpha": float("nan")}])
def test_levels_outside_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecificationError, match="alpha"):
        ExactGate(**wrong)
    with pytest.raises(SpecificationError, match="first"):
        TwoStageGate(first=0)
