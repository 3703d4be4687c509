"""A histogram of durations in bounded memory: logarithmic buckets, so that a percentile is right to within a half of a
per cent whatever the number of samples. Counts only; merges by adding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

WIDTH = 0.01
"""Relative width of a bucket: a percentile is its bucket's middle, and so off by half of this at most."""

LEAST = 1e-6
"""Seconds; whatever is shorter counts as this."""

_STEP = math.log1p(WIDTH)


class Histogram:
    """Durations in seconds. Holds a count for each bucket that is not empty, at most 2,600 between 1 µs and a day."""

    __slots__ = ("_buckets", "count", "largest", "smallest", "total")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = 0.0
        for value in values:
            self.add(value)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        bucket = math.floor(math.log(max(seconds, LEAST) / LEAST) / _STEP)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        self.smallest = min(self.smallest, seconds)
        self.largest = max(self.largest, seconds)

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted, too."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float | None:
        """None if nothing was counted."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """The duration that this share of the samples does not pass (nearest rank); None if there are none.

        Exact at both ends; elsewhere the geometric middle of a bucket.
        """
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if rank == self.count:
            return self.largest
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                middle = LEAST * math.exp((bucket + 0.5) * _STEP)
                return min(max(middle, self.smallest), self.largest)
        raise AssertionError("the ranks of all buckets reach the count")

    def curve(self) -> list[tuple[float, float]]:
        """Points (duration, share of the samples that do not pass it), rising: what a chart draws."""
        points, seen = [], 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            points.append((LEAST * math.exp((bucket + 1) * _STEP), seen / self.count))
        return points
