"""Signals: the first SIGINT or SIGTERM cancels a scope, so that a run ends in order; a second one ends the process.

async with listening(on_first, at_once) as interruption:
    with interruption.scope:
        ...
    if interruption.number: ...
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from semprop.engine.scheduler import group


@dataclass(slots=True)
class Interruption:
    """What a signal cancels, and which signal it was (None: none came)."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    number: int | None = None


@asynccontextmanager
async def listening(on_first: Callable[[], None], at_once: Callable[[int], None]) -> AsyncIterator[Interruption]:
    """Listen for signals while the block runs.

    Args:
        on_first: called when the first signal has cancelled the scope.
        at_once: called with the number of a second signal; it ends the process.
    """
    interruption = Interruption()
    ended = anyio.CancelScope()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def listen() -> None:
            with ended:
                async for number in signals:
                    if interruption.number is not None:
                        at_once(number)
                        return
                    interruption.number = int(number)
                    interruption.scope.cancel()
                    on_first()

        async with group() as start:
            start(listen)
            try:
                yield interruption
            finally:
                ended.cancel()
