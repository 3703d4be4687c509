"""The queue in front of an endpoint: permits, fairness, waits, cancellation."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from semprop.providers.base import Admission, LimitSeen, Message, Request
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, StopError, classified
from semprop.providers.layers import Stack
from semprop.providers.limits.accounts import Cost
from semprop.providers.limits.groups import Lane, Permit
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.limits.lines import Place
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock

REQUEST = Request((Message.of("user", "hello"),))


def limiter_on(clock: VirtualClock, **settings: float) -> Limiter:
    return Limiter(clock=clock, wall=clock.now, random=Random(0), **settings)  # type: ignore[arg-type]


def rate(**amounts: float) -> tuple[tuple[str, float], ...]:
    return tuple((f"{name}/minute", amount) for name, amount in amounts.items())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_fits_is_granted_without_a_turn_of_the_loop() -> None:
    limiter = limiter_on(VirtualClock())
    lane = limiter.lane(Terms("a", "m", rate(requests=60), in_flight=2))
    with pytest.raises(StopIteration) as granted:
        limiter.acquire(lane).send(None)
    assert isinstance(granted.value.value, Permit)


async def test_all_dimensions_are_reserved_or_none() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(requests=600, tokens=600), in_flight=9))
    limiter.give_back(await limiter.acquire(lane, Cost(1, 500)))
    await limiter.acquire(lane, Cost(1, 500))
    waiting = asyncio.ensure_future(limiter.acquire(lane, Cost(1, 500)))
    await turns()
    group = lane.groups[0]
    assert group.books["requests/minute"].used(clock.now()) == 1.0
    await waiting
    assert clock.now() == pytest.approx(60.6)


async def test_a_permit_is_settled_once() -> None:
    limiter = limiter_on(VirtualClock())
    permit = await limiter.acquire(limiter.lane(Terms("a", "m", in_flight=1)))
    limiter.settle(permit, Cost())
    for again in (lambda: limiter.settle(permit, Cost()), lambda: limiter.abandon(permit)):
        with pytest.raises(RuntimeError, match="settled before"):
            again()
    assert limiter.permits == 0


async def test_a_request_larger_than_a_limit_fails_at_once_and_says_why() -> None:
    limiter = limiter_on(VirtualClock())
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=9))
    with pytest.raises(ItemError, match="larger than the whole limit of 1000 tokens/minute") as caught:
        await limiter.acquire(lane, Cost(1, 1001))
    assert (caught.value.error_class, caught.value.attempts) == (ErrorClass.TOO_LARGE_FOR_QUOTA, 0)
    assert (limiter.waiting, limiter.permits) == (0, 0)


async def test_one_that_waits_fails_when_the_limit_is_lowered_below_it() -> None:
    limiter = limiter_on(VirtualClock())
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=9))
    permit = await limiter.acquire(lane, Cost(1, 900))
    waiting = asyncio.ensure_future(limiter.acquire(lane, Cost(1, 900)))
    await turns()
    limiter.settle(permit, Cost(1, 900), (LimitSeen("tokens/minute", 500.0, 0.0),))
    with pytest.raises(ItemError, match="limit of 500"):
        await waiting


async def test_small_requests_do_not_pass_a_large_one_at_the_head() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=50))
    order: list[float] = []

    async def use(size: float) -> None:
        limiter.settle(await limiter.acquire(lane, Cost(1, size)), Cost(1, size))
        order.append(size)

    await asyncio.gather(*(use(size) for size in (500.0, 900.0, 10.0, 11.0, 12.0)))
    assert order == [500.0, 900.0, 10.0, 11.0, 12.0]


async def test_a_large_request_among_twenty_greedy_callers_proceeds() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(tokens=60_000), in_flight=50))

    async def greedy(flow: str) -> None:
        while True:
            permit = await limiter.acquire(lane, Cost(1, 20), Admission(flow=flow))
            limiter.settle(permit, Cost(1, 20))

    crowd = [asyncio.ensure_future(greedy(str(number))) for number in range(20)]
    await clock.sleep(5.0)
    began = clock.now()
    await limiter.acquire(lane, Cost(1, 900), Admission(flow="large"))
    # Its own share of the quota is 900 of 1,000 tokens a second.
    assert clock.now() - began < 3 * 0.93
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_flows_of_weight_three_and_one_get_three_and_one() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(requests=600), in_flight=50))
    granted: Counter[str] = Counter()

    async def use(flow: str, weight: float) -> None:
        while True:
            permit = await limiter.acquire(lane, Cost(), Admission(flow=flow, weight=weight))
            granted[flow] += 1
            limiter.settle(permit, Cost())

    crowd = [asyncio.ensure_future(use("heavy", 3.0)) for _ in range(8)]
    crowd += [asyncio.ensure_future(use("light", 1.0)) for _ in range(8)]
    await clock.sleep(60.0)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    assert 2.8 <= granted["heavy"] / granted["light"] <= 3.2


async def test_no_permit_is_lost_in_four_thousand_cancellations() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(requests=6000, tokens=600_000), in_flight=20))
    random = Random(1)

    async def use(number: int) -> None:
        cost = Cost(1, float(random.randrange(1, 300)))
        permit = await limiter.acquire(lane, cost, Admission(flow=str(number % 5), priority=number % 3))
        try:
            await clock.sleep(random.random())
        except asyncio.CancelledError:
            limiter.abandon(permit)
            raise
        limiter.settle(permit, cost)

    tasks = [asyncio.ensure_future(use(number)) for number in range(5000)]
    for _ in range(4000):
        tasks[random.randrange(len(tasks))].cancel()
        if random.random() < 0.05:
            await clock.sleep(0.02 * random.random())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    group = lane.groups[0]
    assert (limiter.permits, limiter.waiting, group.in_flight, group.waiting) == (0, 0, 0, 0)
    assert await limiter.acquire(lane, Cost())


async def test_a_grant_that_its_task_is_cancelled_before_using_is_given_back_whole() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=1))
    permit = await limiter.acquire(lane, Cost(1, 100))
    waiting = asyncio.ensure_future(limiter.acquire(lane, Cost(1, 5)))
    await turns()
    await clock.sleep(30.0)
    limiter.settle(permit, Cost(1, 100))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (limiter.permits, lane.groups[0].in_flight) == (0, 0)
    assert lane.groups[0].books["tokens/minute"].used(clock.now()) == 100.0


async def test_a_deadline_that_cannot_be_met_fails_at_once_and_one_that_passes_when_it_does() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(requests=1), in_flight=1))
    await limiter.acquire(lane)
    with pytest.raises(ProviderFailure, match="deadline"):
        await limiter.acquire(lane, Cost(), Admission(deadline=10.0))
    assert clock.now() == 10.0
    free = limiter.lane(Terms("b", "m", rate(requests=1), in_flight=5))
    await limiter.acquire(free)
    with pytest.raises(ProviderFailure, match="its turn would come in"):
        await limiter.acquire(free, Cost(), Admission(deadline=20.0))
    assert clock.now() == 10.0


async def test_a_daily_limit_that_is_used_up_fails_with_the_time_of_its_reset() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", (("requests/day", 1.0),), in_flight=5))
    await limiter.acquire(lane)
    with pytest.raises(ProviderFailure, match=r"requests/day \(limit 1\) is used up for another") as caught:
        await limiter.acquire(lane)
    assert caught.value.error_class is ErrorClass.DAILY
    assert caught.value.retry_after == pytest.approx(86_400.0)


async def test_groups_that_share_an_account_share_its_limits_and_nothing_else() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    terms = {"account_limits": rate(requests=2), "in_flight": 5}
    one = limiter.lane(Terms("a", "m", **terms))  # type: ignore[arg-type]
    two = limiter.lane(Terms("a", "n", rate(tokens=10), **terms))  # type: ignore[arg-type]
    other = limiter.lane(Terms("b", "n", in_flight=5))
    await limiter.acquire(one)
    waiting = asyncio.ensure_future(limiter.acquire(two))
    await turns()
    assert not waiting.done()
    await limiter.acquire(other)
    assert clock.now() == 0.0
    await waiting
    assert clock.now() > 29.0


async def test_what_waits_for_one_group_does_not_hold_up_another() -> None:
    limiter = limiter_on(VirtualClock())
    full = limiter.lane(Terms("a", "m", in_flight=1))
    free = limiter.lane(Terms("a", "n", in_flight=1))
    await limiter.acquire(full)
    waiting = asyncio.ensure_future(limiter.acquire(full))
    await turns()
    await limiter.acquire(free)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_the_statistics_say_why_nothing_runs() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=9))
    await limiter.acquire(lane, Cost(1, 900))
    waiting = asyncio.ensure_future(limiter.acquire(lane, Cost(1, 200), Admission(flow="run 7")))
    await turns()
    shown = limiter.statistics()["a/m"]
    assert isinstance(shown, dict)
    assert shown["next"]["waits_for"] == "tokens/minute (limit 1000) is used up"
    assert shown["next"]["flow"] == "run 7"
    assert 50 < shown["next"]["eta_seconds"] < 61
    assert shown["dimensions"]["tokens/minute"]["source"] == "given"
    assert (shown["waiting"], shown["in_flight"]) == (1, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize("limits", [(("dollars/minute", 1.0),), (("requests/minute", 0.0),)])
def test_limits_that_mean_nothing_are_refused(limits: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(StopError, match="limit"):
        Limiter().lane(Terms("a", "m", limits))


def test_a_limiter_serves_one_loop_after_another() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(requests=60), in_flight=1))

    async def crowd() -> None:
        async def use() -> None:
            limiter.settle(await limiter.acquire(lane), Cost())

        await asyncio.gather(*(use() for _ in range(3)))

    for _ in range(2):
        asyncio.run(crowd())
    assert limiter.permits == 0


weights = st.dictionaries(st.sampled_from("abcd"), st.floats(0.5, 5.0), min_size=2)


@settings(max_examples=25, deadline=None)
@given(weights, st.lists(st.floats(10, 200), min_size=3, max_size=12))
def test_flows_that_always_wait_get_shares_within_a_tenth_of_their_weights(
    weights: dict[str, float], sizes: list[float]
) -> None:
    async def shares() -> Counter[str]:
        clock = VirtualClock()
        limiter = limiter_on(clock)
        lane = limiter.lane(Terms("a", "m", rate(tokens=60_000), in_flight=50))
        taken: Counter[str] = Counter()
        numbers = iter(range(10**9))

        async def use(flow: str, weight: float) -> None:
            while True:
                cost = Cost(1, sizes[next(numbers) % len(sizes)])
                permit = await limiter.acquire(lane, cost, Admission(flow=flow, weight=weight))
                taken[flow] += int(cost.tokens)
                limiter.settle(permit, cost)

        crowd = [asyncio.ensure_future(use(flow, weight)) for flow, weight in weights.items() for _ in range(6)]
        await clock.sleep(120.0)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        return taken

    taken = asyncio.run(shares())
    whole = sum(weights.values())
    for flow, weight in weights.items():
        assert taken[flow] / sum(taken.values()) == pytest.approx(weight / whole, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12))
def test_who_waits_behind_endless_urgent_requests_is_served_once_it_has_aged(above: int, old: int) -> None:
    async def waits() -> list[float]:
        clock = VirtualClock()
        limiter = limiter_on(clock, ageing=10.0)
        lane = limiter.lane(Terms("a", "m", rate(requests=600), in_flight=50))

        async def urgent() -> None:
            while True:
                limiter.settle(await limiter.acquire(lane), Cost())

        async def patient() -> float:
            limiter.settle(await limiter.acquire(lane, Cost(), Admission(priority=above)), Cost())
            return clock.now()

        crowd = [asyncio.ensure_future(urgent()) for _ in range(20)]
        waiting = [asyncio.ensure_future(patient()) for _ in range(old)]
        times = await asyncio.gather(*waiting)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        return times

    times = asyncio.run(waits())
    # Ten seconds of waiting make up for one step, and of four grants at least one goes to the oldest.
    assert min(times) >= 9.9 * above
    assert max(times) <= 10.0 * above + 4 * (old + 1) / 9.7 + 0.5


async def test_a_wait_that_was_asked_for_binds_its_own_group_and_no_other() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    one, other = (limiter.lane(Terms("a", name, rate(requests=6000), in_flight=9)) for name in "mn")
    limiter.failed(await limiter.acquire(one), throttle(retry_after=50.0, dimension="requests/minute"))
    waiting = asyncio.ensure_future(limiter.acquire(one))
    await turns()
    for _ in range(20):
        limiter.settle(await limiter.acquire(other), Cost())
    assert clock.now() < 1.0
    await waiting
    assert clock.now() >= 50.0


async def test_what_could_not_be_sent_is_returned_whole() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    lane = limiter.lane(Terms("a", "m", rate(tokens=1000), in_flight=9))
    for attempts, used in ((0, 0.0), (1, 300.0)):
        permit = await limiter.acquire(lane, Cost(1, 300))
        limiter.failed(permit, classified("reset", ErrorClass.TRANSIENT, attempts=attempts))
        assert lane.groups[0].books["tokens/minute"].used(clock.now()) == used


async def test_to_be_looked_at_changes_nothing() -> None:
    async def granted(look: bool) -> list[float]:
        clock = VirtualClock()
        limiter = limiter_on(clock)
        lane = limiter.lane(Terms("a", "m", rate(requests=600), in_flight=50))
        times: list[float] = []

        async def use() -> None:
            limiter.settle(await limiter.acquire(lane), Cost())
            times.append(clock.now())

        tasks = [asyncio.ensure_future(use()) for _ in range(60)]
        while not all(task.done() for task in tasks):
            await clock.sleep(0.037)
            if look:
                limiter.statistics()
        return times

    assert await granted(look=True) == pytest.approx(await granted(look=False))


def throttle(**details: object) -> ProviderError:
    return classified("429", ErrorClass.RATE, status=429, **details)


async def test_a_throttled_request_waits_in_its_old_place_and_holds_no_slot() -> None:
    clock = VirtualClock()
    order: list[tuple[str, float]] = []

    def answer(request: Request) -> str | Exception:
        text = request.messages[0].text
        order.append((text, round(clock.now())))
        return throttle(retry_after=30.0) if len(order) == 1 else text

    endpoint = Scripted(answer, latency=1.0, clock=clock)
    limiter = limiter_on(clock)
    limits = Limits(limiter, Terms("a", "m", in_flight=1))
    stack = Stack(endpoint, (Retry(RetryPolicy(), clock, Random(0), lambda error: True), limits))
    asked = [stack.complete(Request((Message.of("user", text),))) for text in ("first", "second", "third")]
    tasks = [asyncio.ensure_future(one) for one in asked]
    await clock.sleep(15.0)
    assert stack.statistics()["in_flight"] == 0
    await asyncio.gather(*tasks)
    assert [text for text, _ in order] == ["first", "first", "second", "third"]
    assert order[1][1] >= 31


async def test_every_way_out_settles_the_permit() -> None:
    clock = VirtualClock()
    errors = [classified("no", error_class) for error_class in ErrorClass]
    endpoint = Scripted([*errors, RuntimeError("bug"), "fine"], clock=clock)
    limiter = limiter_on(clock)
    stack = Stack(endpoint, (Limits(limiter, Terms("a", "m", in_flight=3)),))
    for error in errors:
        with pytest.raises(ProviderError):
            await stack.complete(REQUEST)
        assert limiter.permits == 0, error.error_class
    with pytest.raises(RuntimeError):
        await stack.complete(REQUEST)
    assert (await stack.complete(REQUEST)).text == "fine"
    assert (limiter.permits, stack.statistics()["in_flight"]) == (0, 0)


class Machine(RuleBasedStateMachine):
    """Requests of any size come, are granted, answered, refused and cancelled, in any order, in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.limiter = limiter_on(self.clock)
        self.lane: Lane = self.limiter.lane(Terms("a", "m", rate(requests=30, tokens=1000), in_flight=4))
        self.tasks: list[asyncio.Task[Permit]] = []
        self.out: list[Permit] = []
        self.counted: dict[int, tuple[float, float]] = {}

    def run(self, seconds: float, first: Callable[[], None] = lambda: None) -> None:
        self.loop.run_until_complete(self._run(seconds, first))

    async def _run(self, seconds: float, first: Callable[[], None]) -> None:
        first()
        await turns()
        if seconds:
            await self.clock.sleep(seconds)
            await turns()
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            if not task.cancelled() and task.exception() is None:
                self.out.append(task.result())
                self.counted[task.result().order] = (task.result().granted, task.result().cost.tokens)

    @rule(size=st.floats(0, 1000), flow=st.sampled_from("ab"), priority=st.integers(0, 2))
    def ask(self, size: float, flow: str, priority: int) -> None:
        request = self.limiter.acquire(self.lane, Cost(1, size), Admission(flow=flow, priority=priority))
        self.tasks.append(self.loop.create_task(request))
        self.run(0)

    @rule(seconds=st.floats(0.001, 30))
    def pass_time(self, seconds: float) -> None:
        self.run(seconds)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        seen = (LimitSeen("tokens/minute", 1000.0, 1000.0),)
        self.run(0, lambda: self.limiter.settle(permit, permit.cost, seen))

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(), wait=st.none() | st.floats(0, 5), error=st.sampled_from(ErrorClass), attempts=st.integers(0, 1)
    )
    def refuse(self, data: st.DataObject, wait: float | None, error: ErrorClass, attempts: int) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        failure = classified("no", error, retry_after=wait, attempts=attempts)
        self.run(0, lambda: self.limiter.failed(permit, failure))
        unsent = error is ErrorClass.TRANSIENT and not attempts
        if unsent or error in (ErrorClass.RATE, ErrorClass.DAILY, ErrorClass.OVERLOAD, ErrorClass.TOO_LARGE_FOR_QUOTA):
            # What was refused is free again.
            del self.counted[permit.order]

    @precondition(lambda self: self.out)
    @rule(data=st.data(), sent=st.booleans())
    def give_up(self, data: st.DataObject, sent: bool) -> None:
        """Nobody waits for the answer any more: what may have been sent stays booked, the rest is returned."""
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.run(0, partial(self.limiter.abandon if sent else self.limiter.give_back, permit))
        if not sent:
            del self.counted[permit.order]

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.tasks[data.draw(st.integers(0, len(self.tasks) - 1))].cancel()
        self.run(0)

    @invariant()
    def permits_are_conserved(self) -> None:
        group = self.lane.groups[0]
        assert self.limiter.permits == group.in_flight == len(self.out) <= 4
        assert self.limiter.waiting == group.waiting == len(self.tasks)

    @invariant()
    def no_window_is_exceeded(self) -> None:
        for end, _ in self.counted.values():
            within = [size for at, size in self.counted.values() if end - 60.0 < at <= end]
            assert sum(within) <= 1000.0 + 1e-6
            assert len(within) <= 30

    def teardown(self) -> None:
        try:
            for _ in range(400):
                if not self.tasks and not self.out:
                    break
                out, self.out = self.out, []
                self.run(60.0, partial(self.settle_all, out))
            assert not self.tasks, "somebody starved"
            assert (self.limiter.permits, self.limiter.waiting, self.lane.groups[0].in_flight) == (0, 0, 0)
            self.run(61.0)
            books = self.lane.groups[0].books.values()
            assert all(abs(book.used(self.clock.now())) < 1e-6 for book in books), "something stays booked for ever"
        finally:
            for task in self.tasks:
                task.cancel()
            self.run(0)
            self.loop.close()

    def settle_all(self, permits: list[Permit]) -> None:
        for permit in permits:
            self.limiter.settle(permit, permit.cost)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# Several places -------------------------------------------------------------------------------------------------------


