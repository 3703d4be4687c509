"""What a server knows of time: an argument, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from semprop.providers.clock import Handle


def _later(seconds: float, callback: Callable[[], None]) -> Handle:
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(frozen=True, slots=True)
class Times:
    """Monotonic seconds, the time of day in seconds since 1970, and a call back after so many seconds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    later: Callable[[float, Callable[[], None]], Handle] = _later
