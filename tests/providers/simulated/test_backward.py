"""The simulated backward reader: blame by enumeration, by value, and never by our headings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest

from semprop.providers.simulated.backward import Advice, backward, case_of
from semprop.providers.simulated.wanted import (
    SHOULD_DIFFER,
    Demand,
    Wanted,
    is_met,
    should_omit,
    should_state,
    wanted_in,
)

LOOK_UP = "Look up the key in the table and give its value."
SIGNS = ("kite", "heron", "tern", "grebe", "swift", "finch", "merlin", "gannet")
TOWNS = ("Oban", "Leek", "Ripon", "Corby", "Diss", "Selby", "Yarm", "Ely")
TABLE = "\n".join(f"{sign} = {town}" for sign, town in zip(SIGNS, TOWNS, strict=True))


def block(tag: str, text: str, label: str = "", attribute: str = "name") -> str:
    named = f' {attribute}="{label}"' if label else ""
    return f"<{tag}{named}>\n{text}\n</{tag}>"


def lookup(
    *,
    tags: Sequence[str] = ("instruction", "input", "input", "output", "feedback"),
    order: Sequence[int] = (0, 1, 2, 3, 4),
    attribute: str = "name",
    wanted: str = "The expected output is: Leek",
    key: str = "kite",
    output: str = "Oban",
) -> str:
    parts = (
        block(tags[0], LOOK_UP),
        block(tags[1], key, "a", attribute),
        block(tags[2], TABLE, "b", attribute),
        block(tags[3], output),
        "What is known of the output:\n" + block(tags[4], wanted),
    )
    return "\n\n".join(parts[index] for index in order)


BLAMES_KEY = (Advice("a", True, "It should state: heron"), Advice("b", False))


def test_a_wrong_key_is_blamed_with_the_right_one_and_the_table_kept() -> None:
    assert backward(lookup(), ("a", "b")) == BLAMES_KEY


def test_a_key_that_the_table_lacks_blames_the_table_for_the_missing_pair() -> None:
    verdict = backward(lookup(key="wren", output="unknown", wanted="The expected output is: Hull"), ("a", "b"))
    assert verdict == (Advice("a", False), Advice("b", True, "It should state: wren = Hull"))


def test_the_order_of_blocks_changes_no_verdict() -> None:
    for order in permutations(range(5)):
        assert backward(lookup(order=order), ("a", "b")) == BLAMES_KEY, order


@pytest.mark.parametrize(
    "tags",
    [
        ("rule", "given", "given", "written", "remark"),
        ("output", "feedback", "instruction", "input", "context"),
        ("x", "x", "x", "x", "x"),
        ("instruction-1", "input-1", "input-1", "output-1", "feedback-1"),
    ],
)
def test_other_tags_and_attributes_change_no_verdict(tags: tuple[str, ...]) -> None:
    assert backward(lookup(tags=tags, attribute="called"), ("a", "b")) == BLAMES_KEY


def test_prose_between_the_blocks_changes_no_verdict() -> None:
    prompt = "Trace the error back. It should be different.\n\n" + lookup() + "\n\nYou are asked: a, b."
    assert backward(prompt, ("a", "b")) == BLAMES_KEY


def test_asked_one_edge_at_a_time_the_labelled_sibling_still_explains() -> None:
    assert backward(lookup(), ("a",)) == BLAMES_KEY[:1]


def test_a_look_up_cannot_be_inverted_without_the_siblings_value() -> None:
    (advice,) = backward(lookup(order=(0, 1, 3, 4)), ("a",))
    assert "heron" not in advice.text
    (advice,) = backward(lookup(order=(1, 3, 4)), ("a",))
    assert "heron" not in advice.text


def arithmetic(instruction: str, a: str, output: str, wanted: str) -> str:
    blocks = (block("i", instruction), block("v", a, "a"), block("o", output))
    return "\n".join([*blocks, block("f", f"It should be {wanted}.")])


@pytest.mark.parametrize(
    ("instruction", "a", "output", "wanted", "right"),
    [("Add the numbers.", "3", "8", "10", "5"), ("Multiply the numbers.", "3", "12", "20", "5")],
)
def test_a_sum_or_a_product_can_be_inverted_without_the_siblings_value(
    instruction: str, a: str, output: str, wanted: str, right: str
) -> None:
    assert backward(arithmetic(instruction, a, output, wanted), ("a",)) == (Advice("a", True, should_state(right)),)


def test_inputs_equally_to_blame_are_not_both_changed() -> None:
    prompt = "\n".join(
        [
            block("i", "Add the numbers."),
            block("v", "3", "a"),
            block("v", "5", "b"),
            block("o", "8"),
            block("f", "It should be 10."),
        ]
    )
    lexicographic = backward(prompt, ("a", "b"), ties="lexicographic")
    assert lexicographic == (Advice("a", True, "It should state: 5"), Advice("b", False))
    assert sum(advice.change for advice in backward(prompt, ("a", "b"))) == 1


def test_a_gradient_that_asks_for_nothing_keeps_everything() -> None:
    assert backward(lookup(wanted="Nothing is known to be wrong with it."), ("a", "b")) == (
        Advice("a", False),
        Advice("b", False),
    )


def test_inputs_that_already_give_what_is_wanted_are_kept() -> None:
    prompt = lookup(key="heron", output="Oban")
    assert backward(prompt, ("a", "b")) == (Advice("a", False), Advice("b", False))


def test_advice_is_understood_one_level_deeper() -> None:
    words = "1. (from the step place) " + backward(lookup(), ("a", "b"))[0].text
    record = "primary: kite\nbackup: tern\nprevious: swift"
    deeper = "\n".join(
        [
            block("i", "Give the value of the field primary."),
            block("v", record, "notes"),
            block("o", "kite"),
            block("f", words),
        ]
    )
    assert backward(deeper, ("notes",)) == (Advice("notes", True, "It should state: primary: heron"),)


FIELDS = ("previous", "primary", "backup", "partner", "standby", "relief", "guest", "reserve")


def test_asked_about_the_instruction_alone_it_says_which_clause_would_have_done() -> None:
    record = "\n".join(f"{name}: {sign}" for name, sign in zip(FIELDS, SIGNS, strict=True))
    prompt = "\n".join(
        [
            block("v", "Give the value of the field previous.", "instruction"),
            block("v", record, "notes"),
            block("o", "kite"),
            block("f", "The expected output is: 8"),
        ]
    )
    (advice,) = backward(prompt, ("instruction",))
    assert advice == Advice("instruction", True, "It should state: Count the lines.")


def test_an_input_that_is_not_asked_about_can_be_to_blame() -> None:
    prompt = lookup(key="wren", output="unknown", wanted="The expected output is: Hull")
    assert backward(prompt, ("a",)) == (Advice("a", False),)


def test_of_two_inputs_equally_to_blame_calls_for_each_alone_agree_only_under_one_tie_rule_for_all() -> None:
    texts = (block("i", "Add the numbers."), block("v", "3", "a"), block("v", "5", "b"), block("o", "8"))
    prompt = "\n".join([*texts, block("f", "It should be 10.")])
    calls = [prompt + "\nYou are asked about a.", prompt + "\nYou are asked about b."]
    ordered = [backward(call, (slot,), ties="lexicographic")[0].change for call, slot in zip(calls, "ab", strict=True)]
    assert ordered == [True, False]
    seeded = {
        tuple(backward(f"{call} {time}", (slot,))[0].change for call, slot in zip(calls, "ab", strict=True))
        for time in range(20)
    }
    assert seeded == {(True, True), (True, False), (False, True), (False, False)}


def test_of_many_values_that_would_do_one_is_told() -> None:
    prompt = "\n".join(
        [
            block("i", "Answer yes if the first number is greater than the second, otherwise no."),
            block("v", "3", "a"),
            block("v", "5", "b"),
            block("o", "no"),
            block("f", "It should be yes."),
        ]
    )
    advice = {slot.slot: slot.text for slot in backward(prompt, ("a", "b")) if slot.change}
    (slot, text), *others = advice.items()
    assert not others
    told = int(text.removeprefix("It should state: "))
    assert told > 5 if slot == "a" else told < 3


def test_of_a_number_that_is_hidden_its_domain_and_its_place_are_marginalised() -> None:
    (advice,) = backward(arithmetic("Subtract the second number from the first.", "3", "2", "1"), ("a",))
    assert advice == Advice("a", True, "It should state: 4")


def test_values_without_names_are_put_in_the_order_that_explains_the_output() -> None:
    parts = [
        block("i", "Subtract the second number from the first."),
        block("context", "9"),
        block("v", "3", "b"),
        block("o", "6"),
        block("f", "It should be 5."),
    ]
    texts = [backward("\n".join(parts) + "\n" * time, ("b",))[0].text for time in range(8)]
    assert set(texts) == {"", "It should state: 4"}


def test_a_report_of_the_wrong_fact_is_told_the_fact_that_is_missing() -> None:
    parts = [
        block("i", "Give the value of the field north. Give the value of the field south. Add the numbers."),
        block("v", "north: 3", "a"),
        block("v", "north: 3", "b"),
        block("o", "unknown"),
        block("f", "The expected output is: 10"),
    ]
    verdicts = backward("\n".join(parts), ("a", "b"))
    assert sorted(advice.text for advice in verdicts) == ["", "It should state: south: 7"]


def test_without_a_known_instruction_one_asked_slot_is_told_to_differ() -> None:
    prompt = "\n".join(
        [block("i", "Think."), block("v", "some prose here", "a"), block("o", "18"), block("f", "It should be 21.")]
    )
    assert backward(prompt, ("a",)) == (Advice("a", True, SHOULD_DIFFER),)


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("The expected output is: 42", Wanted(Demand.IS, "42")),
        ("Expected answer: 1,080.", Wanted(Demand.IS, "1,080")),
        ("The right answer would have been “amber”.", Wanted(Demand.IS, "amber")),
        ("It should have been amber.", Wanted(Demand.IS, "amber")),
        ("3. (from the step b) It should state: colour: red", Wanted(Demand.STATES, "colour: red")),
        ("It ought to contain the line 'x = 3'", Wanted(Demand.STATES, "x = 3")),
        (should_state("amber"), Wanted(Demand.STATES, "amber")),
        (should_omit("x = 3"), Wanted(Demand.OMITS, "x = 3")),
        (SHOULD_DIFFER, Wanted(Demand.DIFFERS)),
        ("It should rise by about 2; it is 3 now.", Wanted(Demand.RISES)),
        ("It should fall by about 2; it is 3 now.", Wanted(Demand.FALLS)),
    ],
)
def test_a_demand_is_read_out_of_a_sentence(sentence: str, wanted: Wanted) -> None:
    assert wanted_in(sentence) == (wanted,)


@pytest.mark.parametrize(
    "sentence",
    [
        "Nothing is known to be wrong with it.",
        "The output could not be read. It must end with the answer between <answer> and </answer>.",
        "The inputs were too long for the model: they must be shorter.",
        "The model did not answer: what it was asked looked like something it must not do.",
        "The output is not good enough: it scores 0 of 1.",
    ],
)
def test_a_complaint_that_names_no_value_makes_no_demand(sentence: str) -> None:
    assert wanted_in(sentence) == ()


@pytest.mark.parametrize(
    ("wanted", "text", "met"),
    [
        (Wanted(Demand.IS, "a b"), " a  b ", True),
        (Wanted(Demand.IS, "a"), "A", False),
        (Wanted(Demand.IS, "a"), "a\nb", False),
        (Wanted(Demand.STATES, "a = 1"), "b = 2\na: 1", True),
        (Wanted(Demand.STATES, "1"), "a = 1", False),
        (Wanted(Demand.OMITS, "a = 1"), "b = 2", True),
        (Wanted(Demand.OMITS, "a = 1"), "a = 1\nb = 2", False),
        (Wanted(Demand.DIFFERS), "before", False),
        (Wanted(Demand.RISES), "8", False),
    ],
)
def test_whether_a_text_meets_a_demand(wanted: Wanted, text: str, met: bool) -> None:
    assert is_met(wanted, text, "before") is met


def test_an_instruction_that_stands_there_twice_once_under_its_name_is_one_value():
    prompt = (
        "<instruction>\nGive the value of the field previous.\n</instruction>\n<context>\nprimary: heron\n"
        "previous: tern\n</context>\n<output>\ntern\n</output>\n<feedback>\nIt should state: heron\n</feedback>\n"
        '<variable name="instruction">\nGive the value of the field previous.\n</variable>'
    )
    case = case_of(prompt, ["instruction"])
    assert case.instruction_slot == "instruction"
    assert [line.value for line in case.page] == ["heron", "tern"]
