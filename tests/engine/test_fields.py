"""Typed fields: what is wrong, missing or left over in a document is told by place."""

from enum import StrEnum

import pytest

from semprop.engine.errors import DataError
from semprop.engine.fields import Fields


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def fields(**document):
    return Fields(document, "here", DataError)


def test_a_field_is_taken_once_and_what_is_left_over_is_told():
    given = fields(a=1, b="x", c=None)
    assert given.take("a", int) == 1
    assert "a" not in given
    assert "b" in given
    with pytest.raises(DataError, match=r"here: unknown fields 'b', 'c'; remove them"):
        given.finish()


def test_an_object_with_a_name_is_called_by_it():
    assert fields(name="n").where == "here 'n'"


def test_absent_fields_have_their_defaults():
    given = fields()
    assert given.take("a", str, "x") == "x"
    assert given.optional("a", int) is None
    assert given.number("a", 0.5) == 0.5
    assert given.optional_number("a") is None
    assert given.texts("a", ("x",)) == ("x",)
    assert given.names("a", {"x": "y"}) == {"x": "y"}
    assert given.choice("a", Colour, Colour.BLUE) is Colour.BLUE
    assert given.tables("a") == ()


def test_a_whole_number_stays_whole_and_a_broken_one_broken():
    given = fields(a=1, b=0.5, c=2, d=0.25)
    numbers = [given.number("a"), given.number("b"), given.optional_number("c"), given.optional_number("d")]
    assert [repr(number) for number in numbers] == ["1", "0.5", "2", "0.25"]


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda given: given.take("gone", str), r"here: the field 'gone' is missing; add it"),
        (lambda given: given.take("a", int), r"here, field 'a': expected int, found bool 'True'"),
        (lambda given: given.number("a"), r"field 'a': expected float, found bool"),
        (lambda given: given.optional("b", int), r"field 'b': expected int, found str 'x'"),
        (lambda given: given.optional_number("b"), r"field 'b': expected float, found str 'x'"),
        (lambda given: given.texts("b"), r"field 'b': expected list of texts, found str 'x'"),
        (lambda given: given.texts("c"), r"field 'c': expected str, found int '1'"),
        (lambda given: given.names("c"), r"field 'c': expected table of texts, found list"),
        (lambda given: given.choice("b", Colour), r"field 'b': str 'x' is none of red, blue"),
        (lambda given: given.choice("a", Colour), r"field 'a': bool 'True' is none of red, blue"),
    ],
)
def test_a_field_of_another_type_is_told(take, message):
    with pytest.raises(DataError, match=message):
        take(fields(a=True, b="x", c=[1]))


def test_what_is_no_object_is_told():
    with pytest.raises(DataError, match=r"here: expected an object with fields, found list"):
        Fields([1], "here", DataError)
