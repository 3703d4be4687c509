"""The test by betting: its capital, its level, and what missing cells can make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import gating
import pytest
from gating import M, capital
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from semprop.engine.gates import Board, Cell
from semprop.engine.gates.betting import Bet

scores = st.integers(0, 20).map(lambda part: part / 20)
pairs = st.lists(st.tuples(scores, scores), max_size=40)


def wealth(differences: Sequence[float], delta: float) -> float:
    bet = Bet(delta)
    for d in differences:
        bet.add(max(d, 0.0), max(-d, 0.0))
    assert bet.low == bet.high
    return bet.low


def mixture(differences: Sequence[float], parts: int) -> float:
    """E = mean_j Π (1 + λ_j d_i), λ_j = j / (J + 1)."""
    return math.fsum(math.prod(1 + j / (parts + 1) * d for d in differences) for j in range(1, parts + 1)) / parts


def closed(wins: int, losses: int) -> float:
    """The mixture with a uniform λ, on whole differences."""
    beta = special.beta(wins + 1, losses + 1) * (1 - special.betainc(wins + 1, losses + 1, 0.5))
    return float(2 ** (wins + losses + 1) * beta)


@given(pairs, st.sampled_from([0.02, 0.05, 0.1, 0.5]))
def test_the_capital_is_the_formulas(rows: list[tuple[float, float]], delta: float) -> None:
    bet = Bet(delta)
    for cell, against in rows:
        bet.add(cell, against)
    assert bet.low == bet.high == pytest.approx(capital([cell - against for cell, against in rows], delta), rel=1e-12)


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_mixture_of_constant_stakes_tends_to_its_closed_form(wins: int, losses: int) -> None:
    differences = [1.0] * wins + [-1.0] * losses
    assert mixture(differences, 4_000) == pytest.approx(closed(wins, losses), rel=2e-2)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=30))
def test_a_player_who_always_stakes_the_most_is_one_part_of_the_mixture(differences: list[float]) -> None:
    # λ_9 of the mixture with nine parts.
    assert wealth(differences, 1e9) == pytest.approx(math.prod(1 + 0.9 * d for d in differences), rel=1e-12)


@pytest.mark.parametrize("delta", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("steps", [(-1, 0, 1), (-1, 0.5, 0.5), (-0.5, -0.5, 1)])
def test_without_a_gain_the_capital_is_a_martingale_and_reaches_a_bar_no_oftener_than_its_inverse(
    delta: float, steps: tuple[float, ...]
) -> None:
    # Every sequence of eight items whose mean difference is 0, all equally likely.
    ends, peaks = [], []
    for sequence in product(steps, repeat=8):
        course = [wealth(sequence[:length], delta) for length in range(9)]
        ends.append(course[-1])
        peaks.append(max(course))
    assert math.fsum(ends) / len(ends) == pytest.approx(1.0, rel=1e-12)
    for bar in (1.2, 2.0, 4.0, 10.0):
        assert sum(peak >= bar for peak in peaks) / len(peaks) <= 1 / bar


holed = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 0.5, M])] * 2), max_size=9)


@given(holed, st.sampled_from([0.05, 0.1, 0.5]))
def test_with_missing_cells_the_bounds_hold_the_capital_of_every_completion(
    rows: list[tuple[Cell, Cell]], delta: float
) -> None:
    rows = rows[: next((i for i in range(len(rows)) if sum(row.count(M) for row in rows[: i + 1]) > 4), len(rows))]
    bet = Bet(delta)
    for cell, against in rows:
        bet.add(cell, against)
    for filled in gating.completions(Board(tuple(rows), len(rows), (1, 1)), (0.0, 0.3, 1.0)):
        found = capital([cell - against for cell, against in filled], delta)
        assert bet.low <= found * (1 + 1e-12)
        assert found <= bet.high * (1 + 1e-12)


@pytest.mark.parametrize("delta", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("hides", [lambda d: d < 0, lambda d: d > 0, lambda d: d == 0, lambda d: d != 0])
def test_whatever_the_failures_hide_the_lower_bound_keeps_the_level(delta: float, hides: object) -> None:
    # The candidate's cell is missing exactly where its difference is of a kind; the incumbent is right in half of all.
    count = 0
    for sequence in product((-1, 0, 1), repeat=7):
        bet, peak = Bet(delta), 1.0
        for place, d in enumerate(sequence):
            against = 1.0 if d < 0 else 0.0 if d > 0 else float(place % 2)
            bet.add(M if hides(d) else against + d, against)  # type: ignore[operator]
            peak = max(peak, bet.low)
        count += peak >= 2.0
    assert count / 3**7 <= 1 / 2


@given(pairs, st.sampled_from([0.05, 0.1]), st.floats(1.5, 200), st.floats(0.01, 0.5), pairs)
def test_the_bar_and_the_floor_are_not_reached_before_the_rows_that_are_surely_needed(
    rows: list[tuple[float, float]],
    delta: float,
    bar: float,
    floor: float,
    more: list[tuple[float, float]],
) -> None:
    bet = Bet(delta)
    for cell, against in rows:
        bet.add(cell, against)
    if not floor < bet.low < bar:
        return
    surely = bet.until(bar, floor, 1_000)
    for cell, against in more[: surely - 1]:
        bet.add(cell, against)
        assert floor < bet.low < bar
