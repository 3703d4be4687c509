"""What replies teach: headers in sent order, throttles, cuts, overloads, outages."""

from __future__ import annotations

from random import Random

import pytest

from semprop.providers import learning
from semprop.providers.adaptive import COOL_DOWN, LearnedRate, Slots, Trace
from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass, ProviderError, classified
from semprop.providers.groups import OUTAGE, Group, Lane, Permit
from semprop.providers.limits import Account, Cost, DayAccount, Dimension
from semprop.providers.profiles import PROFILES, Profile


def group_of(profile: Profile = PROFILES["unknown"], **limits: float) -> Group:
    group = Group("a/m", profile, Slots(16, 16), lambda: 1_795_000_000.0)
    for name, amount in limits.items():
        dimension = Dimension.parse(name.replace("_per_", "/"))
        assert dimension is not None
        group.given[dimension.name] = amount
        group.open_book(dimension, amount, 0.0, 0)
    return group


def granted(group: Group, order: int, now: float = 0.0, cost: Cost = Cost(1, 100)) -> Permit:
    permit = Permit(Lane("a/m", (group,), group.profile), cost, order, now)
    group.take(cost, now, permit)
    return permit


def book(group: Group, name: str = "requests/minute") -> Account:
    found = group.books[name]
    assert isinstance(found, Account)
    return found


def refusal(error_class: ErrorClass = ErrorClass.RATE, **details: object) -> ProviderError:
    return classified("429", error_class, **details)


def test_a_limit_that_is_told_opens_a_book_that_knows_what_was_sent_before() -> None:
    group = group_of()
    permits = [granted(group, order) for order in range(1, 11)]
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 595.0),), permits[4], 0.2, 10)
    assert book(group).used(0.2) == 10.0
    assert book(group).others(0.2) == 0.0
    assert group.learned is None


def test_what_others_used_is_seen_at_once() -> None:
    group = group_of(requests_per_minute=600.0)
    permit = granted(group, 1)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 99.0),), permit, 0.2, 1)
    assert book(group).others(0.2) == pytest.approx(500.0, abs=1.0)
    assert book(group).eta(110.0, 0.2) > 1.0


def test_requests_sent_after_the_one_that_was_answered_are_not_taken_for_others() -> None:
    group = group_of(requests_per_minute=600.0)
    permits = [granted(group, order) for order in range(1, 101)]
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 599.0),), permits[0], 0.2, 100)
    assert book(group).others(0.2) == 0.0
    assert book(group).used(0.2) == 100.0


def test_a_reply_that_comes_out_of_order_is_passed_over() -> None:
    group = group_of(requests_per_minute=600.0)
    first, second = granted(group, 1), granted(group, 2)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 598.0),), second, 0.2, 2)
    learning.follow(group, (LimitSeen("requests/minute", 100.0, 0.0),), first, 0.3, 2)
    assert (book(group).limit, book(group).others(0.3)) == (600.0, 0.0)


def test_good_news_is_believed_slowly() -> None:
    group = group_of(requests_per_minute=600.0)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 299.0),), granted(group, 1), 0.0, 1)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 598.0),), granted(group, 2), 0.1, 2)
    assert 200 < book(group).others(0.1) < 300


def test_a_remainder_in_thousands_is_no_sign_of_others() -> None:
    group = group_of(PROFILES["anthropic"], tokens_per_minute=50_000.0)
    permit = granted(group, 1, cost=Cost(1, 1400))
    learning.follow(group, (LimitSeen("tokens/minute", 50_000.0, 48_000.0),), permit, 0.2, 1)
    assert book(group, "tokens/minute").others(0.2) == 0.0


def test_headers_lower_a_stated_limit_and_never_raise_it() -> None:
    group = group_of(requests_per_minute=600.0)
    learning.follow(group, (LimitSeen("requests/minute", 10_000.0, 9_000.0),), granted(group, 1), 0.0, 1)
    assert book(group).limit == 600.0
    learning.follow(group, (LimitSeen("requests/minute", 300.0, 290.0),), granted(group, 2), 0.0, 2)
    assert book(group).limit == 300.0


