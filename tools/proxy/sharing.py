"""One attempt for equal requests: those in flight share it, later ones are served from the store.

A flight is a task of its own, so it outlives whoever asked first; it is cancelled when nobody waits for it any more.
Takes keys and ways to send; gives outcomes as values, since one error may answer a thousand clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import anyio
import structlog

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.outcomes import Position
from semprop.engine.scheduler import Start
from semprop.engine.training.journal import FILE_NAME, Journal
from semprop.engine.training.ledger import Ledger, MemoryLedger
from semprop.engine.training.runs import Run
from semprop.providers.base import Completion
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure

KEPT = 10_000
"""Replies that are kept in memory where there is no store."""

Send = Callable[[], Awaitable[Completion]]
Outcome = Completion | Exception

_KIND = "proxy-store"
_log = structlog.get_logger(__name__)


class Source(StrEnum):
    """Where a reply came from."""

    UPSTREAM = "upstream"
    SHARED = "shared"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Shared:
    """An outcome and where it came from."""

    outcome: Outcome
    source: Source


@dataclass(slots=True)
class _Flight:
    """An attempt under way and how many wait for it; `outcome` is None if it was cancelled."""

    waiting: int = 0
    outcome: Outcome | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Sharing:
    """Flights and store of one proxy."""

    def __init__(self, ledger: Ledger, start: Start) -> None:
        """
        Args:
            ledger: keeps replies by key; a reply is in it before anybody reads it.
            start: starts the flights, in a group that outlives requests.
        """
        self._ledger = ledger
        self._start = start
        self._flights: dict[str, _Flight] = {}
        self._served: Counter[Source] = Counter()
        self._unstored = 0

    def statistics(self) -> dict[str, object]:
        """Replies by where they came from, flights now, and replies that the store did not take."""
        by_source = {source.value: self._served[source] for source in Source}
        return {"replies": by_source, "flights": len(self._flights), "store_failures": self._unstored}

    async def answer(self, key: str | None, send: Send) -> Shared:
        """The outcome of a request; without a key nobody shares it."""
        shared = Shared(await _outcome(send), Source.UPSTREAM) if key is None else await self._once(key, send)
        if isinstance(shared.outcome, Completion):
            self._served[shared.source] += 1
        return shared

    async def _once(self, key: str, send: Send) -> Shared:
        flight, source = self._flights.get(key), Source.SHARED
        if flight is None:
            stored = self._stored(key)
            if stored is not None:
                return Shared(stored, Source.STORE)
            flight, source = _Flight(), Source.UPSTREAM
            self._flights[key] = flight
            self._start(self._fly, key, flight, send)
        flight.waiting += 1
        try:
            await flight.done.wait()
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.done.is_set():
                self._forget(key, flight)
                flight.scope.cancel()
        # Cancelled with somebody waiting: only when the proxy itself stops.
        return Shared(flight.outcome or ProviderFailure("the proxy is stopping", ErrorClass.OVERLOAD), source)

    async def _fly(self, key: str, flight: _Flight, send: Send) -> None:
        try:
            with flight.scope:
                flight.outcome = await _outcome(partial(self._kept, key, send))
        finally:
            self._forget(key, flight)
            flight.done.set()

    async def _kept(self, key: str, send: Send) -> Completion:
        completion = await send()
        # It is paid for: even a cancelled flight keeps it.
        with anyio.CancelScope(shield=True):
            await self._store(key, completion)
        return completion

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _stored(self, key: str) -> Completion | None:
        try:
            stored = self._ledger.stored(key)
        except StorageError as error:
            self._complain(error)
            return None
        return stored if isinstance(stored, Completion) else None

    async def _store(self, key: str, completion: Completion) -> None:
        try:
            await self._ledger.settle(Position(0, _KIND, key), key, completion)
        except StorageError as error:
            self._complain(error)

    def _complain(self, error: StorageError) -> None:
        """A reply that cannot be kept is still a reply: it is delivered, counted as unstored and logged once."""
        if not self._unstored:
            _log.error("store_failed", reason=str(error))
        self._unstored += 1


async def _outcome(send: Send) -> Outcome:
    try:
        return await send()
    except ProviderError as error:
        return error
    except Exception as error:  # noqa: BLE001 — recorded: one broken request must not end the others
        _log.exception("proxy_failed")
        return error


async def opened(store: Path | None) -> Ledger:
    """The store in a directory, which is made if it is not there; None: the last `KEPT` replies in memory.

    Raises:
        UsageError: something else is there.
        StorageError: it cannot be read or written.
    """
    if store is None:
        return MemoryLedger(KEPT)
    if not _holds_replies(store):
        return await Journal.create(store, {"kind": _KIND})
    if Run(store).meta("kind") != _KIND:
        raise UsageError(f"{store} holds a run, not the replies of a proxy: name another directory with --store")
    return await Journal.reopen(store)


def _holds_replies(store: Path) -> bool:
    found = (store / FILE_NAME).is_file()
    if not found and store.exists():
        raise UsageError(f"{store} is there and holds no replies: name a directory that is not there yet")
    return found
