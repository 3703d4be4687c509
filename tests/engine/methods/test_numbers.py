"""Numbers that steer models: a central finite difference of the mean score, inside the bounds."""

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Failure, FailureKind, Graph, Model, Number, Parameter, Score
from semprop.engine.method import Scored
from semprop.engine.methods.numbers import propose_number

MISSING = Failure(FailureKind.TRANSPORT, "line down")


def graph(number):
    return Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve."), Parameter("t", number)],
        nodes=[Model("answer", "s", ("question",), numbers={"temperature": "t"})],
        output="answer",
    )


def propose(number, score, present=(0.5, 0.5)):
    """The proposal where `score(value, index)` is what an example scores under a value, and what was probed."""
    of = graph(number)
    scored = tuple(
        Scored(worlds.tape(of, worlds.example(index), {"answer": "x"}), Score(value))
        for index, value in enumerate(present)
    )
    probed = []

    def answer(probe):
        value = probe.parameters["t"].value
        probed.append(value)
        assert [example.id for example in probe.examples] == [f"e{index}" for index in range(len(present))]
        return tuple(score(value, index) for index in range(len(present)))

    return worlds.run_plan(propose_number(worlds.context(of, scored=scored), "t"), answer), probed


def test_the_better_neighbour_is_proposed():
    assert propose(Number(0.5, 0, 1), lambda value, _: Score(value))[0] == (Number(0.6, 0, 1),)
    assert propose(Number(0.5, 0, 1), lambda value, _: Score(1 - value))[0] == (Number(0.4, 0, 1),)


def test_neighbours_that_are_no_better_are_not_proposed():
    assert propose(Number(0.5, 0, 1), lambda value, _: Score(0.5))[0] == ()


def test_at_a_bound_only_the_other_side_is_probed():
    assert propose(Number(1.0, 0, 1), lambda value, _: Score(1.0)) == ((Number(0.9, 0, 1),), [0.9])


def test_a_number_that_cannot_move_is_not_probed():
    assert propose(Number(1.0, 1, 1), lambda value, _: Score(1.0)) == ((), [])


def test_without_examples_nothing_is_probed():
    assert propose(Number(0.5, 0, 1), lambda value, _: Score(1.0), present=()) == ((), [])


@pytest.mark.parametrize(("value", "probed"), [(1.0, [1.2, 0.8]), (0.0, [0.2]), (2.0, [1.8])])
def test_an_unbounded_number_is_probed_only_where_the_field_it_steers_means_something(value, probed):
    found = propose(Number(value), lambda _, index: Score(0.5))[1]
    assert found == pytest.approx(probed)


def test_a_failure_on_one_neighbour_leaves_the_other_its_example():
    def score(value, index):
        if index == 0:
            return Score(1.0) if value > 0.5 else MISSING
        return Score(0.1 if value > 0.5 else 0.2)

    assert propose(Number(0.5, 0, 1), score, present=(0.0, 0.5))[0] == (Number(0.6, 0, 1),)


def test_if_every_example_is_missing_nothing_is_proposed():
    assert propose(Number(0.5, 0, 1), lambda value, _: MISSING)[0] == ()


@given(st.floats(-10, 10), st.floats(0, 10), st.floats(0, 1))
def test_probes_stay_inside_the_bounds(low, span, place):
    number = Number(min(low + span, low + place * span), low, low + span)
    _, probed = propose(number, lambda value, _: Score(0.5))
    assert all(number.low <= value <= number.high for value in probed)
    assert number.value not in probed
