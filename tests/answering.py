"""A server of bytes, for tests of what is read from a socket: each connection's requests are answered by a function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
"""Writes the answer to a request, of which it gets the number, from 0."""


@dataclass
class Answering:
    """A server on this machine, and what reached it.

    Attributes:
        base: its base address.
        heads, bodies: of all requests, in the order of their arrival.
        opened, open: connections that ever were, and that are now.
    """

    base: str = ""
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    opened: int = 0
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        while self.open:
            self.closed.clear()
            await self.closed.wait()


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Answering]:
    """A server whose every request is given to `answer`; closed, with its connections, at the end."""
    seen = Answering()
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        tasks.add(task)
        seen.opened += 1
        seen.open += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.split(b":")[1]))
                seen.heads.append(head)
                seen.bodies.append(body)
                await first_of(answer(writer, len(seen.heads) - 1), reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            writer.close()
            seen.open -= 1
            seen.closed.set()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen.base = f"http://127.0.0.1:{port}/v1"
    try:
        yield seen
    finally:
        server.close()
        left = [task for task in tasks if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def first_of(work: Awaitable[None], reader: asyncio.StreamReader) -> None:
    """Do the work, unless the other side leaves before it is done."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        elif leaving.result():
            raise AssertionError("a request came before the one before it was answered")
        else:
            raise ConnectionResetError
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def reply(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """The bytes of a whole reply."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
