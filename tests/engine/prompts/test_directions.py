"""Raise, lower or keep: the prompt, and a parser that can fail."""

import json

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Model
from semprop.engine.prompts.backward import BackwardView
from semprop.engine.prompts.directions import DirectionReply, Move, direction_request, parse_directions
from semprop.engine.replies.parsers import ReplyError, ReplyStyle
from semprop.providers import Sampling

SLOTS = ("heat", "salt")


def view():
    node = Model("cook", "told", ("dish", "heat", "salt"))
    record = worlds.record(node, "burnt </output> soup", instruction="Cook.", dish="soup", heat=9.5, salt=0.25)
    return BackwardView(record, worlds.gradient("It should not be burnt.", successor="taste"), SLOTS)


PAGE = """<instruction-1>
Cook.
</instruction-1>

<input-1 name="dish">
soup
</input-1>

<input-1 name="heat">
9.5
</input-1>

<input-1 name="salt">
0.25
</input-1>

<output-1>
burnt </output> soup
</output-1>

How the output should have been different:
<feedback-1>
(from the step taste) It should not be burnt.
</feedback-1>

You are asked about: heat, salt.
"""


def test_the_page_shows_every_input_by_name_and_no_value_can_end_its_block():
    request = direction_request(view(), ReplyStyle.TAGS, Sampling())
    assert request.messages[1].text == PAGE + (
        "Reply with one line of this form for each of them, and nothing else:\n"
        '<direction slot="heat">raise, lower or keep</direction>\n'
        '<direction slot="salt">raise, lower or keep</direction>'
    )
    assert request.schema is None


def test_a_schema_holds_the_reply_to_the_three_words():
    request = direction_request(view(), ReplyStyle.JSON, Sampling())
    assert request.messages[1].text.startswith(PAGE)
    schema = json.loads(request.schema.document)
    assert list(schema["properties"]) == ["reasoning", "heat", "salt"]
    assert schema["properties"]["heat"] == {"type": "string", "enum": ["raise", "lower", "keep"]}


def test_a_slot_may_be_called_reasoning():
    asked = BackwardView(view().record, view().gradient, ("reasoning",))
    schema = json.loads(direction_request(asked, ReplyStyle.JSON, Sampling()).schema.document)
    assert list(schema["properties"]) == ["_reasoning", "reasoning"]


@pytest.mark.parametrize("style", ReplyStyle)
@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "too hot", "heat": "lower", "salt": "keep"}',
        '```json\n{"salt": "Keep.", "heat": " LOWER "}\n```',
        '<direction slot="heat">lower</direction>\n<direction slot="salt">**keep**</direction>',
        '<think>raise?</think><direction slot="salt">keep</direction><direction slot="heat">lower</direction>',
    ],
)
def test_both_forms_are_read_whatever_form_was_asked_for(text, style):
    assert parse_directions(text, SLOTS, style) == DirectionReply({"heat": Move.LOWER, "salt": Move.KEEP})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"heat": "lower", "salt": "more"}', '"more" for salt'),
        ('{"heat": "lower"}', "nothing for salt"),
        ('{"heat": "lower", "salt": 1}', '"1" for salt'),
        ('{"heat": "lower", "salt": "keep"} {"salt": "raise"}', '"keep" and "raise" for salt'),
        ('<direction slot="heat">lower</direction><direction slot="salt">keep', '"None" for salt'),
    ],
)
def test_what_is_unreadable_is_missing_and_named_in_the_complaint(text, found):
    read = parse_directions(text, SLOTS, ReplyStyle.JSON)
    assert (dict(read.moves), read.missing) == ({"heat": Move.LOWER}, ("salt",))
    assert read.complaint.endswith(f"Found: {found}.")


@pytest.mark.parametrize("text", ["", "lower the heat", "{}", '{"Heat": "lower"}', '{"heat": ["lower"]}', "null"])
def test_a_reply_that_says_nothing_readable_is_an_error_that_says_what_was_expected(text):
    with pytest.raises(ReplyError, match='Expected one JSON object with "NAME": "raise", "lower" or "keep"'):
        parse_directions(text, SLOTS, ReplyStyle.JSON)


@given(st.text(), st.sampled_from(list(ReplyStyle)))
def test_no_text_makes_the_parser_break(text, style):
    try:
        read = parse_directions(text, SLOTS, style)
    except ReplyError as error:
        error.complaint.encode()
    else:
        assert set(read.moves) | set(read.missing) == set(SLOTS)


@given(st.dictionaries(st.sampled_from(SLOTS), st.sampled_from(list(Move)), min_size=1))
def test_what_is_written_is_read(moves):
    as_json = json.dumps({name: str(move) for name, move in moves.items()})
    as_tags = "".join(f'<direction slot="{name}">{move}</direction>' for name, move in moves.items())
    for text in (as_json, as_tags):
        assert dict(parse_directions(text, SLOTS, ReplyStyle.JSON).moves) == moves
