"""Sliding windows against a count by brute force."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from semprop.tools.endpoint.windows import Window

STEPS = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.integers(0, 5)),  # seconds since the last, amount
    max_size=60,
)


def counted(events, seconds, now):
    return sum(amount for time, amount in events if time + seconds > now)


@given(STEPS, st.sampled_from([1.0, 10.0, 60.0, 86_400.0]))
def test_a_window_counts_exactly_what_happened_within_its_seconds(steps, seconds):
    window, events, now = Window(seconds), [], 0.0
    for step, amount in steps:
        now += step
        assert window.used(now) == counted(events, seconds, now)
        window.add(now, amount)
        events.append((now, amount))
        assert window.used(now) == counted(events, seconds, now)


@given(STEPS, st.sampled_from([1.0, 10.0, 60.0]), st.integers(0, 30))
def test_after_the_wait_there_is_room_and_just_before_it_there_is_not(steps, seconds, target):
    window, events, now = Window(seconds), [], 0.0
    for step, amount in steps:
        now += step
        window.add(now, amount)
        events.append((now, amount))
    wait = window.wait(now, target)
    assert counted(events, seconds, now + wait + 1e-9) <= target
    if wait > 0:
        assert counted(events, seconds, now + wait - 1e-9) > target


@given(STEPS)
def test_after_the_reset_nothing_counts(steps):
    window, now = Window(10.0), 0.0
    for step, amount in steps:
        now += step
        window.add(now, amount)
    assert window.used(now + window.reset(now) + 1e-9) == 0


def test_no_wait_makes_room_for_less_than_nothing():
    window = Window(10.0)
    window.add(0.0, 3)
    assert window.wait(0.0, -1) == math.inf


@given(STEPS)
def test_a_coarse_window_counts_for_at_most_its_grain_longer(steps):
    window, events, now = Window(100.0, grain=0.5), [], 0.0
    for step, amount in steps:
        now += step
        window.add(now, amount)
        events.append((now, amount))
        assert counted(events, 100.0, now) <= window.used(now) <= counted(events, 100.5 + 1e-9, now)


def test_a_coarse_window_is_bounded_whatever_the_rate():
    window = Window(100.0, grain=1.0)
    for number in range(20_000):
        window.add(number / 100, 1)
        window.used(number / 100)
    assert len(window) <= 102
