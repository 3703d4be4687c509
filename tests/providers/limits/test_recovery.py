"""A rate that nobody told, after refusals that no limit was the cause of: it comes back, and a limit that is one stays.

Virtual time; the figures are bars.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from limited import Rule, Server, load, stack_of

from semprop.providers.limits.adaptive import COOL_DOWN, LearnedRate, Slots, Trace
from semprop.providers.limits.limiter import Terms
from semprop.providers.scripted import VirtualClock

WITHIN = 120.0
"""Seconds after the end of a storm in which the throughput is back."""


async def after(
    storms: list[tuple[float, float, float | None]],
    end: float,
    *,
    limit: float | None = None,
    latency: float = 0.1,
    **behaviour: object,
) -> Server:
    """Sixteen callers of an endpoint that tells no limit, until `end`."""
    rules = [] if limit is None else [Rule("requests", limit)]
    server = Server(VirtualClock(), rules, latency=latency, storms=storms, **behaviour)  # type: ignore[arg-type]
    stack, limiter = stack_of(server, Terms("a", "m", in_flight=16))
    await load(stack, server, end, 16)
    assert (limiter.permits, limiter.waiting) == (0, 0)
    return server


@pytest.mark.parametrize("begin", [0.2, 30.0, 300.0])
@pytest.mark.parametrize("retry_after", [None, 0.2])
async def test_two_minutes_after_a_storm_of_refusals_the_rate_is_what_it_was(
    begin: float, retry_after: float | None
) -> None:
    end = begin + 10.0
    server = await after([(begin, end, retry_after)], end + WITHIN + 10.0)
    # 16 at once of 0.1 s.
    assert server.admitted(end + WITHIN, end + WITHIN + 10.0) >= 0.9 * 1600
    # What was tried on the way was accepted.
    assert server.refused(end, end + WITHIN + 10.0) == 0


@pytest.mark.parametrize("begin", [0.2, 30.0])
async def test_bursts_of_refusals_with_long_retry_afters_leave_no_trace_two_minutes_after_the_last(
    begin: float,
) -> None:
    storms: list[tuple[float, float, float | None]] = [
        (begin + 100.0 * number, begin + 100.0 * number + 20.0, 89.0) for number in range(6)
    ]
    # Nothing is sent before its time: the last wait that was asked for may begin as the last storm ends.
    open_again = storms[-1][1] + 89.0
    server = await after(storms, open_again + WITHIN + 10.0)
    assert server.admitted(open_again + WITHIN, open_again + WITHIN + 10.0) >= 0.9 * 1600
    assert server.refused(storms[-1][1], open_again + WITHIN + 10.0) == 0


@pytest.mark.parametrize("begin", [0.2, 30.0, 300.0])
async def test_after_a_storm_a_limit_that_nobody_told_is_used_and_kept(begin: float) -> None:
    end = begin + 10.0
    server = await after([(begin, end, 0.5)], end + WITHIN + 180.0, limit=600.0, refusal=0.15)
    assert server.admitted(end + WITHIN, end + WITHIN + 180.0) >= 0.9 * 1800
    refused = server.refused(end, end + WITHIN + 180.0)
    assert refused <= 0.015 * server.admitted(end, end + WITHIN + 180.0)


@pytest.mark.parametrize("latency", [0.2, 1.0])
async def test_a_quota_that_is_halved_for_good_is_not_taken_for_a_storm(latency: float) -> None:
    server = await after([], 1800.0, limit=600.0, latency=latency, refusal=0.15, changes={300.0: 0.5})
    assert server.admitted(400.0, 1800.0) >= 0.9 * 1400 * 5
    # What was accepted before is not asked for again and again.
    assert server.refused(300.0, 1800.0) <= 0.005 * 1400 * 5


@pytest.mark.parametrize("latency", [0.2, 1.0])
async def test_a_quota_that_is_raised_for_good_is_found(latency: float) -> None:
    server = await after([], 660.0, limit=300.0, latency=latency, refusal=0.15, changes={300.0: 2.0})
    assert server.admitted(540.0, 660.0) >= 0.9 * 120 * 10
    assert server.refused(300.0, 660.0) <= 0.01 * 360 * 10


def found(limit: int = 100, window: float = 60.0) -> LearnedRate:
    """A limit that was found at 0 and is used up."""
    rate = LearnedRate(Trace())
    rate.window, rate.limit, rate.most, rate.found_at = window, float(limit), float(limit), 0.0
    for number in range(limit):
        rate.trace.add(window * (number + 1) / limit)
    return rate


def test_a_limit_that_was_used_up_for_its_window_is_tried_by_a_little_more_than_was_refused() -> None:
    rate = found()
    assert not rate.accepted(59.0, 59.5, False)
    assert rate.accepted(59.9, 60.0, False)
    assert (rate.limit, rate.hurry) == (pytest.approx(106.0), 2.0)


def test_a_limit_that_is_not_used_up_is_not_tried() -> None:
    rate = found()
    assert not rate.accepted(100.0, 100.1, False)
    assert rate.hurry == 1.0


def test_once_more_is_accepted_than_was_refused_the_limit_grows_by_ever_more() -> None:
    rate = found()
    rate.accepted(59.9, 60.0, False)
    grown, now = [rate.limit], 60.0
    for _ in range(4):
        now += 4.0
        for _ in range(1000):
            rate.trace.add(now)
        assert rate.accepted(now, now + 0.1, False)
        grown.append(rate.limit)
    assert [round(after / before, 2) for before, after in pairwise(grown)] == [1.25, 1.5, 2.0, 2.0]
    assert rate.hurry == 1.0


def test_growth_waits_for_an_answer_to_what_was_sent_since() -> None:
    rate = found()
    rate.accepted(59.9, 60.0, False)
    for _ in range(1000):
        rate.trace.add(64.0)
    assert rate.accepted(64.0, 64.1, False)
    assert not rate.accepted(64.0, 80.0, False)


def refuse(rate: LearnedRate, now: float) -> None:
    """One request is refused and the next one, soon after, accepted."""
    rate.refused(now, now, None, 0.0)
    rate.probing = True
    assert rate.accepted(now + 0.5, now + 0.5, True)


def test_a_trial_that_is_refused_where_it_was_refused_before_is_repeated_ever_more_seldom() -> None:
    rate = found(100, 10.0)
    tried, now = [], 10.0
    while len(tried) < 4:
        now += 0.1
        rate.trace.add(now)
        if rate.accepted(now, now, False) and rate.hurry > 1.0:
            tried.append(now - max(0.0, rate.found_at))
            refuse(rate, now)
            assert rate.limit == pytest.approx(100.0, abs=2.0)
    assert tried == [pytest.approx(wait, abs=1.0) for wait in (10.0, 40.0, 160.0, 640.0)]


def test_a_refusal_in_a_window_that_is_nearly_empty_halves_a_limit_at_most() -> None:
    rate = found()
    rate.trace.add(300.0, 5.0)
    refuse(rate, 300.0)
    assert rate.limit == 50.0
    # Six were in the window, and more are accepted now: no limit was the cause.
    rate.trace.add(310.0, 20.0)
    assert rate.accepted(310.0, 310.5, False)
    assert rate.limit == 62.5


def test_a_storm_before_anything_was_accepted_tells_of_no_limit() -> None:
    rate = LearnedRate(Trace())
    rate.refused(0.0, 0.1, None, 0.0)
    rate.trace.add(30.0)
    rate.probing = True
    assert rate.accepted(30.0, 30.1, True)
    assert (rate.window, rate.shut_at) == (None, None)


def test_of_a_limit_that_is_no_whole_number_as_much_is_used_as_can_be() -> None:
    rate = found(2)
    rate.limit = 2.6
    assert rate.accepted(59.9, 60.0, False)
    assert rate.hurry == 2.0


def test_what_was_accepted_before_an_endpoint_shut_is_remembered_until_it_opens() -> None:
    rate = LearnedRate(Trace())
    for number in range(100):
        rate.trace.add(float(number))
    rate.refused(100.0, 100.0, 600.0, 0.0)
    assert rate.eta(100.0) == 600.0
    rate.trace.add(700.0)
    rate.probing = True
    assert rate.accepted(700.0, 700.1, True)
    assert (rate.window, rate.limit) == (60.0, 59.0)
    rate.trace.add(701.0)
    assert len(list(rate.trace)) == 2


def test_what_a_run_of_cuts_took_comes_back_in_few_rounds() -> None:
    slots = Slots(128, 128)
    for number in range(20):
        slots.cut(number * COOL_DOWN)
    assert slots.limit == 1.0
    now, rounds = 200.0, 0
    while slots.limit < 96.0:
        rounds += 1
        now += 4.0
        for _ in range(int(slots.limit) + 1):
            slots.completed(int(slots.limit), now, 4.0)
    assert rounds <= 14
    before = slots.limit
    for _ in range(100):
        slots.completed(96, now + 4.0, 4.0)
    # What it was when it was cut is approached by small steps.
    assert slots.limit == pytest.approx(1.05 * before)
