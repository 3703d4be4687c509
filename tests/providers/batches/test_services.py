"""What the two services' documents mean where they are odd: words that are new, lists without an end, lines that are
none, clocks that disagree."""

from datetime import UTC, datetime

import orjson
import pytest

from semprop.providers.batches.anthropic import AnthropicBatches
from semprop.providers.batches.loads import Results
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.openai import OpenAIBatches
from semprop.providers.batches.service import State, Status
from semprop.providers.errors import RetryError

AT = 1.8e9
DRAFT = Draft("tag0", "who", ("a", "b"), AT, file="file-1")


class Told:
    """Answers calls by a script: (method, path) → a document, or a function of the query; and lines of a body."""

    identity = "someone"

    def __init__(self, documents, lines=()):
        self.documents, self.body, self.asked = documents, lines, []

    async def document(self, method, path, body=None, content="", **query):
        self.asked.append((method, path, query))
        assert len(self.asked) < 50, "it goes on for ever"
        found = self.documents[method, path]
        return found(query) if callable(found) else found

    async def lines(self, path, take):
        for line in self.body:
            if not take(line):
                return


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *[(word, State.RUNNING) for word in ("validating", "in_progress", "finalizing", "cancelling")],
        *[(word, State.OVER) for word in ("completed", "expired", "cancelled")],
        ("failed", State.FAILED),
        *[(word, State.RUNNING) for word in ("queued", "paused", None, 7)],
    ],
)
async def test_a_batch_of_openai_is_over_by_the_words_that_say_so_alone(word, state):
    # Taken for over without being it, all of its requests would be sent, and paid, once more.
    calls = Told({("GET", "/batches/b"): {"id": "b", "status": word}})
    assert (await OpenAIBatches(calls, "/v1/x").status("b")).state is state


SAME = {"data": [{"id": "x", "created_at": AT, "metadata": {}}], "has_more": True}
LISTS = {"the same again": SAME, "no name": {"data": [{}], "has_more": True}, "no list": {}, "null": {"data": None}}


@pytest.mark.parametrize("page", LISTS.values(), ids=LISTS)
async def test_a_list_that_may_hold_more_than_it_shows_is_not_taken_for_whole(page):
    # What is not found is submitted again: a run that stops costs nothing.
    with pytest.raises(RetryError):
        await OpenAIBatches(Told({("GET", "/batches"): page}), "/v1/x").find(DRAFT, ())
    with pytest.raises(RetryError):
        await OpenAIBatches(Told({("GET", "/files"): page}), "/v1/x").discard(DRAFT)
    page = page | {"data": [listed("x", AT, total=9)]} if page is SAME else page
    with pytest.raises(RetryError):
        await AnthropicBatches(Told({("GET", "/messages/batches"): page})).find(DRAFT, ())


def listed(name, made, total=2):
    counts = {"processing": 0, "succeeded": total}
    made = datetime.fromtimestamp(made, UTC).isoformat()
    return {
        "id": name,
        "processing_status": "ended",
        "request_counts": counts,
        "created_at": made,
        "results_url": "https://elsewhere.test/results",
    }


async def test_a_batch_is_found_on_a_later_page():
    def page(query):
        return (
            {"data": [listed("mine", AT)], "has_more": False}
            if query.get("after_id") == "x"
            else {"data": [listed("x", AT + 5, total=9)], "has_more": True}
        )

    line = orjson.dumps({"custom_id": "tag0-a", "result": {"type": "expired"}})
    found = await AnthropicBatches(Told({("GET", "/messages/batches"): page}, [line])).find(DRAFT, ())
    assert found.status is not None
    assert found.status.id == "mine"


async def test_a_batch_is_found_though_this_machine_took_local_time_for_universal_time():
    page = {"data": [listed("mine", AT - 14 * 3600)], "has_more": False}
    line = orjson.dumps({"custom_id": "tag0-a", "result": {"type": "expired"}})
    found = await AnthropicBatches(Told({("GET", "/messages/batches"): page}, [line])).find(DRAFT, ())
    assert found.status is not None


GOOD = {
    "openai": {"custom_id": "tag0-b", "response": {"status_code": 200, "body": {}}},
    "anthropic": {"custom_id": "tag0-b", "result": {"type": "succeeded", "message": {}}},
}


ODD = (b'{"custom_id":"tag0-a","result":NaN}', b"[]", b'{"custom_id":7}', b"\xff{")


def deep(outer, first, second):
    value = b'"succeeded"' if first == "type" else b"200"
    inner = b"[" * 500 + b"]" * 500
    return b'{"custom_id":"tag0-a","%b":{"%b":%b,"%b":{"x":%b}}}' % (
        *(name.encode() for name in (outer, first)),
        value,
        second.encode(),
        inner,
    )


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("odd", [*ODD, deep("response", "status_code", "body"), deep("result", "type", "message")])
async def test_a_whole_line_that_is_none_takes_no_other_line_with_it(kind, odd):
    # It stays as it is however often it is fetched: the run could never go on, and what is paid would be lost.
    calls = Told({}, [odd + b"\n", orjson.dumps(GOOD[kind])])
    service = AnthropicBatches(calls) if kind == "anthropic" else OpenAIBatches(calls, "/v1/x")
    found = Results(DRAFT)
    await service.results(Status("b", State.OVER, "", results=("file",)), found.take)
    assert "b" in found.rows
    # What the other service says at this place is a failure of its own request.
    assert len(found.foreign) == ("a" not in found.rows)


@pytest.mark.parametrize("kind", GOOD)
async def test_a_last_line_that_was_cut_is_fetched_again(kind):
    calls = Told({}, [orjson.dumps(GOOD[kind])[:-9]])
    service = AnthropicBatches(calls) if kind == "anthropic" else OpenAIBatches(calls, "/v1/x")
    with pytest.raises(RetryError):
        await service.results(Status("b", State.OVER, "", results=("file",)), Results(DRAFT).take)


async def test_a_batch_is_ours_by_the_first_line_that_can_be_read():
    page = {"data": [listed("mine", AT)], "has_more": False}
    line = orjson.dumps({"custom_id": "tag0-a", "result": {"type": "expired"}})
    found = await AnthropicBatches(Told({("GET", "/messages/batches"): page}, [b"NaN\n", line])).find(DRAFT, ())
    assert found.status is not None
