"""The sockets of a proxy: bytes in, whole replies out; and everything that is open while it listens.

One asyncio protocol a connection, its requests answered in their order, one task a request. A client that leaves
cancels its request. Nothing polls; closing leaves no socket and no task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import structlog

from semprop.engine.scheduler import Start, group
from semprop.tools.endpoint import http1
from semprop.tools.endpoint.http1 import Malformed, Parser, Received
from semprop.tools.endpoint.server import Times
from semprop.tools.proxy.errors import Answer, answer_of, refusal
from semprop.tools.proxy.proxy import Proxy
from semprop.tools.proxy.settings import Settings
from semprop.tools.proxy.sharing import Sharing, opened
from semprop.tools.proxy.upstreams import Upstreams

_PIPELINED = 16
"""Requests of one connection that may wait for their turn before it is read no further."""

_BACKLOG = 4096
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


@dataclass(slots=True)
class _Line:
    """What the connections of a server share."""

    proxy: Proxy
    start: Start
    largest: int
    open: set[_Connection] = field(default_factory=set)


@asynccontextmanager
async def serving(settings: Settings, times: Times = Times()) -> AsyncIterator[Served]:
    """Listen while the block runs; then break all connections off and cancel what they asked for.

    Raises:
        OSError: the address cannot be listened on.
        StopError: an upstream is no provider (CONFIGURATION).
        UsageError: upstreams or the store cannot be used as they are named.
        StorageError: the store cannot be read or written.
    """
    upstreams = Upstreams(settings.upstreams, settings.named, settings.around)
    ledger = await opened(settings.store)
    try:
        async with upstreams.open(), group() as start:
            proxy = Proxy(settings, upstreams, Sharing(ledger, start), times)
            line = _Line(proxy, start, settings.largest)
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: _Connection(line), settings.host, settings.port, backlog=_BACKLOG)
            address = server.sockets[0].getsockname()
            name = f"[{address[0]}]" if ":" in address[0] else address[0]
            try:
                yield Served(f"http://{name}:{address[1]}", proxy)
            finally:
                server.close()
                # Each cancels its request, and so the flights that nobody waits for: the group ends by itself.
                for connection in tuple(line.open):
                    connection.abort()
    finally:
        await ledger.close()


class _Connection(asyncio.Protocol):
    def __init__(self, line: _Line) -> None:
        self._line = line
        self._parser = Parser(line.largest)
        self._waiting: deque[Received] = deque()
        self._broken: Malformed | None = None
        self._scope: anyio.CancelScope | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's transport; those of uvloop have the methods and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._line.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._line.open.discard(self)
        if self._scope is not None:
            self._scope.cancel()

    def abort(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._broken is not None or self._transport is None:
            return
        try:
            self._waiting.extend(self._parser.feed(data))
        except Malformed as error:
            self._broken = error
        if self._scope is None and self._parser.wants_continue():
            self._transport.write(http1.CONTINUE)
        if len(self._waiting) > _PIPELINED:
            self._transport.pause_reading()
            self._reading = False
        self._begin()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._begin()

    def _begin(self) -> None:
        """Begin to answer the next request, if there is one and its turn has come."""
        transport = self._transport
        if self._scope is not None or transport is None or transport.is_closing() or not self._writable:
            return
        if self._waiting:
            self._scope = anyio.CancelScope()
            self._line.start(self._serve, self._waiting.popleft(), self._scope)
            if not self._reading:
                transport.resume_reading()
                self._reading = True
        elif self._broken is not None:
            broken = self._broken
            self._send(refusal(broken.status, str(broken), "invalid_request_error"), keep_alive=False)

    async def _serve(self, received: Received, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                answer = await self._line.proxy.answer(received)
            except Exception as error:  # noqa: BLE001 — recorded: one broken request must not end the others
                _log.exception("proxy_failed")
                answer = answer_of(error)
            self._send(answer, keep_alive=received.keep_alive)
        self._scope = None
        self._begin()

    def _send(self, answer: Answer, *, keep_alive: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        lines = answer.lines if keep_alive else (*answer.lines, ("connection", "close"))
        transport.write(http1.head(answer.status, lines, len(answer.body)) + answer.body)
        if not keep_alive:
            transport.close()
