"""Claims with their uncertainty, against published values and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semprop.engine.errors import SpecificationError
from semprop.engine.statistics import (
    Interval,
    Word,
    bootstrap_interval,
    compare,
    fall_unequally,
    items_needed,
    mcnemar,
    newcombe,
    sign_flip,
    smallest_gain,
    smallest_visible_gain,
    wilson,
)

COUNTS = st.integers(0, 60)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    test = mcnemar(wins, losses)
    trials = wins + losses
    two_sided = stats.binomtest(wins, trials).pvalue if trials else 1.0
    one_sided = stats.binomtest(wins, trials, alternative="greater").pvalue if trials else 1.0
    assert test.two_sided == pytest.approx(two_sided)
    assert test.one_sided == pytest.approx(one_sided)


def test_mcnemar_is_exact_for_thousands_of_items() -> None:
    test = mcnemar(5200, 4900)
    assert test.two_sided == pytest.approx(stats.binomtest(5200, 10100).pvalue)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Altman et al., Statistics with Confidence (2000), table 6.2: 0.01 to 0.23.
        ((14, 5, 0, 22), (0.01, 0.23)),
        # Fagerland et al., Statistical Analysis of Contingency Tables (2017), chapter 8: Bentur 2009, Cavo 2012.
        ((1, 1, 7, 12), (-0.5069, -0.0256)),
        ((59, 6, 16, 80), (-0.1186, -0.0046)),
    ],
)
def test_newcombes_method_ten_gives_the_published_intervals(
    table: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    places = 2 if expected[0] == 0.01 else 4
    assert tuple(round(end, places) for end in newcombe(*table)) == expected


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 60))
def test_newcombes_interval_holds_the_difference_and_turns_with_the_sides(
    both: int, wins: int, losses: int, neither: int
) -> None:
    low, high = newcombe(both, wins, losses, neither)
    difference = (wins - losses) / (both + wins + losses + neither)
    assert -1 <= low <= difference <= high <= 1
    assert newcombe(both, losses, wins, neither) == (pytest.approx(-high), pytest.approx(-low))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_agrees_with_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    assert wilson(*counts) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_few_differing_items_are_tested_over_all_signs() -> None:
    assert sign_flip([0.5, 0.25, 0.125], seed=0) == 2 / 8
    assert sign_flip([0.5, 0.25, -0.125, 0.0], seed=0) == 4 / 8
    assert sign_flip([0.1, 0.2, -0.3], seed=0) == 1.0
    assert sign_flip([0.0, 0.0], seed=0) == 1.0


def test_random_signs_approach_the_exact_test_and_are_a_function_of_the_seed() -> None:
    differences = [1.0] * 20 + [-1.0] * 8
    exact = mcnemar(20, 8).two_sided
    first = sign_flip(differences, seed=1)
    assert first == pytest.approx(exact, abs=0.003)
    assert first == sign_flip(differences, seed=1)
    assert first != sign_flip(differences, seed=-1)


def test_the_bootstrap_agrees_with_scipy() -> None:
    sample = np.random.default_rng(7).beta(2, 5, 80) - 0.2
    expected = stats.bootstrap((sample,), np.mean, method="BCa", n_resamples=10_000, rng=0).confidence_interval
    interval = bootstrap_interval(sample, seed=3)
    assert interval == (pytest.approx(expected.low, abs=0.004), pytest.approx(expected.high, abs=0.004))
    assert interval == bootstrap_interval(sample, seed=3)
    assert interval != bootstrap_interval(sample, seed=4)


def test_a_bootstrap_without_spread_does_not_claim_certainty() -> None:
    low, high = bootstrap_interval([0.0] * 30, seed=0)
    assert -low == high == pytest.approx(0.0950, abs=1e-4)
    assert bootstrap_interval([0.5], seed=0) == (pytest.approx(-0.45), 1.0)


def outcome(both: int, wins: int, losses: int, neither: int) -> tuple[list[int], list[int]]:
    before = [1] * both + [0] * wins + [1] * losses + [0] * neither
    after = [1] * both + [1] * wins + [0] * losses + [0] * neither
    return before, after


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ((50, 30, 5, 15), Word.RELIABLE_GAIN),
        ((50, 5, 30, 15), Word.NO_GAIN),
        ((50, 12, 8, 30), Word.NO_RELIABLE_GAIN),
        ((200, 2, 2, 200), Word.NO_GAIN),
        ((0, 29, 0, 0), Word.TOO_FEW),
        ((0, 30, 0, 0), Word.RELIABLE_GAIN),
    ],
)
def test_right_and_wrong_answers_get_the_word_that_the_rule_fixes(table: tuple[int, int, int, int], word: Word) -> None:
    comparison = compare(*outcome(*table), seed=0)
    assert comparison.word is word
    assert comparison.interval == newcombe(*table)
    assert comparison.p == mcnemar(table[1], table[2]).two_sided
    assert (comparison.wins, comparison.losses, comparison.n) == (table[1], table[2], sum(table))
    assert comparison.after - comparison.before == pytest.approx(comparison.difference)
    assert "McNemar" in comparison.test


def test_the_words_are_fixed() -> None:
    assert list(Word) == ["reliable gain", "no reliable gain", "no gain of δ or more", "too few to say"]
    comparison = compare(*outcome(200, 2, 2, 200), seed=0, delta=0.075)
    assert comparison.phrase == "no gain of 7.5 points or more"


def test_a_smaller_delta_needs_more_to_be_ruled_out() -> None:
    assert compare(*outcome(200, 2, 2, 200), seed=0, delta=0.001).word is Word.NO_RELIABLE_GAIN


def test_graded_scores_get_a_permutation_test_and_a_bootstrap() -> None:
    generator = np.random.default_rng(5)
    before = generator.random(60) * 0.5
    after = before + 0.3 * generator.random(60)
    comparison = compare(before.tolist(), after.tolist(), seed=9)
    assert comparison == compare(before.tolist(), after.tolist(), seed=9)
    assert comparison.word is Word.RELIABLE_GAIN
    assert comparison.interval.low > 0.1
    assert "sign-flip" in comparison.test


def test_equal_graded_scores_are_no_gain_only_if_there_are_many() -> None:
    assert compare([0.5] * 40, [0.5] * 40, seed=0).word is Word.NO_RELIABLE_GAIN
    assert compare([0.5] * 100, [0.5] * 100, seed=0).word is Word.NO_GAIN


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([], [], "at least one"),
        ([1.0], [1.0, 0.0], "1 scores before and 2 after"),
        ([1.5], [1.0], "1.5 is outside"),
        ([0.5], [math.nan], "nan is outside"),
    ],
)
def test_scores_that_cannot_be_compared_are_an_error(before: list[float], after: list[float], says: str) -> None:
    with pytest.raises(SpecificationError, match=says):
        compare(before, after, seed=0)


@pytest.mark.parametrize(
    ("discordance", "sizes"), [(0.1, (60, 246, 1544)), (0.2, (122, 493, 3090)), (0.3, (184, 740, 4636))]
)
def test_the_published_table_of_sample_sizes(discordance: float, sizes: tuple[int, ...]) -> None:
    assert tuple(items_needed(delta, discordance) for delta in (0.10, 0.05, 0.02)) == sizes


@pytest.mark.parametrize(("n", "points"), [(50, 15), (100, 11), (128, 9.7), (200, 7.8), (400, 5.5), (1319, 3.1)])
def test_the_published_table_of_visible_gains(n: int, points: float) -> None:
    assert 100 * smallest_visible_gain(n, 0.2) == pytest.approx(points, abs=0.5 if n < 128 else 0.06)


@given(st.integers(20, 5000), st.floats(0.05, 1.0))
def test_the_smallest_visible_gain_is_the_inverse_of_the_items_needed(n: int, discordance: float) -> None:
    gain = smallest_visible_gain(n, discordance)
    if math.isinf(gain):
        assert items_needed(discordance, discordance) > n
    else:
        assert items_needed(gain, discordance) <= n
        assert items_needed(gain * 0.99, discordance) >= n


def test_a_gain_beyond_the_share_that_differs_is_an_error() -> None:
    for delta, discordance in ((0.0, 0.2), (0.3, 0.2), (0.3, 1.2)):
        with pytest.raises(SpecificationError, match="0 < delta"):
            items_needed(delta, discordance)
    for n, discordance in ((0, 0.2), (10, 0.0)):
        with pytest.raises(SpecificationError, match="n ≥ 1"):
            smallest_visible_gain(n, discordance)


def test_five_failures_on_one_side_only_are_not_yet_unequal_and_six_are() -> None:
    assert not fall_unequally(5, 0)
    assert fall_unequally(0, 6)
    assert not fall_unequally(6, 6)


def test_an_interval_is_a_pair() -> None:
    assert Interval(0.1, 0.2) == (0.1, 0.2)


def test_a_gain_above_the_pilots_discordance_makes_its_own():
    assert smallest_gain(200, 0.2) == smallest_visible_gain(200, 0.2)
    assert math.isinf(smallest_visible_gain(16, 0.1))
    found = smallest_gain(16, 0.1)
    assert found > 0.1
    assert items_needed(found, found) <= 16 < items_needed(0.95 * found, 0.95 * found)
    assert math.isinf(smallest_gain(2, 0.5))
