"""A machine that is suspended for ten minutes, under both kinds of monotonic clock: no burst, no stall, no storm."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from random import Random

import pytest
from anyio.lowlevel import checkpoint
from limited import Rule, Server, load

from semprop.providers.base import Message, Request
from semprop.providers.breaker import Breaker
from semprop.providers.clock import Clock, Handle
from semprop.providers.deadlines import Deadlines
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock
from semprop.providers.wire.profiles import PROFILES

SUSPENDED = 600.0


class World(VirtualClock):
    """The time outside. It goes on while the machine is suspended, and whoever sleeps wakes with the machine."""

    def suspend(self, seconds: float) -> None:
        self._now += seconds
        self._sleepers = [(max(at, self._now), number, woken) for at, number, woken in self._sleepers]
        heapq.heapify(self._sleepers)


class Stopping:
    """A monotonic clock that stands still while the machine is suspended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.suspended = 0.0

    def now(self) -> float:
        return self._world.now() - self.suspended

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        return self._world.call_later(seconds, callback)


def stack_on(server: Server, clock: Clock, workers: int) -> tuple[Stack, Limiter]:
    limiter = Limiter(clock=clock, random=Random(0), wall=server.clock.now)
    limits = Limits(limiter, Terms("a", "m", profile=PROFILES["unknown"], in_flight=workers))
    return Stack(server, (Retry(RetryPolicy(), clock, Random(0), limiter_waits), limits)), limiter


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("at", [3.0, 90.0])
async def test_after_a_suspension_limits_hold_and_the_rate_is_what_it_was(goes_on: bool, told: bool, at: float) -> None:
    world = World()
    clock: Clock = world if goes_on else Stopping(world)
    limit, workers = 300.0, 40
    server = Server(
        world, [Rule("requests", limit, name="requests-minute")], headers=told, bodies=True, retry_after=True
    )
    stack, limiter = stack_on(server, clock, workers)

    async def suspend() -> None:
        await world.sleep(at)
        world.suspend(SUSPENDED)
        if isinstance(clock, Stopping):
            clock.suspended += SUSPENDED

    suspending = asyncio.ensure_future(suspend())
    awake = at + SUSPENDED
    await load(stack, server, awake + 240.0, workers)
    await suspending
    # The server admits no more than its limit in any window: what a burst shows in are refusals.
    before, after = server.refused(0.0, at), server.refused(awake, awake + 240.0)
    assert after <= max(before, workers), "a burst after the wake-up"
    # What was told before is waited out: on a clock that stood still, the rest of a window.
    again = awake if goes_on else awake + 60.0
    assert server.admitted(again, again + 60.0) >= 0.7 * limit, "a stall after the wake-up"
    assert server.admitted(awake + 120.0, awake + 240.0) >= 1.6 * limit
    assert (limiter.permits, limiter.waiting) == (0, 0)


def ask(stack: Stack, text: str = "?") -> asyncio.Future[object]:
    return asyncio.ensure_future(stack.complete(Request((Message.of("user", text),))))


async def test_a_request_that_waits_for_its_next_try_is_not_given_up_for_the_time_that_was_slept() -> None:
    """The network is not back yet at the first try after the wake-up."""
    world, tries = World(), 0

    def answer(request: Request) -> str | Exception:
        nonlocal tries
        tries += 1
        return RetryError("down", ErrorClass.OVERLOAD, status=503) if tries < 6 else "back"

    stack = Stack(Scripted(answer, clock=world), (Retry(RetryPolicy(elapsed=600.0), world, Random(3)),))
    asked = ask(stack)
    await checkpoint()
    await checkpoint()
    assert tries == 1
    world.suspend(SUSPENDED)
    assert (await asked).text == "back"  # type: ignore[attr-defined]


def test_time_between_two_failures_in_which_nobody_asked_is_no_outage() -> None:
    breaker = Breaker(20, 600.0)
    down = RetryError("down", ErrorClass.TRANSIENT, attempts=1)
    assert breaker.failed(down, 0.0) is None
    for number in range(60):
        assert breaker.failed(down, SUSPENDED + number * 0.1) is None


def test_an_outage_that_lasts_still_stops() -> None:
    breaker = Breaker(20, 600.0)
    down = RetryError("down", ErrorClass.TRANSIENT, attempts=1)
    stops = [number for number in range(60) if breaker.failed(down, number * 20.0) is not None]
    assert stops[0] == 30, "after 600 s"


class Slept(asyncio.SelectorEventLoop):
    """A loop whose clock can be moved on, as some systems' is while they are suspended."""

    moved = 0.0

    def time(self) -> float:
        return super().time() + self.moved


def test_calls_that_were_under_way_when_the_machine_slept_have_their_time_anew() -> None:
    loop = Slept()
    ended: list[str] = []

    async def call(deadlines: Deadlines, name: str, seconds: float | None) -> None:
        try:
            with deadlines.deadline():
                await (asyncio.Event().wait() if seconds is None else asyncio.sleep(seconds))
            ended.append(f"{name} answered")
        except TimeoutError:
            ended.append(f"{name} too late")

    async def main() -> None:
        deadlines = Deadlines(0.2)
        calls = [asyncio.ensure_future(call(deadlines, str(number), 0.05)) for number in range(50)]
        calls.append(asyncio.ensure_future(call(deadlines, "slow", None)))
        await asyncio.sleep(0)
        # Their timers of 0.05 s ring at once too, as sockets are ready when a machine wakes; the deadline does not.
        loop.moved += SUSPENDED
        await asyncio.gather(*calls)

    began = loop.time()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert ended == [*(f"{number} answered" for number in range(50)), "slow too late"]
    assert loop.time() - began < SUSPENDED + 5.0
