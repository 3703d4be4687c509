"""The upstreams of a proxy: which model name means which, and what becomes of one that is stopped.

One limiter for all, so that models of one account share its limits. A provider that meets a wrong key, an unpaid bill
or an outage stops for good, as a run wants it; a proxy lives on, so a stopped upstream refuses at once for `HELD`
seconds and is then connected anew. Starts no task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from semprop.engine.errors import SpecificationError
from semprop.providers.base import Completion, Request, Usage
from semprop.providers.budget import BudgetSpent, Caps
from semprop.providers.clock import Clock
from semprop.providers.errors import StopError
from semprop.providers.layers import Stack, filled
from semprop.providers.limits.limiter import Limiter
from semprop.providers.pools.routing import REFUSED
from semprop.providers.specification import Specification, check_one_model, resolve
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport
from semprop.providers.wire.refusals import NoPlace
from semprop.tools.budgets import check_caps
from semprop.tools.proxy.attempts import Accounts, Attempts

HELD = 30.0
"""Seconds for which a stopped upstream is not asked."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why an upstream is not asked, and until when on the clock."""

    error: StopError
    until: float


class Upstream:
    """One model that requests go to."""

    def __init__(self, name: str, opened: Callable[[], Stack], settings: Specification, clock: Clock) -> None:
        """
        Args:
            name: what clients call it.
            opened: connects to it; called again after a stop.
            settings: what fills a request that leaves it open, and whether a pool passes refusals on.
            clock: what the hold after a stop is measured on.
        """
        self.name = name
        self._opened = opened
        self._sampling = settings.sampling
        self._passed_on = REFUSED if settings.rules.passes_refusals else ()
        self._clock = clock
        self._stack = opened()
        self._accounts: Accounts | None = None
        self._attempts: Attempts | None = None
        self._stopped: Stopped | None = None
        self._stops = 0

    @property
    def identity(self) -> str:
        """What answers; a part of every key of the store."""
        return self._stack.identity

    def price(self, usage: Usage) -> float | None:
        """US dollars of a usage; None where its price is unknown."""
        return self._stack.price(usage)

    def filled(self, request: Request) -> Request:
        """The request as it will be asked: what it leaves open is as the settings say."""
        if self._sampling is None:
            return request
        return replace(request, sampling=filled(request.sampling, self._sampling))

    async def complete(self, request: Request) -> Completion:
        """Answer one request.

        Raises:
            ProviderError: as the provider's `complete` does; a `StopError` for `HELD` seconds after one was met, with
                the seconds that are left.
            BudgetSpent: it would pass a cap.
            StorageError: it cannot be noted, so it was not sent.
        """
        if self._attempts is not None:
            self._attempts.check(request)
        if self._stopped is not None:
            await self._again(self._stopped)
        stack = self._stack
        async with stack:
            try:
                return await stack.complete(request)
            except (BudgetSpent, NoPlace):
                # The proxy's own, or this client's: another upstream, or another request, may fit.
                raise
            except StopError as error:
                if stack is self._stack and self._stopped is None:
                    self._stopped = Stopped(error, self._clock.now() + HELD)
                    self._stops += 1
                    _log.error("upstream_stopped", upstream=self.name, reason=str(error), held_seconds=HELD)
                raise

    def statistics(self) -> Mapping[str, object]:
        """What the provider counts since it was connected, and whether it is stopped. No reason: it may be private."""
        shown: dict[str, object] = {"identity": self.identity, "stops": self._stops, "held_seconds": None}
        if self._stopped is not None:
            shown["held_seconds"] = round(max(0.0, self._stopped.until - self._clock.now()), 1)
        counted = dict(self._stack.statistics())
        counted.pop("limits", None)
        return {**shown, **counted}

    async def _again(self, stopped: Stopped) -> None:
        left = stopped.until - self._clock.now()
        error = stopped.error
        if left > 0:
            raise StopError(str(error), error.error_class, status=error.status, retry_after=left, attempts=0)
        # Swapped before anything is waited for, so that it happens once.
        old, self._stack, self._stopped = self._stack, self._booked(self._opened()), None
        await self._stack.__aenter__()
        # Requests that are still under way have entered it too; the last of them closes it.
        await old.__aexit__(None, None, None)

    def book(self, accounts: Accounts) -> None:
        """Have all attempts booked. Before the first request."""
        self._accounts = accounts
        self._stack = self._booked(self._stack)

    def _booked(self, stack: Stack) -> Stack:
        """The provider, with one more layer innermost: around each attempt that has its turn."""
        if self._accounts is None:
            return stack
        self._attempts = Attempts(
            self.name, stack.identity, stack.price, self._accounts, stack.pictures, self._passed_on
        )
        return stack.within(self._attempts)

    async def __aenter__(self) -> Upstream:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._stack.__aexit__(*raised)


class Upstreams:
    """All upstreams of a proxy."""

    def __init__(
        self, texts: Sequence[str], named: Mapping[str, Specification], around: Surroundings, caps: Caps = Caps()
    ) -> None:
        """
        Raises:
            StopError: there is no such provider (CONFIGURATION).
            SpecificationError: two upstreams would have one name, or one has no price and dollars are capped.
        """
        self.limiter = Limiter(clock=around.clock, random=around.random)
        transport = Transport()
        self.names: dict[str, Upstream] = {}
        self._routes: dict[str, Upstream] = {}
        specifications = [resolve(text, named) for text in texts]
        for specification in specifications:
            check_one_model(specification)
            name = specification.name or specification.model or specification.kind
            if name in self.names:
                raise SpecificationError(
                    f"two upstreams are called {name!r}: give them names, as [provider.NAME] in a --providers file"
                )
            opened = _connecting(specification, around, self.limiter, transport)
            self.names[name] = Upstream(name, opened, specification, around.clock)
            check_caps(caps, name, self.names[name].price, specification)
        models = Counter(specification.model for specification in specifications)
        for specification, upstream in zip(specifications, self.names.values(), strict=True):
            self._routes[specification.text] = upstream
            if models[specification.model] == 1:
                self._routes[specification.model] = upstream
        # A name of its own goes before a model that is spelled the same.
        self._routes.update(self.names)

    def named(self, model: str) -> Upstream | None:
        """The upstream that a client's model name means: its name, its model, or its whole specification."""
        return self._routes.get(model)

    def statistics(self) -> dict[str, object]:
        """By name, and of every limit group why it does not run."""
        by_name = {name: upstream.statistics() for name, upstream in self.names.items()}
        return {"upstreams": by_name, "limits": self.limiter.statistics()}

    @asynccontextmanager
    async def open(self, accounts: Accounts) -> AsyncIterator[None]:
        """Keep the sessions of all upstreams while the block runs, and book their attempts."""
        entered = []
        try:
            for upstream in self.names.values():
                upstream.book(accounts)
                entered.append(await upstream.__aenter__())
            yield
        finally:
            for upstream in entered:
                await upstream.__aexit__(None, None, None)


def _connecting(
    specification: Specification, around: Surroundings, limiter: Limiter, transport: Transport
) -> Callable[[], Stack]:
    def opened() -> Stack:
        return connect(specification, surroundings=around, limiter=limiter, transport=transport)

    return opened
