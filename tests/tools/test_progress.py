"""Progress: a tally of events, drawn live on a terminal and in plain lines elsewhere."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Sequence
from random import Random

import worlds
from rich.console import Console

from semprop.engine.training.events import CallDone, Event, HeldOut, ItemDone, PassStarted, StepDone
from semprop.providers.base import Message, Request
from semprop.providers.errors import ErrorClass, classified
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock
from semprop.tools.progress import QUIET, STILL, Bar, Lines, Silent, Tally, tally_of, why_of

REQUEST = Request((Message.of("user", "hello"),))
CALL = CallDone("forward", 7, 1000, 20, 0.25, False)
STEP = StepDone(0, 2, 4, (), (), None, "no proposal")


def tally() -> Tally:
    return Tally(steps=2, tests=10, calls_a_test=2, began=100.0)


def taken(*events: Event, now: float = 100.0) -> Tally:
    counted = tally()
    for event in events:
        counted.take(event, now)
    return counted


def test_the_line_tells_pass_calls_tokens_cost_and_time() -> None:
    line = taken(PassStarted(0, "step"), CALL, CALL).line(103.0)
    assert line == "step 1 of 2, forward · 7 in flight · 2 calls · 2,000 + 40 tokens · $0.5000 · 3.0 s"


def test_unknown_tokens_and_prices_do_not_become_a_price_of_zero() -> None:
    line = taken(PassStarted(0, "step"), CallDone("forward", 1, None, None, None, False)).line(101.0)
    assert "price unknown" in line
    assert "$0" not in line


def test_failed_calls_are_told() -> None:
    assert "1 calls (1 failed)" in taken(CallDone("gate", 0, None, None, None, True)).line(101.0)


def test_the_time_left_is_told_once_there_is_something_to_guess_from() -> None:
    begun = taken(PassStarted(0, "step"), CALL)
    assert begun.seconds_left(105.0) is None
    begun.take(STEP, 110.0)
    # One more step of 10 s, then 10 examples with 2 calls each, of 10 s a call.
    assert begun.seconds_left(110.0) == 10 + 200
    begun.take(PassStarted(2, "test", 10), 110.0)
    begun.take(ItemDone(2, "test"), 110.0)
    assert begun.seconds_left(110.0) == 9 * 2 * 10
    assert "test 1 of 10" in begun.line(110.0)


def test_plain_lines_come_with_passes_and_steps_and_otherwise_seldom() -> None:
    said: list[str] = []
    now = [100.0]
    with Lines(tally(), said.append, lambda: now[0]) as lines:
        for event in (PassStarted(0, "step"), CALL, CALL, CALL):
            lines(event)
        assert said == []
        now[0] += QUIET
        lines(CALL)
        lines(CALL)
        assert len(said) == 1
        lines(STEP)
        lines(PassStarted(2, "test", 10))
        lines(HeldOut(0.0, 1.0, 10))
    assert said[1] == "step 1: 2 of 4 wrong, 0 candidates; no proposal"
    assert said[2].startswith("test 0 of 10")
    assert len(said) == 3


def test_a_terminal_keeps_a_line_for_each_step_and_its_cursor() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with Bar(tally(), console, lambda: 101.0) as bar:
        for event in (PassStarted(0, "step"), CALL, STEP):
            bar(event)
    text = stream.getvalue()
    assert "step 1: 2 of 4 wrong" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


STORM = "throttled: waiting for requests/minute, next in 42 s"


class Loop:
    """The event loop's timers, rung by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None], Ring]] = []

    def later(self, seconds: float, callback: Callable[[], None]) -> Ring:
        ring = Ring()
        self.timers.append((self.now + seconds, callback, ring))
        return ring

    def run(self, until: float) -> None:
        while self.timers and min(at for at, _, _ in self.timers) <= until:
            entry = min(self.timers, key=lambda entry: entry[0])
            self.timers.remove(entry)
            self.now = entry[0]
            if not entry[2].cancelled:
                entry[1]()
        self.now = until


class Ring:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_what_holds_calls_back_is_told_in_place_of_what_is_in_flight() -> None:
    line = taken(PassStarted(0, "step"), CALL).line(103.0, STORM)
    assert STORM in line
    assert "in flight" not in line


