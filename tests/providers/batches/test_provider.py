"""Requests that are gathered, sent as one batch, and joined again by custom id, whatever the service does."""

import asyncio

import orjson
import pytest
from structlog.testing import capture_logs

from semprop.providers.batches.service import End, Row
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure, RetryError, StopError
from semprop.providers.scripted import VirtualClock
from semprop.providers.wire.classify import Reply
from tests.providers.batches.serving import (
    TERMS,
    Service,
    answer,
    asked,
    connected,
    echoed,
    key_of,
    submissions,
    together,
)

TEXTS = [f"question {number}" for number in range(7)]


@pytest.fixture
def service():
    return Service(VirtualClock())


def lines(held):
    return [echoed(line) for line in held.lines]


async def test_replies_are_joined_by_custom_id_whatever_their_order(service):
    replies = await together(connected(service), TEXTS)
    assert [reply.text for reply in replies] == [f"re: {text}" for text in TEXTS]
    assert all(reply.usage.batch for reply in replies)
    assert [len(held.lines) for held in service.held.values()] == [7]


async def test_nothing_is_sent_before_it_is_said_that_nothing_more_will_come(service):
    batches = connected(service)
    task = asyncio.ensure_future(batches.complete(asked("alone"), key_of("alone")))
    await service.clock.sleep(10_000)
    assert not service.held
    batches.quiescent()
    assert (await task).text == "re: alone"


async def test_a_batch_that_is_full_does_not_wait(service):
    service.most_rows = 3
    await together(connected(service), TEXTS)
    assert [len(held.lines) for held in service.held.values()] == [3, 3, 1]
    assert set(submissions(service).values()) == {1}


async def test_equal_requests_share_a_row(service):
    first, second = await together(connected(service), ["same", "same"])
    assert first == second
    assert submissions(service) == {key_of("same"): 1}


