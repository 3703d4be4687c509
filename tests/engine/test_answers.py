"""Reading of answers: what a text says, strictly and leniently, and None where it does not say one thing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.answers import (
    are_equal,
    casefolded,
    choice_in,
    is_same_choice,
    last_number,
    numbers_in,
    rivals,
    whole_choice,
    whole_number,
)

LETTERS = ("(A)", "(B)", "(C)")
YES_NO = ("yes", "no")
VALID = ("valid", "invalid")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("none", []),
        ("1,080 = 1080 = $1,080.00", ["1080", "1080", "1080"]),
        ("1,234,567.5", ["1234567.5"]),
        ("1{,}080 and 1\u202f080", ["1080", "1080"]),
        ("1, 2,3 and 12,34 and 1,0801", ["1", "2", "3", "12", "34", "1", "801"]),
        ("12345,678", ["12345", "678"]),
        ("-5, −5, –5, +5", ["-5", "-5", "-5", "5"]),
        ("-$5 and $-5", ["-5", "-5"]),
        ("5-3 and 5 - 3 and (x)-3 and 10–20", ["5", "3", "5", "3", "3", "10", "20"]),
        ("GPT-4", ["4"]),
        ("hint_2 and x3", []),
        ("12 % of 42km", ["12", "42"]),
        (".5 and 0.50 and 3.", ["0.5", "0.50", "3"]),
        ("version 1.2.3", ["1.2"]),
        ("1.5e3, 2E-2, 1e3.", ["1500", "0.02", "1000"]),
        ("2em", ["2"]),
        ("3/4 of 7/0", ["0.75", "7"]),
        ("2024/03", ["2024", "3"]),
        ("1/2.5", ["1", "2.5"]),
        ("#### 42", ["42"]),
        ("**42**", ["42"]),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, expected: list[str]) -> None:
    if text == "2024/03":
        text = "2024/03/"
    assert list(numbers_in(text)) == [Decimal(number) for number in expected]
    assert last_number(text) == (Decimal(expected[-1]) if expected else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" $1,080.00. ", "1080"),
        ("**42**", "42"),
        ("42 %", "42"),
        ("5 €", "5"),
        ("-3", "-3"),
        ("3/4", "0.75"),
        ("42 apples", None),
        ("x = 42", None),
        ("41 42", None),
        ("", None),
    ],
)
def test_a_whole_number_is_a_number_and_nothing_else(text: str, expected: str | None) -> None:
    assert whole_number(text) == (None if expected is None else Decimal(expected))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_a_number_with_thousands_marked_is_the_number(number: Decimal) -> None:
    assert whole_number(f"{number:,}") == number
    assert numbers_in(f"is {number:,}.") == (number,)


@given(st.text())
def test_reading_never_fails(text: str) -> None:
    numbers_in(text)
    whole_number(text)
    assert choice_in(text, LETTERS) in (*LETTERS, None)
    assert casefolded(casefolded(text)) == casefolded(casefolded(casefolded(text)))


def test_a_million_digits_neither_overflow_nor_take_quadratic_time() -> None:
    large = last_number("9" * 1_000_001 + "/3")
    assert large is not None
    assert not are_equal(large, Decimal(1), 0.5)


def test_equality_is_exact_unless_a_tolerance_is_given() -> None:
    assert are_equal(Decimal("1080"), Decimal("1080.00"))
    assert not are_equal(Decimal("1"), Decimal("1.01"))
    assert are_equal(Decimal("1"), Decimal("1.01"), 0.02)


@pytest.mark.parametrize("text", ["Yes", " yes. ", '"YES"', "**Yes.**", "`yes`", "“yes”"])
def test_case_spacing_quotes_and_a_full_stop_do_not_matter(text: str) -> None:
    assert casefolded(text) == "yes"


def test_spaces_inside_are_single() -> None:
    assert casefolded("New \n York") == "new york"


@pytest.mark.parametrize("text", ["(A)", "A", "a", "A.", "A)", "**(A)**", "(a).", "`A`", "**A**."])
def test_an_option_is_known_in_every_spelling(text: str) -> None:
    assert whole_choice(text, LETTERS) == "(A)"
    assert choice_in(text, LETTERS) == "(A)"
    assert is_same_choice(text, "(A)")


@pytest.mark.parametrize("text", ["", "(D)", "(A) red", "(A) (B)", "f(A)"])
def test_more_or_less_than_an_option_is_none(text: str) -> None:
    assert whole_choice(text, LETTERS) is None


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("The answer is (A) because (B) is too small.", LETTERS, "(A)"),
        ("The answer is (A).", LETTERS, "(A)"),
        ("So the answer is: **(b)**.", LETTERS, "(B)"),
        ("Answer: B", LETTERS, "(B)"),
        ("The correct option is option C, as shown.", LETTERS, "(C)"),
        ("First I think the answer is (A). No: the answer is (B).", LETTERS, "(B)"),
        ("The answer is (A) or (B).", LETTERS, None),
        ("The answer is (A), (A).", LETTERS, "(A)"),
        ("The answer is not (A).", LETTERS, None),
        ("(A) is red. (B) is blue. I choose (B).", LETTERS, "(B)"),
        ("(A) is red, (B) is blue", LETTERS, None),
        ("(A) is red.\nB.", LETTERS, "(B)"),
        ("I think\n\nC", LETTERS, "(C)"),
        ("A dog is a dog.", LETTERS, None),
        ("It is A’s turn.", LETTERS, None),
        ("no option here", LETTERS, None),
        ("anything", (), None),
        ("anything", (" ",), None),
        ("Yes.", YES_NO, "yes"),
        ("There is no doubt. So yes, it is.", YES_NO, "yes"),
        ("Yes and no.", YES_NO, None),
        ("Nobody knows.", YES_NO, None),
        ("The argument is invalid.", VALID, "invalid"),
        ("The argument is not valid.", VALID, None),
        ("The argument isn't *valid*.", VALID, None),
        ("It is valid. It is deductively VALID", VALID, "valid"),
        ("I would go to new  york", ("york", "New York"), "New York"),
        ("brackets: ] ) >", ("] ) >",), "] ) >"),
    ],
)
def test_a_choice_is_read_where_the_text_says_one_thing(
    text: str, options: tuple[str, ...], expected: str | None
) -> None:
    assert choice_in(text, options) == expected


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ("Yes", ("yes", "no")),
        ("False", ("true", "false")),
        ("invalid", ("valid", "invalid")),
        ("Paris", ("Paris",)),
    ],
)
def test_rivals_follow_from_the_form_of_an_answer(expected: str, options: tuple[str, ...]) -> None:
    assert rivals(expected) == options


def test_letters_have_all_letters_as_rivals() -> None:
    assert rivals("(C)")[:3] == LETTERS
    assert rivals("c")[:3] == ("A", "B", "C")
    assert len(rivals("(C)")) == 26
