"""One attempt for equal requests: those in flight share it, later ones are served from the books.

A flight outlives whoever asked first. When nobody waits for it any more it is cancelled, but not once an attempt of it
has been sent: that is paid for, and whoever asks again (a client that ran out of patience, say) is served by it. Gives
outcomes as values, since one error may answer a thousand clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from semprop.engine.dispatcher import Dispatcher, Job
from semprop.engine.errors import RunError, StorageError
from semprop.providers.base import Completion
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure
from semprop.tools.proxy.books import Books

Send = Callable[[], Awaitable[Completion]]
Outcome = Completion | Exception

_RANK = (0, 0)
"""All flights stand equal: the limiter orders what they send."""

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


class Sharing:
    """The flights of one proxy, in front of its books. Leaving it ends those that are left."""

    def __init__(self, books: Books, most: int) -> None:
        """
        Args:
            books: keep replies by key; a reply is in them before anybody reads it.
            most: flights at once.
        """
        self._books = books
        self._dispatcher = Dispatcher(most)
        self._flights: dict[str, Job] = {}
        self._served: Counter[Source] = Counter()

    async def __aenter__(self) -> Self:
        await self._dispatcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flight in tuple(self._flights.values()):
            if flight.task is not None:
                flight.task.cancel()
        await self._dispatcher.__aexit__(kind, error, trace)

    def statistics(self) -> dict[str, object]:
        """Replies by where they came from, and flights now."""
        by_source = {source.value: self._served[source] for source in Source}
        return {"replies": by_source, "flights": len(self._flights)}

    async def answer(self, key: str | None, send: Send) -> Shared:
        """The outcome of a request; without a key nobody shares it."""
        shared = Shared(await _outcome(send), Source.UPSTREAM) if key is None else await self._once(key, send)
        if isinstance(shared.outcome, Completion):
            self._served[shared.source] += 1
        return shared

    def sent(self, key: str) -> None:
        """An attempt for this key goes on the wire: it is worth finishing."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.keep()

    def is_wanted(self, key: str) -> bool:
        """Whether somebody waits for a reply of this key, or its request is not shared."""
        flight = self._flights.get(key)
        return flight is None or bool(flight.waiting)

    async def _once(self, key: str, send: Send) -> Shared:
        source = Source.SHARED
        if not self._dispatcher.shares(key):
            stored = self._books.stored(key)
            if stored is not None:
                return Shared(stored, Source.STORE)
            source = Source.UPSTREAM
        try:
            return Shared(await self._dispatcher.result(key, _RANK, partial(self._fly, key, send)), source)
        except RunError:
            # Cancelled with somebody waiting: only when the proxy itself stops.
            return Shared(ProviderFailure("the proxy is stopping", ErrorClass.OVERLOAD), source)

    async def _fly(self, key: str, send: Send, flight: Job) -> Outcome:
        self._flights[key] = flight
        try:
            return await _outcome(send)
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]


async def _outcome(send: Send) -> Outcome:
    try:
        return await send()
    except (ProviderError, StorageError) as error:
        return error
    except Exception as error:  # noqa: BLE001 — recorded: one broken request must not end the others
        _log.exception("proxy_failed")
        return error
