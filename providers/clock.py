"""Time as an argument: what a retry, a limit or a progress line may know of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import anyio

SLEPT = 10.0
"""Seconds by which a wait is too long only if this process did not run: it was stopped, or the machine was suspended.
Monotonic clocks stand still then on Linux and macOS, and go on elsewhere."""


class Handle(Protocol):
    """A callback that is still to come."""

    def cancel(self) -> object:
        """Take it back."""


class Clock(Protocol):
    """Monotonic seconds, and waits measured on them."""

    def now(self) -> float:
        """Seconds on a monotonic clock; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock. A checkpoint even for zero."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        """Call back on the running event loop after so many seconds of this clock."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(seconds, callback)
