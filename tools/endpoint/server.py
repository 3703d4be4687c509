"""The sockets of a mock endpoint: bytes in, scripts played. Decides nothing but what belongs to connections.

One asyncio protocol a connection, requests answered in their order, one timer for the next part that is due. Nothing
polls; closing leaves no socket.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs

import orjson

from semprop.tools.endpoint import http1
from semprop.tools.endpoint.dialects import Lines
from semprop.tools.endpoint.endpoint import Arrival, Attempt, Endpoint
from semprop.tools.endpoint.http1 import Malformed, Parser, Received
from semprop.tools.endpoint.scripts import JSON_LINES, End, Part
from semprop.tools.endpoint.wire import WIRES

_AT_ONCE = 0.0005
"""A part that is due within so many seconds is sent now: timers are no finer."""

_PIPELINED = 64
"""Requests of one connection that may wait for their turn before it is read no further."""

_BACKLOG = 4096
_RESETTING = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Times:
    """Monotonic seconds, and the time of day in seconds since 1970."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(slots=True)
class Shared:
    """What the connections of a server share."""

    endpoint: Endpoint
    times: Times
    started: float
    open: set[_Connection] = field(default_factory=set)
    connections: int = 0
    malformed: int = 0
    strays: int = 0
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> float:
        """Seconds since the start or the last reset."""
        return self.times.now() - self.started

    def reset(self) -> None:
        """Everything anew, time too."""
        self.endpoint.reset()
        self.started = self.times.now()
        self.malformed = self.strays = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens; `url` is the base address for clients."""

    origin: str
    endpoint: Endpoint

    @property
    def url(self) -> str:
        """The base address, as in `openai:MODEL@URL`."""
        return f"{self.origin}/v1"

    @property
    def ledger(self) -> str:
        """Where the ledger is."""
        return f"{self.origin}/ledger"


@asynccontextmanager
async def serving(
    endpoint: Endpoint, host: str = "127.0.0.1", port: int = 0, times: Times = Times()
) -> AsyncIterator[Served]:
    """Listen while the block runs; then break all connections off.

    Raises:
        OSError: the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    shared = Shared(endpoint, times, times.now())
    server = await loop.create_server(lambda: _Connection(shared, loop), host, port, backlog=_BACKLOG)
    address = server.sockets[0].getsockname()
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        yield Served(f"http://{name}:{address[1]}", endpoint)
    finally:
        server.close()
        for connection in tuple(shared.open):
            connection.abort()
        if shared.open:
            await shared.emptied.wait()


class _Play:
    """A script being played: an attempt's, or one of the endpoint's own pages."""

    __slots__ = ("attempt", "end", "end_at", "keep_alive", "opening", "parts", "started", "waiting")

    def __init__(self, attempt: Attempt | None, parts: Iterator[Part], started: float, keep_alive: bool) -> None:
        self.attempt = attempt
        self.parts = parts
        self.started = started
        self.keep_alive = keep_alive
        script = None if attempt is None else attempt.script
        self.end = End.KEEP if script is None else script.end
        self.end_at = 0.0 if script is None else script.end_at
        self.opening = script is not None and script.opening is not None
        self.waiting: Part | None = None