def test_a_daily_remainder_is_counted_by_the_day_and_its_reset_is_no_back_off() -> None:
    group = group_of(PROFILES["groq"])
    seen = (LimitSeen("requests/day", 14_400.0, 14_370.0, 179.56),)
    learning.follow(group, seen, granted(group, 1), 0.0, 1)
    day = group.books["requests/day"]
    assert isinstance(day, DayAccount)
    assert day.used(0.0) == 30.0
    assert group.eta(Cost(1, 100), 0.0) == 0.0
    assert group.learned is not None


def test_a_dimension_that_is_none_is_passed_over() -> None:
    group = group_of()
    learning.follow(group, (LimitSeen("moons/minute", 5.0, 1.0),), granted(group, 1), 0.0, 1)
    assert group.books == {}


def test_a_retry_after_freezes_the_dimension_that_was_named_and_no_other() -> None:
    group = group_of(requests_per_minute=600.0, tokens_per_minute=60_000.0)
    error = refusal(retry_after=20.0, dimension="tokens/minute")
    learning.throttled(group, error, granted(group, 1), 1.0, 0.5)
    assert 21.0 <= book(group, "tokens/minute").frozen <= 22.1
    assert book(group).frozen < 0.0
    assert group.frozen < 0.0


def test_a_throttle_that_names_nothing_binds_what_is_nearly_used_up() -> None:
    group = group_of(requests_per_minute=600.0, tokens_per_minute=1000.0)
    permit = granted(group, 1, cost=Cost(1, 950))
    learning.throttled(group, refusal(retry_after=5.0), permit, 0.2, 0.0)
    assert book(group, "tokens/minute").frozen == pytest.approx(5.2)
    assert book(group).frozen < 0.0


def test_a_cut_comes_once_an_episode_and_a_long_retry_after_does_not_put_off_the_next() -> None:
    group = group_of()
    slots = group.slots
    for number in range(50):
        now = 2.0 * number
        learning.throttled(group, refusal(retry_after=89.0), granted(group, number, now), now + 0.1, 0.5)
    assert slots.episodes == 100 // COOL_DOWN


def test_refusals_of_requests_sent_before_the_freeze_are_one_episode() -> None:
    group = group_of(requests_per_minute=600.0)
    permits = [granted(group, order) for order in range(1, 20)]
    for permit in permits:
        learning.throttled(group, refusal(dimension="requests/minute"), permit, 0.2, 0.0)
    assert group.episodes == 1
    assert (book(group).strikes, book(group).factor) == (1, 1.0)


def test_repeated_throttles_teach_to_use_less_and_calm_to_use_more_again() -> None:
    group = group_of(requests_per_minute=600.0)
    for number in range(4):
        permit = granted(group, number, 5.0 * number)
        learning.throttled(group, refusal(dimension="requests/minute"), permit, 5.0 * number + 0.1, 0.0)
    account = book(group)
    assert account.factor == pytest.approx(0.9**3)
    account.own = 600.0
    before = account.rate
    for number in range(1, 400):
        granted_now = granted(group, 100 + number, 20.0 + number)
        account.own = 600.0
        learning.answered(group, granted_now, 20.0 + number)
    assert account.rate > 1.2 * before
    assert account.factor <= 1.0


def test_many_failures_in_a_row_let_one_request_through_at_a_time_until_one_succeeds() -> None:
    group = group_of()
    for _ in range(OUTAGE):
        learning.broken(group, 0.0, 0.5)
    wait = group.eta(Cost(), 0.0)
    assert 0.0 < wait < 1.0
    permit = granted(group, 1, wait)
    assert group.eta(Cost(), wait) == float("inf")
    learning.answered(group, permit, wait + 0.2)
    assert group.eta(Cost(), wait + 0.2) == 0.0
    assert group.slots.limit == 16


