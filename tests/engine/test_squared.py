"""The squared error: a score for reports, an objective with a derivative for methods."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.arrays import Array
from semprop.engine.errors import DataError, SpecificationError
from semprop.engine.example import Example
from semprop.engine.losses import Answer, Custom, Objective, Score, as_score
from semprop.engine.parameters import Number
from semprop.engine.squared import Squared, numeric

numbers = st.floats(-1e6, 1e6)


def score(expected, value, scale=1.0):
    return Squared(scale)(Example("e", {}, expected), Answer(str(value), value=value))


@given(numbers, numbers)
def test_the_objective_is_half_the_squared_error_and_its_derivative_the_difference(wanted, found):
    objective = score(repr(wanted), found).objective
    assert objective.value == pytest.approx(0.5 * (found - wanted) ** 2, abs=1e-12)
    assert objective.derivative == pytest.approx(found - wanted)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_of_arrays_it_is_the_mean_over_components(pairs):
    wanted, found = np.array(pairs).T
    objective = score(str(wanted.tolist()), found).objective
    assert objective.value == pytest.approx(0.5 * np.mean((found - wanted) ** 2), abs=1e-12)
    assert np.allclose(objective.derivative, (found - wanted) / len(pairs))


@given(numbers, numbers)
def test_the_score_falls_as_the_error_grows(one, other):
    near, far = sorted((abs(one), abs(other)))
    assert 1 >= score("0", near).value >= score("0", far).value >= 0


def test_the_scale_is_where_the_score_is_a_half():
    assert score("0", 0.0, scale=3).value == 1
    assert score("0", 3.0, scale=3).value == pytest.approx(0.5)
    assert score("0", -6.0, scale=3).value == pytest.approx(0.2)


def test_a_text_is_read_if_it_is_a_number():
    assert Squared()(Example("e", {}, "3"), Answer("5")).objective == Objective(2.0, 2.0)


@pytest.mark.parametrize("found", ["five", True, None, [1, 2], math.nan, math.inf, object()])
def test_what_is_no_number_scores_0_and_has_no_derivative(found):
    assert score("3", found) == Score(0.0, "It is not a number.")


def test_an_array_of_another_shape_scores_0():
    assert score("[1, 2]", np.zeros(3)) == Score(0.0, "It is not an array of 2 numbers.")


def test_what_is_too_far_away_to_be_squared_scores_0():
    assert score("0", 1e200) == Score(0.0, "It is too large a number.")


@pytest.mark.parametrize("expected", [None, "", "about 3", "[]"])
def test_an_example_without_a_number_is_an_error_that_names_it(expected):
    with pytest.raises(DataError, match="example 'e' expects"):
        score(expected, 1.0)


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(SpecificationError, match="give a number above 0"):
        Squared(scale)


def test_values_of_parameters_count_as_numbers():
    assert numeric(Number(2.5)) == 2.5
    assert np.array_equal(numeric(Array([1, 2])), [1, 2])


def test_a_loss_of_the_users_may_have_an_objective_recorded_or_not():
    own = Score(0.5, objective=Objective(1.0, [1, 2]))
    recorded = {"value": 0.5, "feedback": "", "lenient": None, "objective": {"value": 1.0, "derivative": [1, 2]}}
    for given_score in (own, recorded):
        read = as_score(given_score, "mine")
        assert read == own
        assert np.array_equal(read.objective.derivative, [1.0, 2.0])


@pytest.mark.parametrize(
    "objective", [1.0, {"value": 1}, Objective(math.nan, 1.0), Objective(1.0, "up"), Objective(1.0, [1, math.inf])]
)
def test_an_objective_that_is_none_is_an_error_that_names_the_loss(objective):
    with pytest.raises(SpecificationError, match="the loss 'mine' returned the objective"):
        as_score(Score(0.5, objective=objective), "mine")


def test_the_loss_has_a_name():
    assert Squared().name == "squared"
    assert not isinstance(Squared(), Custom)
