"""The sequential gate, against its definition on every completion."""

from __future__ import annotations

import pytest
from gating import D, M, boards, completions, outcome, raced, random_board, sequential_outcome
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import SpecificationError
from semprop.engine.gates import Board, Decision, Need, Row, SequentialGate, Spending, Turn, Verdict, folded

# So lax that a few items decide.
LAX = SequentialGate(alpha=0.6, beta=0.5, delta=0.5)
GATES = [LAX, SequentialGate(alpha=0.9, beta=0.0, delta=0.9), SequentialGate(alpha=0.5, beta=0.7, delta=0.2)]
each_gate = pytest.mark.parametrize("gate", GATES, ids=repr)
binary = st.sampled_from([0.0, 1.0])
holed = st.sampled_from([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, M])
tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)


def defined(gate: SequentialGate, given: Board, rows: object) -> tuple[Decision, int, int]:
    return sequential_outcome(rows, given.sizes, gate.alpha, gate.beta, gate.delta)  # type: ignore[arg-type]


@each_gate
@given(given=boards(st.one_of(binary, tenths), 12))
def test_without_holes_the_verdict_and_its_place_are_the_definition(gate: SequentialGate, given: Board) -> None:
    if not given.rows:
        return
    decided, length = raced(gate, given)
    assert (*outcome(decided), length) == defined(gate, given, given.rows)
    assert gate.decide(given) == decided, "rows after the deciding prefix are not looked at"


@each_gate
@given(given=boards(holed, 6))
def test_a_verdict_is_that_of_every_completion(gate: SequentialGate, given: Board) -> None:
    if sum(row.count(M) for row in given.rows) > 8 or not given.rows:
        return
    decided, _ = raced(gate, given)
    if decided.decision is not Decision.UNDECIDED:
        found = {defined(gate, given, rows)[:2] for rows in completions(given, (0.0, 0.5, 1.0))}
        assert found == {outcome(decided)}


def test_in_two_hundred_races_the_early_verdict_is_the_full_evaluations() -> None:
    gate = SequentialGate()
    accepted = rejected = 0
    for seed in range(200):
        given = random_board(seed)
        early, length = raced(gate, given)
        assert (*outcome(early), length) == defined(gate, given, given.rows), seed
        assert gate.decide(given) == early
        accepted += early.decision is Decision.ACCEPT
        rejected += early.decision is Decision.REJECT
    assert accepted > 20
    assert rejected > 15


@each_gate
@given(given=boards(st.one_of(holed, tenths), 8, 8))
def test_a_row_at_a_time_gives_the_same_and_nothing_turns_before_what_is_surely_needed(
    gate: SequentialGate, given: Board
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


def verdict(gate: SequentialGate, *rows: Row, sizes: tuple[int, ...] = (1, 1), turn: Turn = Turn()) -> Verdict:
    decided, _ = raced(gate, Board(rows, len(rows), sizes, turn))
    return decided


def test_a_clear_gain_is_accepted_once_the_capital_reaches_the_bar() -> None:
    found = verdict(SequentialGate(), *[(0.0, 1.0)] * 40)
    assert (found.decision, found.winner, found.level) == (Decision.ACCEPT, 1, 0.05)
    assert found.wealth is not None
    assert found.wealth >= 20
    assert found.n < 40


def test_where_a_gain_is_unlikely_the_race_is_rejected_early() -> None:
    found = verdict(SequentialGate(), *[(1.0, 0.0)] * 40)
    assert found.decision is Decision.REJECT
    assert found.wealth is not None
    assert found.wealth <= 0.1
    assert found.n == 12
    assert "10 points" in found.reason


def test_ties_bet_nothing_and_used_up_items_keep_the_incumbent_undecided() -> None:
    found = verdict(SequentialGate(), *[(1.0, 1.0)] * 40)
    assert (found.decision, found.winner, found.n, found.wealth) == (Decision.UNDECIDED, 0, 40, 1.0)
    assert "not ruled out" in found.reason


def test_the_bar_grows_with_the_candidates_and_with_the_steps() -> None:
    one = verdict(SequentialGate(), *[(0.0, 1.0)] * 40).n
    two = verdict(SequentialGate(), *[(0.0, 1.0, 0.0)] * 40, sizes=(1, 1, 1)).n
    late = verdict(SequentialGate(), *[(0.0, 1.0)] * 40, turn=Turn(1, 20)).n
    each = verdict(SequentialGate(spending=Spending.EACH), *[(0.0, 1.0)] * 40, turn=Turn(9, 20)).n
    assert one < two < late
    assert each == one


def test_a_candidate_that_another_one_beats_leaves_before_any_has_beaten_the_incumbent() -> None:
    gate = SequentialGate(alpha=0.2, beta=0.0)
    fold = folded(gate, Board((), 60, (1, 1, 1)))
    racing = []
    for row in ((0.9, 1.0, 0.0),) * 60:
        decided = fold.decide()
        if isinstance(decided, Verdict):
            break
        racing.append(decided.racing)
        fold.add(tuple(cell if j in decided.racing else D for j, cell in enumerate(row)))
    assert racing[0] == (0, 1, 2)
    assert racing[-1] == (0, 1)
    assert isinstance(decided, Verdict)
    assert decided.winner == 1


def test_of_candidates_that_reach_the_bar_together_the_shorter_wins() -> None:
    rows = [(0.0, 1.0, 1.0, 1.0)] * 40
    assert verdict(SequentialGate(), *rows, sizes=(9, 7, 5, 5)).winner == 2


def test_missing_cells_can_leave_it_undecided_and_never_help_a_candidate() -> None:
    gate = SequentialGate()
    clear = [(0.0, 1.0)] * 24
    assert verdict(gate, *clear).decision is Decision.ACCEPT
    assert verdict(gate, *[(1.0, M)] * 5, *clear).decision is Decision.UNDECIDED
    assert verdict(gate, *[(0.0, M)] * 40).decision is Decision.UNDECIDED


def test_two_candidates_of_whom_missing_cells_could_have_made_either_the_winner_are_undecided() -> None:
    rows = [(0.0, 1.0, M)] * 40
    found = verdict(LAX, *rows, sizes=(1, 2, 1))
    assert found.decision is Decision.UNDECIDED
    assert "missing" in found.reason


def test_failures_that_fall_unequally_leave_a_clear_gain_undecided() -> None:
    found = verdict(SequentialGate(), *[(0.0, M)] * 7, *[(0.0, 1.0)] * 60)
    assert found.decision is Decision.UNDECIDED
    assert "unequally" in found.reason


def test_without_items_nothing_is_decided() -> None:
    assert SequentialGate().decide(Board((), 0, (1, 1))).decision is Decision.UNDECIDED  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"beta": 1.0}, {"delta": 0.0}, {"delta": 2.0}, {"beta": -0.1}])
def test_settings_outside_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecificationError, match=next(iter(wrong))):
        SequentialGate(**wrong)
