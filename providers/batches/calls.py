"""Single calls of a batch API over a session: any method, and bodies that are read line by line.

Takes an endpoint's settings; gives replies. Raises `StopError` for a refusal, and `RetryError` for one that passes and
where no reply came. Follows no redirect and sends a key to no other host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import anyio
import orjson

from semprop.providers.connection import HttpSettings, Route, find_key, route
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, RetryError, StopError
from semprop.providers.http import WireFormat, translated
from semprop.providers.transport import SharedSession, Transport
from semprop.providers.wire.classify import Origin, Reply, classify

Take = Callable[[bytes], bool]
"""Takes a line, with its end if it has one; says whether it wants more."""

Alive = Callable[[], None]
"""Is told that something came, so that the time begins anew."""

SLOWEST = 50_000
"""Bytes in a second that a line sends at the least: a large body has so much more time."""


class Calls:
    """One endpoint's calls. Its session opens at the first call."""

    def __init__(self, settings: HttpSettings, wire: WireFormat, transport: Transport) -> None:
        self._settings, self._wire = settings, wire
        self._shared: SharedSession = transport.join(replace(settings, connections=2))
        self._session: aiohttp.ClientSession | None = None
        self._way: Route | None = None

    @property
    def identity(self) -> str:
        """Who is called."""
        return self._settings.identity

    @property
    def origin(self) -> Origin:
        """Who is called, for messages."""
        way = self._way
        secrets = () if way is None else way.secrets
        return Origin(self._settings.identity, self._settings.key_env, secrets, self._wire.dialect)

    async def close(self) -> None:
        """Let go of the session."""
        session, self._session = self._session, None
        if session is not None:
            await self._shared.leave()

    async def document(
        self, method: str, path: str, body: object = None, content: str = "application/json", **query: str
    ) -> Mapping[str, Any]:
        """The JSON object that a call gives; a body that is bytes is sent as it is.

        Raises:
            StopError: it was refused.
            RetryError: it may be made again; it gave none, or no object.
        """
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        reply = await self._call(method, path, data, query, content)
        try:
            document = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise RetryError(f"{self.identity} answered {method} {path} with no JSON object", ErrorClass.TRANSIENT)
        return document

    async def _call(self, method: str, path: str, body: bytes | None, query: Mapping[str, str], content: str) -> Reply:
        found = bytearray()

        async def read(response: aiohttp.ClientResponse, alive: Alive) -> None:
            found.extend(await response.read())

        return await self._sent(method, path, body, query, content, read, found)

    async def lines(self, path: str, take: Take) -> None:
        """Give every line of a body to `take`, until that wants no more. It may take as long as it will, while bytes
        come within the seconds of a reply.

        Raises:
            StopError: it was refused.
            RetryError: it may be made again; it broke off, or holds a line of more bytes than a reply may have.
        """
        rest = bytearray()

        async def read(response: aiohttp.ClientResponse, alive: Alive) -> None:
            async for chunk in response.content.iter_any():
                alive()
                rest.extend(chunk)
                *whole, last = rest.split(b"\n")
                if whole:
                    rest[:] = last
                if len(rest) > self._settings.largest:
                    raise RetryError(f"{self.identity} sent a line without an end in {path}", ErrorClass.TRANSIENT)
                for line in whole:
                    if line.strip() and not take(bytes(line) + b"\n"):
                        return
            if rest.strip():
                take(bytes(rest))

        await self._sent("GET", path, None, {}, "application/json", read, rest)

    async def _sent(
        self,
        method: str,
        path: str,
        body: bytes | None,
        query: Mapping[str, str],
        content: str,
        read: Callable[[aiohttp.ClientResponse, Alive], Any],
        found: bytearray,
    ) -> Reply:
        session, way = self._opened()
        url = way.url.with_path(way.url.path.removesuffix(self._wire.path) + path).update_query(dict(query))
        headers = [(name, value) for name, value in way.headers if name.lower() != "content-type"]
        if body is not None:
            headers.append(("Content-Type", content))
        fault: ProviderError
        seconds = self._settings.timeout
        try:
            with anyio.fail_after(seconds + len(body or b"") / SLOWEST) as scope:

                def alive() -> None:
                    scope.deadline = anyio.current_time() + seconds

                async with session.request(
                    method, url, data=body, headers=headers, proxy=way.proxy, allow_redirects=False
                ) as response:
                    if 200 <= response.status < 300:
                        await read(response, alive)
                    else:
                        found[:] = await response.read()
                    reply = Reply(response.status, response.headers, bytes(found))
        except aiohttp.ConnectionTimeoutError as error:
            fault = translated(error, self.identity, way.secrets)
        except TimeoutError:
            words = f"{self.identity} did not answer {method} {path} within {seconds:g} s"
            fault = RetryError(words, ErrorClass.TRANSIENT)
        except (aiohttp.ClientError, OSError) as error:
            fault = translated(error, self.identity, way.secrets)
        else:
            if 200 <= reply.status < 300:
                return reply
            raise self._refused(classify(reply, self.origin))
        # Outside the handler: aiohttp's errors carry the request's headers.
        raise fault

    def _refused(self, error: ProviderError) -> ProviderError:
        """What a refusal is: no call here is one request's own, so none may end as that request's failure."""
        if not isinstance(error, ItemError):
            return error
        mend = "give `batch` of the provider fewer `rows`" if error.status == 413 else "see its own words"
        return StopError(
            f"{self.identity} refused a call of its batch API, not a request in a batch: {mend}. {error}",
            ErrorClass.CONFIGURATION,
            status=error.status,
            attempts=error.attempts,
            limits=error.limits,
        )

    def _opened(self) -> tuple[aiohttp.ClientSession, Route]:
        if self._session is None or self._way is None:
            settings = self._settings
            key = find_key(settings)
            self._way = route(settings, self._wire.path, self._wire.headers(key), key)
            self._session = self._shared.enter()
        return self._session, self._way
