"""Replies that set many values: read whole, never guessed, never under a wrong name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.replies.parsers import ReplyError, ReplyStyle
from semprop.engine.replies.schemas import suggestions_schema
from semprop.engine.replies.suggestions import parse_suggestions

NAMES = ("key", "place")


def read(text, names=NAMES, style=ReplyStyle.JSON):
    return parse_suggestions(text, names, style)


def test_the_schema_asks_for_reasons_and_a_text_for_every_name():
    document = json.loads(suggestions_schema(NAMES).document)
    assert list(document["properties"]) == ["reasoning", "suggestion"]
    assert document["properties"]["suggestion"]["required"] == ["key", "place"]


def test_texts_are_read_in_the_order_asked_and_an_empty_one_stays():
    found = read('{"reasoning": "r", "suggestion": {"place": " B ", "key": ""}}')
    assert dict(found.texts) == {"place": "B"}
    assert found.complaint == ""


def test_a_name_that_is_left_out_stays_as_it_is():
    assert dict(read('{"suggestion": {"key": "A"}}').texts) == {"key": "A"}


def test_tags_are_read_too():
    found = read('First. <suggestion name="key">A &lt; B</suggestion><suggestion name="place"></suggestion>')
    assert dict(found.texts) == {"key": "A < B"}


def test_a_name_that_nobody_asked_about_is_named_and_goes_nowhere():
    found = read('{"suggestion": {"key": "A", "other": "B"}}')
    assert dict(found.texts) == {"key": "A"}
    assert '"other", which is not one of the values to set' in found.complaint


def test_two_texts_that_differ_under_one_name_are_neither():
    found = read(
        '<suggestion name="key">A</suggestion><suggestion name="key">B</suggestion>{"suggestion":{"place":"C"}}'
    )
    assert dict(found.texts) == {"place": "C"}
    assert "more than one text" in found.complaint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "TERMINATE",
        '{"reasoning": "r"}',
        '{"suggestion": "A"}',
        '{"suggestion": {"key": 3}}',
        '{"suggestion": {"key": "A',
        '<suggestion name="key">A',
        '<suggestion name="key">A<suggestion name="place">B</suggestion></suggestion>',
        '{"key": "A"}',
    ],
)
def test_a_reply_without_one_readable_answer_is_an_error_that_says_what_was_expected(text):
    with pytest.raises(ReplyError, match=r"Expected one JSON object .* for each of: key, place"):
        read(text)


def test_the_complaint_names_the_form_that_was_asked_for():
    with pytest.raises(ReplyError, match='Expected <suggestion name="NAME">'):
        read("no", style=ReplyStyle.TAGS)


@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(codec="utf-8")), min_size=1))
def test_what_json_says_is_what_is_read(texts):
    found = read(json.dumps({"reasoning": "", "suggestion": texts}))
    assert dict(found.texts) == {name: texts[name].strip() for name in NAMES if texts.get(name, "").strip()}


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text):
    try:
        found = read(text)
    except ReplyError as error:
        assert error.complaint.startswith("Expected")
    else:
        assert set(found.texts) <= set(NAMES)
