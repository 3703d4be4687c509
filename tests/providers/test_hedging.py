"""A second attempt beside a slow one, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Admission, Completion, Message, Request
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, StopError, classified
from semprop.providers.hedging import ENOUGH, Hedge, Hedging
from semprop.providers.layers import Meter, Stack, unpriced
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Answer, Scripted, VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings

EAGER = Hedge(after=2.0, extra=1.0)


def ask(text: str = "x", node: str = "") -> Request:
    return Request((Message.of("user", text),), admission=Admission(node=node))


class World:
    """A stack with hedges over an endpoint whose n-th attempt takes and answers what is listed (the last for ever)."""

    def __init__(
        self,
        latencies: Sequence[float],
        answers: Sequence[Answer] = ("ok",),
        hedge: Hedge = EAGER,
        in_flight: int = 100,
        tries: int = 2,
    ) -> None:
        self.clock = VirtualClock()
        self._numbers = iter(range(10**9))
        self.latencies, self._answers = latencies, answers
        self.endpoint = Scripted(self._answer, latency=self._latency, clock=self.clock)
        self.limiter = Limiter(clock=self.clock, random=Random(0))
        policy = RetryPolicy(tries=tries, base=0.0)
        layers = Hedging(
            hedge,
            self.clock,
            Retry(policy, self.clock, Random(0)),
            Limits(self.limiter, Terms("a", "m", in_flight=in_flight)),
        )
        self.stack = Stack(self.endpoint, (Meter(unpriced), layers))
        self._begun: dict[asyncio.Task[object] | None, int] = {}

    @property
    def sent(self) -> int:
        return len(self.endpoint.requests)

    def statistics(self, *names: str) -> tuple[object, ...]:
        statistics = self.stack.statistics()
        return tuple(statistics[name] for name in names)

    def nothing_is_left(self) -> bool:
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        held = (self.endpoint.in_flight, self.limiter.permits, self.limiter.waiting)
        return not left and held == (0, 0, 0)

    def _latency(self, request: Request) -> float:
        number = next(self._numbers)
        self._begun[asyncio.current_task()] = number
        return self.latencies[min(number, len(self.latencies) - 1)]

    def _answer(self, request: Request) -> Answer:
        number = self._begun[asyncio.current_task()]
        answer = self._answers[min(number, len(self._answers) - 1)]
        if isinstance(answer, ProviderError):
            return classified(str(answer), answer.error_class, attempts=answer.attempts)
        return answer


async def test_a_fast_attempt_is_left_alone() -> None:
    world = World([1.0])
    assert (await world.stack.complete(ask())).attempts == 1
    assert world.statistics("hedges", "hedges_won", "attempts_wasted") == (0, 0, 0)
    assert (world.sent, world.clock.now()) == (1, 1.0)
    assert world.nothing_is_left()


async def test_a_slow_attempt_is_overtaken_by_the_second_and_is_cancelled_and_counted() -> None:
    world = World([60.0, 1.0], ["slow", "fast"])
    completion = await world.stack.complete(ask())
    assert (completion.text, completion.attempts) == ("fast", 2)
    assert world.clock.now() == 3.0
    assert world.statistics("hedges", "hedges_won", "attempts_wasted", "requests") == (1, 1, 1, 1)
    assert world.nothing_is_left()


async def test_a_slow_attempt_that_still_comes_first_wins() -> None:
    world = World([3.0, 5.0], ["slow", "slower"])
    completion = await world.stack.complete(ask())
    assert (completion.text, completion.attempts, world.clock.now()) == ("slow", 2, 3.0)
    assert world.statistics("hedges", "hedges_won", "attempts_wasted") == (1, 0, 1)
    assert world.nothing_is_left()


async def test_a_request_is_hedged_once_at_most() -> None:
    world = World([60.0, 50.0])
    assert (await world.stack.complete(ask())).attempts == 2
    assert (world.sent, world.clock.now()) == (2, 52.0)


async def test_a_second_attempt_that_fails_is_waste_and_is_not_asked_again() -> None:
    world = World([5.0, 1.0], ["slow", classified("down", ErrorClass.TRANSIENT)])
    completion = await world.stack.complete(ask())
    assert (completion.text, completion.attempts, world.sent, world.clock.now()) == ("slow", 2, 2, 5.0)
    assert world.statistics("hedges_won", "attempts_wasted", "retries") == (0, 1, 0)


async def test_a_first_attempt_that_fails_is_asked_again_beside_the_second() -> None:
    world = World([3.0, 30.0, 1.0], [classified("down", ErrorClass.TRANSIENT), "second", "again"])
    completion = await world.stack.complete(ask())
    assert (completion.text, completion.attempts, world.sent, world.clock.now()) == ("again", 3, 3, 4.0)
    assert world.nothing_is_left()


async def test_a_request_that_was_given_up_is_saved_by_its_second_attempt() -> None:
    world = World([3.0, 9.0], [classified("down", ErrorClass.TRANSIENT), "second"], tries=1)
    completion = await world.stack.complete(ask())
    assert (completion.text, completion.attempts, world.clock.now()) == ("second", 2, 11.0)
    assert world.statistics("hedges_won", "given_up") == (1, 1)


async def test_when_both_fail_the_error_is_that_of_the_first_with_all_attempts() -> None:
    answers = [classified("one", ErrorClass.TRANSIENT), classified("two", ErrorClass.OVERLOAD)]
    world = World([3.0, 9.0], answers, tries=1)
    with pytest.raises(ProviderFailure, match="the last error: one") as caught:
        await world.stack.complete(ask())
    assert (caught.value.attempts, world.sent) == (2, 2)
    assert world.nothing_is_left()


@pytest.mark.parametrize(("error_class", "kind"), [(ErrorClass.FILTER, ItemError), (ErrorClass.AUTH, StopError)])
async def test_what_asking_again_cannot_mend_ends_the_request_at_once(
    error_class: ErrorClass, kind: type[ProviderError]
) -> None:
    world = World([3.0, 60.0], [classified("no", error_class), "late"])
    with pytest.raises(kind) as caught:
        await world.stack.complete(ask())
    assert (caught.value.attempts, world.clock.now()) == (2, 3.0)
    assert world.statistics("attempts_wasted") == (1,)
    assert world.nothing_is_left()


async def test_an_error_of_no_kind_of_ours_is_raised_as_it_is() -> None:
    world = World([1.0], [KeyError("a bug")])
    with pytest.raises(KeyError, match="a bug"):
        await world.stack.complete(ask())
    assert world.nothing_is_left()


async def test_a_second_attempt_waits_for_its_turn_like_any_other() -> None:
    world = World([60.0], hedge=Hedge(after=2.0, extra=1.0), in_flight=1)
    completion = await world.stack.complete(ask())
    assert (completion.attempts, world.sent, world.clock.now()) == (1, 1, 60.0), "there was never room for it"
    assert world.statistics("hedges", "attempts_wasted") == (1, 0)
    assert world.nothing_is_left()


async def test_a_wait_for_a_turn_is_no_reason_for_a_second_attempt() -> None:
    world = World([1.5], in_flight=1)
    await asyncio.gather(*(world.stack.complete(ask(str(number))) for number in range(10)))
    assert world.clock.now() == 15.0
    assert world.statistics("hedges") == (0,)


async def test_cancelling_the_call_cancels_both_and_leaves_nothing() -> None:
    world = World([60.0])
    call = asyncio.ensure_future(world.stack.complete(ask()))
    await world.clock.sleep(10.0)
    assert world.endpoint.in_flight == 2
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert world.nothing_is_left()


async def test_the_quantile_is_learned_of_each_node_and_nothing_is_hedged_before() -> None:
    world = World([1.0], hedge=Hedge(extra=1.0))
    for _ in range(ENOUGH):
        await world.stack.complete(ask(node="short"))
    for number in range(ENOUGH):
        world.latencies = [10.0 + number / ENOUGH]
        await world.stack.complete(ask(node="long"))
    before = world.statistics("hedges")[0]
    world.latencies = [10.5]
    await world.stack.complete(ask(node="long"))
    assert world.statistics("hedges")[0] == before, "half of its node's attempts take longer"
    await world.stack.complete(ask(node="short"))
    assert world.statistics("hedges")[0] == 1 + int(str(before)), "no attempt of its node ever took so long"


async def test_the_share_of_second_attempts_is_kept_and_what_it_held_back_is_told() -> None:
    world = World([5.0], hedge=Hedge(after=2.0, extra=0.25))
    for _ in range(20):
        await world.stack.complete(ask())
    assert world.statistics("hedges", "hedges_withheld") == (5, 15)
    assert world.sent == 25


@given(
    latencies=st.lists(st.sampled_from([0.1, 1.0, 1.0, 3.0, 10.0, 50.0]), min_size=1, max_size=60),
    broken=st.lists(st.booleans(), min_size=1, max_size=60),
    extra=st.sampled_from([0.01, 0.05, 0.2, 0.5, 1.0]),
    after=st.sampled_from(["p95", 0.5, 2.0]),
    in_flight=st.integers(1, 8),
    requests=st.integers(1, 60),
)
def test_extra_attempts_stay_within_their_share_and_every_attempt_is_counted_once(
    latencies: list[float], broken: list[bool], extra: float, after: float, in_flight: int, requests: int
) -> None:
    async def run() -> None:
        answers = [classified("down", ErrorClass.TRANSIENT) if bad else "ok" for bad in broken]
        hedge = Hedge("p95" if after == "p95" else after, extra)
        world = World(latencies, [*answers, "ok"], hedge=hedge, in_flight=in_flight, tries=3)
        calls = (world.stack.complete(ask(str(number), f"n{number % 3}")) for number in range(requests))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        hedges, wasted = world.statistics("hedges", "attempts_wasted")
        assert isinstance(hedges, int)
        assert isinstance(wasted, int)
        assert hedges <= math.floor(extra * requests)
        attempts = 0
        for outcome in ended:
            assert isinstance(outcome, Completion | ProviderError)
            attempts += outcome.attempts
        assert attempts == world.sent
        assert world.nothing_is_left()

    asyncio.run(run())


@given(
    latencies=st.lists(st.sampled_from([0.5, 1.0, 3.0, 10.0]), min_size=1, max_size=30),
    patience=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 7.0]), min_size=1, max_size=30),
    in_flight=st.integers(1, 4),
)
def test_cancelling_at_any_time_leaves_no_task_and_no_permit(
    latencies: list[float], patience: list[float], in_flight: int
) -> None:
    async def run() -> None:
        world = World(latencies, in_flight=in_flight)

        async def call(number: int, seconds: float) -> None:
            asked = asyncio.ensure_future(world.stack.complete(ask(str(number))))
            await world.clock.sleep(seconds)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

        await asyncio.gather(*(call(number, seconds) for number, seconds in enumerate(patience)))
        assert world.nothing_is_left()

    asyncio.run(run())


@pytest.mark.parametrize("settings", [{"after": 0.0}, {"after": math.inf}, {"extra": 0.0}, {"extra": 1.5}])
def test_a_hedge_that_means_nothing_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="hedge"):
        Hedge(**settings)  # type: ignore[arg-type]


def test_nothing_is_hedged_unless_it_is_asked_for() -> None:
    around = Surroundings(environment={})
    plain = connect("openai:m", surroundings=around)
    assert "hedges" not in plain.statistics()
    hedged = connect("openai:m", surroundings=around, hedge=Hedge())
    assert repr(hedged) == "Stack(Meter → Hedging → HttpProvider, model='m')"
    assert hedged.statistics()["hedges"] == 0
    assert hedged.identity == plain.identity
    written = connect(Specification("openai", "m", hedge=Hedge(after=3.0)), surroundings=around)
    assert written.statistics()["hedges"] == 0
