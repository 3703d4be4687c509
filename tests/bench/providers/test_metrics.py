"""Figures against hand counts: goodput, prices, waste; what is unknown stays unknown."""

import math

import pytest

from semprop.bench.providers.metrics import Figures, Objectives
from semprop.bench.providers.quality import Standing, front, quality_of
from semprop.bench.providers.samples import Call, Outcome, Unit
from semprop.engine.statistics import wilson
from semprop.providers.base import Usage


def call(intended=0.0, left=0.0, ended=1.0, outcome=Outcome.ANSWERED, **more):
    return Call(intended, left, ended, outcome, **{"usage": Usage(input=10, output=5), "usd": 0.01, **more})


def figures(*calls, seconds=10.0, objectives=None):
    counted = Figures(objectives or Objectives(), seconds)
    for one in calls:
        counted.add(one)
    return counted


def test_the_queue_of_the_client_is_told_apart_from_network_and_server():
    one = call(intended=1.0, left=3.0, ended=4.5)
    assert (one.queued, one.from_actual, one.from_intended) == (2.0, 1.5, 3.5)


def test_time_per_output_token_leaves_the_first_out():
    assert call(ended=1.0, first=0.2).per_token == pytest.approx(0.8 / 4)
    assert call(first=0.2, usage=Usage(output=1)).per_token is None
    assert call().per_token is None, "nobody saw its first token"


def test_goodput_counts_answered_calls_that_meet_every_objective():
    objectives = Objectives(first_token=0.5, per_token=0.3, total=2.0)
    calls = [
        call(first=0.4, ended=1.0),  # meets all: (1 − .4)/4 = .15
        call(first=0.6, ended=1.0),  # first token too late
        call(first=0.4, ended=2.5),  # too long
        call(first=0.1, ended=1.9),  # .45 a token
        call(ended=1.0),  # nobody saw its first token
        call(first=0.4, ended=1.0, outcome=Outcome.TRUNCATED),  # no answer
        call(first=0.4, ended=1.0, usage=Usage(output=1)),  # one token has no time per token
    ]
    told = figures(*calls, objectives=objectives).document()
    assert told["goodput"] == 2 / 10.0
    assert told["requests_per_second"] == 6 / 10.0


def test_prices_and_waste_equal_a_hand_count():
    calls = [call(), call(usd=0.03), call(outcome=Outcome.ERROR, usd=0.02, attempts=3), call(outcome=Outcome.FILTERED)]
    told = figures(*calls).document()
    assert told["usd"] == pytest.approx(0.07)
    assert told["usd_per_request"] == pytest.approx(0.035)
    assert told["usd_per_million_tokens"] == pytest.approx(1e6 * 0.07 / 30)
    assert told["wasted_usd"] == pytest.approx(0.03)
    assert (told["retries"], told["answered"], told["calls"]) == (2, 2, 4)


def test_an_unknown_price_is_unknown_everywhere_and_never_0():
    told = figures(call(), call(usd=None)).document()
    assert [told[name] for name in ("usd", "usd_per_request", "usd_per_million_tokens", "wasted_usd")] == [None] * 4
    assert told["unpriced_calls"] == 1


def test_nothing_measured_is_nothing_claimed():
    told = figures(seconds=0.0).document()
    assert told["requests_per_second"] is None
    assert told["latency"]["from_intended"] == {
        "n": 0, "mean": None, "p50": None, "p90": None, "p99": None, "max": None
    }  # fmt: skip


# Quality -------------------------------------------------------------------------------------------------------------


def unit(item, score, *usd):
    return Unit(item, tuple(call(usd=each) for each in usd), score)


def test_the_price_of_the_correct_equals_a_hand_count_failures_included():
    units = [unit("a", 1.0, 0.01), unit("b", 0.0, 0.02, 0.01), unit("c", 1.0, 0.02), unit("d", None, 0.04)]
    quality = quality_of(units, seed=0)
    assert (quality.n, quality.missing) == (3, 1)
    assert quality.score.value == pytest.approx(2 / 3)
    assert quality.usd_per_thousand_correct.value == pytest.approx(1000 * 0.10 / 2)
    low, high = quality.usd_per_thousand_correct.interval
    assert low < 50 < high == math.inf, "a resample of b alone has nothing right"


def test_draws_of_one_item_are_averaged_first():
    once = quality_of([unit("a", 1.0, 0.01), unit("b", 0.0, 0.03)], seed=0)
    often = quality_of([unit("a", 1.0, 0.01)] * 5 + [unit("b", 0.0, 0.03)], seed=0)
    assert often == once


def test_intervals_are_wilsons_and_the_bootstrap_over_items():
    units = [unit(str(number), float(number % 4 == 0), 0.01) for number in range(200)]
    quality = quality_of(units, seed=3)
    assert quality.score.interval == wilson(50, 200)
    low, high = quality.usd_per_thousand_correct.interval
    assert low == pytest.approx(10 / quality.score.interval.high, rel=0.03)
    assert high == pytest.approx(10 / quality.score.interval.low, rel=0.03)


def test_one_unknown_price_makes_the_price_of_the_correct_unknown():
    quality = quality_of([unit("a", 1.0, 0.01), unit("b", 1.0, None)], seed=0)
    assert quality.usd_per_thousand_correct is None
    assert quality.score.value == 1.0


def test_a_failure_is_no_score():
    assert quality_of([unit("a", None, 0.01)], seed=0).score is None


def test_the_front_holds_whatever_nothing_beats():
    standings = [
        Standing("best", 0.9, 0.02, 1.0),
        Standing("cheap", 0.7, 0.01, 1.0),
        Standing("beaten", 0.7, 0.02, 1.5),
        Standing("unknown price", 0.1, None, 9.0),
    ]
    assert front(standings) == ("best", "cheap", "unknown price")
