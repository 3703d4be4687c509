"""Comparisons over strata: every stratum weighs the same, and a claim for one of them pays for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.statistics import Word, bootstrap_interval
from semprop.engine.strata import holm, stratified


def scores(*counts):
    """(both, wins, losses, neither) → before, after."""
    both, wins, losses, neither = counts
    before = [1.0] * both + [0.0] * wins + [1.0] * losses + [0.0] * neither
    after = [1.0] * both + [1.0] * wins + [0.0] * losses + [0.0] * neither
    return before, after


def test_the_stratified_mean_weighs_a_small_stratum_like_a_large_one():
    large, small = scores(0, 100, 0, 0), scores(0, 0, 10, 0)
    found = stratified(["a"] * 100 + ["b"] * 10, large[0] + small[0], large[1] + small[1], 0)
    assert [stratum.name for stratum in found.strata] == ["a", "b"]
    assert found.difference == pytest.approx((1.0 - 1.0) / 2)
    assert found.n == 110
    assert found.word is Word.NO_GAIN or found.word is Word.NO_RELIABLE_GAIN


def test_equal_strata_give_the_pooled_mean_and_nearly_its_interval():
    before, after = scores(40, 30, 10, 20)
    order = np.random.default_rng(0).permutation(100)
    before, after = [before[place] for place in order], [after[place] for place in order]
    found = stratified([str(place % 2) for place in range(100)], before, after, 0)
    pooled = bootstrap_interval(np.array(after) - np.array(before), 0)
    assert found.difference == pytest.approx(0.2)
    assert found.interval.low == pytest.approx(pooled.low, abs=0.03)
    assert found.interval.high == pytest.approx(pooled.high, abs=0.03)
    assert found.word is Word.RELIABLE_GAIN


def test_strata_without_any_spread_do_not_pass_for_certain():
    found = stratified(["a", "b"] * 20, [0.0] * 40, [1.0] * 40, 0)
    assert found.interval.low == pytest.approx(1 - (1 - 0.05 ** (1 / 40)))
    assert found.interval.high == 1.0


def test_holm_is_the_textbooks():
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1, then never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_p_values_and_bonferroni(p_values):
    for raw, corrected in zip(p_values, holm(p_values), strict=True):
        assert raw <= corrected <= min(1.0, raw * len(p_values)) + 1e-12


def test_a_gain_of_one_stratum_is_claimed_by_the_corrected_p_alone():
    gain, flat = scores(20, 9, 1, 10), scores(20, 5, 5, 10)
    names = [str(task) for task in range(10) for _ in range(40)]
    before, after = gain[0] + flat[0] * 9, gain[1] + flat[1] * 9
    first = stratified(names, before, after, 0).strata[0]
    assert first.comparison.word is Word.RELIABLE_GAIN
    assert first.holm == pytest.approx(10 * first.comparison.p)
    assert first.word is Word.NO_RELIABLE_GAIN


def test_the_interval_of_null_strata_covers_zero_about_as_often_as_it_says():
    covered = 0
    for run in range(200):
        drawn = np.random.default_rng(run)
        before, after = drawn.integers(0, 2, 120).astype(float), drawn.integers(0, 2, 120).astype(float)
        low, high = stratified([str(place % 4) for place in range(120)], before, after, run).interval
        covered += low <= 0 <= high
    assert 180 <= covered <= 198


@pytest.mark.parametrize(("size", "strata"), [(1, 40), (2, 30)])
def test_the_interval_of_small_strata_covers_the_gain_as_often_as_it_says(size, strata):
    covered = 0
    for run in range(100):
        drawn = np.random.default_rng(run)
        before, after = ((drawn.random(size * strata) < share).astype(float).tolist() for share in (0.5, 0.6))
        found = stratified([str(place % strata) for place in range(size * strata)], before, after, run)
        covered += found.interval.low <= 0.1 <= found.interval.high
        assert found.word is not Word.NO_GAIN
    assert covered >= 92


def test_a_stratum_of_two_items_that_are_alike_rules_nothing_out():
    found = stratified(["a"] * 100 + ["b"] * 2, [0.0] * 102, [0.0] * 102, 0)
    assert found.interval.high > 0.3
    assert found.word is Word.NO_RELIABLE_GAIN


@pytest.mark.parametrize("sizes", [(100, 2), (31, 45, 57), (5, 39, 16), (10, 10)])
def test_what_strata_without_spread_may_hide_is_the_worst_of_a_grid(sizes):
    names = [str(place) for place, size in enumerate(sizes) for _ in range(size)]
    nothing = [0.0] * len(names)
    high = stratified(names, nothing, nothing, 0).interval.high
    left = np.random.default_rng(0).dirichlet([0.5] * len(sizes), 20_000) * -np.log(0.05)
    worst = float((1 - np.exp(-left / np.array(sizes))).mean(axis=1).max())
    assert worst <= high + 1e-12
    assert worst == pytest.approx(high, rel=0.02)
