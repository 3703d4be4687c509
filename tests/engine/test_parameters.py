"""Parameters: immutable, hashed by content, replaced whole or not at all (law L4)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.errors import SpecificationError
from semprop.engine.parameters import (
    Demonstration,
    Demonstrations,
    Kind,
    Number,
    Parameter,
    Parameters,
    document_of,
    kind_of,
    rendered,
    value_of,
)

numbers = st.builds(
    lambda value, below, above: Number(value, value - below, value + above),
    st.floats(-1e6, 1e6),
    st.one_of(st.floats(0, 10), st.just(math.inf)),
    st.one_of(st.floats(0, 10), st.just(math.inf)),
)
turns = st.builds(
    Demonstration,
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
    st.text(),
    st.text(),
)
values = st.one_of(st.text(), numbers, st.builds(Demonstrations, st.lists(turns, max_size=3).map(tuple)))


@given(values)
def test_a_value_survives_json(value):
    again = value_of(document_of(value))
    assert again == value
    assert Parameters({"p": again}).hash == Parameters({"p": value}).hash


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        [],
        {},
        {"value": "warm"},
        {"value": True},
        {"value": 1, "low": "0"},
        {"turns": "none"},
        {"turns": [{"inputs": [["q"]], "output": "a"}]},
        {"turns": [{"inputs": ["qa"], "output": "a"}]},
        {"turns": [{"inputs": [["q", 1]], "output": "a"}]},
        {"turns": [{"inputs": []}]},
        {"turns": ["x"]},
    ],
)
def test_data_of_another_form_are_refused(document):
    with pytest.raises(SpecificationError, match=r"not a parameter value|a demonstration is"):
        value_of(document)


def test_a_document_outside_its_own_bounds_is_refused():
    with pytest.raises(SpecificationError, match=r"3\.0 is outside \[0\.0, 2\.0\]: move"):
        value_of({"value": 3, "low": 0, "high": 2})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_is_finite(value):
    with pytest.raises(SpecificationError, match="finite"):
        Number(value)


def test_equal_numbers_have_equal_hashes_however_they_were_written():
    assert Number(1) == Number(1.0)
    assert Parameters({"t": Number(1)}).hash == Parameters({"t": Number(1.0)}).hash


def test_the_kind_of_a_value_is_that_of_its_parameter():
    assert [kind_of(value) for value in ("x", Number(1), Demonstrations())] == [
        Kind.TEXT,
        Kind.NUMBER,
        Kind.DEMONSTRATIONS,
    ]
    assert Parameter("p", Number(0.5)).kind is Kind.NUMBER


def test_parameters_are_equal_when_and_only_when_their_contents_are():
    one = Parameters({"a": "x", "b": "y"})
    assert one == Parameters({"a": "x", "b": "y"})
    assert hash(one) == hash(Parameters({"a": "x", "b": "y"}))
    assert one != Parameters({"a": "x", "b": "z"})
    assert one != {"a": "x", "b": "y"}


def test_text_cannot_imitate_the_border_between_two_parameters():
    assert Parameters({"a": 'x"],["b","y'}) != Parameters({"a": "x", "b": "y"})


def test_a_replacement_leaves_the_old_values_as_they_were():
    old = Parameters({"a": "x", "b": "y"})
    new = old.replaced({"b": "z"})
    assert (dict(old), dict(new)) == ({"a": "x", "b": "y"}, {"a": "x", "b": "z"})
    assert list(new) == ["a", "b"]
    assert len(new) == 2


def test_replacing_nothing_gives_equal_parameters():
    old = Parameters({"a": "x"})
    assert old.replaced({}) == old


def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named():
    with pytest.raises(SpecificationError, match=r"no parameter 'c'; there are: a, b"):
        Parameters({"a": "x", "b": "y"}).replaced({"a": "z", "c": "w"})


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(SpecificationError, match="'a' is text, the new value is number"):
        Parameters({"a": "x"}).replaced({"a": Number(1)})


def test_the_dict_that_was_given_can_change_without_changing_the_parameters():
    given_values = {"a": "x"}
    parameters = Parameters(given_values)
    given_values["a"] = "y"
    assert parameters["a"] == "x"


def test_people_see_names_and_hash_not_texts():
    parameters = Parameters({"a": "a long instruction"})
    assert repr(parameters) == f"Parameters(a; {parameters.hash})"


def test_demonstrations_are_rendered_as_inputs_and_an_arrow_to_the_output():
    value = Demonstrations((Demonstration((("q", "1+1"), ("hint", "add")), "2"), Demonstration((("q", "0"),), "0")))
    assert rendered(value) == "q: 1+1\nhint: add\n→ 2\n\nq: 0\n→ 0"
    assert rendered(Number(0.25)) == "0.25"
    assert rendered("as it is") == "as it is"
