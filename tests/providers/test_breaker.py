"""What bounds the retries of all requests together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Completion, Message, Request
from semprop.providers.breaker import Breaker, RetryBudget
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, RetryError, StopError, classified
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock

REQUEST = Request((Message.of("user", "hello"),))


def broken(error_class: ErrorClass = ErrorClass.TRANSIENT) -> ProviderError:
    return classified("broken", error_class, status=500)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), min_size=1, max_size=100))
def test_retries_are_never_more_than_their_share_and_so_many_a_minute(steps: list[tuple[float, int]]) -> None:
    budget = RetryBudget(20.0, 0.1, 0.0)
    now, successes, due = 0.0, 0, []
    for pause, succeeded in steps:
        now += pause
        for _ in range(succeeded):
            budget.succeeded()
            successes += 1
        due.append(now + budget.wait(budget.spend(now), now))
    for end in due:
        retries = sum(1 for at in due if at <= end)
        assert retries <= 20.0 + 20.0 * end / 60.0 + 0.1 * successes + 1e-6


def test_a_long_calm_does_not_pay_for_a_long_storm() -> None:
    budget = RetryBudget(20.0, 0.1, 0.0)
    for _ in range(100_000):
        budget.succeeded()
    free = 0
    while budget.wait(budget.spend(0.0), 0.0) == 0.0:
        free += 1
    assert free == 200


def test_a_breaker_stops_when_nothing_succeeds_for_long_enough_and_often_enough() -> None:
    breaker = Breaker(5, 60.0)
    assert [breaker.failed(broken(), 10.0 * number) for number in range(6)] == [None] * 6
    stop = breaker.failed(broken(), 60.0)
    assert isinstance(stop, StopError)
    assert "7 attempts failed in a row over 60 s" in str(stop)
    assert stop.error_class is ErrorClass.TRANSIENT


def test_one_success_among_the_failures_keeps_it_closed() -> None:
    breaker = Breaker(5, 0.0)
    for _ in range(20):
        assert [breaker.failed(broken(), 0.0) for _ in range(4)] == [None] * 4
        breaker.succeeded()


def test_replies_that_cannot_be_read_stop_everything_at_once_only_if_none_ever_could() -> None:
    page = RetryError("it is not whole JSON; check the base address", ErrorClass.TRANSIENT, status=200)
    never = Breaker(20, 600.0)
    stops = [never.failed(page, float(second)) for second in range(20)]
    assert stops[:19] == [None] * 19
    assert stops[19] is not None
    assert "nothing succeeds: 20 attempts failed in a row over 19 s" in str(stops[19])
    assert "check the base address" in str(stops[19])
    once = Breaker(20, 600.0)
    once.succeeded()
    assert [once.failed(page, float(second)) for second in range(100)] == [None] * 100


def test_refused_requests_stop_everything_only_if_none_was_ever_answered() -> None:
    fresh, used = Breaker(5, 600.0), Breaker(5, 600.0)
    used.succeeded()
    refused = broken(ErrorClass.BAD_REQUEST)
    assert isinstance([fresh.failed(refused, 0.0) for _ in range(5)][-1], StopError)
    assert [used.failed(refused, 0.0) for _ in range(50)] == [None] * 50


@pytest.mark.parametrize("error_class", [ErrorClass.RATE, ErrorClass.CONTEXT, ErrorClass.FILTER, ErrorClass.DAILY])
def test_throttles_and_model_failures_break_nothing(error_class: ErrorClass) -> None:
    breaker = Breaker(2, 0.0)
    assert [breaker.failed(broken(error_class), 0.0) for _ in range(10)] == [None] * 10


async def test_an_outage_is_asked_little_and_then_stops_the_run() -> None:
    clock = VirtualClock()
    endpoint = Scripted(lambda request: broken(), latency=0.1, clock=clock)
    policy = RetryPolicy(breaker=50, breaker_seconds=60.0)
    stack = Stack(endpoint, (Retry(policy, clock, Random(0)),))
    outcomes = await asyncio.gather(*(stack.complete(REQUEST) for _ in range(200)), return_exceptions=True)
    kinds = {type(outcome) for outcome in outcomes}
    assert kinds <= {StopError, ProviderFailure}
    assert StopError in kinds
    retries = len(endpoint.requests) - 200
    assert retries <= 20 + 20 * clock.now() / 60 + 1


def unreachable() -> ProviderError:
    """No connection could be made, so that nothing was sent."""
    return classified("x cannot be reached", ErrorClass.TRANSIENT, attempts=0)


def test_an_endpoint_that_was_never_reached_stops_everything_in_seconds_and_says_what_to_look_at() -> None:
    breaker = Breaker(20, 600.0)
    assert [breaker.failed(unreachable(), 0.0) for _ in range(16)] == [None] * 16
    assert breaker.failed(unreachable(), 2.9) is None
    stop = breaker.failed(unreachable(), 3.1)
    assert isinstance(stop, StopError)
    assert str(stop) == (
        "x cannot be reached; 18 attempts in 3 s, and nothing has ever answered there: check the address, and whether "
        "the server is running, then run again"
    )
    assert stop.attempts == 0


@pytest.mark.parametrize("answer", [None, broken(), broken(ErrorClass.RATE)])
def test_one_that_answered_anything_once_has_an_outage(answer: ProviderError | None) -> None:
    breaker = Breaker(20, 600.0)
    if answer is None:
        breaker.succeeded()
    else:
        breaker.failed(answer, 0.0)
    assert [breaker.failed(unreachable(), 10.0 * number) for number in range(1, 60)] == [None] * 59
    assert isinstance(breaker.failed(unreachable(), 610.0), StopError)


def guarded(endpoint: Scripted, policy: RetryPolicy = RetryPolicy(), in_flight: int | None = 16) -> Stack:
    """The endpoint as `connect` guards it."""
    limiter = Limiter(clock=endpoint.clock, wall=endpoint.clock.now, random=Random(0))
    limits = Limits(limiter, Terms("a", "m", in_flight=in_flight))
    return Stack(endpoint, (Retry(policy, endpoint.clock, Random(0), limiter_waits), limits))


async def ask_many(stack: Stack, count: int) -> list[Completion | BaseException]:
    return await asyncio.gather(*(stack.complete(REQUEST) for _ in range(count)), return_exceptions=True)


@pytest.mark.parametrize("in_flight", [1, 16, 512])
async def test_a_dead_endpoint_is_noticed_in_seconds_however_many_wait(in_flight: int) -> None:
    clock = VirtualClock()
    stopped: list[float] = []

    async def one(stack: Stack) -> None:
        try:
            await stack.complete(REQUEST)
        except StopError as stop:
            assert "nothing has ever answered" in str(stop)
            stopped.append(clock.now())

    endpoint = Scripted(lambda request: unreachable(), latency=0.01, clock=clock)
    stack = guarded(endpoint, in_flight=in_flight)
    tasks = [asyncio.ensure_future(one(stack)) for _ in range(2 * in_flight)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(stopped) == 1
    assert stopped[0] < 10.0
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("failure", [unreachable, broken])
async def test_an_outage_of_five_minutes_is_sat_out_with_few_attempts(failure: Callable[[], ProviderError]) -> None:
    clock = VirtualClock()
    endpoint = Scripted(lambda _: failure() if 1.0 < clock.now() < 301.0 else "fine", latency=0.5, clock=clock)
    outcomes = await ask_many(guarded(endpoint), 400)
    lost = [outcome for outcome in outcomes if not isinstance(outcome, Completion)]
    assert all(isinstance(outcome, ProviderFailure) for outcome in lost)
    # An attempt that was sent is charged to its request; one that could not be sent is nobody's fault.
    assert len(lost) <= (8 if failure is broken else 0)
    assert len(endpoint.requests) - 400 <= 45
    assert clock.now() <= 301.0 + 60.0


async def test_connections_that_break_all_at_once_lose_no_request() -> None:
    clock = VirtualClock()
    asked: list[float] = []

    def answer(request: Request) -> str | Exception:
        asked.append(clock.now())
        return broken() if len(asked) <= 512 else "fine"

    stack = guarded(Scripted(answer, latency=0.5, clock=clock), in_flight=512)
    tasks = [asyncio.ensure_future(stack.complete(REQUEST)) for _ in range(20_000)]
    outcomes = await asyncio.gather(*tasks)
    # A hundred successes allow ten retries, so that they are let through as the others go on.
    assert len(outcomes) == 20_000
    assert clock.now() < 60.0


def test_a_ticket_is_due_sooner_if_much_succeeds() -> None:
    budget = RetryBudget(20.0, 0.1, 0.0)
    tickets = [budget.spend(0.0) for _ in range(120)]
    assert budget.wait(tickets[-1], 0.0) == pytest.approx(300.0)
    for _ in range(500):
        budget.succeeded()
    assert budget.wait(tickets[-1], 0.0) == pytest.approx(150.0)
    assert budget.wait(tickets[69], 0.0) == 0.0


async def test_an_outage_that_does_not_end_stops_the_run_within_its_bounds() -> None:
    clock = VirtualClock()
    endpoint = Scripted(lambda _: broken() if clock.now() > 1.0 else "fine", latency=0.5, clock=clock)
    stack = guarded(endpoint)
    tasks = [asyncio.ensure_future(stack.complete(REQUEST)) for _ in range(400)]
    while not any(task.done() and isinstance(task.exception(), StopError) for task in tasks):
        await clock.sleep(10.0)
    assert 600.0 <= clock.now() <= 700.0
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"per_minute": 0.0}, "per_minute"),
        ({"share": -1.0}, "share"),
        ({"breaker": 0}, "breaker"),
        ({"breaker_seconds": -1.0}, "negative seconds"),
        ({"unreached": 0}, "unreached"),
        ({"unreached_seconds": -1.0}, "negative seconds"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        RetryPolicy(**settings)  # type: ignore[arg-type]


async def test_the_wait_for_a_first_turn_is_no_part_of_the_elapsed_time() -> None:
    clock = VirtualClock()
    endpoint = Scripted([broken(), "fine"], latency=1000.0, clock=clock)
    stack = Stack(endpoint, (Retry(RetryPolicy(elapsed=60.0), clock, Random(0)),))
    assert (await stack.complete(REQUEST)).text == "fine"
