"""One client of a server: bytes in, whole requests in their order, bytes back. Decides nothing about answers.

Takes a handler that answers; gives it one request at a time, the next when the reply before it is whole. What a client
sends ahead is bounded, and so is the time that it may take.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from semprop.tools.serving import http1
from semprop.tools.serving.http1 import Malformed, Parser, Received
from semprop.tools.serving.patience import Patience
from semprop.tools.serving.times import Times


class Handler(Protocol):
    """Who answers the requests of one connection."""

    def answer(self, received: Received) -> None:
        """Begin to answer; `Connection.answered` says that the reply is whole, perhaps before this returns."""

    def refuse(self, broken: Malformed) -> None:
        """Say why the connection will be closed: what came is no request, came too slowly, or is one too many."""

    def resume(self) -> None:
        """There is room to write again."""

    def leave(self) -> None:
        """The client is gone; nothing that was asked for is wanted any more."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may take of a server.

    Attributes:
        largest: bytes of a request's body.
        ahead: requests of one connection that may wait for their turn before it is read no further; their bodies
            together are bounded by `largest`, too.
        connections: open at once; further ones are answered with status 503 and closed.
        idle: seconds for which a connection is kept without a request.
        receiving: seconds for one whole request, from its first byte.
        sending: seconds for which a client may leave unread what it was sent.
    """

    largest: int
    ahead: int = 16
    connections: float = math.inf
    idle: float = math.inf
    receiving: float = math.inf
    sending: float = math.inf


class Hall:
    """What the connections of a server share."""

    def __init__(self, bounds: Bounds, times: Times) -> None:
        self.bounds = bounds
        self.open: set[Connection] = set()
        self.made = self.refused = self.slow = 0
        self.emptied = asyncio.Event()
        self.idle = _patience(bounds.idle, Connection.close, times)
        self.receiving = _patience(bounds.receiving, Connection.give_up, times)
        self.sending = _patience(bounds.sending, Connection.abort, times)

    def __repr__(self) -> str:
        return f"Hall(open={len(self.open)}, made={self.made})"

    def close(self) -> None:
        """Break all connections off."""
        for connection in tuple(self.open):
            connection.abort()
        for patience in (self.idle, self.receiving, self.sending):
            if patience is not None:
                patience.close()


def _patience(seconds: float, give_up: Callable[[Connection], None], times: Times) -> Patience[Connection] | None:
    return Patience(seconds, give_up, times) if seconds < math.inf else None


class Connection(asyncio.Protocol):
    """One client. `transport` is None when it is gone; `writable` whether it reads what it is sent."""

    def __init__(self, hall: Hall, handling: Callable[[Connection], Handler]) -> None:
        self._hall = hall
        self._parser = Parser(hall.bounds.largest)
        self._waiting: deque[Received] = deque()
        self._ahead = 0
        self._broken: Malformed | None = None
        self._busy = False
        self._turning = False
        self._reading = True
        self.transport: asyncio.Transport | None = None
        self.writable = True
        self.number = 0
        self._handler = handling(self)

    # Called by the event loop -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's transport; those of uvloop have the methods and not the base class.
        self.transport = cast("asyncio.Transport", transport)
        hall = self._hall
        hall.made += 1
        self.number = hall.made
        full = len(hall.open) >= hall.bounds.connections
        hall.open.add(self)
        hall.emptied.clear()
        if full:
            hall.refused += 1
            self._give_up(Malformed(503, f"{len(hall.open) - 1} connections are open here, and no more are taken"))
        else:
            self._await_bytes()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._waiting.clear()
        hall = self._hall
        for patience in (hall.idle, hall.receiving, hall.sending):
            if patience is not None:
                patience.end(self)
        self._handler.leave()
        hall.open.discard(self)
        if not hall.open:
            hall.emptied.set()

    def data_received(self, data: bytes) -> None:
        transport = self.transport
        if self._broken is not None or transport is None:
            return
        try:
            for received in self._parser.feed(data):
                self._waiting.append(received)
                self._ahead += len(received.body)
        except Malformed as error:
            self._broken = error
        if not self._busy and self._parser.wants_continue():
            transport.write(http1.CONTINUE)
        bounds = self._hall.bounds
        if len(self._waiting) > bounds.ahead or self._ahead > bounds.largest:
            transport.pause_reading()
            self._reading = False
        self._turn()

    def pause_writing(self) -> None:
        self.writable = False
        if self._hall.sending is not None:
            self._hall.sending.begin(self)

    def resume_writing(self) -> None:
        self.writable = True
        if self._hall.sending is not None:
            self._hall.sending.end(self)
        if self._busy:
            self._handler.resume()
        else:
            self._turn()

    # Called by the handler --------------------------------------------------------------------------------------

    def answered(self, *, keep_alive: bool) -> None:
        """The reply is whole: close behind it, or go on with the next request."""
        self._busy = False
        if self.transport is None:
            return
        if not keep_alive:
            self.transport.close()
        elif not self._turning:
            self._turn()

    def close(self) -> None:
        """Send what was written, then close."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Break the connection off."""
        if self.transport is not None:
            self.transport.abort()

    def give_up(self) -> None:
        """Tell a client that its request did not come in time, and close."""
        self._hall.slow += 1
        self._give_up(Malformed(408, f"the request did not come within {self._hall.bounds.receiving:g} s"))

    # Inside -----------------------------------------------------------------------------------------------------

    def _give_up(self, why: Malformed) -> None:
        self._broken = why
        self._handler.refuse(why)
        self.close()

    def _turn(self) -> None:
        """Give the handler the next request, as long as it answers at once."""
        if self._turning or self._busy:
            # A write may call `resume_writing` before it returns, and an answer may be there before `answer` returns.
            return
        self._turning = True
        try:
            while self._is_free() and self._waiting:
                received = self._waiting.popleft()
                self._ahead -= len(received.body)
                self._expect_nothing()
                if not self._reading and self.transport is not None:
                    self.transport.resume_reading()
                    self._reading = True
                self._busy = True
                self._handler.answer(received)
        finally:
            self._turning = False
        if self._is_free() and not self._waiting:
            if self._broken is not None:
                self._give_up(self._broken)
            else:
                self._await_bytes()

    def _is_free(self) -> bool:
        transport = self.transport
        return not self._busy and self.writable and transport is not None and not transport.is_closing()

    def _expect_nothing(self) -> None:
        hall = self._hall
        if hall.idle is not None:
            hall.idle.end(self)
        if hall.receiving is not None:
            hall.receiving.end(self)

    def _await_bytes(self) -> None:
        """Wait for the next request, or for the rest of one that has begun."""
        hall = self._hall
        if self._parser.is_empty:
            if hall.idle is not None:
                hall.idle.begin(self)
            return
        if hall.idle is not None:
            hall.idle.end(self)
        if hall.receiving is not None:
            hall.receiving.begin(self)
