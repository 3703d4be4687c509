"""Arrays as parameter values: immutable, equal by content, written without loss."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.arrays import Array, array_words, digest_of, numbers_from
from semprop.engine.errors import SpecificationError
from semprop.engine.graph import Graph
from semprop.engine.graph_json import from_json, to_json
from semprop.engine.nodes import Function
from semprop.engine.parameters import Kind, Parameter, Parameters, document_of, kind_of, rendered, value_of
from semprop.engine.tape import shown

floats = st.floats(-1e300, 1e300)
shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@st.composite
def arrays(draw):
    shape = draw(shapes)
    size = math.prod(shape)
    values = np.array(draw(st.lists(floats, min_size=size, max_size=size))).reshape(shape)
    low = draw(st.sampled_from([-math.inf, float(values.min())]))
    return Array(values, low, draw(st.sampled_from([math.inf, float(values.max())])))


@given(arrays())
def test_an_array_survives_json_bit_for_bit(value):
    again = value_of(document_of(value))
    assert again == value
    assert hash(again) == hash(value)
    assert again.values.tobytes() == value.values.tobytes()
    assert Parameters({"w": again}).hash == Parameters({"w": value}).hash


def test_arrays_are_equal_by_content_shape_and_bounds():
    assert Array([1, 2]) == Array(np.array([1.0, 2.0]))
    assert len({Array([1, 2]), Array([1.0, 2.0])}) == 1
    for other in (Array([1, 2 + 1e-15]), Array([[1, 2]]), Array([1, 2], low=0), [1, 2]):
        assert Array([1, 2]) != other


def test_nobody_can_write_to_a_parameter():
    given_values = np.array([1.0, 2.0])
    array = Array(given_values)
    given_values[0] = 7
    assert array == Array([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        array.values[0] = 7


@pytest.mark.parametrize(
    ("values", "bounds", "words"),
    [
        ([], {}, "holds no numbers"),
        ([1, math.nan], {}, "not finite"),
        ([[1, 2], [3]], {}, "equal rows"),
        (["a"], {}, "equal rows"),
        ([1, 5], {"high": 4}, "outside"),
        ([1, 5], {"low": 2}, "outside"),
    ],
)
def test_what_is_no_array_of_numbers_in_its_bounds_is_refused(values, bounds, words):
    with pytest.raises(SpecificationError, match=words):
        Array(values, **bounds)


@pytest.mark.parametrize(
    "document", [{"array": "1"}, {"array": [True]}, {"array": [1], "low": "0"}, {"array": [1, [2, "3"]]}]
)
def test_data_that_are_no_array_are_refused(document):
    with pytest.raises(SpecificationError, match="not a parameter value"):
        value_of(document)


def test_a_ragged_array_in_data_is_refused():
    with pytest.raises(SpecificationError, match="equal rows"):
        value_of({"array": [[1], [2, 3]]})


def test_a_small_array_is_shown_whole_and_a_large_one_by_how_it_begins():
    assert rendered(Array([[1, 0.5], [-2, 1e9]])) == "[[1, 0.5], [-2, 1e+09]]"
    assert shown(np.arange(3.0)) == "[0, 1, 2]"
    assert array_words(np.float64(2.5)) == "2.5"
    words = rendered(Array(np.zeros((100, 100))))
    assert words.startswith("100 × 100 numbers, beginning 0, 0, ")
    assert len(words) < 200
    assert repr(Array([1, 2])) == f"Array([1, 2]; {digest_of([1, 2])})"


def test_an_array_has_a_kind_of_its_own_that_is_numeric():
    assert kind_of(Array([1])) is Kind.ARRAY
    assert [kind for kind in Kind if kind.is_numeric] == [Kind.NUMBER, Kind.ARRAY]


def test_a_graph_with_an_array_survives_json():
    def double(w):
        return 2 * w

    graph = Graph(
        inputs=(),
        parameters=[Parameter("w", Array([[1, 2]], low=0))],
        nodes=[Function("y", double, ("w",), kind=Kind.ARRAY, pure=True)],
        output="y",
    )
    assert from_json(to_json(graph), {"y": double}) == graph


def test_an_array_cannot_steer_sampling_nor_be_replaced_by_another_kind():
    with pytest.raises(SpecificationError, match="is array, the new value is text"):
        Parameters({"w": Array([1])}).replaced({"w": "1"})


@pytest.mark.parametrize(
    ("text", "found"),
    [("3.5", 3.5), ("$1,080", 1080.0), ("[1, 2]", [1, 2]), ("[[1], [2]]", [[1], [2]])],
)
def test_numbers_are_read_from_whole_texts(text, found):
    assert np.array_equal(numbers_from(text), found)


@pytest.mark.parametrize("text", ["", "about 3", "[]", "[1, [2]]", '{"a": 1}', '["a"]', "null", "[1e999]"])
def test_texts_that_are_no_numbers_are_none(text):
    assert numbers_from(text) is None