def test_a_single_overload_among_many_answers_cuts_nothing() -> None:
    group = group_of()
    learning.overloaded(group, refusal(ErrorClass.OVERLOAD), 0.0, 0.0)
    assert group.slots.limit == 16
    for _ in range(3):
        learning.overloaded(group, refusal(ErrorClass.OVERLOAD), 0.0, 0.0)
    assert group.slots.limit == 12


def test_failures_of_transport_cut_nothing() -> None:
    group = group_of()
    for _ in range(5):
        learning.broken(group, 0.0, 0.5)
    assert (group.slots.limit, group.eta(Cost(), 0.0)) == (16, 0.0)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (refusal(), True),
        (refusal(ErrorClass.DAILY), True),
        (refusal(ErrorClass.OVERLOAD), False),
        (refusal(ErrorClass.OVERLOAD, retry_after=3.0), True),
        (refusal(ErrorClass.TRANSIENT, retry_after=3.0), False),
    ],
)
def test_what_the_limiter_freezes_for_nobody_else_sleeps_for(error: ProviderError, waits: bool) -> None:
    assert learning.limiter_waits(error) is waits


def completions(slots: Slots, count: int, in_flight: int, now: float, step: float = 0.1) -> float:
    for _ in range(count):
        now += step
        slots.completed(in_flight, now)
    return now


def test_concurrency_doubles_while_it_is_used_and_stays_where_it_is_not() -> None:
    busy, idle = Slots(8, 100, growth=1.0), Slots(8, 100, growth=1.0)
    completions(busy, 400, 100, 0.0)
    completions(idle, 400, 3, 0.0)
    assert (busy.limit, idle.limit) == (100.0, 8.0)


def test_after_a_cut_it_grows_by_steps() -> None:
    slots = Slots(64, 128)
    assert slots.cut(0.0)
    completions(slots, 48, 48, 0.0)
    assert 49 <= slots.limit < 56


def test_a_bound_that_somebody_stated_is_never_passed_nor_cut_below_one() -> None:
    slots = Slots(4, 4)
    completions(slots, 1000, 4, 0.0)
    assert slots.limit == 4
    for number in range(100):
        slots.cut(number * COOL_DOWN)
    assert slots.limit == 1.0


@pytest.mark.parametrize(("window", "shut"), [(1.0, 0.0), (1.0, 0.9), (10.0, 5.0), (60.0, 30.0)])
def test_the_window_is_the_smallest_that_explains_how_long_it_was_shut(window: float, shut: float) -> None:
    trace = Trace()
    for number in range(600):
        trace.add(number * 0.01)
    rate = LearnedRate(trace)
    rate.refused(6.0, 6.1, None, 0.5)
    if shut:
        rate.probing = True
        rate.refused(6.0 + shut, 6.1 + shut, None, 0.5)
    assert rate.accepted(7.0 + shut, 7.1 + shut, True)
    assert rate.window == window
    assert rate.limit == pytest.approx(min(window, 6.0) * 100, rel=0.12)


def test_while_an_endpoint_is_shut_one_probe_is_out_at_growing_gaps() -> None:
    rate = LearnedRate(Trace())
    rate.refused(0.0, 0.1, None, 0.5)
    gaps, now = [], 0.1
    for _ in range(6):
        wait = rate.eta(now)
        gaps.append(wait)
        now += wait
        rate.probing = True
        assert rate.eta(now) == float("inf")
        rate.refused(now, now, None, 0.5)
    assert gaps == pytest.approx([0.5, 1.0, 2.0, 4.0, 8.0, 8.0])


def test_a_trace_forgets_what_is_old() -> None:
    trace, random = Trace(), Random(0)
    now = 0.0
    for _ in range(10_000):
        now += random.random()
        trace.add(now)
    assert len(list(trace)) < 2000
    assert trace.within(60.0, now) == pytest.approx(120, rel=0.3)
