"""The asker: outcomes for positions, each equal request paid once, failures told apart, hopeless runs stopped."""

import asyncio
import threading
from contextlib import AsyncExitStack

import anyio
import numpy as np
import pytest
import worlds

from semprop.engine import ContentError, Custom, Failure, FailureKind, NodeError, Position, ReplayError, Score
from semprop.engine.outcomes import Returned, request_document
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.seam import FunctionCall, ModelCall
from semprop.engine.training.asker import HOPELESS, Asker
from semprop.engine.training.events import Announcer, CallDone
from semprop.engine.training.function_results import function_key
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.telemetry import Telemetry
from semprop.providers import (
    Capabilities,
    Choices,
    Completion,
    ErrorClass,
    ItemError,
    Message,
    ProviderFailure,
    Request,
    Sampling,
    StopError,
)

AT = Position(0, "forward", "e1", node="answer")


def model_call(text="hello", role="forward", **changes):
    return ModelCall(role, Request((Message.of("user", text),), **changes))


def closed(provider, ledger=None, observers=(), **changes):
    """An asker that no model can be asked through yet."""
    telemetry = Telemetry()
    spec = worlds.specification(providers={"forward": provider}, **changes)
    return Asker(spec, ledger or MemoryLedger(), telemetry, Announcer(observers)), telemetry


@pytest.fixture
async def asker():
    """Opens askers; all of them are left at the end."""
    async with AsyncExitStack() as stack:

        async def opened(provider, ledger=None, observers=(), **changes):
            ask, telemetry = closed(provider, ledger, observers, **changes)
            return await stack.enter_async_context(ask), telemetry

        yield opened


def function_call(call, pure=False, blocking=False, **arguments):
    return FunctionCall("tool", call, arguments, pure=pure, blocking=blocking)


# Models --------------------------------------------------------------------------------------------------------------


async def test_a_reply_is_the_outcome_and_is_announced(asker):
    events = []
    ask, telemetry = await asker(worlds.scripted(["hi"]), observers=[events.append])
    outcome = await ask.ask_model(AT, model_call())
    assert outcome.text == "hi"
    assert events == [CallDone("forward", 0, None, None, None, False)]
    assert telemetry.document(0)["calls"] == {"forward": 1}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ItemError("filtered", ErrorClass.FILTER), FailureKind.FILTER),
        (ProviderFailure("busy", ErrorClass.OVERLOAD, attempts=4), FailureKind.OVERLOADED),
    ],
)
async def test_a_failure_of_one_request_is_an_outcome(asker, error, kind):
    events = []
    ask, telemetry = await asker(worlds.scripted([error]), observers=[events.append])
    outcome = await ask.ask_model(AT, model_call())
    assert (outcome.kind, outcome.message, outcome.attempts) == (kind, str(error), error.attempts)
    assert events[0].failed
    assert telemetry.document(0)["failures"] == {str(kind): 1}


async def test_a_stopped_provider_stops_the_run_at_once(asker):
    provider = worlds.scripted([StopError("no such key", ErrorClass.AUTH)])
    ask, telemetry = await asker(provider)
    with pytest.raises(StopError, match="no such key"):
        await ask.ask_model(AT, model_call())
    assert len(provider.requests) == 1
    assert telemetry.document(0)["failures"] == {"unanswered": 1}


async def test_a_provider_that_fails_and_never_succeeds_stops_the_run(asker):
    provider = worlds.scripted(lambda request: ProviderFailure("line down", ErrorClass.TRANSIENT))
    ask, _ = await asker(provider)
    for number in range(HOPELESS - 1):
        assert isinstance(await ask.ask_model(Position(number, "forward"), model_call(str(number))), Failure)
    with pytest.raises(StopError, match=f"the first {HOPELESS} calls to scripted:scripted failed .* line down"):
        await ask.ask_model(AT, model_call("last"))


@pytest.mark.parametrize("success", ["fine", ItemError("filtered", ErrorClass.FILTER)])
async def test_one_answer_is_enough_to_go_on_for_ever(asker, success):
    provider = worlds.scripted([success] + [ProviderFailure("busy", ErrorClass.RATE)] * 30)
    ask, _ = await asker(provider)
    for number in range(31):
        await ask.ask_model(Position(number, "forward"), model_call(str(number)))
    assert len(provider.requests) == 31


