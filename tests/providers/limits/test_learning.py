"""What replies teach: headers in sent order, throttles, cuts, overloads, outages."""

from __future__ import annotations

from random import Random

import pytest

from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass, ProviderError, classified
from semprop.providers.limits import learning
from semprop.providers.limits.accounts import Account, Cost, DayAccount, Dimension
from semprop.providers.limits.adaptive import COOL_DOWN, LearnedRate, Slots, Trace
from semprop.providers.limits.groups import OUTAGE, TRIAL, Group, Lane, Permit
from semprop.providers.wire.profiles import PROFILES, Profile


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
    assert book(group).others.now(0.2) == 0.0
    assert group.learned is None


def test_what_others_used_is_seen_at_once() -> None:
    group = group_of(requests_per_minute=600.0)
    permit = granted(group, 1)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 99.0),), permit, 0.2, 1)
    assert book(group).others.now(0.2) == pytest.approx(500.0, abs=1.0)
    assert book(group).eta(110.0, 0.2) > 1.0


def test_what_remains_is_followed_where_the_size_of_the_limit_is_never_told() -> None:
    group = group_of(PROFILES["azure"], requests_per_minute=600.0)
    learning.follow(group, (LimitSeen("requests/minute", None, 99.0),), granted(group, 1), 0.2, 1)
    assert book(group).others.now(0.2) == pytest.approx(500.0, abs=1.0)


def test_a_refusal_whose_cause_is_known_is_no_reason_to_use_less_of_the_limit() -> None:
    group = group_of(requests_per_minute=600.0)
    for number in range(6):
        permit = granted(group, number, 5.0 * number)
        seen = (LimitSeen("requests/minute", 600.0, 0.0),)
        learning.follow(group, seen, permit, 5.0 * number + 0.1, number, refused=True)
        learning.throttled(group, refusal(dimension="requests/minute"), permit, 5.0 * number + 0.1, 0.0)
    account = book(group)
    assert (account.factor, account.strikes) == (1.0, 0)
    # All of it is used, and none of it by us: what they leave is what is asked for.
    assert account.gauge == pytest.approx(0.05)


def test_a_limit_that_became_another_one_explains_what_was_sent_before() -> None:
    group = group_of(requests_per_minute=600.0)
    permits = [granted(group, order) for order in range(1, 400)]
    for permit in permits[300:]:
        learning.follow(group, (LimitSeen("requests/minute", 300.0, 0.0),), permit, 0.2, 400, refused=True)
        learning.throttled(group, refusal(dimension="requests/minute"), permit, 0.2, 0.0)
    assert (book(group).limit, book(group).factor, book(group).strikes) == (300.0, 1.0, 0)


def test_requests_sent_after_the_one_that_was_answered_are_not_taken_for_others() -> None:
    group = group_of(requests_per_minute=600.0)
    permits = [granted(group, order) for order in range(1, 101)]
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 599.0),), permits[0], 0.2, 100)
    assert book(group).others.now(0.2) == 0.0
    assert book(group).used(0.2) == 100.0


def test_a_reply_that_comes_out_of_order_is_passed_over() -> None:
    group = group_of(requests_per_minute=600.0)
    first, second = granted(group, 1), granted(group, 2)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 598.0),), second, 0.2, 2)
    learning.follow(group, (LimitSeen("requests/minute", 100.0, 0.0),), first, 0.3, 2)
    assert (book(group).limit, book(group).others.now(0.3)) == (600.0, 0.0)


def test_good_news_is_believed_slowly() -> None:
    group = group_of(requests_per_minute=600.0)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 299.0),), granted(group, 1), 0.0, 1)
    learning.follow(group, (LimitSeen("requests/minute", 600.0, 598.0),), granted(group, 2), 0.1, 2)
    assert 200 < book(group).others.now(0.1) < 300


def test_a_remainder_in_thousands_is_no_sign_of_others() -> None:
    group = group_of(PROFILES["anthropic"], tokens_per_minute=50_000.0)
    permit = granted(group, 1, cost=Cost(1, 1400))
    learning.follow(group, (LimitSeen("tokens/minute", 50_000.0, 48_000.0),), permit, 0.2, 1)
    assert book(group, "tokens/minute").others.now(0.2) == 0.0


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
    for permit in [granted(group, order) for order in range(OUTAGE)]:
        learning.broken(group, permit, 0.0, 0.5)
        group.leave(permit, 0.0)
    wait = group.eta(Cost(), 0.0)
    assert 0.0 < wait < 1.0
    permit = granted(group, 20, wait)
    assert group.eta(Cost(), wait) == TRIAL
    learning.answered(group, permit, wait + 0.2)
    group.leave(permit, wait + 0.2)
    assert group.eta(Cost(), wait + 0.2) == 0.0
    assert group.slots.limit == 16


def test_failures_that_came_together_put_the_next_trial_off_once_and_failed_trials_ever_more() -> None:
    group = group_of()
    now, gaps = 0.1, []
    for permit in [granted(group, order) for order in range(16)]:
        learning.broken(group, permit, now, 0.999)
        group.leave(permit, now)
    for order in range(16, 25):
        gaps.append(round(group.eta(Cost(), now), 1))
        now += group.eta(Cost(), now)
        permit = granted(group, order, now)
        now += 0.1
        learning.broken(group, permit, now, 0.999)
        group.leave(permit, now)
    assert gaps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_refusal_for_its_rate_ends_an_outage_since_somebody_answered() -> None:
    group = group_of()
    permits = [granted(group, order) for order in range(OUTAGE)]
    for permit in permits:
        learning.broken(group, permit, 0.0, 0.5)
    learning.throttled(group, refusal(retry_after=0.0), permits[0], 0.0, 0.0)
    assert (group.failures, group.trials) == (0, 0)


