"""What clients of a server may take: time, bytes, connections. Over real sockets, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from semprop.tools.serving import http1
from semprop.tools.serving.connection import Bounds, Connection, Hall
from semprop.tools.serving.http1 import Malformed, Received
from semprop.tools.serving.listening import listening
from semprop.tools.serving.times import Times

GET = b"GET / HTTP/1.1\r\n\r\n"


@dataclass
class Alarm:
    """A call back that has not come."""

    at: float
    callback: Callable[[], None]
    open: bool = True

    def cancel(self) -> None:
        self.open = False


class Clock:
    """Time that stands still until it is moved, and then calls back."""

    def __init__(self) -> None:
        self.at = 0.0
        self.alarms: list[Alarm] = []

    def now(self) -> float:
        return self.at

    def later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(self.at + seconds, callback))
        return self.alarms[-1]

    def move(self, seconds: float) -> None:
        self.at += seconds
        while due := [alarm for alarm in self.alarms if alarm.open and alarm.at <= self.at]:
            due[0].open = False
            due[0].callback()


class Echo:
    """Answers with the path, at once or when it is told to."""

    def __init__(self, connection: Connection, held: list[Callable[[], None]] | None, size: int) -> None:
        self.connection, self.held, self.size = connection, held, size
        self.left = 0

    def answer(self, received: Received) -> None:
        def reply() -> None:
            self._write(200, received.path.encode() * self.size)
            self.connection.answered(keep_alive=received.keep_alive)

        if self.held is None:
            reply()
        else:
            self.held.append(reply)

    def refuse(self, broken: Malformed) -> None:
        self._write(broken.status, str(broken).encode())

    def resume(self) -> None:
        """Everything was written at once."""

    def leave(self) -> None:
        self.left += 1

    def _write(self, status: int, body: bytes) -> None:
        if self.connection.transport is not None:
            self.connection.transport.write(http1.head(status, (), len(body)) + body)


@dataclass
class World:
    hall: Hall
    clock: Clock
    origin: str
    held: list[Callable[[], None]] | None
    readers: list[asyncio.StreamWriter]

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self.readers.append(writer)
        return reader, writer


@asynccontextmanager
async def served(bounds: Bounds, *, hold: bool = False, size: int = 1) -> AsyncIterator[World]:
    clock = Clock()
    hall = Hall(bounds, Times(now=clock.now, later=clock.later))
    held: list[Callable[[], None]] | None = [] if hold else None
    async with listening(hall, lambda connection: Echo(connection, held, size), "127.0.0.1", 0) as origin:
        world = World(hall, clock, origin, held, [])
        yield world
        for writer in world.readers:
            writer.close()
    assert not hall.open
    assert not any(alarm.open for alarm in clock.alarms)


async def until(condition: Callable[[], object]) -> None:
    # What is waited for happens in sockets, which set no event.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_a_connection_without_a_request_is_closed_after_its_time():
    async with served(Bounds(100, idle=75.0)) as world:
        reader, writer = await world.client()
        writer.write(GET)
        assert b"200" in await reader.readuntil(b"\r\n\r\n/")
        await until(lambda: len(world.hall.idle or ()) == 1)
        world.clock.move(74.9)
        writer.write(GET)
        assert b"200" in await reader.readuntil(b"\r\n\r\n/")
        world.clock.move(74.9)
        assert len(world.hall.open) == 1
        world.clock.move(0.2)
        assert await reader.read() == b""


async def test_a_request_that_drips_in_is_given_up_however_often_a_byte_comes():
    async with served(Bounds(100, idle=75.0, receiving=60.0)) as world:
        reader, writer = await world.client()
        await until(lambda: world.hall.open)
        for number, byte in enumerate(GET[:6]):
            writer.write(bytes([byte]))
            await until(
                lambda number=number: world.hall.open and len(next(iter(world.hall.open))._parser._buffer) > number
            )
            world.clock.move(9.9)
        assert len(world.hall.open) == 1
        world.clock.move(0.7)
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 408") and b"60 s" in said
        assert world.hall.slow == 1


async def test_a_body_that_never_ends_is_given_up_too():
    async with served(Bounds(100, receiving=60.0)) as world:
        reader, writer = await world.client()
        writer.write(GET + b"POST / HTTP/1.1\r\ncontent-length: 50\r\n\r\nonly this")
        await reader.readuntil(b"\r\n\r\n/")
        await until(lambda: len(world.hall.receiving or ()))
        world.clock.move(60.0)
        assert (await reader.read()).startswith(b"HTTP/1.1 408")


async def test_a_request_that_is_being_answered_has_all_the_time_it_takes():
    async with served(Bounds(100, idle=5.0, receiving=5.0), hold=True) as world:
        reader, writer = await world.client()
        writer.write(GET)
        await until(lambda: world.held)
        world.clock.move(1000.0)
        assert world.held is not None
        world.held.pop()()
        assert b"200" in await reader.readuntil(b"\r\n\r\n/")


async def test_a_client_that_does_not_read_is_given_up():
    async with served(Bounds(100, sending=120.0), size=30_000_000) as world:
        _, writer = await world.client()
        writer.write(GET)
        await until(lambda: len(world.hall.sending or ()))
        world.clock.move(119.0)
        assert len(world.hall.open) == 1
        world.clock.move(1.0)
        await until(lambda: not world.hall.open)


async def test_one_connection_too_many_is_told_so():
    async with served(Bounds(100, connections=1)) as world:
        await world.client()
        await until(lambda: world.hall.open)
        reader, _ = await world.client()
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        assert world.hall.refused == 1


@pytest.mark.parametrize(("bounds", "size"), [(Bounds(100, ahead=3), 0), (Bounds(100, ahead=1000), 40)])
async def test_what_a_client_sends_ahead_is_bounded_and_lost_nowhere(bounds, size):
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    async with served(bounds, hold=True) as world:
        reader, writer = await world.client()
        writer.write(request * 5000)
        await until(lambda: world.held)
        (connection,) = world.hall.open
        await until(lambda: not connection._reading)
        assert world.held is not None
        for _ in range(5000):
            await until(lambda: world.held)
            world.held.pop()()
        assert (await reader.readexactly(len(await _one(size)) * 5000)).count(b"200 OK") == 5000


async def _one(size: int) -> bytes:
    return http1.head(200, (), 1) + b"/"


async def test_closing_leaves_no_connection_and_tells_the_handlers():
    handlers: list[Echo] = []

    def handling(connection: Connection) -> Echo:
        handlers.append(Echo(connection, [], 1))
        return handlers[-1]

    hall = Hall(Bounds(100, idle=75.0), Times())
    async with listening(hall, handling, "127.0.0.1", 0) as origin:
        world = World(hall, Clock(), origin, [], [])
        reader, writer = await world.client()
        writer.write(GET)
        await until(lambda: handlers and handlers[0].held)
    assert [handler.left for handler in handlers] == [1]
    assert await reader.read() == b""
    writer.close()
