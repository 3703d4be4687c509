"""The simulated model reads a whole program by value: which texts would have given what was wanted."""

import pytest

from semprop.providers import Message, Request, Sampling
from semprop.providers.simulated.clauses import understood
from semprop.providers.simulated.model import reply
from semprop.providers.simulated.program import suggested

NAMES = ("key-text", "place-text")


def prompt(*cases, key="Give the value of the field previous.", memory=""):
    blocks = []
    for record, sheet, wrong, right in cases:
        demand = f"The expected output is: {right}" if right else "This output is right."
        blocks.append(
            f'<case number="1">\n<input name="record">\n{record}\n</input>\n<input name="sheet">\n{sheet}\n</input>\n'
            f'<output name="key">\n{wrong[0]}\n</output>\n<output name="place">\n{wrong[1]}\n</output>\n'
            f"<feedback>\n{demand}\n</feedback>\n</case>"
        )
    return (
        "The program:\nkey = f(text=key-text, record=record)\nplace = f(text=place-text, key=key, sheet=sheet)\n\n"
        f'<instruction name="key-text">\n{key}\n</instruction>\n'
        '<instruction name="place-text">\nLook up the key in the table and give its value.\n</instruction>\n'
        + "\n".join(blocks)
        + memory
    )


CASES = (
    ("primary: kite\nprevious: tern", "kite = Leek\ntern = Oban", ("tern", "Oban"), "Leek"),
    ("previous: wren\nprimary: finch", "finch = Ely\nwren = Diss", ("wren", "Diss"), "Ely"),
)


def test_the_text_that_is_to_blame_is_changed_and_the_others_stay():
    found = suggested(prompt(*CASES), NAMES)
    assert "primary" in found["key-text"]
    assert found["place-text"] == ""


def test_nothing_is_changed_where_nothing_is_wanted():
    right = [(record, sheet, wrong, "") for record, sheet, wrong, _ in CASES]
    assert suggested(prompt(*right), NAMES) == {"key-text": "", "place-text": ""}


def test_nothing_is_changed_without_cases_or_without_a_program():
    assert suggested(prompt(), NAMES) == {"key-text": "", "place-text": ""}
    assert suggested("\n".join(prompt(*CASES).split("\n")[3:]), NAMES) == {"key-text": "", "place-text": ""}


def test_what_fits_one_case_of_four_is_not_proposed():
    solved = [(record, sheet, wrong, "") for record, sheet, wrong, _ in CASES]
    odd = (CASES[0][0], CASES[0][1], CASES[0][2], "Nowhere")
    assert suggested(prompt(odd, *solved, solved[0]), NAMES)["key-text"] == ""


def test_two_texts_are_changed_where_both_are_to_blame():
    shouted = [(record, sheet, wrong, right.upper()) for record, sheet, wrong, right in CASES]
    found = suggested(prompt(*shouted, *shouted, *shouted), NAMES)
    clauses = [clause.kind for text in found.values() for clause in understood(text).clauses]
    assert "primary" in found["key-text"]
    assert "upper" in clauses


def test_a_memory_of_earlier_values_is_no_case():
    memory = (
        '\n<context>\n<instruction name="key-text">\nAdd the numbers.\n</instruction>\n<feedback>\n'
        "The expected output is: 7\n</feedback>\n</context>"
    )
    found = suggested(prompt(*CASES, memory=memory), NAMES)
    assert "primary" in found["key-text"]
    assert found["place-text"] == ""


@pytest.mark.parametrize("place", range(2))
def test_it_answers_in_the_tags_that_the_prompt_asks_for(place):
    form = "\n".join(f'<suggestion name="{name}">…</suggestion>' for name in NAMES)
    request = Request((Message.of("user", f"{prompt(*CASES)}\n{form}"),), Sampling())
    line = reply(request).split("\n")[place]
    assert line.startswith(f'<suggestion name="{NAMES[place]}">')
    assert ("primary" in line) is (place == 0)
