"""Clauses of the simulated model: recognised by what a sentence says, carried out on facts by value."""

from __future__ import annotations

import pytest

from semprop.providers.simulated.clauses import Clause, recognised, understood
from semprop.providers.simulated.model import forward
from semprop.providers.simulated.update import REMARKS
from semprop.providers.simulated.wordings import WORDINGS, library, written

HELD_OUT = {
    "extract": ("Return whatever the {} field holds.", "Read off the {} and nothing else."),
    "report": ("Reproduce the full {} line.", "Quote the line about {}."),
    "lookup": (
        "Consult the table and return the value that belongs to the key.",
        "Say what the pairs have next to the key.",
    ),
    "table": ("Reproduce the table completely.", "Give all pairs, line by line."),
    "first": ("Give at most the first {} pairs.", "Use just the first {} entries."),
    "last": ("Only the last entry is wanted.", "Drop everything before the last row."),
    "sort": ("List them in alphabetical order.", "Go through the names alphabetically."),
    "rank": ("Order the values from lowest to highest.", "List the figures by increasing size."),
    "reverse": ("Turn the list around, last first.", "State the entries in reverse."),
    "count": ("Tell me how many entries it has.", "Reply with the number of items."),
    "add": ("Compute the sum of all values.", "Add up both inputs."),
    "multiply": ("Compute the product of the inputs.", "Multiply the two together."),
    "subtract": ("Compute the difference between the numbers.", "Take the first minus the second."),
    "combine": ("Apply to the values {} and nothing else.", "What the values make together is told by {}."),
    "max": ("Name the highest of the values.", "Of the numbers, state the greatest."),
    "min": ("Name the lowest of the values.", "Of the numbers, state the least."),
    "greater": (
        "Write yes whenever the first is bigger than the second; otherwise write no.",
        "Does the first exceed the second, that is, is it higher than the second? Say yes or no.",
    ),
    "equal": ("Reply yes where they match, no where they differ.", "Put yes for identical values and no for others."),
    "all": ("Put yes if each of them says yes, else no.", "Only when every input is yes say yes."),
    "always": ("Whatever the input may be, say {}.", "In every case write {}."),
    "choose": ("Reply with the letter that stands before the right option.", "Name an option by its letter."),
    "upper": ("Shout: all caps.", "The reply must be in uppercase."),
    "lower": ("The reply must be in lowercase.", "Small letters throughout, please."),
    "number": ("Nothing but the number, please.", "Digits only."),
    "lastdigit": ("Report the last digit of that.", "Reduce it modulo 10."),
    "double": ("State twice the value.", "Answer with the doubled number."),
    "copy": ("Echo the text.", "Give back the input exactly."),
}
"""Two wordings of each clause that stand nowhere in the package and in no world."""

PROSE = (
    "You are a careful assistant.",
    "Think step by step before you answer.",
    "Be brief and precise.",
    "What is the sentiment of this review?",
    "Classify the statement.",
    "You will receive a question and two hints from colleagues.",
    "Solve the problem and explain your reasoning.",
    "The colleagues may be wrong.",
    "Is the statement true or false?",
    "Give a short hint that helps somebody else to answer the question.",
    "End with your answer between <answer> and </answer>, and put nothing else between them: only that part is read.",
    "Work step by step if it helps.",
)


def _kind_and_argument(kind: str) -> tuple[Clause, str]:
    rules = "00:1 01:0 10:0 11:1"
    argument = {"extract": "colour", "report": "colour", "first": "three", "always": "no", "combine": rules}.get(
        kind, ""
    )
    return Clause(kind, "3" if kind == "first" else argument), argument


def test_there_are_two_dozen_clauses_with_six_wordings_each() -> None:
    assert len(WORDINGS) >= 24
    assert list(HELD_OUT) == list(WORDINGS)
    assert all(len({*WORDINGS[kind], *HELD_OUT[kind]}) >= 6 for kind in WORDINGS)


@pytest.mark.parametrize("kind", WORDINGS)
def test_each_wording_it_writes_is_understood_as_the_clause_it_wrote(kind: str) -> None:
    clause, _ = _kind_and_argument(kind)
    for variant in range(len(WORDINGS[kind])):
        assert recognised(written(clause, variant)) == clause


