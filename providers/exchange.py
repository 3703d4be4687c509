"""One request out, one reply back, over a session's connections.

Takes a session and a route; gives an `Exchange`: body bytes in, `Reply` out. Two of them: `Direct` writes and reads
on aiohttp's own connections, with the head rendered once, and leaves out the rest of what a session does for a request
(redirects, cookies, middlewares, a header dictionary and a writer task each time), which is two thirds of its cost.
`Plain` is the session's own way, for proxies and for a version of aiohttp whose parts are not the ones that `Direct`
knows. Both raise aiohttp's errors. No deadline, no retry, no redirect.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import BaseConnector, Connection
from aiohttp.http_exceptions import HttpProcessingError

from semprop.providers.connection import HttpSettings, Route
from semprop.providers.errors import ErrorClass, ItemError
from semprop.providers.wire.classify import Reply

CONNECTING = 30.0
"""Seconds for opening one connection."""

_WRITTEN_HERE = ("content-length", "transfer-encoding", "content-encoding", "expect", "connection", "upgrade")
"""Headers that change how a body is framed: a request that brings its own goes the session's way."""

Part = tuple[type, str, tuple[str, ...]]
"""A method of a class, and the arguments that are given by name."""

_PARTS: tuple[Part, ...] = (
    (BaseConnector, "connect", ("traces", "timeout")),
    (ResponseHandler, "set_response_params", ("read_until_eof",)),
    (ResponseHandler, "read", ()),
    (Connection, "release", ()),
    (Connection, "close", ()),
)
"""What `Direct` calls of aiohttp beside its documented functions."""


Seen = Callable[[bytes], None]
"""Told each piece of a reply's body."""


class Exchange(Protocol):
    """Sends one request."""

    async def __call__(self, body: bytes, seen: Seen | None = None) -> Reply:
        """The reply to this body, whatever its status; `seen` is told each piece of it as it arrives.

        Raises:
            aiohttp.ClientError, OSError: no whole reply came.
            ItemError: the reply is larger than it may be.
        """


def exchange(session: aiohttp.ClientSession, route: Route, settings: HttpSettings) -> Exchange:
    """How requests go to a route. Replies of more than `settings.largest` bytes fail."""
    if route.proxy is None and not any(name.lower() in _WRITTEN_HERE for name, _ in route.headers) and fits():
        return Direct(session, route, settings)
    return Plain(session, route, settings)


def fits(parts: tuple[Part, ...] = _PARTS) -> bool:
    """Whether the installed aiohttp has the parts that `Direct` is made for, and they take what it gives them."""
    for owner, name, given in parts:
        method = getattr(owner, name, None)
        if method is None:
            return False
        taken = inspect.signature(method).parameters
        needed = [each.name for each in taken.values() if each.default is each.empty]
        if any(each not in taken for each in given) or set(needed) - {"self", "req", *given}:
            return False
    return True


class Plain:
    """The session's own way."""

    def __init__(self, session: aiohttp.ClientSession, route: Route, settings: HttpSettings) -> None:
        self._session = session
        self._route = route
        self._headers = route.headers
        self._settings = settings

    async def __call__(self, body: bytes, seen: Seen | None = None) -> Reply:
        route = self._route
        sent = self._session.post(route.url, data=body, headers=self._headers, proxy=route.proxy, allow_redirects=False)
        async with sent as response:
            content = await _body(response.content, response.status, self._settings, seen)
            return Reply(response.status, response.headers, content)


class Direct:
    """The short way: aiohttp's pool, parser and flow control, and nothing above them."""

    def __init__(self, session: aiohttp.ClientSession, route: Route, settings: HttpSettings) -> None:
        connector = session.connector
        if connector is None:
            raise RuntimeError("the session is closed")
        self._connector = connector
        self._target = _Target(
            "POST", route.url, headers=route.headers, loop=asyncio.get_running_loop(), session=session
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING)
        self._settings = settings
        self._head = _head(self._target)

    async def __call__(self, body: bytes, seen: Seen | None = None) -> Reply:
        try:
            connection = await self._connector.connect(self._target, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection within {CONNECTING:g} s") from error
        try:
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True)
            transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            # Hundreds may wait for their replies, and none of them needs what it sent.
            del body
            message, content = await protocol.read()
            # What comes before the reply says nothing (HTTP 1xx).
            while message.code < 200 and message.code != 101:
                message, content = await protocol.read()
            read = await _body(content, message.code, self._settings, seen)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(f"it did not answer in HTTP: {error.message}") from error
        except BaseException:
            connection.close()
            raise
        connection.release()
        return Reply(message.code, message.headers, read)


class _Target(aiohttp.ClientRequest):
    """The endpoint as the pool of connections knows it."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        return super().connection_key


def _head(target: aiohttp.ClientRequest) -> bytes:
    """Request line and headers up to the length of the body, which ends them."""
    lines = [f"{target.method} {target.url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in target.headers.items() if name.lower() != "content-length"]
    return ("\r\n".join(lines) + "\r\nContent-Length: ").encode()


async def _body(content: aiohttp.StreamReader, status: int, settings: HttpSettings, seen: Seen | None) -> bytes:
    chunks = []
    size = 0
    while not content.at_eof():
        chunk = await content.readany()
        chunks.append(chunk)
        if seen is not None:
            seen(chunk)
        size += len(chunk)
        if size > settings.largest:
            raise ItemError(
                f"{settings.identity} sent a reply of more than {settings.largest} bytes: bound it with max_tokens",
                ErrorClass.BAD_REQUEST,
                status=status,
            )
    if (error := content.exception()) is not None:
        raise error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
