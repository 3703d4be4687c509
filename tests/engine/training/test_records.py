"""Records: a text is recorded once, and what is shown is the request that was asked."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Position
from semprop.engine.outcomes import request_document
from semprop.engine.prompts.forward import LONG
from semprop.engine.training.journal import Journal
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.records import Texts, expanded, shortened
from semprop.engine.training.runs import Run
from semprop.providers import Completion, Message, Request
from semprop.providers.base import Text

REPLY = "A reply that another node reads. " * 40
GIVEN = "What an example gives to several nodes. " * 40

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=2 * LONG)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant"]),
    st.lists(TEXTS.map(Text), max_size=3).map(tuple),
)


@given(st.lists(MESSAGES, max_size=3).map(tuple))
def test_a_shortened_request_expands_to_the_whole_one(messages):
    kept = []

    def place(text):
        kept.append(text)
        return len(kept) - 1

    request = Request(messages)
    assert expanded(shortened(request, place), kept.__getitem__) == request_document(request)


def request_of(*texts):
    return Request((Message("user", tuple(Text(text) for text in texts)),))


def bodies(path, kind):
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        return [body for (body,) in connection.execute("SELECT body FROM entries WHERE kind = ?", (kind,))]


async def test_what_stands_in_several_requests_is_recorded_once_and_shown_in_each(tmp_path):
    path = tmp_path / "run"
    journal = await Journal.create(path, {})
    asked = [request_of("First: ", GIVEN), request_of("Read: ", REPLY, " and: ", GIVEN), request_of(GIVEN)]
    for number, request in enumerate(asked):
        position = Position(0, "forward", f"e{number}")
        await journal.reach(journal.intend(position, f"k{number}", "forward", request))
        await journal.settle(position, f"k{number}", Completion(REPLY if number == 0 else f"{number}"))
    await journal.close()
    assert len(bodies(path, "text")) == 1
    assert all(len(body) < LONG * 2 for body in bodies(path, "intent"))
    shown = [exchange.request["messages"][0]["content"] for exchange in Run(path).exchanges()]
    assert shown == ["First: " + GIVEN, "Read: " + REPLY + " and: " + GIVEN, GIVEN]


async def test_a_reopened_journal_shows_requests_of_both_sittings(tmp_path):
    path = tmp_path / "run"
    for number in range(2):
        journal = await (Journal.reopen(path) if number else Journal.create(path, {}))
        position = Position(number, "forward")
        await journal.reach(journal.intend(position, f"k{number}", "forward", request_of(f"{number} ", GIVEN)))
        await journal.settle(position, f"k{number}", Completion("7"))
        await journal.close()
    shown = [exchange.request["messages"][0]["content"] for exchange in Run(path).exchanges()]
    assert shown == ["0 " + GIVEN, "1 " + GIVEN]


def test_texts_that_are_forgotten_have_no_place():
    texts = Texts(characters=3 * LONG)
    for number in range(4):
        texts.add(str(number) * LONG, number)
    texts.add("short", 9)
    assert [texts.place(str(number) * LONG) for number in range(4)] == [None, 1, 2, 3]
    assert texts.place("short") is None
