"""Nodes between text and numbers."""

import numpy as np
import pytest

from semprop.engine import ContentError, Kind
from semprop.engine.converters import parsed_array, parsed_number, written_number


@pytest.mark.parametrize(("text", "found"), [("7", 7.0), (" $1,080.50 ", 1080.5), ("**-2.5**", -2.5)])
def test_a_whole_text_is_read_as_a_number(text, found):
    assert parsed_number("n", "said").call(text) == found


@pytest.mark.parametrize("text", ["", "about 7", "[7]", "1e999", "7 or 8"])
def test_a_text_that_is_no_number_is_bad_content_and_the_words_say_what_it_must_be(text):
    with pytest.raises(ContentError, match="It must be one number and nothing else, but it is: "):
        parsed_number("n", "said").call(text)


def test_an_array_is_read_from_json():
    assert np.array_equal(parsed_array("a", "said").call("[[1, 2], [3, 4.5]]"), [[1, 2], [3, 4.5]])
    for text in ("7", "1, 2", "[1, [2]]"):
        with pytest.raises(ContentError, match="It must be an array of numbers"):
            parsed_array("a", "said").call(text)


def test_a_text_in_an_error_is_bounded():
    with pytest.raises(ContentError) as error:
        parsed_number("n", "said").call("x" * 10_000)
    assert len(str(error.value)) < 200


def test_a_number_is_written_in_digits():
    assert written_number("t", "n").call(1 / 3) == "0.333333"
    assert written_number("t", "n").call(12.0) == "12"


def test_converters_are_pure_and_say_what_they_give():
    assert [(node.kind, node.pure) for node in (parsed_number("n", "s"), parsed_array("a", "s"))] == [
        (Kind.NUMBER, True),
        (Kind.ARRAY, True),
    ]
    assert written_number("t", "n").kind is Kind.TEXT