async def test_at_most_in_flight_requests_are_sent_at_once(asker):
    provider = worlds.scripted(lambda request: "x", latency=1.0)
    ask, _ = await asker(provider, in_flight=3)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask.ask_model, Position(number, "forward"), model_call(str(number)))
    assert provider.peak == 3
    assert len(provider.requests) == 20


async def test_a_call_that_is_cancelled_is_counted_and_leaves_no_intent_unexplained(asker):
    provider = worlds.scripted(lambda request: "x", latency=10.0)
    ask, telemetry = await asker(provider)

    async def impatient(scope):
        with scope:
            await ask.ask_model(AT, model_call())

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(impatient, scope)
        while not provider.in_flight:
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert provider.in_flight == telemetry.in_flight == 0
    assert telemetry.document(0)["calls"] == {"forward": 1}
    assert telemetry.document(0)["failures"] == {"unanswered": 1}


def test_the_style_follows_what_the_provider_of_a_role_can_do():
    ask, _ = closed(worlds.scripted([], capabilities=Capabilities(schema=False)))
    assert ask.style("backward") is ReplyStyle.TAGS
    assert closed(worlds.scripted([]))[0].style("update") is ReplyStyle.JSON


# Functions -----------------------------------------------------------------------------------------------------------


async def ask_function(call, ask=None, position=AT):
    ask = ask or closed(worlds.scripted([]))[0]
    return await ask.ask_function(position, call)


async def test_sync_and_async_functions_give_their_values():
    async def later(x):
        await anyio.lowlevel.checkpoint()
        return x + 1

    assert await ask_function(function_call(lambda x: x + 1, x=1)) == Returned(2)
    assert await ask_function(function_call(later, x=1)) == Returned(2)


async def test_bad_content_is_a_model_failure_and_any_other_error_a_failure_of_the_function():
    def bad(x):
        raise ContentError("no number in it")

    def silent(x):
        raise ContentError

    def broken(x):
        raise KeyError("k")

    assert await ask_function(function_call(bad, x=1)) == Failure(FailureKind.CONTENT, "no number in it")
    assert (await ask_function(function_call(silent, x=1))).message == "tool could not use its input"
    failure = await ask_function(function_call(broken, x=1))
    assert (failure.kind, failure.message) == (FailureKind.FUNCTION, "tool raised KeyError: 'k'")
    assert (await ask_function(function_call(broken, pure=True, x=1))).kind is FailureKind.FUNCTION


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_function_that_leaves_the_process_fails_alone(blocking):
    def leaving(x):
        raise SystemExit(2)

    failure = await ask_function(function_call(leaving, blocking=blocking, x=1))
    assert (failure.kind, failure.message) == (FailureKind.FUNCTION, "tool raised SystemExit: 2")


@pytest.mark.parametrize("error", [NodeError("mine"), StopError("bill", ErrorClass.QUOTA)])
async def test_errors_that_mean_the_run_are_not_swallowed(error):
    def broken():
        raise error

    with pytest.raises(type(error)):
        await ask_function(function_call(broken))


async def test_a_function_that_fails_and_never_succeeds_stops_the_run(asker):
    def broken(x):
        raise KeyError(x)

    ask, _ = await asker(worlds.scripted([]))
    for number in range(HOPELESS - 1):
        await ask_function(function_call(broken, x=number), ask)
    with pytest.raises(NodeError, match="the function 'tool' failed and none succeeded"):
        await ask_function(function_call(broken, x="last"), ask)


@pytest.mark.parametrize(
    ("value", "found"),
    [({1, 2}, "set"), (object(), "object"), (2**70, "int"), (float("nan"), "nan"), (float("inf"), "inf")],
)
async def test_a_result_that_cannot_be_recorded_is_refused_with_the_mend(value, found):
    with pytest.raises(NodeError, match=f"'tool' returned {found}, which cannot be recorded: .*pure=True"):
        await ask_function(function_call(lambda: value))
    assert (await ask_function(function_call(lambda: value, pure=True))).value is value


async def test_a_result_is_seen_as_the_journal_will_give_it_back():
    assert await ask_function(function_call(lambda: (1, 2))) == Returned([1, 2])
    assert await ask_function(function_call(lambda: np.array([1.5]))) == Returned([1.5])
    score = await ask_function(function_call(lambda: Score(0.5, "half", 1.0)))
    assert score == Returned({"value": 0.5, "feedback": "half", "lenient": 1.0, "objective": None})


