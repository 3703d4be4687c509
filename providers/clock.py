"""Time as an argument: what a retry, a limit or a progress line may know of it."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Monotonic seconds, and a sleep measured on them."""

    def now(self) -> float:
        """Seconds on a monotonic clock; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock. A checkpoint even for zero."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
