"""The arithmetic of limits, by itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Admission, Message, Request, Sampling, Usage
from semprop.providers.limits.accounts import Account, Cost, DayAccount, Dimension, Pace, open_account
from semprop.providers.limits.estimates import PRIOR, Average, Estimator
from semprop.providers.wire.profiles import PROFILES, cost_of, profile_of, settled


def dimension(name: str) -> Dimension:
    found = Dimension.parse(name)
    assert found is not None
    return found


def account(name: str = "requests/minute", limit: float = 600.0, pace: Pace = Pace()) -> Account:
    return Account(dimension(name), limit, pace, 0.0)


@pytest.mark.parametrize(
    ("name", "resource", "period"),
    [
        ("requests/second", 0, 1.0),
        ("tokens/minute", 1, 60.0),
        ("project_tokens/minute", 1, 60.0),
        ("input_tokens/hour", 2, 3600.0),
        ("output_tokens/day", 3, 86400.0),
    ],
)
def test_a_dimension_is_a_resource_and_a_period(name: str, resource: int, period: float) -> None:
    assert dimension(name) == Dimension(name, resource, period)


@pytest.mark.parametrize("name", ["", "requests", "dollars/minute", "tokens/fortnight", "/minute"])
def test_what_names_no_limit_is_none(name: str) -> None:
    assert Dimension.parse(name) is None


def most_within(sent: list[tuple[float, float]], seconds: float) -> float:
    """The largest sum in any window that is open at its beginning."""
    return max(sum(size for at, size in sent if end - seconds < at <= end) for end, _ in sent)


def run_account(book: Account, sizes: list[tuple[float, float]]) -> list[tuple[float, float]]:
    now, sent = 0.0, []
    for pause, size in sizes:
        now += pause
        while (wait := book.eta(size, now)) > 0:
            assert wait < math.inf
            now += max(wait, 1e-9)
        book.take(size, now)
        sent.append((now, size))
    return sent


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.5, 7.0, 90.0]), st.floats(1, 1000)), max_size=120))
def test_no_minute_ever_holds_more_than_the_limit_whatever_the_sizes(sizes: list[tuple[float, float]]) -> None:
    sent = run_account(account("tokens/minute", 1000.0), sizes)
    assert not sent or most_within(sent, 60.0) <= 1000.0 + 1e-6


@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.01, 0.3, 5.0, 61.0]), max_size=200),
    st.sampled_from([60.0, 600.0, 6000.0]),
)
def test_requests_are_within_every_window_of_one_ten_and_sixty_seconds(pauses: list[float], limit: float) -> None:
    sent = run_account(account(limit=limit), [(pause, 1.0) for pause in pauses])
    for seconds in (1.0, 10.0, 60.0):
        assert not sent or most_within(sent, seconds) <= max(1.0, limit * seconds / 60.0) + 1e-6


def test_a_limit_is_used_up_to_its_headroom() -> None:
    sent = run_account(account(), [(0.0, 1.0)] * 1200)
    assert 0.965 <= 1200 / (sent[-1][0] * 10.0) <= 0.975


def test_a_large_request_waits_for_a_free_window_and_is_paid_off_afterwards() -> None:
    book = account("tokens/minute", 1000.0)
    book.take(900.0, 0.0)
    assert book.eta(100.0, 0.0) == pytest.approx(900 / (970 / 60), rel=0.05)
    assert book.eta(900.0, 56.0) == pytest.approx(4.6, abs=0.1)
    assert book.eta(900.0, 60.7) == 0.0


def test_what_is_larger_than_a_stated_limit_never_comes_and_than_a_learned_one_it_does() -> None:
    book = account("tokens/minute", 1000.0)
    assert book.eta(1001.0, 0.0) == math.inf
    book.told = False
    assert book.eta(1001.0, 0.0) == 0.0


def test_what_was_not_used_comes_back_and_what_was_used_more_is_owed() -> None:
    book = account("tokens/minute", 6000.0)
    taken = book.take(1000.0, 0.0)
    book.correct(taken, -400.0, 1.0)
    assert book.used(1.0) == 600.0
    book.correct(taken, 100.0, 2.0)
    assert book.used(2.0) == 700.0
    # The rest was counted later, so it leaves later.
    assert book.used(60.8) == 100.0
    assert book.used(63.0) == 0.0


def test_a_return_fills_no_bucket_over_its_brim() -> None:
    book = account("tokens/minute", 6000.0)
    taken = book.take(1000.0, 0.0)
    book.eta(1.0, 59.0)
    book.correct(taken, -1000.0, 59.0)
    assert book.level <= book.cap


def test_a_pause_of_any_length_saves_no_burst() -> None:
    for pause in (1.0, 600.0, 1e6):
        book = account()
        book.take(1.0, 0.0)
        sent = run_account(book, [(pause, 1.0)] + [(0.0, 1.0)] * 10)
        assert most_within(sent, 1.0) <= 10.0


def test_a_wake_up_that_comes_late_is_made_up_for() -> None:
    book = account(limit=6000.0)
    sent, now = 0, 0.0
    while now < 60.0:
        wait = book.eta(1.0, now)
        if wait == 0.0:
            book.take(1.0, now)
            sent += 1
        else:
            now += wait + 0.02
    assert sent >= 0.96 * 6000


def test_a_freeze_outlasts_everything_else() -> None:
    book = account()
    book.frozen = 30.0
    assert book.eta(1.0, 0.0) == 30.0
    assert book.eta(1.0, 30.0) == 0.0


@pytest.mark.parametrize("settings", [{"headroom": 1.0}, {"burst": 5.1}, {"lateness": -1.0}])
def test_a_pace_that_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a pace needs"):
        Pace(**settings)


class Wall:
    """A wall clock that is set by hand."""

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self.seconds = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()

    def __call__(self) -> float:
        return self.seconds


PACIFIC = ZoneInfo("America/Los_Angeles")


def day(wall: Wall, limit: float = 10.0) -> DayAccount:
    book = open_account(dimension("requests/day"), limit, Pace(), 0.0, wall=wall, zone=PACIFIC)
    assert isinstance(book, DayAccount)
    return book


def test_a_day_is_not_paced_and_ends_at_midnight_where_the_service_is() -> None:
    wall = Wall("2026-11-22T23:00:00", PACIFIC)
    book = day(wall)
    for _ in range(10):
        assert book.eta(1.0, 0.0) == 0.0
        book.take(1.0, 0.0)
    assert book.eta(1.0, 0.0) == pytest.approx(3600.0)
    wall.seconds += 3601.0
    assert book.eta(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("date", "hours"), [("2026-03-08", 23.0), ("2026-11-01", 25.0), ("2026-06-01", 24.0)])
def test_days_of_23_and_25_hours_are_measured(date: str, hours: float) -> None:
    book = day(Wall(f"{date}T00:00:00", PACIFIC))
    assert book.until_midnight() == pytest.approx(hours * 3600.0)


def test_a_wall_clock_that_is_set_back_refills_nothing() -> None:
    wall = Wall("2026-11-22T00:30:00", PACIFIC)
    book = day(wall)
    book.at_least(10.0)
    wall.seconds -= 3600.0
    assert book.eta(1.0, 0.0) > 0.0


def request(text: str, node: str = "", bound: int | None = None) -> Request:
    return Request((Message.of("user", text),), Sampling(max_tokens=bound), admission=Admission(node=node))


def test_tokens_are_guessed_from_length_and_learned_by_node() -> None:
    estimator = Estimator()
    assert estimator.of_length(4000, 0) == 4000 * PRIOR
    for _ in range(50):
        estimator.observe(request("x" * 1000, "dense"), Usage(input=1000, output=10))
        estimator.observe(request("x" * 1000, "sparse"), Usage(input=100, output=400))
    assert estimator.input_tokens(request("x" * 500, "dense")) == pytest.approx(500)
    assert estimator.input_tokens(request("x" * 500, "sparse")) == pytest.approx(50)
    assert estimator.output_tokens(request("x", "sparse")) == pytest.approx(400)
    assert 50 < estimator.input_tokens(request("x" * 500, "unseen")) < 500


def test_an_estimate_of_output_is_bounded_by_what_may_be_produced() -> None:
    assert Estimator().output_tokens(request("x", bound=7)) == 7.0


def test_usage_that_was_not_told_teaches_nothing() -> None:
    estimator = Estimator()
    estimator.observe(request("x" * 100), Usage())
    assert estimator.statistics()["observed"] == 0


def test_the_ninetieth_percentile_is_followed() -> None:
    average = Average(0.0)
    for number in range(20_000):
        average.observe(float(number * 7919 % 100))
    assert average.p90 == pytest.approx(90.0, abs=12.0)


def test_services_count_tokens_in_their_own_ways() -> None:
    def tokens(name: str, bound: int | None) -> float:
        return cost_of(PROFILES[name], 100.0, 30.0, bound).tokens

    assert (tokens("openai", 500), tokens("openai", 50), tokens("openai", None)) == (500, 100, 100)
    assert (tokens("azure", 500), tokens("unknown", 500)) == (600, 130)


def test_a_settlement_keeps_what_the_endpoint_keeps() -> None:
    reserved = Cost(1.0, 600.0, 100.0, 500.0)
    used = Usage(input=120, cached_read=100, output=10)
    assert settled(PROFILES["azure"], reserved, used, 500).tokens == 620
    assert settled(PROFILES["unknown"], reserved, used, 500) == Cost(1.0, 130.0, 120.0, 10.0)
    assert settled(PROFILES["anthropic"], reserved, used, 500).input_tokens == 20
    assert settled(PROFILES["unknown"], reserved, Usage(), 500) == reserved


def test_hosts_have_the_habits_of_their_service() -> None:
    names = {host: profile_of(host).name for host in ("api.groq.com", "x.openai.azure.com", "evilgroq.com", "")}
    assert names == {"api.groq.com": "groq", "x.openai.azure.com": "azure", "evilgroq.com": "unknown", "": "unknown"}


def test_days_begin_in_utc_where_nothing_else_is_known() -> None:
    wall = Wall("2026-11-22T00:00:00", ZoneInfo("UTC"))
    book = open_account(dimension("requests/day"), 1.0, Pace(), 0.0, wall=wall, zone=UTC)
    assert isinstance(book, DayAccount)
    assert book.until_midnight() == pytest.approx(86_400.0)