def test_a_storm_in_which_nothing_happens_is_told_in_a_log_ever_more_seldom() -> None:
    said: list[str] = []
    times: list[float] = []
    loop = Loop()

    def say(line: str) -> None:
        said.append(line)
        times.append(loop.now - 100.0)

    with Lines(tally(), say, lambda: loop.now, lambda: STORM, loop.later) as lines:
        lines(PassStarted(0, "step"))
        loop.run(100.0 + 1800.0)
    assert all(STORM in line for line in said)
    assert times == [15.0, 45.0, 105.0, 225.0, 465.0, 765.0, 1065.0, 1365.0, 1665.0]
    loop.run(10_000.0)
    assert len(said) == 9, "nothing is said after its block"


def test_long_calls_that_nothing_holds_back_are_told_after_a_minute() -> None:
    said: list[str] = []
    loop = Loop()
    with Lines(tally(), said.append, lambda: loop.now, lambda: None, loop.later):
        loop.run(100.0 + STILL - 1.0)
        assert said == []
        loop.run(100.0 + STILL)
    assert len(said) == 1


def test_a_terminal_tells_what_holds_calls_back() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160)
    loop = Loop()
    with Bar(tally(), console, lambda: loop.now, lambda: STORM, loop.later) as bar:
        bar(PassStarted(0, "step"))
        loop.run(102.0)
    assert STORM in stream.getvalue()


async def storm(endpoint: Scripted, providers: Sequence[Stack], count: int, seconds: float) -> str | None:
    """What is told after so many seconds of so many requests."""
    why = why_of(providers)
    tasks = [asyncio.ensure_future(providers[0].complete(REQUEST)) for _ in range(count)]
    await endpoint.clock.sleep(seconds)
    told = why()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return told


def limited(endpoint: Scripted, *limits: tuple[str, float]) -> Stack:
    limiter = Limiter(clock=endpoint.clock, wall=endpoint.clock.now, random=Random(0))
    retry = Retry(RetryPolicy(), endpoint.clock, Random(0), limiter_waits)
    return Stack(endpoint, (retry, Limits(limiter, Terms("a", "m", limits, in_flight=16))))


def failing(error_class: ErrorClass, **details: object) -> Scripted:
    return Scripted(lambda request: classified("no", error_class, **details), latency=0.1, clock=VirtualClock())


async def test_a_storm_of_refusals_is_told_with_its_dimension_and_its_end() -> None:
    endpoint = failing(ErrorClass.RATE, retry_after=60.0, dimension="requests/minute")
    told = await storm(endpoint, [limited(endpoint, ("requests/minute", 600.0))], 50, 20.0)
    assert told is not None
    assert told.startswith("throttled: waiting for requests/minute, next in 4")


async def test_a_storm_that_names_nothing_is_told_too() -> None:
    endpoint = failing(ErrorClass.RATE)
    told = await storm(endpoint, [limited(endpoint)], 50, 20.0)
    assert told is not None
    assert told.startswith("throttled: waiting for the endpoint, ")


async def test_an_outage_is_told_with_the_time_of_the_next_trial() -> None:
    endpoint = failing(ErrorClass.TRANSIENT)
    told = await storm(endpoint, [limited(endpoint)], 50, 20.0)
    assert told is not None
    assert re.fullmatch(r"failing: \d\d attempts in a row, (next in \d+ s|one is being tried)", told)


async def test_a_limit_that_is_used_up_is_told_if_the_wait_is_long() -> None:
    endpoint = Scripted(lambda request: "fine", latency=0.1, clock=VirtualClock())
    told = await storm(endpoint, [limited(endpoint, ("requests/minute", 3.0))], 5, 2.0)
    assert told == "at its limit: waiting for requests/minute, next in 19 s"
    endpoint = Scripted(lambda request: "fine", latency=1.0, clock=VirtualClock())
    assert await storm(endpoint, [limited(endpoint, ("requests/minute", 600.0))], 50, 2.0) is None


async def test_failed_requests_that_wait_to_be_asked_again_are_told() -> None:
    endpoint = failing(ErrorClass.TRANSIENT)
    provider = Stack(endpoint, (Retry(RetryPolicy(base=60.0), endpoint.clock, Random(2)),))
    told = await storm(endpoint, [provider, provider], 3, 1.0)
    assert told == "3 wait to be asked again after a failure"


def test_a_provider_that_knows_of_no_limits_has_no_reason() -> None:
    assert why_of([Scripted({})])() is None


def test_silence_is_silent() -> None:
    with Silent() as silent:
        assert silent(CALL) is None


def test_a_tally_knows_what_the_held_out_data_will_take() -> None:
    counted = tally_of(worlds.specification(splits=worlds.splits(test=5)), steps=1, sides=2, now=0.0)
    assert (counted.tests, counted.calls_a_test) == (5, 6)