async def test_the_pauses_between_two_looks_grow_up_to_a_bound(service):
    service.takes = 1000.0
    await together(connected(service), ["slow"])
    pauses = [later - earlier for earlier, later in zip(service.looks, service.looks[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert max(pauses) == pytest.approx(TERMS.most, abs=0.1)
    assert len(service.looks) < 20


@pytest.mark.parametrize(
    ("end", "words", "attempts"),
    [
        (End.EXPIRED, "expired before this request was reached", 0),
        (End.CANCELED, "was cancelled before this request was reached", 0),
        (None, "ended without a result for this request", 1),
    ],
)
async def test_a_row_without_an_answer_is_a_failure_of_its_own_kind(service, end, words, attempts):
    def rows(held):
        first, *rest = lines(held)
        return [*rest, *([] if end is None else [Row(first.custom_id, end, None)])]

    service.rows = rows
    lost, *found = await together(connected(service), TEXTS)
    assert isinstance(lost, RetryError)
    assert words in str(lost)
    assert lost.attempts == attempts
    assert [reply.text for reply in found] == [f"re: {text}" for text in TEXTS[1:]]


async def test_rows_without_a_line_have_the_end_of_their_batch(service):
    service.rows, service.word = (lambda held: []), "expired"
    (lost,) = await together(connected(service), ["late"])
    assert "expired" in str(lost)
    assert lost.attempts == 0


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_class"),
    [
        (400, b'{"error":{"message":"This model\'s maximum context length is 5"}}', ItemError, ErrorClass.CONTEXT),
        (400, b'{"error":{"code":"content_filter"}}', ItemError, ErrorClass.FILTER),
        (429, b'{"error":{"message":"slow down"}}', RetryError, ErrorClass.RATE),
        (500, b'{"error":{"message":"oops"}}', RetryError, ErrorClass.TRANSIENT),
        (401, b'{"error":{"message":"no"}}', StopError, ErrorClass.AUTH),
        (200, b"{}", RetryError, ErrorClass.TRANSIENT),
    ],
)
async def test_an_errored_row_is_the_error_that_its_status_is(service, status, body, kind, error_class):
    service.rows = lambda held: [Row(held.lines[0].custom_id, End.ANSWERED, Reply(status, {}, body))]
    (error,) = await together(connected(service), ["bad"])
    assert type(error) is kind
    assert error.error_class is error_class


async def test_lines_of_nobody_are_named_and_passed_over(service):
    service.rows = lambda held: [*lines(held), Row("nobody-1", End.ANSWERED, answer("x"))]
    with capture_logs() as logged:
        (reply,) = await together(connected(service), ["mine"])
    assert reply.text == "re: mine"
    (event,) = [entry for entry in logged if entry["event"] == "batch_rows_of_nobody"]
    assert event["first"] == "nobody-1"


async def test_a_line_that_comes_twice_counts_once(service):
    service.rows = lambda held: lines(held) * 2
    batches = connected(service)
    (reply,) = await together(batches, ["mine"])
    assert reply.text == "re: mine"
    assert batches.statistics()["batches"]["odd_lines"] == 1


async def test_of_two_lines_that_differ_neither_is_believed(service):
    service.rows = lambda held: [*lines(held), *(row._replace(reply=answer("other")) for row in lines(held))]
    (error,) = await together(connected(service), ["mine"])
    assert type(error) is ProviderFailure
    assert "two different results" in str(error)


async def test_a_field_that_the_model_refuses_is_not_sent_again(service):
    said = {"message": "Unsupported parameter", "code": "unsupported_parameter", "param": "temperature"}
    body = orjson.dumps({"error": said})
    plain = service.rows
    service.rows = lambda held: [Row(held.lines[0].custom_id, End.ANSWERED, Reply(400, {}, body))]
    batches = connected(service)
    (error,) = await together(batches, ["hot"])
    assert isinstance(error, RetryError)
    service.rows = plain
    (reply,) = await together(batches, ["hot"])
    assert reply.text == "re: hot"
    bodies = [held.lines[0].body for held in service.held.values()]
    assert [b"temperature" in body for body in bodies] == [True, False]


async def test_a_batch_that_its_service_refuses_stops_the_run(service):
    service.refusals = [StopError("no such model", ErrorClass.CONFIGURATION, status=404)]
    (error, other) = await together(connected(service), ["any", "other"])
    assert isinstance(error, StopError)
    assert (error.attempts, other.attempts) == (0, 0)  # One call was refused, and no request was asked.
    assert service.notes[-1].document["event"] == "void"


async def test_a_create_whose_answer_was_lost_is_looked_for_and_not_made_twice(service):
    lost = RetryError("the connection broke", ErrorClass.TRANSIENT)
    create = service.create

    async def create_and_lose(draft, rows):
        service.create = create
        await create(draft, rows)
        raise lost

    service.create = create_and_lose
    (reply,) = await together(connected(service), ["once"])
    assert reply.text == "re: once"
    assert submissions(service) == {key_of("once"): 1}


async def test_a_create_that_never_arrived_is_made_again_after_the_time_in_which_it_would_be_listed(service):
    service.refusals = [RetryError("the connection broke", ErrorClass.TRANSIENT)]
    (reply,) = await together(connected(service), ["again"])
    assert reply.text == "re: again"
    (held,) = service.held.values()
    assert held.made >= TERMS.settle


async def test_whoever_drives_a_batch_may_be_cancelled_and_another_goes_on(service):
    batches = connected(service)
    tasks = [asyncio.ensure_future(batches.complete(asked(text), key_of(text))) for text in TEXTS]
    await asyncio.sleep(0)
    batches.quiescent()
    for task in tasks[:-1]:
        await service.clock.sleep(2.0)
        task.cancel()
    assert (await tasks[-1]).text == f"re: {TEXTS[-1]}"
    assert len(service.held) == 1


async def test_who_asks_again_what_is_under_way_joins_it(service):
    batches = connected(service)
    task = asyncio.ensure_future(together(batches, TEXTS))
    await service.clock.sleep(5.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    replies = await together(batches, TEXTS)
    assert [reply.text for reply in replies] == [f"re: {text}" for text in TEXTS]
    assert len(service.held) == 1


async def test_a_result_that_nobody_waited_for_is_there_when_somebody_asks(service):
    batches = connected(service)
    stays, leaves = (asyncio.ensure_future(batches.complete(asked(text), key_of(text))) for text in ("stays", "leaves"))
    await asyncio.sleep(0)
    batches.quiescent()
    await service.clock.sleep(5.0)
    leaves.cancel()
    assert (await stays).text == "re: stays"
    assert (await batches.complete(asked("leaves"), key_of("leaves"))).text == "re: leaves"
    assert len(service.held) == 1


async def test_what_is_waited_for_is_said(service):
    batches = connected(service)
    task = asyncio.ensure_future(together(batches, TEXTS))
    await service.clock.sleep(5.0)
    assert batches.statistics()["batches"]["waits"] == "batch batch-0: 0 of 7 done"
    await task
    assert batches.statistics()["batches"]["waits"] is None


async def test_a_batch_that_its_service_does_not_know_is_not_sent_again_unasked(service):
    # Another key, of another project, shows none of the first one's batches: they run, and will be paid.
    batches = connected(service)

    async def unknown(name):
        raise StopError("no such batch", ErrorClass.CONFIGURATION, status=404)

    status, service.status = service.status, unknown
    (error,) = await together(batches, ["mine"])
    assert isinstance(error, StopError)
    assert "does not know batch batch-0" in str(error)
    assert "fork" in str(error)
    assert error.attempts == 0
    service.status = status
    (reply,) = await together(connected(service), ["mine"])
    assert reply.text == "re: mine"
    assert len(service.held) == 1


async def test_results_that_are_gone_for_good_are_asked_for_anew_and_do_not_hold_up_the_run(service):
    batches, tries = connected(service), []

    async def gone(status, take):
        tries.append(service.clock.now())
        raise StopError("no such file", ErrorClass.CONFIGURATION, status=404)

    results, service.results = service.results, gone
    (lost,) = await together(batches, ["kept too long"])
    assert isinstance(lost, RetryError)
    assert lost.attempts == 1  # It may have been paid.
    assert tries[-1] - tries[0] > 600  # And was perhaps only not shown yet.
    service.results = results
    (reply,) = await together(batches, ["kept too long"])
    assert reply.text == "re: kept too long"
    assert len(service.held) == 2


async def test_a_service_that_is_out_of_reach_ends_the_run_and_not_the_batch(service):
    batches = connected(service)

    async def unreachable(name):
        raise RetryError("no route", ErrorClass.TRANSIENT, attempts=0)

    status, service.status = service.status, unreachable
    (error,) = await together(batches, ["mine"])
    assert isinstance(error, StopError)
    assert "goes on there" in str(error)
    service.status = status
    (reply,) = await together(connected(service), ["mine"])
    assert reply.text == "re: mine"
    assert len(service.held) == 1


async def test_two_lines_that_differ_are_not_believed_by_whoever_asks_later(service):
    service.rows = lambda held: [*lines(held), *(row._replace(reply=answer("other")) for row in lines(held))]
    batches = connected(service)
    stays, leaves = (asyncio.ensure_future(batches.complete(asked(text), key_of(text))) for text in ("stays", "leaves"))
    await asyncio.sleep(0)
    batches.quiescent()
    await service.clock.sleep(5.0)
    leaves.cancel()
    with pytest.raises(ProviderFailure, match="two different results"):
        await stays
    with pytest.raises(ProviderFailure, match="two different results"):
        await batches.complete(asked("leaves"), key_of("leaves"))
