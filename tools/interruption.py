"""What ends a run before its end: signals, a budget that is spent, a time that is up. In order first: nothing more is
sent, what is on the wire may come back for a while, then the work is cancelled; a second signal ends the process.

    async with listening(valve, patience, seconds) as interruption:
        with interruption.scope:
            ...
        if interruption.number: ...
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel

from semprop.engine.scheduler import group
from semprop.providers.budget import BudgetSpent
from semprop.providers.clock import Clock
from semprop.providers.errors import ErrorClass
from semprop.providers.valve import Valve

GRACE = 10.0
"""Seconds that requests on the wire may take to come back after a stop, unless told otherwise."""

SETTLED = 64
"""Turns of the loop within which a reply that came back is noted in the journal."""

LATEST, EARLIEST = 0.9, 0.5
"""A time that is nearly up: sending stops at this share of it, or so many seconds before its end if that is earlier."""

MARGIN = 0.2
"""Seconds before the end of a time at which the work is cancelled, so that what is left to write fits into it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How a run is stopped.

    Attributes:
        on_first: called when the first signal has come.
        at_once: called with the number of a second signal; it ends the process.
        clock: what the grace and the time are measured on.
        grace: seconds that requests on the wire may take to come back.
    """

    on_first: Callable[[], None]
    at_once: Callable[[int], None]
    clock: Clock
    grace: float = GRACE


@dataclass(slots=True)
class Interruption:
    """What is cancelled, and why: which signal it was (None: none came), or which budget is spent."""

    valve: Valve
    patience: Patience
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    number: int | None = None
    _seconds: float | None = None
    _given: anyio.Event = field(default_factory=anyio.Event)

    def give(self, seconds: float) -> None:
        """From now on the work has so many seconds."""
        self._seconds = seconds
        self._given.set()

    @property
    def spent(self) -> BudgetSpent | None:
        """The budget that ended the work, if one did."""
        return self.valve.reason

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Shut the valve at the first signal, and leave at the second."""
        async for number in signals:
            if self.number is not None:
                self.patience.at_once(number)
                return
            self.number = int(number)
            self.valve.shut()
            self.patience.on_first()

    async def drain(self) -> None:
        """Once the valve is shut: give what is on the wire its time, then cancel the work."""
        await self.valve.until_shut()
        drained = anyio.CancelScope()
        timer = self.patience.clock.call_later(self.patience.grace, drained.cancel)
        with drained:
            await self.valve.drained()
        timer.cancel()
        for _ in range(SETTLED):
            await anyio.lowlevel.checkpoint()
        self.scope.cancel()

    async def until(self) -> None:
        """Stop the work before the seconds are over that it was given, if it was given any."""
        await self._given.wait()
        seconds = self._seconds or 0.0
        first = max(0.0, min(LATEST * seconds, seconds - EARLIEST))
        await self.patience.clock.sleep(first)
        self.valve.shut(_time_is_up())
        await self.patience.clock.sleep(max(0.0, seconds - first - MARGIN))
        self.scope.cancel()


def _time_is_up() -> BudgetSpent:
    return BudgetSpent(
        "the budget is spent: the seconds of --max-seconds are over; give more of them",
        ErrorClass.QUOTA,
        dimension="seconds",
        attempts=0,
    )


@asynccontextmanager
async def listening(valve: Valve, patience: Patience, seconds: float | None = None) -> AsyncIterator[Interruption]:
    """Listen for signals, and for the valve to be shut, while the block runs; for so many seconds at most."""
    interruption = Interruption(valve, patience)
    watching: list[anyio.CancelScope] = []

    async def watch(work: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        with anyio.CancelScope() as scope:
            watching.append(scope)
            await work(*given)

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with group() as start:
            start(watch, interruption.listen, signals)
            start(watch, interruption.drain)
            start(watch, interruption.until)
            if seconds is not None:
                interruption.give(seconds)
            await anyio.lowlevel.checkpoint()  # All of them have begun.
            try:
                yield interruption
            finally:
                for scope in watching:
                    scope.cancel()