async def test_a_recorded_function_runs_once_for_equal_arguments_and_a_pure_one_every_time(asker):
    calls = []

    def counted(x):
        calls.append(x)
        return x

    ask, telemetry = await asker(worlds.scripted([]))
    for candidate in ("a", "b"):
        await ask_function(function_call(counted, x=1), ask, Position(0, "gate", "e1", candidate, "tool"))
    assert calls == [1]
    assert telemetry.document(0)["reused"] == {"gate": 1}
    for _ in range(2):
        await ask_function(function_call(counted, pure=True, x=1), ask)
    assert calls == [1, 1, 1]


async def test_a_blocking_function_runs_off_the_loop():
    here = threading.get_ident()
    outcome = await ask_function(function_call(lambda: threading.get_ident(), blocking=True))
    assert outcome.value != here
    assert (await ask_function(function_call(lambda: threading.get_ident()))).value == here


async def test_an_async_function_that_is_called_blocking_is_awaited_all_the_same():
    async def later():
        return 3

    assert await ask_function(function_call(later, blocking=True)) == Returned(3)


async def test_blocking_functions_are_bounded_and_cancellation_waits_for_them(asker):
    begun, release, ended = threading.Semaphore(0), threading.Event(), []

    def slow(x):
        begun.release()
        release.wait(30)
        ended.append(x)
        return x

    ask, _ = await asker(worlds.scripted([]), in_flight=2)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(ask.ask_function, Position(number, "f"), function_call(slow, blocking=True, x=number))
        for _ in range(2):
            await anyio.to_thread.run_sync(begun.acquire)
        assert not begun.acquire(blocking=False)
        tasks.cancel_scope.cancel()
        release.set()
    assert len(ended) == 2


# Keys ----------------------------------------------------------------------------------------------------------------


def key(position=AT, version="1", **arguments):
    return function_key(position, FunctionCall("tool", len, arguments, version))


def test_a_functions_key_has_its_version_its_arguments_and_who_asks():
    base = key(x=1)
    assert base == key(Position(3, "gate", "e1", "c", "answer"), x=1)
    others = [key(x=2), key(version="2", x=1), key(Position(0, "forward", "e2", node="answer"), x=1), key(y=1)]
    others += [key(Position(0, "forward", "e1", node="answer", sample=1), x=1)]
    assert len({base, *others}) == 6


def test_arguments_that_are_no_data_leave_the_position_as_the_address():
    assert key(x=object()) == key(x=object())
    assert key(x=object()) != key(Position(1, "forward", "e1", node="answer"), x=object())


def test_an_examples_content_is_part_of_a_losses_key():
    assert key(example=worlds.example(1)) == key(example=worlds.example(1))
    assert key(example=worlds.example(1)) != key(example=worlds.example(2))


def test_a_request_is_shown_with_all_its_turns_and_settings():
    request = Request((Message.of("user", "?"),), Sampling(0.5, seed=3), Choices(("a", "b")), "n|e", 2)
    document = request_document(request)
    assert document["messages"] == [{"role": "user", "content": "?"}]
    assert (document["sampling"]["temperature"], document["sampling"]["seed"]) == (0.5, 3)
    assert (document["constraint"], document["draw"], document["sample"]) == ({"choices": ["a", "b"]}, "n|e", 2)
    assert request_document(Request(()))["constraint"] is None


# Replay --------------------------------------------------------------------------------------------------------------


async def recorded(path, provider, *asks):
    """A journal in which these were asked, opened again."""
    journal = await Journal.create(path, {})
    ask, _ = closed(provider, journal)
    async with ask:
        for position, call in asks:
            await (ask.ask_model if isinstance(call, ModelCall) else ask.ask_function)(position, call)
    await journal.close()
    return await Journal.reopen(path)


async def test_a_replay_answers_from_the_journal_and_asks_nobody(asker, tmp_path):
    journal = await recorded(tmp_path / "run", worlds.scripted(["hi"]), (AT, model_call()))
    silent = worlds.scripted([])
    ask, telemetry = await asker(silent, journal)
    assert (await ask.ask_model(AT, model_call())).text == "hi"
    assert not silent.requests
    assert telemetry.document(0)["reused"] == {"forward": 1}
    await journal.close()


async def test_a_replay_of_another_request_is_refused_by_its_position(asker, tmp_path):
    journal = await recorded(tmp_path / "run", worlds.scripted(["hi"]), (AT, model_call()))
    ask, _ = await asker(worlds.scripted([]), journal)
    with pytest.raises(ReplayError, match=r"another request at Position\(step=0, phase='forward', example='e1'"):
        await ask.ask_model(AT, model_call("changed"))
    await journal.close()


