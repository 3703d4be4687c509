"""The one-sided sign-flip test: McNemar's on 0/1 scores, against scipy, and falling in every difference."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semprop.engine.gates import Cell, Hole
from semprop.engine.gates.signs import Signs, difference, tails
from semprop.engine.statistics import mcnemar

whole = st.sampled_from([-100, 0, 100])
graded = st.integers(-100, 100)


def signs(differences: list[int]) -> Signs:
    return Signs().with_all(differences)


@given(st.integers(0, 60), st.integers(0, 60))
def test_on_whole_differences_it_is_mcnemars_test_as_scipy_has_it(wins: int, losses: int) -> None:
    p = signs([100] * wins + [-100] * losses + [0] * 3).p()
    assert p == pytest.approx(mcnemar(wins, losses).one_sided, rel=1e-12)
    if wins + losses:
        assert p == pytest.approx(stats.binomtest(wins, wins + losses, alternative="greater").pvalue, rel=1e-10)


@given(st.lists(graded, max_size=10))
def test_on_graded_differences_it_is_the_share_of_all_signs(differences: list[int]) -> None:
    sums = [
        sum(s * d for s, d in zip(flips, differences, strict=True))
        for flips in product((1, -1), repeat=len(differences))
    ]
    share = sum(entry >= sum(differences) for entry in sums) / len(sums)
    assert signs(differences).p() == pytest.approx(share, abs=1e-12)


def test_on_many_graded_differences_it_is_scipys_permutation_test() -> None:
    differences = [7, -3, 25, 40, -12, 5, 5, 18, -60, 33, 21, 9, -4, 50]
    result = stats.permutation_test(
        (differences,), sum, permutation_type="samples", alternative="greater", n_resamples=2**14
    )
    assert signs(differences).p() == pytest.approx(result.pvalue, rel=1e-9)


@given(st.lists(graded, max_size=12), st.integers(0, 5), st.integers(0, 5))
def test_hypothetical_rows_count_as_added_ones(differences: list[int], gains: int, losses: int) -> None:
    added = signs([*differences, *[100] * gains, *[-100] * losses])
    assert signs(differences).p(gains, losses) == pytest.approx(added.p(), rel=1e-9)


@given(st.lists(graded, min_size=1, max_size=12), st.integers(1, 60), st.data())
def test_the_p_value_falls_with_every_difference(differences: list[int], by: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(differences) - 1))
    raised = [*differences]
    raised[place] = min(100, raised[place] + by)
    assert signs(raised).p() <= signs(differences).p() * (1 + 1e-12)


@pytest.mark.parametrize("trials", [0, 1, 7, 200, 20_000])
def test_the_tails_of_the_binomial_are_scipys(trials: int) -> None:
    for at_least in {0, 1, trials // 2, trials // 2 + 3, trials, trials + 1}:
        expected = stats.binom.sf(at_least - 1, trials, 0.5)
        if at_least <= trials + 1:
            assert tails(trials)[at_least] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("cell", "incumbent", "low", "high"),
    [
        (1.0, 0.0, 100, 100),
        (0.3, 0.1, 20, 20),
        (Hole.MISSING, 0.25, -25, 75),
        (0.25, Hole.MISSING, -75, 25),
        (Hole.MISSING, Hole.MISSING, -100, 100),
    ],
)
def test_a_missing_cell_can_be_anything(cell: Cell, incumbent: Cell, low: int, high: int) -> None:
    found = difference(cell, incumbent)
    assert (found.low, found.high) == (low, high)
