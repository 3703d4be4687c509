"""Places in flight: the ideal and the peak by hand, and that no place is used twice at a time."""

from __future__ import annotations

from semprop.bench.speed.ideal import PLACES, ideal, jobs, peak
from semprop.bench.speed.mock import Attempt
from semprop.bench.speed.rows import Settings


def attempt(arrived: float, answered: float | None) -> Attempt:
    return Attempt(1, "k", "m", arrived, 1, answered, 200, 1, 1, None)


def test_the_ideal_is_the_service_time_shared_by_the_places() -> None:
    attempts = [attempt(0.0, 2.0), attempt(0.5, 1.5), attempt(3.0, 4.0)]
    assert ideal(attempts, 2) == 2.0


def test_the_peak_is_the_most_at_one_time() -> None:
    attempts = [attempt(0.0, 2.0), attempt(1.0, 3.0), attempt(2.0, 4.0), attempt(5.0, 6.0)]
    assert peak(attempts) == 2
    assert peak([]) == 0


async def test_both_stores_are_measured_and_no_more_places_are_used_than_there_are() -> None:
    rows = await jobs(Settings(repetitions=1, scale=0.001))
    assert [str(row.bar) for row in rows] == ["≤ 1.05"] * 2
    assert rows[0].what.startswith(f"{2 * PLACES} jobs of 50 ms at {PLACES} in flight, memory")
    assert all(row.value >= 1.0 for row in rows), "less than the ideal is impossible"