def test_a_single_overload_among_many_answers_cuts_nothing() -> None:
    group = group_of()
    learning.overloaded(group, refusal(ErrorClass.OVERLOAD), 0.0, 0.0)
    assert group.slots.limit == 16
    for _ in range(3):
        learning.overloaded(group, refusal(ErrorClass.OVERLOAD), 0.0, 0.0)
    assert group.slots.limit == 12


def test_failures_of_transport_cut_nothing() -> None:
    group = group_of()
    for order in range(5):
        learning.broken(group, granted(group, order), 0.0, 0.5)
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


def test_answers_that_come_all_at_once_let_a_quarter_of_the_bound_out_at_a_time() -> None:
    group = Group("a/m", PROFILES["unknown"], Slots(16, 128), lambda: 0.0)
    for permit in [granted(group, order) for order in range(16)]:
        group.leave(permit, 4.0)
        learning.answered(group, permit, 4.0)
    sent = 0
    while not group.eta(Cost(), 4.0):
        granted(group, 100 + sent, 4.0)
        sent += 1
    assert sent == 4
    # A fiftieth of what answers take, as far as that is known.
    assert 0.01 < group.eta(Cost(), 4.0) < 0.08
    assert group.eta(Cost(), 4.1) == 0.0


def test_a_bound_that_somebody_stated_is_sent_at_once() -> None:
    group = group_of()
    for order in range(16):
        assert group.eta(Cost(), 0.0) == 0.0
        granted(group, order)


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


def shut_after_six_hundred() -> LearnedRate:
    """Six hundred requests in six seconds were accepted; the next was refused."""
    trace = Trace()
    for number in range(600):
        trace.add(number * 0.01)
    rate = LearnedRate(trace)
    rate.refused(6.0, 6.1, None, 0.0)
    return rate


@pytest.mark.parametrize(
    ("window", "refused", "accepted", "limit"),
    [
        (1.0, (), 7.0, 100.0),
        (10.0, (8.0,), 11.0, 600.0),
        (60.0, (8.0, 20.0), 61.0, 600.0),
    ],
)
def test_the_window_is_the_one_that_neither_refusals_nor_acceptances_contradict(
    window: float, refused: tuple[float, ...], accepted: float, limit: float
) -> None:
    rate = shut_after_six_hundred()
    for at in refused:
        rate.probing = True
        rate.refused(at, at + 0.1, None, 0.0)
    rate.trace.add(accepted)
    assert rate.accepted(accepted, accepted + 0.1, True)
    assert rate.window == window
    assert rate.limit == pytest.approx(limit, rel=0.12)


def test_of_windows_that_explain_it_alike_the_slowest_is_believed() -> None:
    rate = shut_after_six_hundred()
    rate.probing = True
    # The endpoint asked for a minute's wait, so that nothing was seen in between.
    rate.trace.add(66.0)
    assert rate.accepted(66.0, 66.1, True)
    assert (rate.window, rate.limit) == (60.0, 600.0)


def test_what_nothing_explains_is_taken_to_last_as_long_as_it_was_refused() -> None:
    rate = shut_after_six_hundred()
    rate.probing = True
    rate.refused(30.0, 30.1, None, 0.0)
    rate.trace.add(31.0)
    assert rate.accepted(31.0, 31.1, True)
    assert rate.window == 60.0


def test_a_known_limit_that_fell_is_taken_between_what_was_refused_last_and_what_was_accepted() -> None:
    rate = LearnedRate(Trace())
    rate.window, rate.limit = 60.0, 600.0
    for number in range(600):
        rate.trace.add(number * 0.1)
    rate.refused(60.0, 60.1, None, 0.0)
    for at in (75.0, 85.0):
        rate.probing = True
        rate.refused(at, at + 0.1, None, 0.0)
    rate.trace.add(95.0)
    assert rate.accepted(95.0, 95.1, True)
    # Half the limit: 350 were in the window when it refused last, 251 when it accepted.
    assert (rate.window, rate.limit) == (60.0, pytest.approx(300.0, abs=3.0))


def test_while_an_endpoint_is_shut_one_probe_is_out_and_each_goes_when_a_window_may_have_opened() -> None:
    rate = shut_after_six_hundred()
    times, now = [], 6.1
    for _ in range(6):
        now += rate.eta(now)
        times.append(round(now, 1))
        rate.probing = True
        assert rate.eta(now) == float("inf")
        rate.refused(now, now, None, 0.0)
    assert times == [10.3, 25.3, 40.3, 55.3, 60.3, 75.3]


def test_a_limit_that_was_confirmed_is_raised_while_it_is_used_slowly_near_what_was_refused_and_faster_below() -> None:
    rate = LearnedRate(Trace())
    rate.window, rate.limit, rate.most, rate.found_at = 60.0, 600.0, 1000.0, 0.0
    rate._confirmed = 9
    raised = []
    for time in range(31, 31 * 6, 31):
        rate.trace.add(float(time), 0.95 * rate.limit - rate.trace.within(60.0, float(time)))
        before = rate.limit
        assert rate.accepted(float(time), float(time), False)
        raised.append(round(rate.limit / before - 1.0, 3))
    assert raised == [0.02, 0.04, 0.08, 0.16, 0.25]
    rate.limit = 980.0
    rate.trace.add(400.0, 950.0)
    assert rate.accepted(400.0, 400.0, False)
    assert rate.limit == pytest.approx(984.9)


def test_a_trace_forgets_what_is_old() -> None:
    trace, random = Trace(), Random(0)
    now = 0.0
    for _ in range(10_000):
        now += random.random()
        trace.add(now)
    assert len(list(trace)) < 2000
    assert trace.within(60.0, now) == pytest.approx(120, rel=0.3)
