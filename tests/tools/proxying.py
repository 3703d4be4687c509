"""What the proxy's tests share: a mock endpoint, a proxy in front of it, and a plain client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import orjson

from semprop.providers import RetryPolicy, VirtualClock
from semprop.providers.budget import Caps
from semprop.providers.specification import Specification
from semprop.providers.surroundings import Surroundings
from semprop.tools.endpoint import Endpoint, parse
from semprop.tools.endpoint import Served as Mock
from semprop.tools.endpoint import serving as serving_mock
from semprop.tools.proxy import Served, Settings, serving

FIXED = "[reply]\ntext = 'twelve chars'\n"
HELLO = [{"role": "user", "content": "hello"}]
GREEDY = {"model": "m", "messages": HELLO, "temperature": 0}


@dataclass(frozen=True, slots=True)
class Said:
    """A reply."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def text(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])

    @property
    def source(self) -> str:
        return str(self.headers["x-semprop-source"])


@dataclass(frozen=True, slots=True)
class World:
    """A proxy, what stands behind it, and a client."""

    served: Served
    session: aiohttp.ClientSession
    clock: VirtualClock

    async def ask(self, headers: dict[str, str] | None = None, **changes: object) -> Said:
        """One completion."""
        return await self.get("/v1/chat/completions", headers, method="POST", json={**GREEDY, **changes})

    async def get(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET", json: object = None
    ) -> Said:
        """A page."""
        url = self.served.origin + path
        async with self.session.request(method, url, json=json, headers=headers) as response:
            return Said(response.status, response.headers, await response.read())


@asynccontextmanager
async def mocked(toml: str = FIXED) -> AsyncIterator[Mock]:
    """A mock endpoint."""
    async with serving_mock(Endpoint(parse(toml))) as mock:
        yield mock


@asynccontextmanager
async def proxied(
    *upstreams: str,
    named: dict[str, Specification] | None = None,
    token: str = "",
    store: Path | None = None,
    retry: RetryPolicy = RetryPolicy(),
    environment: dict[str, str] | None = None,
    most: int = 20_000,
    caps: Caps = Caps(),
) -> AsyncIterator[World]:
    """A proxy whose waits for a retry pass at once."""
    clock = VirtualClock()
    settings = Settings(
        upstreams=upstreams,
        named=named or {},
        token=token,
        store=store,
        around=Surroundings(environment=environment or {}, clock=clock, random=Random(0), retry=retry),
        most=most,
        caps=caps,
    )
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(settings))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        yield World(served, session, clock)


def attempts(mock: Mock) -> Any:
    """What the endpoint's ledger counts."""
    return mock.endpoint.ledger.summary()["attempts"]
