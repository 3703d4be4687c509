"""What limits refuse, charge and tell, in virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.tools.endpoint.limits import Demand, Limits, Places, demanded
from semprop.tools.endpoint.settings import Change, Charge, Counted, Foreign, Limit, Shared, Slots, When


def demand(given=10, most=None, output=5, model="m", key="k"):
    return Demand(model, key, given, most, output)


def limits(*each, charge=Charge.ACTUAL, **options):
    return Limits(each, charge, **options)


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 40)), max_size=50),
    st.integers(1, 5),
    st.integers(40, 120),
)
def test_no_window_is_ever_above_its_limit_and_nothing_that_fits_is_refused(arrivals, requests, tokens):
    state = limits(Limit(Counted.REQUESTS, requests, 10.0), Limit(Counted.TOKENS, tokens))
    admitted, now = [], 0.0
    for step, size in arrivals:
        now += step
        used = sum(1 for time, _ in admitted if time + 10.0 > now)
        spent = sum(amount for time, amount in admitted if time + 60.0 > now)
        fits = used + 1 <= requests and spent + size <= tokens
        assert (state.admit(now, 1, demand(given=size, output=0)) is None) == fits
        if fits:
            admitted.append((now, size))


@pytest.mark.parametrize(
    ("charge", "of", "amount"),
    [
        (Charge.LARGEST, Counted.TOKENS, 100),
        (Charge.SUM, Counted.TOKENS, 110),
        (Charge.PRODUCED, Counted.TOKENS, 10),
        (Charge.ACTUAL, Counted.TOKENS, 15),
        (Charge.SUM, Counted.OUTPUT, 100),
        (Charge.PRODUCED, Counted.OUTPUT, 0),
        (Charge.ACTUAL, Counted.OUTPUT, 5),
        (Charge.SUM, Counted.INPUT, 10),
        (Charge.SUM, Counted.REQUESTS, 1),
    ],
)
def test_what_is_charged_at_arrival(charge, of, amount):
    assert demanded(demand(given=10, most=100, output=5), of, charge) == amount


def test_output_that_is_charged_as_produced_blocks_later_requests_until_its_minute_is_over():
    state = limits(Limit(Counted.OUTPUT, 100), charge=Charge.PRODUCED)
    assert state.admit(0.0, 1, demand()) is None
    state.produced(5.0, demand(), 130)
    refused = state.admit(6.0, 2, demand())
    assert refused is not None and refused.wait == pytest.approx(59.0)
    assert state.admit(65.0, 3, demand()) is None


def test_a_request_above_the_whole_limit_waits_for_ever():
    refused = limits(Limit(Counted.TOKENS, 10)).admit(0.0, 1, demand(given=20))
    assert refused is not None and refused.wait == math.inf and refused.requested == 25


def test_of_several_limits_the_one_that_is_waited_for_longest_refuses():
    state = limits(Limit(Counted.REQUESTS, 1, 1.0), Limit(Counted.REQUESTS, 1, 60.0))
    state.admit(0.0, 1, demand())
    refused = state.admit(0.5, 2, demand())
    assert refused is not None and refused.level.limit.seconds == 60.0


def test_a_refused_request_is_charged_only_where_a_setting_says_so():
    for charged, admitted in ((False, True), (True, False)):
        state = limits(Limit(Counted.REQUESTS, 1, 10.0), charge_refused=charged)
        state.admit(0.0, 1, demand())
        state.admit(5.0, 2, demand())
        assert (state.admit(11.0, 3, demand()) is None) is admitted


def test_models_and_keys_have_windows_of_their_own_where_a_limit_says_so():
    state = limits(
        Limit(Counted.REQUESTS, 1, per=Shared.KEY), Limit(Counted.REQUESTS, 1, per=Shared.MODEL, models=("big-*",))
    )
    assert state.admit(0.0, 1, demand(key="a", model="big-1")) is None
    assert state.admit(0.0, 2, demand(key="b", model="big-2")) is None
    assert state.admit(0.0, 3, demand(key="c", model="small")) is None
    assert state.admit(0.0, 4, demand(key="d", model="big-1")) is not None
    assert state.admit(0.0, 5, demand(key="a", model="other")) is not None


def test_a_quota_is_halved_from_a_time_and_from_an_attempt():
    state = limits(
        Limit(Counted.REQUESTS, 8),
        changes=(Change(0.5, when=When(begin=10.0)), Change(0.5, Counted.REQUESTS, When(first_attempt=7))),
    )
    assert [state.levels(now, attempt, demand())[0].most for now, attempt in ((9.9, 6), (10.0, 6), (10.0, 7))] == [
        8,
        4,
        2,
    ]


def test_foreign_traffic_takes_its_share_at_its_own_times():
    state = limits(Limit(Counted.REQUESTS, 100, 10.0), foreign=(Foreign(rate=2.0, begin=5.0, end=20.0),))
    used = [state.levels(now, 1, demand())[0].used for now in (4.9, 5.0, 10.0, 19.9, 24.9, 29.4, 29.5)]
    assert used == [0, 1, 11, 20, 10, 1, 0]


def test_foreign_traffic_of_a_long_pause_is_counted_without_going_through_it():
    state = limits(Limit(Counted.TOKENS, 100, 1.0), foreign=(Foreign(rate=10.0, input=3),))
    assert state.levels(1e9, 1, demand())[0].used == pytest.approx(30, abs=3)


def test_two_foreign_sources_are_counted_in_the_order_of_time():
    state = limits(Limit(Counted.REQUESTS, 100, 10.0), foreign=(Foreign(rate=1.0), Foreign(rate=0.5)))
    assert [state.levels(now, 1, demand())[0].used for now in (0.0, 9.5, 30.5)] == [2, 15, 15]


def test_slots_serve_in_order_and_a_full_queue_refuses():
    places = Places(Slots(parallel=2, queue=1))
    assert [places.enter(0.0, 10.0) for _ in range(4)] == [0.0, 0.0, 10.0, None]
    assert places.enter(10.5, 1.0) == 0.0


@pytest.mark.parametrize(("factor", "most"), [(0.5, 1.0), (1.0, 3.0), (0.01, 1.0), (2.5, 7.0)])
def test_a_changed_limit_is_a_whole_number_which_headers_and_bodies_tell_alike(factor, most):
    state = limits(Limit(Counted.REQUESTS, 3), changes=(Change(factor),))
    (level,) = state.levels(0.0, 1, demand())
    assert level.most == most