async def test_a_functions_result_is_replayed_and_a_pure_one_is_computed_again(asker, tmp_path):
    calls = []

    def counted(x):
        calls.append(x)
        return len(calls)

    call = function_call(counted, x=1)
    journal = await recorded(tmp_path / "run", worlds.scripted([]), (AT, call))
    ask, _ = await asker(worlds.scripted([]), journal)
    assert await ask.ask_function(AT, call) == Returned(1)
    assert await ask.ask_function(AT, function_call(counted, pure=True, x=1)) == Returned(2)
    await journal.close()


async def test_a_shared_provider_failure_is_replayed_for_everybody_who_shared_it(asker, tmp_path):
    failing = worlds.scripted([ProviderFailure("busy", ErrorClass.OVERLOAD)], latency=1.0)
    positions = [Position(0, "gate", "e1", candidate) for candidate in ("a", "b")]
    journal = await Journal.create(tmp_path / "run", {})
    ask, _ = await asker(failing, journal)
    await asyncio.gather(*(ask.ask_model(position, model_call()) for position in positions))
    assert len(failing.requests) == 1
    await journal.close()
    journal = await Journal.reopen(tmp_path / "run")
    ask, _ = await asker(worlds.scripted([]), journal)
    outcomes = [await ask.ask_model(position, model_call()) for position in positions]
    assert [outcome.kind for outcome in outcomes] == [FailureKind.OVERLOADED] * 2
    await journal.close()


async def test_a_result_whose_asker_is_cancelled_while_it_is_written_is_that_of_all_now_and_in_a_replay(
    asker, tmp_path
):
    calls, leader = [], []

    def counted():
        calls.append(None)
        if len(calls) == 1:
            asyncio.get_running_loop().call_soon(leader[0].cancel)  # Then the result is noted, and not yet durable.
        return len(calls)

    first, second, third = (Position(0, "gate", "e1", candidate, "tool") for candidate in ("a", "b", "c"))
    journal = await Journal.create(tmp_path / "run", {})
    ask, _ = await asker(worlds.scripted([]), journal)
    leader.append(asyncio.ensure_future(ask.ask_function(first, function_call(counted))))
    follower = asyncio.ensure_future(ask.ask_function(second, function_call(counted)))
    assert await follower == Returned(1)
    assert leader[0].cancelled()
    assert await ask.ask_function(third, function_call(counted)) == Returned(1)
    await journal.close()
    journal = await Journal.reopen(tmp_path / "run")
    ask, _ = await asker(worlds.scripted([]), journal)
    for position in (first, second, third):
        assert await ask.ask_function(position, function_call(counted)) == Returned(1)
    assert len(calls) == 1
    await journal.close()


async def test_a_loss_of_the_users_is_recorded_like_any_function(asker):
    calls = []

    def loss(example, answer):
        calls.append(example.id)
        return Score(1.0)

    custom = Custom("mine", loss)
    ask, _ = await asker(worlds.scripted([]), loss=custom)
    arguments = {"example": worlds.example(1), "answer": Completion("x").text}
    for phase in ("forward", "gate"):
        call = FunctionCall(custom.name, custom.call, arguments)
        assert (await ask.ask_function(Position(0, phase, "e1", node="mine"), call)).value["value"] == 1.0
    assert calls == ["e1"]


# Intents -------------------------------------------------------------------------------------------------------------


class SlowToKeep(MemoryLedger):
    """Never makes an intent durable, and keeps what is noted of attempts."""

    def __init__(self):
        super().__init__()
        self.charges = []

    def intend(self, position, key, role, request):
        return 1

    async def reach(self, mark, patience=1.0):
        await anyio.sleep_forever()

    def charge(self, position, key, attempts, spent, more):
        self.charges.append((position, attempts, spent, more))
        return 0


async def test_a_request_that_is_cancelled_before_its_intent_is_durable_is_known_not_to_be_sent(asker):
    ledger, provider = SlowToKeep(), worlds.scripted()
    ask, telemetry = await asker(provider, ledger)
    with anyio.move_on_after(0.01):
        await ask.ask_model(AT, model_call())
    await anyio.wait_all_tasks_blocked()
    assert provider.requests == []
    assert ledger.charges == [(AT, 0, None, False)]
    assert telemetry.attempts == 0
