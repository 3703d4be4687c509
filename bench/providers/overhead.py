"""What the benchmark itself took: how late the event loop was, and the share of a processor. A client that is too slow
measures itself, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from semprop.bench.providers.histogram import Histogram
from semprop.bench.providers.metrics import summary
from semprop.providers.clock import Clock

EVERY = 0.05
"""Seconds between two looks at the loop."""

BUSY = 0.8
"""Share of one processor above which a single-threaded client is the bottleneck."""

LATE = 0.02
"""Seconds of lateness at the 99th percentile above which the loop was overloaded."""


@dataclass(slots=True)
class Overhead:
    """What a stretch of the benchmark took. `lag` holds seconds by which timers of the loop were late."""

    lag: Histogram
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def cpu_share(self) -> float:
        """Of one processor."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def is_bottleneck(self) -> bool:
        """Whether figures may be the client's rather than the endpoint's."""
        return self.cpu_share > BUSY or (self.lag.percentile(0.99) or 0.0) > LATE

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "loop_lag": summary(self.lag),
            "cpu_seconds": self.cpu_seconds,
            "cpu_share": self.cpu_share,
            "client_was_the_bottleneck": self.is_bottleneck,
        }


class Watch:
    """Looks at the loop until it is cancelled, and at the processor's time between `begin` and `end`."""

    def __init__(self, clock: Clock, cpu: Callable[[], float]) -> None:
        """
        Args:
            clock: what the loop's timers run on.
            cpu: processor seconds of this process, all threads.
        """
        self._clock, self._cpu = clock, cpu
        self.overhead = Overhead(Histogram())

    def begin(self) -> None:
        """A stretch begins."""
        self._at, self._spent = self._clock.now(), self._cpu()

    def end(self) -> None:
        """It ends."""
        self.overhead.wall_seconds += self._clock.now() - self._at
        self.overhead.cpu_seconds += self._cpu() - self._spent

    async def look(self) -> None:
        """Note how late each timer is, for as long as nobody cancels it."""
        while True:
            due = self._clock.now() + EVERY
            await self._clock.sleep(EVERY)
            self.overhead.lag.add(max(0.0, self._clock.now() - due))
