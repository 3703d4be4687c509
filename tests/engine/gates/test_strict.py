"""Gates, against an oracle that completes every missing cell in every way."""

from __future__ import annotations

import math
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.gates import Board, Cell, Decision, Gate, Hole, Need, NoGate, Row, StrictGate, Verdict, folded
from semprop.engine.statistics import fall_unequally

M, D = Hole.MISSING, Hole.DROPPED
GATE = StrictGate()


def board(*rows: tuple[Cell, ...], total: int | None = None, sizes: tuple[int, ...] | None = None) -> Board:
    width = len(rows[0]) if rows else 2
    return Board(rows, len(rows) if total is None else total, sizes or (10,) * width)


def verdict(given: Board, gate: Gate = GATE) -> Verdict:
    decided = gate.decide(given)
    assert isinstance(decided, Verdict)
    return decided


# The oracle ----------------------------------------------------------------------------------------------------------


def winner_of(rows: list[list[float]], sizes: tuple[int, ...]) -> int:
    """The definition: the best candidate if it is above the incumbent (shorter, then earlier, on a tie), else 0."""
    sums = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * len(sizes)
    best = min(range(1, len(sizes)), key=lambda j: (-sums[j], sizes[j], j))
    return best if sums[best] > sums[0] else 0


def winners(given: Board) -> set[int]:
    """The winner under every completion in {0, 1} of what is missing or not yet measured."""
    width = len(given.sizes)
    rows = [list(row) for row in given.rows] + [[M] * width for _ in range(given.pending)]
    holes = [(i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if isinstance(cell, Hole)]
    found = set()
    for values in product((0.0, 1.0), repeat=len(holes)):
        filled = dict(zip(holes, values, strict=True))
        completed = [
            [filled[i, j] if isinstance(cell, Hole) else cell for j, cell in enumerate(row)]
            for i, row in enumerate(rows)
        ]
        found.add(winner_of(completed, given.sizes))
    return found


def is_skewed(given: Board, column: int) -> bool:
    alone = [(row[0] is M) - (row[column] is M) for row in given.rows]
    return fall_unequally(alone.count(1), alone.count(-1))


@st.composite
def boards(draw: st.DrawFn, cells: st.SearchStrategy[Cell], most: int, ahead: int) -> Board:
    width = draw(st.integers(2, 3))
    rows = draw(st.lists(st.tuples(*[cells] * width), max_size=most))
    sizes = draw(st.tuples(*[st.integers(1, 3)] * width))
    return Board(tuple(rows), len(rows) + draw(st.integers(0, ahead)), sizes)


holed = st.sampled_from([0.0, 1.0, 0.0, 1.0, M])
graded = st.integers(0, 20).map(lambda tenths: tenths / 20)


@given(boards(holed, 4, 1))
def test_a_verdict_is_that_of_every_completion_and_undecided_means_that_they_differ(given: Board) -> None:
    decided = GATE.decide(given)
    possible = winners(given)
    match decided:
        case Need():
            assert given.pending
            assert len(possible) > 1
        case Verdict(Decision.UNDECIDED):
            assert len(possible) > 1 or is_skewed(given, decided_column(given))
        case Verdict():
            assert possible == {decided.winner}


def decided_column(given: Board) -> int:
    """The column that a settled verdict compares with the incumbent: the winner, else the best of the losers."""
    (winner,) = winners(given)
    known = [sum(cell for row in given.rows if isinstance(cell := row[j], float)) for j in range(len(given.sizes))]
    return winner or max(range(1, len(known)), key=lambda j: (known[j], -given.sizes[j], -j))


@given(boards(st.sampled_from([0.0, 1.0]), 12, 0))
def test_without_holes_the_verdict_is_the_definition(given: Board) -> None:
    decided = verdict(given)
    winner = winner_of([[float(cell) for cell in row if not isinstance(cell, Hole)] for row in given.rows], given.sizes)
    assert decided.winner == winner
    assert decided.decision is (Decision.ACCEPT if winner else Decision.REJECT)
    assert decided.missing == 0


def raced(given: Board) -> tuple[Verdict, int]:
    """Feed rows one at a time, as the gate pass does: columns that leave the race are dropped for good."""
    fold, length = GATE.folded(Board((), len(given.rows), given.sizes)), 0
    while isinstance(decided := fold.decide(), Need):
        assert 0 in decided.racing
        fold.add(tuple(cell if j in decided.racing else D for j, cell in enumerate(given.rows[length])))
        length += 1
    return decided, length


@given(boards(graded, 12, 0))
def test_an_early_verdict_is_the_full_evaluations(given: Board) -> None:
    early, _ = raced(given)
    full = verdict(given)
    assert (early.decision, early.winner) == (full.decision, full.winner)


@given(boards(st.sampled_from([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, M]), 12, 0))
def test_with_holes_an_early_verdict_never_turns_when_everything_is_measured(given: Board) -> None:
    early, _ = raced(given)
    full = verdict(given)
    if Decision.UNDECIDED not in (early.decision, full.decision):
        assert (early.decision, early.winner) == (full.decision, full.winner)


@given(boards(st.sampled_from([0.0, 1.0]), 12, 0))
def test_the_verdict_comes_at_the_shortest_prefix_that_decides(given: Board) -> None:
    _, length = raced(given)
    for shorter in range(max(0, length - 2), length):
        prefix = Board(given.rows[:shorter], len(given.rows), given.sizes)
        if prefix.pending * len(given.sizes) <= 12:
            assert len(winners(prefix)) > 1


def test_in_a_thousand_races_the_early_verdict_is_the_full_evaluations() -> None:
    short = ties = 0
    for seed in range(1_000):
        rng = Random(seed)
        width = rng.randint(2, 5)
        levels = rng.choice([(0.0, 1.0), (0.0, 0.25, 0.5, 1.0), tuple(tenth / 10 for tenth in range(11))])
        rows = tuple(tuple(rng.choice(levels) for _ in range(width)) for _ in range(rng.randint(1, 200)))
        given = Board(rows, len(rows), tuple(rng.randint(1, 3) for _ in range(width)))
        early, length = raced(given)
        full = verdict(given)
        assert (early.decision, early.winner) == (full.decision, full.winner), seed
        short += length < len(rows)
        sums = [round(sum(column), 9) for column in zip(*rows, strict=True)]
        ties += len(set(sums)) < width
    assert short > 700
    assert ties > 100


@given(boards(holed, 6, 0))
def test_a_dropped_column_never_wins(given: Board) -> None:
    if not given.rows:
        return
    last = (*given.rows[-1][:-1], D)
    decided = verdict(Board((*given.rows[:-1], last), given.total, given.sizes))
    assert decided.winner != len(given.sizes) - 1


# Row by row ----------------------------------------------------------------------------------------------------------


def reread(given: Board) -> Verdict | Need:
    """The strict gate's rule, with every sum taken anew over all rows; how many rows are sure is left out."""
    columns = [[row[j] for row in given.rows] for j in range(len(given.sizes))]
    known = [math.fsum(cell for cell in column if isinstance(cell, float)) for column in columns]
    unknown = [given.pending + column.count(M) for column in columns]
    bounds = [(round(low, 9), round(low + more, 9)) for low, more in zip(known, unknown, strict=True)]

    def better(one: int, other: int) -> bool:
        low, high = bounds[one][0], bounds[other][1]
        return low > high or (low == high and (given.sizes[one], one) < (given.sizes[other], other))

    def said(decision: Decision, j: int) -> Verdict:
        if decision is not Decision.UNDECIDED and is_skewed(given, j):
            decision = Decision.UNDECIDED
        pairs = [(a, b) for a, b in zip(columns[0], columns[j], strict=True) if not {M, D} & {a, b}]
        before, after = (math.fsum(pair[side] for pair in pairs) / len(pairs) if pairs else None for side in (0, 1))
        missing = sum(M in pair for pair in zip(columns[0], columns[j], strict=True))
        return Verdict(decision, j if decision is Decision.ACCEPT else 0, len(pairs), before, after, missing, "")

    hopeful = [j for j in range(1, len(bounds)) if bounds[j][1] > bounds[0][0] and D not in columns[j]]
    if not hopeful:
        best = max(range(1, len(bounds)), key=lambda j: (bounds[j][0], -given.sizes[j], -j))
        return said(Decision.REJECT, best)
    for j in hopeful:
        if bounds[j][0] > bounds[0][1] and all(better(j, k) for k in hopeful if k != j):
            return said(Decision.ACCEPT, j)
    if given.pending:
        return Need((0, *(j for j in hopeful if not any(better(k, j) for k in hopeful if k != j))))
    return said(Decision.UNDECIDED, max(hopeful, key=lambda j: (sum(bounds[j]), -given.sizes[j], -j)))


def shape(decided: Verdict | Need) -> object:
    """What two decisions must have in common."""
    if isinstance(decided, Need):
        return decided.racing
    return decided.decision, decided.winner, decided.n, decided.before, decided.after, decided.missing


patchy = st.sampled_from([0.0, 1.0, 0.0, 1.0, 0.1, 0.2, 0.3, 0.7, M, M, D])


@given(boards(patchy, 12, 3))
def test_deciding_row_by_row_is_deciding_on_the_whole_board(given: Board) -> None:
    fold = GATE.folded(Board((), given.total, given.sizes))
    assert shape(fold.decide()) == shape(reread(Board((), given.total, given.sizes)))
    for length, row in enumerate(given.rows, 1):
        fold.add(row)
        prefix = Board(given.rows[:length], given.total, given.sizes)
        assert fold.decide() == GATE.decide(prefix) == GATE.folded(prefix).decide()
        assert shape(fold.decide()) == shape(reread(prefix))


@given(st.lists(st.floats(-1e16, 1e16), max_size=20), st.randoms(use_true_random=False))
def test_means_do_not_depend_on_the_order_of_rows_in_the_last_digit_either(scores: list[float], rng: Random) -> None:
    rows = [(score, score / 3) for score in scores]
    shuffled = rng.sample(rows, len(rows))
    one, other = (GATE.folded(board(*given, sizes=(1, 1))).decide() for given in (rows, shuffled))
    assert one == other


def test_a_gate_without_a_fold_reads_the_board_again() -> None:
    class Count:
        name = "count"

        def decide(self, board: Board) -> Verdict | Need:
            return Need((0, 1), len(board.rows) + 1)

    fold = folded(Count(), board((1.0, 0.0), total=9))
    fold.add((0.0, 0.0))
    assert fold.decide() == Need((0, 1), 3)


# Which items every verdict needs -------------------------------------------------------------------------------------


@st.composite
def continued(draw: st.DrawFn) -> tuple[Board, tuple[Row, ...]]:
    """A board on which something is pending, and rows that might come next."""
    given = draw(boards(st.sampled_from([0.0, 1.0, 0.5, 0.3, M]), 8, 16))
    more = draw(st.lists(st.tuples(*[holed] * len(given.sizes)), min_size=given.pending, max_size=given.pending))
    return given, tuple(more)


@given(continued())
def test_no_verdict_comes_and_nobody_leaves_before_the_items_that_are_surely_needed(
    case: tuple[Board, tuple[Row, ...]],
) -> None:
    given, more = case
    decided = GATE.decide(given)
    if isinstance(decided, Verdict):
        return
    assert 1 <= decided.surely <= given.pending
    for length in range(1, decided.surely):
        later = GATE.decide(Board((*given.rows, *more[:length]), given.total, given.sizes))
        assert isinstance(later, Need)
        assert later.racing == decided.racing
        assert later.surely >= decided.surely - length, "what was sure stays so"


@given(boards(st.sampled_from([0.0, 1.0]), 8, 16).filter(lambda given: len(given.sizes) == 2))
def test_the_verdict_can_come_with_the_last_item_that_is_surely_needed(given: Board) -> None:
    decided = GATE.decide(given)
    if isinstance(decided, Need):
        ends = [(*given.rows, *[row] * decided.surely) for row in ((1.0, 0.0), (0.0, 1.0))]
        verdicts = [GATE.decide(Board(rows, given.total, given.sizes)) for rows in ends]
        assert any(isinstance(entry, Verdict) for entry in verdicts), "it is too few"


def test_half_of_the_items_are_surely_needed_at_first() -> None:
    assert GATE.decide(board(total=200, sizes=(1, 1))) == Need((0, 1), 100)
    assert GATE.decide(board(total=7, sizes=(1, 1, 1))) == Need((0, 1, 2), 4)


# Single rules --------------------------------------------------------------------------------------------------------


def test_an_equal_score_is_a_rejection() -> None:
    decided = verdict(board((1.0, 1.0), (0.0, 0.0)))
    assert (decided.decision, decided.winner, decided.n, decided.before, decided.after) == (
        Decision.REJECT,
        0,
        2,
        0.5,
        0.5,
    )


def test_of_equal_candidates_the_shorter_wins_and_then_the_earlier() -> None:
    rows = ((0.0, 1.0, 1.0, 1.0),)
    assert verdict(board(*rows, sizes=(9, 7, 5, 5))).winner == 2


def test_graded_scores_do_not_depend_on_the_order_of_addition() -> None:
    tenth = ((0.1, 0.3), (0.2, 0.2), (0.3, 0.1))
    assert verdict(board(*tenth)).decision is Decision.REJECT
    assert verdict(board(*reversed(tenth))).decision is Decision.REJECT


def test_missing_items_are_counted_and_excluded_from_both_sides() -> None:
    decided = verdict(board((0.0, 1.0), (0.0, 1.0), (M, 1.0), (1.0, M), (0.0, 1.0), (0.0, 1.0)))
    assert (decided.decision, decided.n, decided.missing) == (Decision.ACCEPT, 4, 2)
    assert (decided.before, decided.after) == (0.0, 1.0)


def test_a_missing_cell_that_could_turn_the_verdict_leaves_it_undecided() -> None:
    decided = verdict(board((0.0, 1.0), (0.0, M), (1.0, 1.0), (M, 0.0)))
    assert (decided.decision, decided.winner) == (Decision.UNDECIDED, 0)
    assert "missing items" in decided.reason


def test_failures_on_one_side_alone_leave_a_clear_gain_undecided() -> None:
    rows = [(0.0, 1.0)] * 30 + [(M, 1.0)] * 10
    decided = verdict(board(*rows))
    assert (decided.decision, decided.winner) == (Decision.UNDECIDED, 0)
    assert "0 on the candidate alone, 10 on the incumbent" in decided.reason


def test_failures_on_the_candidate_alone_leave_a_clear_loss_undecided() -> None:
    decided = verdict(board(*([(1.0, 0.0)] * 30 + [(1.0, M)] * 10)))
    assert decided.decision is Decision.UNDECIDED
    assert "10 on the candidate alone, 0 on the incumbent" in decided.reason


def test_failures_on_both_sides_alike_do_not_forbid_a_verdict() -> None:
    rows = [(0.0, 1.0)] * 30 + [(M, 1.0), (1.0, M)] * 5 + [(M, M)]
    assert verdict(board(*rows)).decision is Decision.ACCEPT


def test_nothing_measured_needs_everybody() -> None:
    assert GATE.decide(board(total=3, sizes=(1, 1, 1))) == Need((0, 1, 2), 2)


def test_only_candidates_that_can_still_win_are_measured_further() -> None:
    rows = ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    settled = GATE.decide(board(*rows, total=5))
    assert isinstance(settled, Verdict)
    assert settled.winner == 1
    decided = verdict(board((0.0, 1.0, 0.0), (0.0, 1.0, D), (0.0, 1.0, D), total=5))
    assert (decided.decision, decided.winner, decided.n) == (Decision.ACCEPT, 1, 3)


def test_a_candidate_that_is_surely_worse_than_another_leaves_the_race_first() -> None:
    rows = ((1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.0, 0.0))
    assert GATE.decide(board(*rows, total=6)) == Need((0, 1), 1)


def test_a_race_that_nobody_can_win_ends_early() -> None:
    decided = verdict(board((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), total=5))
    assert (decided.decision, decided.n) == (Decision.REJECT, 3)


def test_items_that_all_fail_give_no_means() -> None:
    decided = verdict(board((M, M), (M, M)))
    assert (decided.decision, decided.n, decided.before, decided.after, decided.missing) == (
        Decision.UNDECIDED,
        0,
        None,
        None,
        2,
    )


def test_without_items_the_incumbent_stays() -> None:
    assert verdict(board(total=0)).decision is Decision.REJECT


def test_no_gate_takes_the_first_candidate_unmeasured() -> None:
    decided = verdict(board(total=9), NoGate())
    assert (decided.decision, decided.winner, decided.n) == (Decision.ACCEPT, 1, 0)


@pytest.mark.parametrize("gate", [StrictGate(), NoGate()])
def test_gates_have_names(gate: Gate) -> None:
    assert gate.name
