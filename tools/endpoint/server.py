"""A mock endpoint's end of a connection: requests in, scripts played. Decides nothing but what is sent when.

Requests are answered in their order, with one timer for the next part that is due. Nothing polls.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs

import orjson

from semprop.tools.endpoint.batch_pages import page
from semprop.tools.endpoint.batches import Batches
from semprop.tools.endpoint.endpoint import Arrival, Attempt, Endpoint
from semprop.tools.endpoint.scripts import JSON_LINES, End, Part
from semprop.tools.endpoint.wires import WIRES
from semprop.tools.serving import http1
from semprop.tools.serving.connection import Bounds, Connection, Hall
from semprop.tools.serving.http1 import Lines, Malformed, Received
from semprop.tools.serving.listening import listening
from semprop.tools.serving.times import Times

_AT_ONCE = 0.0005
"""A part that is due within so many seconds is sent now: timers are no finer."""

_KEYS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Headers that carry a key, service by service."""

_FORMATS = "…/chat/completions, …/messages, …/models/MODEL:generateContent, …/responses"

_AHEAD = 64
_RESETTING = struct.pack("ii", 1, 0)
_CLOSE: Lines = (("connection", "close"),)


Watch = Callable[[str], bool]
"""Told of a step; false: the call is refused, and nothing is done."""


def _nobody(step: str) -> bool:
    """Nobody watches."""
    return True


