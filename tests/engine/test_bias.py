"""The bootstrap correction: a winner is not scored on the items that made it win."""

import numpy as np
import pytest

from semprop.engine.bias import bias_corrected


def test_equal_contenders_show_no_gain_though_the_best_of_them_seems_to():
    apparent, corrected = [], []
    for run in range(40):
        scores = np.random.default_rng(run).integers(0, 2, (60, 8)).astype(float)
        means = scores.mean(axis=0)
        apparent.append(means.max() - means[0])
        corrected.append(bias_corrected(scores, run, draws=200).difference)
    assert np.mean(apparent) > 0.07
    assert abs(np.mean(corrected)) < 0.03


def test_a_true_gain_is_found():
    drawn = np.random.default_rng(1)
    scores = np.column_stack([drawn.random(200) < 0.4, drawn.random(200) < 0.7]).astype(float)
    found = bias_corrected(scores, 0)
    assert found.difference == pytest.approx(0.3, abs=0.1)
    assert found.interval.low > 0
    assert (found.n, found.contenders) == (200, 2)


def test_it_is_a_function_of_scores_and_seed():
    scores = np.random.default_rng(2).integers(0, 2, (30, 3))
    assert bias_corrected(scores, 5) == bias_corrected(scores, 5)


def test_less_than_two_items_or_contenders_say_nothing():
    assert bias_corrected([[0.0, 1.0]], 0) is None
    assert bias_corrected([[0.0], [1.0]], 0) is None
    assert bias_corrected([], 0) is None
