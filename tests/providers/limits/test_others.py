"""What is made of somebody else's use between two words of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.limits.others import Others


def minute() -> Others:
    return Others(60.0, 0.0)


def test_what_an_answer_told_of_leaves_evenly() -> None:
    others = minute()
    others.told(60.0, 0.0)
    assert [others.now(at) for at in (0.0, 30.0, 60.0, 90.0)] == [60.0, 30.0, 0.0, 0.0]
    assert others.until_gone(10.0, 0.0) == pytest.approx(10.0)


def test_what_only_refusals_tell_of_is_taken_to_go_on_and_given_up_slowly() -> None:
    others = minute()
    others.refused(60.0, 0.0, 3.0)
    assert others.now(0.0) == 63.0
    assert 62.0 < others.now(60.0) < 63.0
    assert 52.0 < others.now(150.0) < 57.0
    assert others.now(Others.LASTS) == 0.0


def test_growth_that_was_seen_goes_on_for_as_long_as_it_was_watched() -> None:
    others = minute()
    for second in range(0, 11, 2):
        others.refused(2.5 * second, float(second), 1.0)
    assert others.growth == pytest.approx(2.5)
    assert others.now(20.0) == pytest.approx(26.0 + 25.0, abs=0.1)
    assert others.coming(20.0) == pytest.approx(150.0)
    # A minute of it is all that a window of a minute can hold.
    assert others.now(59.0) < 26.0 + 50.0 + 0.1


def test_what_does_not_grow_any_more_is_not_taken_to_grow() -> None:
    others = minute()
    for at, amount in ((0.0, 10.0), (4.0, 20.0), (40.0, 100.0), (50.0, 100.0)):
        others.refused(amount, at, 1.0)
    assert others.growth == 0.0
    assert others.now(50.0) == 101.0


def test_an_answer_is_believed_before_refusals() -> None:
    others = minute()
    others.refused(60.0, 0.0, 3.0)
    others.told(0.0, 1.0)
    assert (others.now(1.0), others.lasting) == (0.0, False)


@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.001, 1000), st.booleans()), min_size=1, max_size=20),
    st.floats(0.01, 1.0),
)
def test_after_the_time_that_is_told_so_much_is_gone(told: list[tuple[float, float, bool]], share: float) -> None:
    others, now = minute(), 0.0
    for pause, amount, refused in told:
        now += pause
        if refused:
            others.refused(amount, now, 1.0)
        else:
            others.told(amount, now)
    others.growth = 0.0
    wanted = others.now(now) * (1.0 - share)
    wait = others.until_gone(others.now(now) - wanted, now)
    assert wait >= 0.0
    assert others.now(now + wait) == pytest.approx(wanted, abs=1e-6 * others.amount + 1e-9)
