"""A proxy's end of a connection: requests in, one task each; and everything that is open while it listens.

A client that leaves cancels its request. Nothing polls; closing leaves no socket and no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from semprop.engine.scheduler import Tasks
from semprop.providers.budget import Purse
from semprop.tools.proxy.attempts import Accounts
from semprop.tools.proxy.books import opened
from semprop.tools.proxy.errors import Answer, answer_of, refusal
from semprop.tools.proxy.proxy import Proxy
from semprop.tools.proxy.settings import Settings
from semprop.tools.proxy.sharing import Sharing
from semprop.tools.proxy.upstreams import Upstreams
from semprop.tools.serving import http1
from semprop.tools.serving.connection import Connection, Hall
from semprop.tools.serving.http1 import Malformed, Received
from semprop.tools.serving.listening import listening
from semprop.tools.serving.times import Times

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A proxy that listens; `url` is the base address for clients."""

    origin: str
    proxy: Proxy

    @property
    def url(self) -> str:
        """The base address, as a client's `base_url`."""
        return f"{self.origin}/v1"


@asynccontextmanager
async def serving(settings: Settings, times: Times = Times()) -> AsyncIterator[Served]:
    """Listen while the block runs; then break all connections off and cancel what they asked for.

    Raises:
        OSError: the address cannot be listened on.
        StopError: an upstream is no provider (CONFIGURATION).
        UsageError: upstreams or the store cannot be used as they are named.
        StorageError: the store cannot be read or written.
    """
    upstreams = Upstreams(settings.upstreams, settings.named, settings.around, settings.caps)
    books = await opened(settings.store)
    try:
        async with AsyncExitStack() as stack:
            sharing = Sharing(books, settings.most)
            purse = None if settings.caps.is_empty else Purse(settings.caps, books.opening.spent)
            accounts = Accounts(books, purse, sharing)
            await stack.enter_async_context(upstreams.open(accounts))
            await stack.enter_async_context(sharing)
            tasks = await stack.enter_async_context(Tasks())
            proxy = Proxy(settings, upstreams, sharing, accounts, times)
            hall = Hall(settings.bounds, times)
            handling = partial(_Server, proxy, tasks)
            yield Served(
                await stack.enter_async_context(listening(hall, handling, settings.host, settings.port)), proxy
            )
    finally:
        await books.close()


class _Server:
    """Answers the requests of one connection."""

    __slots__ = ("_connection", "_proxy", "_task", "_tasks")

    def __init__(self, proxy: Proxy, tasks: Tasks, connection: Connection) -> None:
        self._proxy = proxy
        self._tasks = tasks
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    def answer(self, received: Received) -> None:
        self._tasks.start(self._serve(received))

    def refuse(self, broken: Malformed) -> None:
        self._send(refusal(broken.status, str(broken), "invalid_request_error"), keep_alive=False)

    def resume(self) -> None:
        """Replies are written whole: there is never more to write."""

    def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, received: Received) -> None:
        if self._connection.transport is None:
            # The client left before its request had its turn.
            return
        self._task = asyncio.current_task()
        try:
            answer = await self._proxy.answer(received)
        except Exception as error:  # noqa: BLE001 — recorded: one broken request must not end the others
            _log.exception("proxy_failed")
            answer = answer_of(error)
        finally:
            self._task = None
        self._send(answer, keep_alive=received.keep_alive)
        self._connection.answered(keep_alive=received.keep_alive)

    def _send(self, answer: Answer, *, keep_alive: bool) -> None:
        transport = self._connection.transport
        if transport is not None:
            lines = answer.lines if keep_alive else (*answer.lines, ("connection", "close"))
            transport.write(http1.head(answer.status, lines, len(answer.body)) + answer.body)
