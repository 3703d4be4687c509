"""A server that listens: sockets in, connections out; closing leaves none. Starts no task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from semprop.tools.serving.connection import Connection, Hall, Handler

_BACKLOG = 4096


@asynccontextmanager
async def listening(hall: Hall, handling: Callable[[Connection], Handler], host: str, port: int) -> AsyncIterator[str]:
    """Listen while the block runs, then break all connections off; gives the origin, `http://HOST:PORT`.

    Args:
        hall: what the connections share.
        handling: makes the one who answers a connection.
        host, port: where; port 0 is any free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(hall, handling), host, port, backlog=_BACKLOG)
    address = server.sockets[0].getsockname()
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        yield f"http://{name}:{address[1]}"
    finally:
        server.close()
        hall.close()
        if hall.open:
            with anyio.CancelScope(shield=True):
                await hall.emptied.wait()