@pytest.mark.parametrize("kind", HELD_OUT)
def test_wordings_that_stand_nowhere_in_the_package_are_understood(kind: str) -> None:
    clause, argument = _kind_and_argument(kind)
    for wording in HELD_OUT[kind]:
        assert recognised(wording.replace("{}", argument)) == clause, wording


@pytest.mark.parametrize("sentence", [*PROSE, *REMARKS])
def test_a_sentence_that_is_no_clause_is_understood_as_none(sentence: str) -> None:
    assert recognised(sentence) is None


def test_unknown_sentences_change_no_reply() -> None:
    asked = "colour: red\nshape: cube"
    plain = forward("Give the value of the field shape.", asked)
    padded = forward(" ".join([PROSE[0], "Give the value of the field shape.", *PROSE[1:], *REMARKS]), asked)
    assert plain == padded == "cube"


def test_an_instruction_is_put_together_again_as_it_was() -> None:
    text = "Be kind.\nGive the value of the field shape.  Use upper case!\n\nThank you"
    program = understood(text)
    assert program.text == text
    assert program.clauses == (Clause("extract", "shape"), Clause("upper"))


TABLE = 'key: heron\n<input name="table">\nkite = Oban\nheron = Leek\n</input>'
NUMBERS = "a: 7\nb: 12"


@pytest.mark.parametrize(
    ("instruction", "asked", "reply"),
    [
        ("Give the value of the field colour.", "shape: cube\ncolour: red", "red"),
        ("Give the value of the field colour.", "shape: cube", "unknown"),
        ("Copy the whole colour line.", "shape: cube\ncolour: red", "colour: red"),
        ("Look up the key in the table and give its value.", TABLE, "Leek"),
        ("Look up the key in the table and give its value.", TABLE.replace("key: heron", "key: wren"), "unknown"),
        ("Look up the key in the table and give its value.", "key: heron", "unknown"),
        ("Write out the whole table, one pair to a line.", TABLE, "kite = Oban\nheron = Leek"),
        ("Write out the whole table. Keep only the first line.", TABLE, "kite = Oban"),
        ("Keep only the last line.", "x\ny\nz", "z"),
        ("Sort the lines alphabetically.", "pear\napple", "apple\npear"),
        ("Sort the numbers from small to large.", "10\n9\n8", "8\n9\n10"),
        ("Write the lines backwards.", "x\ny", "y\nx"),
        ("Count the lines.", "x\ny\nz", "3"),
        ("Add the numbers.", NUMBERS, "19"),
        ("Add the numbers.", "a: 7", "unknown"),
        ("Multiply the numbers.", NUMBERS, "84"),
        ("Multiply the numbers. Keep only the last digit.", NUMBERS, "4"),
        ("Subtract the second number from the first.", NUMBERS, "-5"),
        ("Combine the values by the rules 00:1 01:5 10:7 11:3.", "a: 1\nb: 0", "7"),
        ("Combine the values by the rules 00:1 01:5 10:7 11:3.", "a: 1\nb: 4", "unknown"),
        ("Give the largest number.", NUMBERS, "12"),
        ("Give the smallest number.", NUMBERS, "7"),
        ("Answer yes if the first number is greater than the second, otherwise no.", NUMBERS, "no"),
        ("Answer yes if the values are equal, otherwise no.", "a: x\nb: x", "yes"),
        ("Answer yes if all values are yes, otherwise no.", "a: yes\nb: no", "no"),
        ("Always answer no.", "a: yes", "no"),
        ("Give the letter of the option that equals the value.", "value: kite\n(A) heron\n(B) kite", "B"),
        ("Give the value of the field a. Use upper case.", "a: red", "RED"),
        ("Use lower case.", "RED", "red"),
        ("Give only the number.", "about 42 boats", "42"),
        ("Double the number.", "a: 21", "42"),
        ("Repeat the input unchanged.", "x: 1\ny = 2", "x: 1\ny = 2"),
    ],
)
def test_a_clause_does_what_it_says(instruction: str, asked: str, reply: str) -> None:
    assert forward(instruction, asked) == reply


def test_every_clause_of_the_library_gives_some_text_on_any_facts() -> None:
    for clause in library(("colour", "shape")):
        for asked in ("", "colour: red", "red", TABLE, NUMBERS, "a\nb\nc"):
            assert forward(written(clause), asked)
