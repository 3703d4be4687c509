"""The guard against copied training examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Example
from semprop.engine.copying import SHARED_TOKENS, CopyGuard

TALES = (
    "A tall farmer from Leeds sold forty brown hens and nine white ducks on Monday",
    "Seven sailors left the port of Cadiz with twelve barrels of salted fish each",
    "Every morning the old baker of Ghent makes ninety loaves and burns just two",
)


def examples(*texts: str, expected: str | None = None) -> list[Example]:
    return [Example(f"e{number}", {"question": text}, expected) for number, text in enumerate(texts)]


def test_eight_shared_tokens_are_a_copy_and_are_named() -> None:
    guard = CopyGuard(examples(*TALES))
    text = "Think first. If a tall farmer from Leeds sold forty brown things, add them."
    assert guard(text, "Solve it.") == "a tall farmer from leeds sold forty brown"


def test_seven_shared_tokens_are_none() -> None:
    guard = CopyGuard(examples(*TALES))
    assert guard("Say how a tall farmer from Leeds sold forty of them.", "Solve it.") == ""


def test_case_and_punctuation_do_not_hide_a_copy() -> None:
    guard = CopyGuard(examples(*TALES))
    assert guard("SEVEN sailors, left: the PORT (of Cadiz) with twelve!", "")


def test_wording_that_most_examples_share_is_not_a_copy() -> None:
    questions = [f"How many apples does each of the {number} children get at noon?" for number in range(2, 8)]
    shared = [f"Read the story and say how many are left over. Story: {tale}" for tale in TALES]
    guard = CopyGuard(examples(*shared))
    assert guard("Read the story and say how many are left over, in one number.", "") == ""
    assert guard(f"For instance: {TALES[0]}", "")
    assert CopyGuard(examples(*questions))("Say how many apples does each of the children get.", "") == ""


def test_a_run_in_exactly_half_of_the_examples_counts_as_theirs() -> None:
    half = "one two three four five six seven eight"
    guard = CopyGuard(examples(half, half + " nine", "something else", "and another thing"))
    assert guard(half, "") == half


def test_a_run_that_stands_twice_in_one_example_counts_once() -> None:
    twice = "one two three four five six seven eight and one two three four five six seven eight"
    assert CopyGuard(examples(twice, "b", "c", "d"))("one two three four five six seven eight", "")


def test_a_single_example_has_no_common_wording() -> None:
    assert CopyGuard(examples(TALES[0]))(TALES[0], "")


def test_expected_answers_are_guarded_too() -> None:
    guard = CopyGuard(
        [Example("a", {"q": "x"}, "because the red valve was left open over night"), *examples("b", "c", "d")]
    )
    assert guard("Answer: because the red valve was left open over night", "")


def test_what_the_present_instruction_already_holds_was_not_copied_now() -> None:
    guard = CopyGuard(examples(*TALES))
    assert guard(f"{TALES[0]} Be brief.", TALES[0]) == ""
    assert guard(f"{TALES[0]} {TALES[1]}", TALES[0])


def test_runs_do_not_cross_from_one_field_into_the_next() -> None:
    guard = CopyGuard([Example("a", {"one": "a b c d", "two": "e f g h"}), *examples("x", "y", "z")])
    assert guard("a b c d e f g h", "") == ""


def test_no_examples_guard_nothing() -> None:
    assert CopyGuard([])(TALES[0], "") == ""


words = st.sampled_from("abcdefgh").map(str)


@pytest.mark.parametrize("extra", [0, 1])
@given(
    example=st.lists(words, min_size=8, max_size=14),
    before=st.lists(st.sampled_from("xyz"), max_size=5),
    after=st.lists(st.sampled_from("xyz"), max_size=5),
    data=st.data(),
)
def test_a_run_is_found_wherever_it_stands(
    extra: int, example: list[str], before: list[str], after: list[str], data: st.DataObject
) -> None:
    length = SHARED_TOKENS - 1 + extra
    start = data.draw(st.integers(0, len(example) - length))
    text = " ".join([*before, *example[start : start + length], *after])
    others = ["unrelated first", "unrelated second", "unrelated third"]
    assert bool(CopyGuard(examples(" ".join(example), *others))(text, "")) is bool(extra)
