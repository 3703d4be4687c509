"""What bounds the retries of all requests together."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Message, Request
from semprop.providers.breaker import Breaker, RetryBudget
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, StopError, classified
from semprop.providers.layers import Stack
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
        due.append(now + budget.spend(now))
    for end in due:
        retries = sum(1 for at in due if at <= end)
        assert retries <= 20.0 + 20.0 * end / 60.0 + 0.1 * successes + 1e-6


def test_a_long_calm_does_not_pay_for_a_long_storm() -> None:
    budget = RetryBudget(20.0, 0.1, 0.0)
    for _ in range(100_000):
        budget.succeeded()
    free = 0
    while budget.spend(0.0) == 0.0:
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


@pytest.mark.parametrize("settings", [{"per_minute": 0.0}, {"share": -1.0}, {"breaker": 0}, {"breaker_seconds": -1.0}])
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="per_minute"):
        RetryPolicy(**settings)  # type: ignore[arg-type]


async def test_the_wait_for_a_first_turn_is_no_part_of_the_elapsed_time() -> None:
    clock = VirtualClock()
    endpoint = Scripted([broken(), "fine"], latency=1000.0, clock=clock)
    stack = Stack(endpoint, (Retry(RetryPolicy(elapsed=60.0), clock, Random(0)),))
    assert (await stack.complete(REQUEST)).text == "fine"