def places(limiter: Limiter, *names: str, in_flight: int = 1, **limits: float) -> list[Place]:
    return [Place(limiter.lane(Terms(name, "m", rate(**limits), in_flight=in_flight)), Cost(1, 10)) for name in names]


async def test_a_request_that_stands_in_several_queues_takes_the_first_that_has_room_and_leaves_the_others() -> None:
    limiter = limiter_on(VirtualClock())
    one, two = places(limiter, "a", "b")
    held = [limiter.acquire_nowait(one), limiter.acquire_nowait(two)]
    assert (limiter.wait(one), limiter.acquire_nowait(two)) == (math.inf, None)
    waiting = asyncio.ensure_future(limiter.acquire_any((one, two)))
    await turns()
    assert limiter.waiting == 2
    assert held[1] is not None
    limiter.give_back(held[1])
    permit = await waiting
    assert permit is not None
    assert permit.lane.name == "b/m"
    assert (limiter.waiting, limiter.permits) == (0, 2)


async def test_when_two_places_have_room_at_once_only_one_permit_is_given() -> None:
    limiter = limiter_on(VirtualClock())
    one, two = places(limiter, "a", "b")
    held = [limiter.acquire_nowait(one), limiter.acquire_nowait(two)]
    waiting = asyncio.ensure_future(limiter.acquire_any((one, two)))
    behind = asyncio.ensure_future(limiter.acquire(two.lane))
    await turns()
    for permit in held:
        assert permit is not None
        limiter.give_back(permit)
    first, second = await asyncio.gather(waiting, behind)
    assert first is not None
    assert {first.lane.name, second.lane.name} == {"a/m", "b/m"}
    assert (limiter.waiting, limiter.permits) == (0, 2)


