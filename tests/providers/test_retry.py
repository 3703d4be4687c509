"""When a request is asked again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Admission, Completion, Message, Request
from semprop.providers.errors import (
    ErrorClass,
    ItemError,
    ProviderError,
    ProviderFailure,
    RetryError,
    StopError,
    classified,
)
from semprop.providers.layers import InFlight, Stack
from semprop.providers.retry import GiveUp, Retry, RetryPolicy, Tally, Wait, decide
from semprop.providers.scripted import Scripted, VirtualClock

REQUEST = Request((Message.of("user", "hello"),))
RETRYABLE = (ErrorClass.RATE, ErrorClass.OVERLOAD, ErrorClass.TRANSIENT)

errors = st.builds(
    lambda error_class, wait: classified("refused", error_class, retry_after=wait),
    st.sampled_from(ErrorClass),
    st.none() | st.floats(0, 1e6),
)
policies = st.builds(
    RetryPolicy,
    tries=st.integers(1, 10),
    throttles=st.integers(1, 50),
    elapsed=st.floats(0, 1e5),
    base=st.floats(0, 60),
    cap=st.floats(0, 600),
)
tallies = st.builds(Tally, failures=st.integers(0, 100), throttles=st.integers(0, 100), attempts=st.integers(0, 500))
draws = st.floats(0, 1, exclude_max=True)


def stack(endpoint: Scripted, policy: RetryPolicy | None = None, seed: int = 0) -> Stack:
    return Stack(endpoint, (Retry(policy or RetryPolicy(), endpoint.clock, Random(seed)),))


def refusal(error_class: ErrorClass, **details: object) -> ProviderError:
    return classified(f"refused: {error_class}", error_class, **details)


@given(errors, tallies, st.floats(0, 1e6), draws, policies)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_the_bounds_allow(
    error: ProviderError, tally: Tally, elapsed: float, draw: float, policy: RetryPolicy
) -> None:
    decision = decide(error, tally, elapsed, draw, policy)
    if isinstance(decision, Wait):
        asked = error.retry_after or 0.0
        assert asked <= decision.seconds <= asked + policy.cap
        assert elapsed + decision.seconds <= policy.elapsed
        assert tally.failures < policy.tries
        assert tally.throttles < policy.throttles
        assert isinstance(error, RetryError)


@given(errors, tallies, st.floats(0, 1e6), draws, policies)
def test_only_what_can_succeed_later_is_asked_again(
    error: ProviderError, tally: Tally, elapsed: float, draw: float, policy: RetryPolicy
) -> None:
    if error.error_class not in (*RETRYABLE, ErrorClass.DAILY):
        assert isinstance(decide(error, tally, elapsed, draw, policy), GiveUp)


@given(st.lists(st.tuples(st.sampled_from(RETRYABLE), draws), min_size=60, max_size=60), policies)
def test_every_sequence_of_errors_ends(sequence: list[tuple[ErrorClass, float]], policy: RetryPolicy) -> None:
    tally, elapsed, tries = Tally(), 0.0, 0
    for error_class, draw in sequence:
        error = refusal(error_class)
        tally, tries = tally.after(error), tries + 1
        decision = decide(error, tally, elapsed, draw, policy)
        if isinstance(decision, GiveUp):
            break
        elapsed += decision.seconds
    assert tries <= policy.tries + policy.throttles - 1


def test_the_jitter_is_full_and_doubles_up_to_its_cap() -> None:
    policy = RetryPolicy(tries=20, base=1.0, cap=10.0)
    error = refusal(ErrorClass.TRANSIENT)
    longest = [decide(error, Tally(failures=n), 0.0, 0.999999, policy) for n in range(1, 7)]
    assert [round(wait.seconds) for wait in longest if isinstance(wait, Wait)] == [1, 2, 4, 8, 10, 10]
    assert decide(error, Tally(failures=3), 0.0, 0.0, policy) == Wait(0.0)


def test_a_daily_limit_that_names_no_time_is_not_waited_for() -> None:
    error = refusal(ErrorClass.DAILY)
    assert isinstance(decide(error, Tally(throttles=1), 0.0, 0.5, RetryPolicy()), GiveUp)


def test_a_policy_without_tries_is_refused() -> None:
    with pytest.raises(ValueError, match="tries"):
        RetryPolicy(tries=0)


async def test_a_throttle_is_waited_out_and_its_attempts_are_counted() -> None:
    endpoint = Scripted([refusal(ErrorClass.RATE, retry_after=20.0), refusal(ErrorClass.OVERLOAD), "fine"])
    async with stack(endpoint) as provider:
        completion = await provider.complete(REQUEST)
    assert (completion.text, completion.attempts) == ("fine", 3)
    assert 20.0 <= endpoint.clock.now() <= 22.0
    assert provider.statistics()["retries"] == 2


async def test_throttles_do_not_use_up_the_tries() -> None:
    endpoint = Scripted([refusal(ErrorClass.RATE)] * 20 + ["fine"])
    assert (await stack(endpoint, RetryPolicy(tries=1)).complete(REQUEST)).attempts == 21


async def test_after_the_last_try_the_failure_names_its_cause_and_its_attempts() -> None:
    endpoint = Scripted([refusal(ErrorClass.TRANSIENT, status=500)] * 10)
    provider = stack(endpoint, RetryPolicy(tries=3))
    with pytest.raises(ProviderFailure, match="given up after 3 attempts") as caught:
        await provider.complete(REQUEST)
    assert (caught.value.attempts, caught.value.status) == (3, 500)
    assert caught.value.error_class is ErrorClass.TRANSIENT
    assert isinstance(caught.value.__cause__, RetryError)
    assert len(endpoint.requests) == 3
    assert provider.statistics()["given_up"] == 1


async def test_a_wait_that_would_pass_the_bound_is_not_begun() -> None:
    endpoint = Scripted([refusal(ErrorClass.RATE, retry_after=3600.0), "too late"])
    with pytest.raises(ProviderFailure):
        await stack(endpoint).complete(REQUEST)
    assert endpoint.clock.now() == 0.0


async def test_a_deadline_of_the_request_bounds_its_waits() -> None:
    endpoint = Scripted([refusal(ErrorClass.RATE, retry_after=30.0), "fine"])
    hurried = replace(REQUEST, admission=Admission(deadline=10.0))
    with pytest.raises(ProviderFailure):
        await stack(endpoint).complete(hurried)


@pytest.mark.parametrize("error_class", [ErrorClass.AUTH, ErrorClass.QUOTA, ErrorClass.CONFIGURATION])
async def test_a_stop_passes_at_once(error_class: ErrorClass) -> None:
    endpoint = Scripted([refusal(error_class), "never"])
    with pytest.raises(StopError):
        await stack(endpoint).complete(REQUEST)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("error_class", [ErrorClass.CONTEXT, ErrorClass.FILTER, ErrorClass.BAD_REQUEST])
async def test_a_finished_request_passes_at_once_with_all_its_attempts(error_class: ErrorClass) -> None:
    endpoint = Scripted([refusal(ErrorClass.TRANSIENT), refusal(error_class), "never"])
    with pytest.raises(ItemError) as caught:
        await stack(endpoint).complete(REQUEST)
    assert caught.value.attempts == 2
    assert not isinstance(caught.value, ProviderFailure)


async def test_a_request_that_waits_to_be_asked_again_holds_no_place_in_flight() -> None:
    clock = VirtualClock()
    order: list[tuple[str, float]] = []

    def answer(request: Request) -> str | Completion | Exception:
        text = request.messages[0].text
        order.append((text, clock.now()))
        throttled = text == "first" and clock.now() < 50.0
        return refusal(ErrorClass.RATE, retry_after=100.0) if throttled else text

    endpoint = Scripted(answer, latency=1.0, clock=clock)
    provider = Stack(endpoint, (Retry(RetryPolicy(base=0.0), clock, Random(0)), InFlight(1)))
    replies = await gathered(provider, ["first", "second", "third"])
    assert replies == ["first", "second", "third"]
    assert order == [("first", 1.0), ("second", 2.0), ("third", 3.0), ("first", 102.0)]


async def gathered(provider: Stack, texts: list[str]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(provider.complete(Request((Message.of("user", text),)))) for text in texts]
    return [task.result().text for task in tasks]


async def test_an_error_that_passes_is_the_one_that_was_raised_not_its_own_cause() -> None:
    with pytest.raises(StopError) as caught:
        await stack(Scripted([refusal(ErrorClass.AUTH)])).complete(REQUEST)
    assert caught.value.__cause__ is None