class _Connection(asyncio.Protocol):
    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self._shared = shared
        self._loop = loop
        self._parser = Parser(shared.endpoint.config.largest)
        self._waiting: deque[Received] = deque()
        self._broken: Malformed | None = None
        self._play: _Play | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._reading = True
        self._working = False
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's transport; those of uvloop have the methods and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._shared.connections += 1
        self._number = self._shared.connections
        self._shared.open.add(self)
        self._shared.emptied.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        play, self._play = self._play, None
        if play is not None and play.attempt is not None:
            self._shared.endpoint.ended(play.attempt, self._shared.now(), left=True)
        self._shared.open.discard(self)
        if not self._shared.open:
            self._shared.emptied.set()

    def abort(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._broken is not None:
            return
        try:
            self._waiting.extend(self._parser.feed(data))
        except Malformed as error:
            self._broken = error
        if self._parser.wants_continue() and self._play is None and self._transport is not None:
            self._transport.write(http1.CONTINUE)
        if len(self._waiting) > _PIPELINED and self._transport is not None:
            self._transport.pause_reading()
            self._reading = False
        self._work()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._work()

    def _on_time(self) -> None:
        self._timer = None
        self._work()

    def _work(self) -> None:
        """Go on with the script that is played, then with the next request, as far as possible now."""
        if self._working:
            # A write may call `resume_writing` before it returns.
            return
        self._working = True
        try:
            while self._transport is not None and not self._transport.is_closing():
                if self._play is None and not self._begin():
                    return
                if not self._go_on():
                    return
        finally:
            self._working = False

    def _begin(self) -> bool:
        """Begin to answer the next request, if there is one."""
        if not self._waiting:
            if self._broken is not None:
                self._refuse(self._broken)
            return False
        received = self._waiting.popleft()
        if not self._reading and self._transport is not None:
            self._transport.resume_reading()
            self._reading = True
        shared = self._shared
        wire = next((wire for wire in WIRES if wire.takes(received.path)), None)
        if wire is None or received.method != "POST":
            self._play = _Play(None, _page(shared, received), shared.times.now(), received.keep_alive)
            return True
        arrival = Arrival(shared.now(), received.path, received.body, _caller(received), self._number)
        attempt = shared.endpoint.arrive(arrival, wire, shared.times.wall())
        parts = iter(attempt.script.parts)
        self._play = _Play(attempt, parts, shared.times.now(), received.keep_alive)
        return True

    def _go_on(self) -> bool:
        """Send what is due; whether the script is at its end and the connection can go on."""
        play, transport = self._play, self._transport
        if play is None or transport is None or self._timer is not None:
            return False
        now = self._shared.times.now()
        due: list[bytes] = []
        part = play.waiting or next(play.parts, None)
        while part is not None and self._writable and play.started + part.at <= now + _AT_ONCE:
            if play.opening and play.attempt is not None:
                due.append(self._opening(play.attempt, play.keep_alive))
                play.opening = False
            due.append(part.data)
            if play.attempt is None:
                # Pages come in large pieces: after each of them the transport may ask to wait.
                transport.write(b"".join(due))
                due.clear()
            part = next(play.parts, None)
        play.waiting = part
        if due:
            transport.write(due[0] if len(due) == 1 else b"".join(due))
        if part is not None:
            if self._writable:
                self._timer = self._loop.call_later(play.started + part.at - now, self._on_time)
            return False
        return self._finish(play, transport, now)

    def _finish(self, play: _Play, transport: asyncio.Transport, now: float) -> bool:
        if play.end is End.SILENT:
            return False
        if play.started + play.end_at > now + _AT_ONCE:
            self._timer = self._loop.call_later(play.started + play.end_at - now, self._on_time)
            return False
        self._play = None
        if play.attempt is not None:
            self._shared.endpoint.ended(play.attempt, self._shared.now())
        if play.end is End.RESET:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
            transport.abort()
            return False
        if play.end is End.CLOSE or not play.keep_alive:
            transport.close()
            return False
        return True

    def _opening(self, attempt: Attempt, keep_alive: bool) -> bytes:
        lines: Lines = () if keep_alive else (("connection", "close"),)
        shared = self._shared
        return shared.endpoint.opening(attempt, shared.now(), shared.times.wall(), lines)

    def _refuse(self, broken: Malformed) -> None:
        """Answer what is no request, and close: nothing behind it can be read."""
        self._shared.malformed += 1
        if self._transport is not None:
            self._transport.write(_json(broken.status, {"error": {"message": str(broken)}}, (("connection", "close"),)))
            self._transport.close()


def _caller(received: Received) -> str:
    """What tells callers apart: their key, as each of the services takes it."""
    headers = received.headers
    key = headers.get(b"authorization") or headers.get(b"x-api-key") or headers.get(b"api-key") or b""
    return key.decode("latin-1")


def _page(shared: Shared, received: Received) -> Iterator[Part]:
    """What the endpoint answers beside its wire formats, with its heads."""
    close: Lines = () if received.keep_alive else (("connection", "close"),)
    match (received.method, received.path):
        case ("GET", "/ledger"):
            since = parse_qs(received.query).get("since", ["0"])[0]
            if not since.isdecimal():
                yield Part(0.0, _json(400, {"error": {"message": "since must be a number of an attempt"}}, close))
                return
            lines: Lines = (("content-type", "application/x-ndjson"), *close)
            yield Part(0.0, http1.head(200, lines, None))
            for block in shared.endpoint.ledger.lines(int(since)):
                if block:
                    yield Part(0.0, http1.chunk(block))
            yield Part(0.0, http1.LAST_CHUNK)
        case ("GET", "/health"):
            yield Part(0.0, _json(200, _health(shared), close))
        case ("POST", "/reset"):
            shared.reset()
            yield Part(0.0, _json(200, {"status": "ok"}, close))
        case ("GET", path) if path.endswith("/models"):
            model = {"id": "mock", "object": "model", "created": 0, "owned_by": "semprop"}
            yield Part(0.0, _json(200, {"object": "list", "data": [model]}, close))
        case _:
            shared.strays += 1
            words = f"there is no {received.method} {received.path} here: POST …/chat/completions, GET /ledger, /health"
            yield Part(0.0, _json(404, {"error": {"message": words, "type": "invalid_request_error"}}, close))


def _health(shared: Shared) -> dict[str, object]:
    return {
        "status": "ok",
        "seconds": shared.now(),
        "connections": {"open": len(shared.open), "made": shared.connections},
        "malformed": shared.malformed,
        "strays": shared.strays,
        **shared.endpoint.ledger.summary(),
    }


def _json(status: int, document: object, lines: Lines) -> bytes:
    body = orjson.dumps(document) + b"\n"
    return http1.head(status, (*JSON_LINES, *lines), len(body)) + body
