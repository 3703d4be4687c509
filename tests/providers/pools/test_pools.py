"""A pool of scripted members in virtual time: who answers, who waits where, and what is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from semprop.providers.base import (
    Admission,
    Capabilities,
    Completion,
    JsonSchema,
    Message,
    Mixture,
    Provider,
    Request,
    Sampling,
    Sent,
    Stop,
    Usage,
    content_key,
)
from semprop.providers.budget import Caps
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure, RetryError, StopError
from semprop.providers.hedging import Hedge, Hedging
from semprop.providers.layers import Layer, Meter, Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.pools.members import Member, Pace, Pool, Signed, Tariffs
from semprop.providers.pools.routes import Entrance, Routes, pinned
from semprop.providers.pools.routing import Policy, Rules
from semprop.providers.prices import Prices
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Script, Scripted, VirtualClock
from semprop.providers.valve import Valve


@dataclass
class Pooled:
    """A pool and what it is made of."""

    stack: Stack
    members: dict[str, Scripted]
    limiter: Limiter
    clock: VirtualClock

    def asked(self) -> dict[str, int]:
        return {name: len(member.requests) for name, member in self.members.items()}


def pooled(
    scripts: dict[str, Script],
    rules: Rules = Rules(),
    *,
    latency: dict[str, float] | None = None,
    in_flight: int | None = 8,
    limits: Sequence[tuple[str, float]] = (),
    prices: dict[str, Prices] | None = None,
    models: dict[str, str] | None = None,
    mixture: Mixture = Mixture.ONE,
    capabilities: dict[str, Capabilities] | None = None,
    retry: RetryPolicy = RetryPolicy(base=0.0),
    hedge: Hedge | None = None,
    valve: Valve | None = None,
) -> Pooled:
    clock, random = VirtualClock(), Random(0)
    limiter = Limiter(clock=clock, wall=clock.now, random=random)
    endpoints, members = {}, []
    price = Tariffs({name: (prices or {}).get(name, Prices(1.0, 1.0)) for name in scripts})
    for name, script in scripts.items():
        endpoint = endpoints[name] = Scripted(
            script,
            identity=f"at-{name}",
            clock=clock,
            latency=(latency or {}).get(name, 1.0),
            capabilities=(capabilities or {}).get(name),
        )
        terms = Terms(name, "m", tuple(limits), in_flight=in_flight)
        own = (prices or {}).get(name, Prices(1.0, 1.0))
        pace, layer = Pace(clock), Limits(limiter, terms)
        layers: list[Layer] = [layer] if valve is None else [layer, valve.around(own)]
        stack = Stack(Signed(endpoint, name, pace), layers, price=own)
        members.append(Member(name, (models or {}).get(name, "m"), stack, layer, own, pace))
    routes, again = Routes("p", members, rules, limiter, clock), Retry(retry, clock, random, limiter_waits)
    inner: list[Layer] = [again, routes] if hedge is None else [Hedging(hedge, clock, again, routes)]
    pool = Pool("p", "m", members, mixture)
    outer: list[Layer] = [Meter(price), Entrance("p", members, mixture, clock)]
    return Pooled(Stack(pool, outer + inner, price=price), endpoints, limiter, clock)


def request(number: int = 0, node: str = "", **changes: object) -> Request:
    return Request((Message.of("user", f"question {number}"),), admission=Admission(node=node), **changes)  # type: ignore[arg-type]


def says(text: str) -> Callable[[Request], str]:
    return lambda request: text


def fails(
    error: ErrorClass, kind: type[RetryError | ItemError | StopError] = RetryError
) -> Callable[[Request], Exception]:
    return lambda request: kind(f"a case of {error}", error)


async def all_of(pool: Pooled, requests: Sequence[Request]) -> list[Completion]:
    async with pool.stack:
        return await asyncio.gather(*(pool.stack.complete(each) for each in requests))


async def test_the_first_of_a_failover_answers_everything_that_it_can_and_says_that_it_did() -> None:
    pool = pooled({"a": says("A"), "b": says("B")})
    answers = await all_of(pool, [request(number) for number in range(8)])
    assert pool.asked() == {"a": 8, "b": 0}
    assert {(answer.text, answer.usage.member, answer.attempts) for answer in answers} == {("A", "a", 1)}


async def test_what_is_full_is_waited_for_until_patience_ends_and_then_the_next_answers() -> None:
    pool = pooled({"a": says("A"), "b": says("B")}, Rules(patience=2.5), in_flight=1, latency={"a": 1.0, "b": 1.0})
    answers = await all_of(pool, [request(number) for number in range(6)])
    # At 0, 1, 2 by the first alone; from 2.5 on by both.
    assert [answer.usage.member for answer in answers] == ["a", "a", "a", "b", "a", "b"]
    assert pool.clock.now() == pytest.approx(4.5)
    assert (pool.limiter.waiting, pool.limiter.permits) == (0, 0)


async def test_those_who_wait_for_anybody_are_served_in_the_order_in_which_they_came() -> None:
    order: list[str] = []

    def noted(request: Request) -> str:
        order.append(request.messages[0].text)
        return "so"

    pool = pooled({"a": noted, "b": noted, "c": noted}, Rules(patience=0.0), in_flight=1)
    await all_of(pool, [request(number) for number in range(30)])
    assert order == [f"question {number}" for number in range(30)]
    assert pool.asked() == {"a": 10, "b": 10, "c": 10}
    assert pool.clock.now() == pytest.approx(10.0)


async def test_a_pool_waits_beside_others_at_a_member_and_neither_starves() -> None:
    pool = pooled({"a": says("A"), "b": says("B")}, Rules(patience=0.0), in_flight=1)
    lane = pool.limiter.lane(Terms("a", "m", in_flight=1))
    others: list[float] = []

    async def another(number: int) -> None:
        permit = await pool.limiter.acquire(lane, admission=Admission("other", sequence=number))
        await pool.clock.sleep(1.0)
        others.append(pool.clock.now())
        pool.limiter.give_back(permit)

    async with pool.stack, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(another, number)
            group.start_soon(pool.stack.complete, request(number))
    # Ten seconds of one's work and ten of the other's, at two members: the second one is the pool's alone.
    assert len(others) == 10
    assert pool.clock.now() <= 16.0
    assert pool.asked()["a"] + pool.asked()["b"] == 10
    assert pool.asked()["a"] >= 2


async def test_an_outage_sends_each_request_on_once_and_costs_trials_only_later() -> None:
    pool = pooled({"a": fails(ErrorClass.TRANSIENT), "b": says("B")})
    with capture_logs() as logs:
        answers = [(await all_of(pool, [request(number)]))[0] for number in range(100)]
    assert [answer.attempts for answer in answers[:10]] == [2] * 10
    assert {answer.usage.member for answer in answers} == {"b"}
    # Ten failures, then a trial now and then over 100 s: at 1, 2, 4, 8, 16 and 30 s at the most.
    assert 10 < pool.asked()["a"] < 30
    assert [log["event"] for log in logs] == ["pool_member_failing"]


async def test_a_member_that_is_back_is_asked_again() -> None:
    clock_at: list[float] = []

    def recovers(request: Request) -> str | Exception:
        clock_at.append(pool.clock.now())
        return "A" if pool.clock.now() > 60.0 else RetryError("out", ErrorClass.TRANSIENT)

    pool = pooled({"a": recovers, "b": says("B")})
    with capture_logs() as logs:
        answers = [(await all_of(pool, [request(number)]))[0] for number in range(150)]
    assert [answer.usage.member for answer in answers[-30:]] == ["a"] * 30
    assert [log["event"] for log in logs] == ["pool_member_failing", "pool_member_back"]


async def test_when_all_fail_a_round_ends_and_the_retries_outside_bound_it() -> None:
    pool = pooled(
        {"a": fails(ErrorClass.TRANSIENT), "b": fails(ErrorClass.TRANSIENT)}, retry=RetryPolicy(tries=3, base=0.0)
    )
    with pytest.raises(ProviderFailure, match="failed 3 times") as caught:
        await all_of(pool, [request()])
    assert pool.asked() == {"a": 3, "b": 3}
    assert caught.value.attempts == 6


async def test_a_storm_of_throttles_at_one_member_loses_nothing_and_doubles_nothing() -> None:
    pool = pooled({"a": fails(ErrorClass.RATE), "b": says("B"), "c": says("C")}, Rules(patience=0.0), in_flight=2)
    sent = [Sent() for _ in range(60)]
    requests = [request(number) for number in range(60)]
    requests = [
        replace(each, admission=each.admission._replace(sent=count)) for each, count in zip(requests, sent, strict=True)
    ]
    answers = await all_of(pool, requests)
    asked = pool.asked()
    assert asked["b"] + asked["c"] == 60
    assert sum(answer.attempts for answer in answers) == sum(asked.values()) == sum(each.attempts or 0 for each in sent)


@pytest.mark.parametrize("error", [ErrorClass.AUTH, ErrorClass.QUOTA])
async def test_a_wrong_key_or_an_unpaid_bill_takes_one_member_out_and_is_said_once(error: ErrorClass) -> None:
    pool = pooled({"a": fails(error, StopError), "b": says("B")})
    with capture_logs() as logs:
        answers = [(await all_of(pool, [request(number)]))[0] for number in range(5)]
    assert {answer.text for answer in answers} == {"B"}
    assert pool.asked() == {"a": 1, "b": 5}
    assert [(log["event"], log["member"]) for log in logs] == [("pool_member_out", "a")]
    shown = pool.stack.statistics()["members"]
    assert shown["a"]["state"] == "out"  # type: ignore[index]
    assert "a case of" in shown["a"]["out"]  # type: ignore[index]


async def test_the_last_member_that_stops_stops_the_pool_with_the_reasons_of_all() -> None:
    pool = pooled({"a": fails(ErrorClass.AUTH, StopError), "b": fails(ErrorClass.QUOTA, StopError)})
    with pytest.raises(
        StopError, match=r"nobody is left in the pool 'p' to answer: a: a case of auth; b: a case of quota"
    ):
        await all_of(pool, [request()])


@pytest.mark.parametrize("error", [ErrorClass.FILTER, ErrorClass.REFUSAL])
async def test_a_refusal_is_sent_to_nobody_else_unless_that_was_told(error: ErrorClass) -> None:
    strict = pooled({"a": fails(error, ItemError), "b": says("B")})
    with pytest.raises(ItemError, match="a case of"):
        await all_of(strict, [request()])
    assert strict.asked() == {"a": 1, "b": 0}
    told = pooled({"a": fails(error, ItemError), "b": says("B")}, Rules(passes_refusals=True))
    (answer,) = await all_of(told, [request()])
    assert (answer.text, answer.attempts) == ("B", 2)


async def test_a_reply_that_refuses_is_the_answer_unless_told_otherwise_and_where_all_refuse() -> None:
    def refuses(request: Request) -> Completion:
        return Completion("I cannot", Stop.REFUSAL)

    (strict,) = await all_of(pooled({"a": refuses, "b": says("B")}), [request()])
    assert (strict.stop, strict.attempts) == (Stop.REFUSAL, 1)
    (told,) = await all_of(pooled({"a": refuses, "b": says("B")}, Rules(passes_refusals=True)), [request()])
    assert (told.text, told.attempts) == ("B", 2)
    (all_refuse,) = await all_of(pooled({"a": refuses, "b": refuses}, Rules(passes_refusals=True)), [request()])
    assert (all_refuse.stop, all_refuse.attempts, all_refuse.usage.member) == (Stop.REFUSAL, 2, "a")


async def test_a_request_too_long_for_one_member_goes_to_the_next_and_fails_where_it_is_for_all() -> None:
    short = fails(ErrorClass.CONTEXT, ItemError)
    (answer,) = await all_of(pooled({"a": short, "b": says("B")}), [request()])
    assert (answer.text, answer.attempts) == ("B", 2)
    both = pooled({"a": short, "b": short})
    with pytest.raises(ItemError) as caught:
        await all_of(both, [request()])
    assert (caught.value.error_class, both.asked()) == (ErrorClass.CONTEXT, {"a": 1, "b": 1})


async def test_who_can_never_answer_a_request_is_not_asked_again_in_its_next_rounds() -> None:
    tries: list[int] = []

    def flaky(request: Request) -> str | Exception:
        tries.append(1)
        return "B" if len(tries) == 3 else RetryError("out", ErrorClass.TRANSIENT)

    pool = pooled({"a": fails(ErrorClass.BAD_REQUEST, ItemError), "b": flaky})
    (answer,) = await all_of(pool, [request()])
    assert (pool.asked(), answer.attempts) == ({"a": 1, "b": 3}, 4)


async def test_a_request_larger_than_one_members_quota_goes_to_the_other() -> None:
    pool = pooled({"a": says("A"), "b": says("B")})
    pool.limiter.lane(Terms("a", "m", (("tokens/minute", 10.0),), in_flight=8))
    long = Request((Message.of("user", "x" * 1000),))
    (answer,) = await all_of(pool, [long])
    assert (answer.text, answer.attempts) == ("B", 1)
    pool.limiter.lane(Terms("b", "m", (("tokens/minute", 10.0),), in_flight=8))
    with pytest.raises(ItemError, match="larger than the whole limit") as caught:
        await all_of(pool, [long])
    assert caught.value.error_class is ErrorClass.TOO_LARGE_FOR_QUOTA


async def test_what_a_member_cannot_do_is_asked_of_those_who_can_and_of_nobody_with_a_clear_error() -> None:
    tags = Capabilities(schema=False)
    pool = pooled({"a": says("A"), "b": says("B")}, capabilities={"a": tags})
    shaped = request(schema=JsonSchema.of("answer", {"type": "object"}))
    answers = await all_of(pool, [request(), shaped])
    assert [answer.text for answer in answers] == ["A", "B"]
    # A prompt is rendered for what all of them can do.
    assert not pool.stack.capabilities.schema
    nobody = pooled({"a": says("A"), "b": says("B")}, capabilities={"a": tags, "b": tags})
    with pytest.raises(StopError, match=r"nobody in the pool 'p' .*a has no JSON-schema output; b has no JSON-schema"):
        await all_of(nobody, [shaped])


async def test_the_cheapest_is_asked_first_and_one_whose_price_is_unknown_last() -> None:
    prices = {"a": Prices(None, None), "b": Prices(2.0, 2.0), "c": Prices(1.0, 1.0)}
    pool = pooled(
        {name: says(name) for name in prices}, Rules(Policy.CHEAPEST, patience=0.0), prices=prices, in_flight=1
    )
    answers = await all_of(pool, [request(number) for number in range(3)])
    assert [answer.text for answer in answers] == ["c", "b", "a"]


async def test_the_fastest_is_found_by_one_request_each_and_asked_from_then_on() -> None:
    pool = pooled(
        {name: says(name) for name in "abc"},
        Rules(Policy.FASTEST, affinity=False),
        latency={"a": 3.0, "b": 1.0, "c": 2.0},
    )
    answers = [(await all_of(pool, [request(number)]))[0].text for number in range(20)]
    assert answers == ["a", "b", "c", *"b" * 17]


async def test_a_member_that_was_slow_once_is_tried_again_a_minute_later() -> None:
    def slow_at_first(request: Request) -> float:
        return 9.0 if pool.clock.now() < 5.0 else 0.5

    pool = pooled({"a": says("a"), "b": says("b")}, Rules(Policy.FASTEST, affinity=False))
    pool.members["a"]._latency = slow_at_first
    answers = [(await all_of(pool, [request(number)]))[0].text for number in range(90)]
    # Known at 9 s and 1 s; a minute after its only answer it is tried again, and is the faster one.
    assert answers[:3] == ["a", "b", "b"]
    assert answers[-5:] == ["a"] * 5


async def test_requests_that_begin_alike_go_to_one_member_while_it_is_healthy() -> None:
    pool = pooled({name: says(name) for name in "abc"}, Rules(Policy.FASTEST))
    by_node: dict[str, Counter[str]] = {}
    for number in range(60):
        node = f"node {number % 6}"
        (answer,) = await all_of(pool, [request(0, node)])
        if number >= 3:  # Until each has been tried.
            by_node.setdefault(node, Counter())[answer.text] += 1
    assert all(len(members) == 1 for members in by_node.values())
    assert len({next(iter(members)) for members in by_node.values()}) > 1


async def test_a_hedge_goes_to_another_member_and_the_loser_is_counted() -> None:
    hedge = Hedge(after=2.0, extra=1.0)
    pool = pooled({"a": says("A"), "b": says("B")}, latency={"a": 60.0, "b": 1.0}, hedge=hedge)
    (answer,) = await all_of(pool, [request()])
    assert (answer.text, answer.attempts, pool.asked()) == ("B", 2, {"a": 1, "b": 1})
    assert pool.clock.now() == pytest.approx(3.0)
    assert pool.stack.statistics()["attempts_wasted"] == 1
    assert (pool.limiter.permits, pool.members["a"].in_flight) == (0, 0)


async def test_cancelling_leaves_no_permit_and_nobody_in_a_queue() -> None:
    random = Random(1)
    for cut in range(40):
        pool = pooled({"a": says("A"), "b": fails(ErrorClass.TRANSIENT)}, Rules(patience=0.5), in_flight=1)
        async with pool.stack:
            tasks = [asyncio.ensure_future(pool.stack.complete(request(number))) for number in range(6)]
            for _ in range(random.randrange(60)):
                await asyncio.sleep(0)
            for task in random.sample(tasks, 1 + cut % 6):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert (pool.limiter.waiting, pool.limiter.permits) == (0, 0)
        assert all(member.in_flight == 0 for member in pool.members.values())


async def test_each_attempt_is_paid_at_its_own_members_price_and_the_dearest_is_told_before() -> None:
    def counted(request: Request) -> Completion:
        return Completion("so", usage=Usage(1000, 0, 0, 1000))

    prices = {"a": Prices(1.0, 1.0), "b": Prices(10.0, 30.0)}
    valve = Valve(Caps(usd=1.0))
    pool = pooled({"a": fails(ErrorClass.TRANSIENT), "b": counted}, prices=prices, valve=valve)
    asked = request(sampling=Sampling(max_tokens=1000))
    (answer,) = await all_of(pool, [asked])
    price = pool.stack.price
    assert price(answer.usage) == pytest.approx(0.04)
    assert price(Usage(1000, 0, 0, 1000)) == pytest.approx(0.04)
    assert price(Usage(1000, 0, 0, 1000, member="a")) == pytest.approx(0.002)
    assert price.dearest(1000, 1000) == pytest.approx(0.04)  # type: ignore[attr-defined]
    # The failed one at its worst by the first's price, the answer by its usage at the second's.
    failed = valve.purse.spent.usd - 0.04
    assert 0.001 < failed < 0.0012
    assert valve.purse.reserved.picodollars == 0


def test_a_price_that_is_unknown_of_one_member_is_unknown_of_the_pool_until_somebody_answered() -> None:
    price = Tariffs({"a": Prices(1.0, 1.0), "b": Prices(None, None)})
    assert price(Usage(1, 0, 0, 1)) is None
    assert price.dearest(1, 1) is None
    assert price(Usage(1_000_000, 0, 0, 0, member="a")) == 1.0


async def test_equal_pins_are_answered_by_one_of_several_models_whatever_else_is_going_on() -> None:
    models = {"a": "large", "b": "small", "c": "large"}
    script: dict[str, Script] = {name: says(model) for name, model in models.items()}
    rules = Rules(patience=0.0, is_pinned=True)

    def pins(number: int) -> Request:
        return replace(request(number), admission=Admission(pin=f"example {number % 10}"))

    idle = pooled(script, rules, models=models, mixture=Mixture.PINNED)
    alone = [(await all_of(idle, [pins(number)]))[0].text for number in range(10)]
    busy = pooled(script, rules, models=models, mixture=Mixture.PINNED, in_flight=1, latency={"a": 5.0})
    together = [answer.text for answer in await all_of(busy, [pins(number) for number in range(40)])]
    assert together == alone * 4
    assert set(alone) == {"large", "small"}


def test_a_model_that_joins_takes_over_pins_and_moves_no_other() -> None:
    pins = [replace(request(), admission=Admission(pin=str(number))) for number in range(300)]
    before = [pinned(each, ("one", "two")) for each in pins]
    after = [pinned(each, ("one", "two", "three")) for each in pins]
    assert all(new in (old, "three") for old, new in zip(before, after, strict=True))
    assert Counter(after)["three"] > 50


async def test_replies_are_addressed_by_the_pool_and_not_by_who_answered() -> None:
    ways = pooled({"a": says("A"), "b": says("B")}), pooled({"a": fails(ErrorClass.TRANSIENT), "b": says("B")})
    keys = {content_key(pool.stack.identity, request()) for pool in ways}
    assert len(keys) == 1
    assert ways[0].stack.identity == "pool:p[at-a, at-b]"


async def test_statistics_tell_of_each_member_why_it_is_not_running() -> None:
    pool = pooled({"a": says("A"), "b": says("B")}, Rules(patience=0.0), in_flight=1)
    async with pool.stack, anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(pool.stack.complete, request(number))
        await pool.clock.sleep(0.5)
        shown = pool.stack.statistics()
        assert (shown["policy"], shown["waiting"], shown["in_flight"], shown["in_flight_limit"]) == (
            "failover",
            3,
            2,
            2,
        )
        limits = shown["limits"]
        assert limits["a/m"]["next"]["kind"] == "in_flight"  # type: ignore[index]
        assert limits["b/m"]["next"]["kind"] == "in_flight"  # type: ignore[index]
        members = shown["members"]
        assert members["a"]["load"] == 1  # type: ignore[index]
    assert pool.stack.statistics()["attempts"] == 5


def test_a_layer_that_is_added_stands_around_each_members_attempts() -> None:
    class Counting:
        seen = 0

        def around(self, send):  # type: ignore[no-untyped-def]
            async def complete(request: Request) -> Completion:
                self.seen += 1
                answer: Completion = await send(request)
                return answer

            return complete

        def statistics(self) -> dict[str, object]:
            return {"seen": self.seen}

    pool, layer = pooled({"a": fails(ErrorClass.TRANSIENT), "b": says("B")}), Counting()
    wider = pool.stack.within(layer)

    async def once() -> Completion:
        async with wider:
            return await wider.complete(request())

    assert asyncio.run(once()).attempts == 2
    assert layer.seen == 2
    assert wider.identity == pool.stack.identity
    assert isinstance(wider, Provider)


class Weather:
    """A member whose luck changes with time: fine, slow, throttling, refusing connections; one may stop for good."""

    def __init__(self, seed: int, name: str) -> None:
        self._random = Random(f"{seed} {name}")
        self._kinds = self._random.choices(["fine", "fine", "slow", "throttles", "breaks", "unreached"], k=12)
        self.stops = name == "c" and seed % 3 == 0
        self.answered: Counter[str] = Counter()
        self.clock: VirtualClock | None = None

    @property
    def now(self) -> str:
        assert self.clock is not None
        return self._kinds[int(self.clock.now() / 7.0) % len(self._kinds)]

    def latency(self, request: Request) -> float:
        return self._random.uniform(0.1, 1.0) * (12.0 if self.now == "slow" else 1.0)

    def __call__(self, request: Request) -> str | Exception:
        if self.stops and sum(self.answered.values()) >= 5:
            return StopError("the bill", ErrorClass.QUOTA)
        match self.now:
            case "throttles":
                return RetryError("slower", ErrorClass.RATE, status=429, retry_after=self._random.choice([None, 3.0]))
            case "breaks":
                return RetryError("broken", ErrorClass.TRANSIENT)
            case "unreached":
                return RetryError("nobody there", ErrorClass.TRANSIENT, attempts=0)
        self.answered[request.messages[0].text] += 1
        return "fine"


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_the_weather_each_request_is_answered_once_and_nothing_is_left(
    policy: Policy, seed: int
) -> None:
    weather = {name: Weather(seed, name) for name in "abc"}
    hedge = Hedge(after=3.0, extra=0.3) if seed % 2 else None
    pool = pooled(
        dict(weather),
        Rules(policy, patience=[0.0, 2.0, None][seed % 3]),
        in_flight=[1, 3, None][seed % 3],
        hedge=hedge,
        retry=RetryPolicy(tries=50, throttles=500, elapsed=1e5, per_minute=1e6),
    )
    for name, member in weather.items():
        member.clock = pool.clock
        pool.members[name]._latency = member.latency
    requests = [request(number) for number in range(80)]
    sent = [Sent() for _ in requests]
    requests = [
        replace(each, admission=each.admission._replace(sent=count, sequence=number % 5))
        for number, (each, count) in enumerate(zip(requests, sent, strict=True))
    ]
    answers = await all_of(pool, requests)
    assert [answer.text for answer in answers] == ["fine"] * 80
    answered: Counter[str] = sum((member.answered for member in weather.values()), Counter())
    assert set(answered) == {each.messages[0].text for each in requests}
    if hedge is None:
        assert set(answered.values()) == {1}
    assert (pool.limiter.waiting, pool.limiter.permits) == (0, 0)
    assert all(member.in_flight == 0 for member in pool.members.values())
    shown = pool.stack.statistics()
    assert all(member["load"] == 0 for member in shown["members"].values())  # type: ignore[attr-defined]
    # What was counted for each request is what reached a member, hedges that were cancelled among it.
    assert sum(each.attempts or 0 for each in sent) == sum(pool.asked().values())


async def test_three_members_with_limits_of_their_own_do_the_work_of_three_and_keep_to_each() -> None:
    at: dict[str, list[float]] = {name: [] for name in "abc"}

    def noted(name: str) -> Callable[[Request], str]:
        def answer(request: Request) -> str:
            at[name].append(pool.clock.now())
            return "so"

        return answer

    pool = pooled(
        {name: noted(name) for name in "abc"},
        Rules(patience=0.0),
        limits=(("requests/minute", 60.0),),
        in_flight=64,
        latency={"a": 0.0, "b": 0.0, "c": 0.0},
    )
    await all_of(pool, [request(number) for number in range(600)])
    for times in at.values():
        assert len(times) == pytest.approx(200, abs=10)
        assert all(later - times[place] >= 60.0 for place, later in enumerate(times[60:]))
    # 600 requests at three times 60 a minute: 200 s, less what goes out at once, more what is kept back.
    assert 150.0 <= pool.clock.now() <= 230.0


async def test_a_reply_that_refused_is_waste_if_another_member_answered_and_the_answer_if_nobody_did() -> None:
    def refuses(request: Request) -> Completion:
        return Completion("no", Stop.REFUSAL, Usage(100, 0, 0, 10))

    def answers(request: Request) -> Completion:
        return Completion("yes", usage=Usage(100, 0, 0, 10))

    prices = {"a": Prices(1.0, 1.0), "b": Prices(2.0, 2.0)}
    for second, lost, usd in ((answers, [110e6], 330e-6), (refuses, [220e6], 330e-6)):
        valve, sent = Valve(), Sent()
        pool = pooled({"a": refuses, "b": second}, Rules(passes_refusals=True), prices=prices, valve=valve)
        asked = replace(request(), admission=Admission(sent=sent))
        (answer,) = await all_of(pool, [asked])
        assert answer.attempts == sent.attempts == 2
        # Of two members that refuse the first one's reply is the answer, and the second one's for nothing.
        assert [each.picodollars for each in sent.lost] == lost
        assert not any(each.cancelled for each in sent.lost)
        assert sent.answered
        assert sent.spent.usd == pytest.approx(usd)
        assert answer.usage.member == ("b" if second is answers else "a")


async def test_a_member_that_is_out_for_a_moment_is_asked_again_before_a_refusal_is_the_answer() -> None:
    def refuses(request: Request) -> Completion:
        return Completion("no", Stop.REFUSAL)

    once = [RetryError("out", ErrorClass.TRANSIENT), Completion("yes")]
    (answer,) = await all_of(pooled({"a": refuses, "b": once}, Rules(passes_refusals=True)), [request()])
    assert (answer.text, answer.attempts) == ("yes", 3)