async def test_who_waits_for_any_of_several_gives_up_after_its_seconds() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    (only,) = places(limiter, "a")
    held = limiter.acquire_nowait(only)
    assert held is not None
    assert await limiter.acquire_any((only,), seconds=3.0) is None
    assert (clock.now(), limiter.waiting) == (3.0, 0)
    limiter.give_back(held)
    assert limiter.permits == 0


async def test_a_place_that_can_never_take_a_request_is_left_and_the_last_one_fails_it() -> None:
    limiter = limiter_on(VirtualClock())
    small, large = places(limiter, "a", tokens=5), places(limiter, "b", tokens=500)
    permit = await limiter.acquire_any((*small, *large))
    assert permit is not None
    assert permit.lane.name == "b/m"
    limiter.give_back(permit)
    with pytest.raises(ItemError, match="larger than the whole limit"):
        await limiter.acquire_any(small)
    assert (limiter.waiting, limiter.permits) == (0, 0)


async def test_a_deadline_fails_a_request_once_however_many_queues_it_stands_in() -> None:
    clock = VirtualClock()
    limiter = limiter_on(clock)
    both = places(limiter, "a", "b")
    held = [limiter.acquire_nowait(each) for each in both]
    with pytest.raises(ProviderFailure, match="deadline"):
        await limiter.acquire_any(both, Admission(deadline=2.0))
    assert (clock.now(), limiter.waiting, limiter.permits) == (2.0, 0, len(held))


async def test_cancelling_who_stands_in_several_queues_leaves_none_of_it() -> None:
    for cut in range(12):
        limiter = limiter_on(VirtualClock())
        both = places(limiter, "a", "b")
        held = [limiter.acquire_nowait(each) for each in both]
        waiting = [asyncio.ensure_future(limiter.acquire_any(both)) for _ in range(3)]
        await turns(2)
        for permit in held[: 1 + cut % 2]:
            assert permit is not None
            limiter.give_back(permit)
        await turns(cut // 4)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        given = [task.result() for task in waiting if not task.cancelled()]
        assert limiter.waiting == 0
        assert limiter.permits == len(given) + 1 - cut % 2
