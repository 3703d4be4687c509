"""Whether the benchmark of providers is held against a mock in the right way; small, and no claim."""

import pytest

from semprop.bench.speed.comparing import off, ranked, truth
from semprop.bench.speed.rows import Settings


def test_a_percentile_is_off_in_units_of_two_percent_or_two_milliseconds():
    assert off(1.03, 1.0) == pytest.approx(1.5)
    assert off(0.013, 0.010) == pytest.approx(1.5)
    assert off(None, 1.0) == float("inf")
    assert ranked([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0


async def test_every_figure_is_taken():
    rows = await truth(Settings(repetitions=1, scale=0.04))
    assert len(rows) == 10
    assert all(len(row.samples) == 1 and row.bar is not None for row in rows)
