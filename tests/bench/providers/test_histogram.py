"""The histogram: percentiles to within half of a per cent in memory that does not grow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.bench.providers.histogram import WIDTH, Histogram

durations = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200)


@given(durations, st.floats(0.01, 1.0))
def test_a_percentile_is_the_nearest_rank_to_within_half_a_bucket(values, share):
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert Histogram(values).percentile(share) == pytest.approx(exact, rel=WIDTH / 2 + 1e-9)


@given(durations, durations)
def test_merging_is_counting_both(one, other):
    merged, whole = Histogram(one), Histogram([*one, *other])
    merged.merge(Histogram(other))
    assert (merged.count, merged.smallest, merged.largest) == (whole.count, whole.smallest, whole.largest)
    assert merged.total == pytest.approx(whole.total)
    assert merged.curve() == whole.curve()


@given(durations)
def test_the_curve_rises_to_one(values):
    curve = Histogram(values).curve()
    assert curve == sorted(curve)
    assert curve[-1][1] == 1.0


def test_a_million_samples_take_as_many_buckets_as_a_thousand():
    small, large = Histogram(), Histogram()
    for number in range(1_000):
        small.add(0.001 * (1 + number % 500))
    for number in range(50_000):
        large.add(0.001 * (1 + number % 500))
    assert len(large.curve()) == len(small.curve()) < 700


def test_an_empty_one_has_no_figures():
    empty = Histogram()
    assert (empty.mean, empty.percentile(0.5), empty.curve()) == (None, None, [])