@dataclass(slots=True)
class Shared:
    """What the connections of a mock endpoint share."""

    endpoint: Endpoint
    times: Times
    hall: Hall
    started: float
    batches: Batches
    malformed: int = 0
    strays: int = 0

    def now(self) -> float:
        """Seconds since the start or the last reset."""
        return self.times.now() - self.started

    def reset(self) -> None:
        """Everything anew, time too."""
        self.endpoint.reset()
        self.batches.files.clear()
        self.batches.batches.clear()
        self.started = self.times.now()
        self.malformed = self.strays = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens; `url` is the base address for clients."""

    origin: str
    endpoint: Endpoint
    batches: Batches

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
    endpoint: Endpoint,
    host: str = "127.0.0.1",
    port: int = 0,
    times: Times = Times(),
    connections: float = float("inf"),
    watch: Watch = _nobody,
) -> AsyncIterator[Served]:
    """Listen while the block runs, with at most so many `connections` at once; then break all of them off.

    `watch` is told of each step of a batch, before and after it is taken (`upload.arrived`, `upload.done`,
    `create.arrived`, `create.done`, `poll`, `results.half`, `results.sent`), and nothing is answered until it returns;
    a call whose arrival it does not want is refused.

    Raises:
        OSError: the address cannot be listened on.
    """
    bounds = Bounds(endpoint.config.largest, _AHEAD, connections)
    hall = Hall(bounds, times)
    batches = Batches(endpoint, endpoint.config.batch, watch)
    shared = Shared(endpoint, times, hall, times.now(), batches)
    loop = asyncio.get_running_loop()
    async with listening(hall, partial(_Player, shared, loop), host, port) as origin:
        yield Served(origin, endpoint, batches)


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


class _Player:
    """Plays the scripts of one connection."""

    __slots__ = ("_connection", "_loop", "_play", "_shared", "_timer", "_working")

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        self._shared = shared
        self._loop = loop
        self._connection = connection
        self._play: _Play | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._working = False

    def answer(self, received: Received) -> None:
        shared = self._shared
        wire = next((wire for wire in WIRES if wire.takes(received.path)), None)
        if wire is None or received.method != "POST":
            self._play = _Play(None, _page(shared, received), shared.times.now(), received.keep_alive)
        else:
            number = self._connection.number
            arrival = Arrival(shared.now(), received.path, received.body, _caller(received), number)
            attempt = shared.endpoint.arrive(arrival, wire, shared.times.wall())
            self._play = _Play(attempt, iter(attempt.script.parts), shared.times.now(), received.keep_alive)
        self._go_on()

    def refuse(self, broken: Malformed) -> None:
        self._shared.malformed += 1
        if self._connection.transport is not None:
            self._connection.transport.write(_json(broken.status, {"error": {"message": str(broken)}}, _CLOSE))

    def resume(self) -> None:
        self._go_on()

    def leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        play, self._play = self._play, None
        if play is not None and play.attempt is not None:
            self._shared.endpoint.ended(play.attempt, self._shared.now(), left=True)

    def _rung(self) -> None:
        self._timer = None
        self._go_on()

    def _go_on(self) -> None:
        """Send what is due, and be done if that was all."""
        play, transport = self._play, self._connection.transport
        # A write may call `resume` before it returns.
        if play is None or transport is None or self._timer is not None or self._working:
            return
        self._working = True
        try:
            now = self._shared.times.now()
            part = self._send(play, transport, now)
        finally:
            self._working = False
        if part is None:
            self._finish(play, transport, now)
        elif self._connection.writable:
            self._timer = self._loop.call_later(play.started + part.at - now, self._rung)

    def _send(self, play: _Play, transport: asyncio.Transport, now: float) -> Part | None:
        """Send what is due; the part that is not, or that there is no room for."""
        connection = self._connection
        due: list[bytes] = []
        part = play.waiting or next(play.parts, None)
        while part is not None and connection.writable and play.started + part.at <= now + _AT_ONCE:
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
        return part

    def _finish(self, play: _Play, transport: asyncio.Transport, now: float) -> None:
        if play.end is End.SILENT:
            return
        if play.started + play.end_at > now + _AT_ONCE:
            self._timer = self._loop.call_later(play.started + play.end_at - now, self._rung)
            return
        self._play = None
        if play.attempt is not None:
            self._shared.endpoint.ended(play.attempt, self._shared.now())
        if play.end is End.RESET:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
            transport.abort()
            return
        self._connection.answered(keep_alive=play.keep_alive and play.end is not End.CLOSE)

    def _opening(self, attempt: Attempt, keep_alive: bool) -> bytes:
        shared = self._shared
        return shared.endpoint.opening(attempt, shared.now(), shared.times.wall(), () if keep_alive else _CLOSE)


def _caller(received: Received) -> str:
    """What tells callers apart: their key, as each of the services takes it."""
    headers = received.headers
    key = (
        headers.get(b"authorization")
        or headers.get(b"x-api-key")
        or headers.get(b"api-key")
        or headers.get(b"x-goog-api-key")
        or b""
    )
    return key.decode("latin-1")


def _page(shared: Shared, received: Received) -> Iterator[Part]:
    """What the endpoint answers beside its wire formats, with its heads."""
    close: Lines = () if received.keep_alive else _CLOSE
    shared.batches.advance(shared.now())
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
        case (_, path) if "/batches" in path or "/files" in path:
            yield from _batch_page(shared, received, close)
        case ("GET", path) if path.endswith("/models"):
            model = {"id": "mock", "object": "model", "created": 0, "owned_by": "semprop"}
            yield Part(0.0, _json(200, {"object": "list", "data": [model]}, close))
        case _:
            yield Part(0.0, _stray(shared, received, close))


def _stray(shared: Shared, received: Received, close: Lines) -> bytes:
    shared.strays += 1
    words = f"there is no {received.method} {received.path} here: POST {_FORMATS}; GET /ledger, /health"
    return _json(404, {"error": {"message": words, "type": "invalid_request_error"}}, close)


def _batch_page(shared: Shared, received: Received, close: Lines) -> Iterator[Part]:
    found = page(shared.batches, received, shared.now(), shared.times.wall())
    at = shared.batches.settings.answer
    if found is None:
        yield Part(0.0, _stray(shared, received, close))
    elif found.lines is None:
        yield Part(at, _json(found.status, found.document, close))
    else:
        yield Part(at, http1.head(found.status, (("content-type", "application/jsonl"), *close), None))
        for block in found.lines:
            yield Part(at, http1.chunk(block))
        yield Part(at, http1.LAST_CHUNK)


def _health(shared: Shared) -> dict[str, object]:
    return {
        "status": "ok",
        "seconds": shared.now(),
        "connections": {"open": len(shared.hall.open), "made": shared.hall.made},
        "malformed": shared.malformed,
        "strays": shared.strays,
        **shared.endpoint.ledger.summary(),
        "batches": shared.batches.summary(),
    }


def _json(status: int, document: object, lines: Lines) -> bytes:
    body = orjson.dumps(document) + b"\n"
    return http1.head(status, (*JSON_LINES, *lines), len(body)) + body
