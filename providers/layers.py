"""A stack of layers around an endpoint, folded once into one provider.

Takes an endpoint (a `Provider` that sends one attempt) and layers, outermost first; gives a `Provider`. A layer
turns a `Send` into a `Send` and keeps counters. Nothing here opens a connection or starts a task.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import anyio

from semprop.providers.base import (
    Capabilities,
    Completion,
    Noting,
    Provider,
    Quiescent,
    Ready,
    Request,
    Sampling,
    Usage,
)
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.pictures import UNTOLD, Pictures

Send = Callable[[Request], Coroutine[Any, Any, Completion]]
"""Answers one request, or raises a `ProviderError`."""

Price = Callable[[Usage], float | None]
"""US dollars of a usage; None where the price or the usage is unknown."""


class Layer(Protocol):
    """One concern around the calls: retries, a bound, a meter."""

    def around(self, send: Send) -> Send:
        """`send` with this concern added. Called once, when the stack is folded."""

    def statistics(self) -> Mapping[str, object]:
        """Counters and states, under names that no other layer uses."""


@runtime_checkable
class Several(Protocol):
    """What an endpoint has besides that hands attempts on to stacks, which count them: a pool."""

    def within(self, layer: Layer) -> Provider:
        """The same with one more layer around each attempt of every stack."""


def unpriced(usage: Usage) -> float | None:
    """The price of what has no known price."""
    return None


class Stack:
    """An endpoint with its layers: the provider that everybody else sees."""

    def __init__(
        self,
        endpoint: Provider,
        layers: Sequence[Layer],
        *,
        identity: Callable[[str], str] = str,
        capabilities: Capabilities | None = None,
        price: Price = unpriced,
        pictures: Pictures = UNTOLD,
    ) -> None:
        """Fold the layers, outermost first, around the endpoint.

        Args:
            endpoint: sends the attempts.
            layers: what stands around it.
            identity: from the endpoint's identity to the one shown (settings that change replies belong to it).
            capabilities: in place of the endpoint's own.
            price: dollars of a usage, for reports.
            pictures: tokens of a picture, for budgets.
        """
        self._endpoint = endpoint
        self._layers = tuple(layers)
        self._identity = identity
        self._capabilities = capabilities
        self.price = price
        self.pictures = pictures
        send: Send = endpoint.complete if isinstance(endpoint, Several) else _counted(endpoint.complete)
        for layer in reversed(self._layers):
            send = layer.around(send)
        self._send = send
        if isinstance(endpoint, Quiescent):
            # Only then: whoever looks for it takes it for a wish to be told.
            self.quiescent = endpoint.quiescent
        if isinstance(endpoint, Noting):
            self.keep = endpoint.keep
        if isinstance(endpoint, Ready):
            self.ready = endpoint.ready

    def __repr__(self) -> str:
        names = " → ".join(type(part).__name__ for part in (*self._layers, self._endpoint))
        return f"Stack({names}, model={self.model!r})"

    @property
    def identity(self) -> str:
        return self._identity(self._endpoint.identity)

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities or self._endpoint.capabilities

    def complete(self, request: Request) -> Coroutine[Any, Any, Completion]:
        """Answer one request through all layers; see `Provider.complete` for what is raised."""
        sent = request.admission.sent
        if sent is not None and sent.attempts is None:
            sent.attempts = 0
        return self._send(request)

    def within(self, layer: Layer) -> Stack:
        """The same provider with one more layer, innermost: around each attempt."""
        several = self._endpoint if isinstance(self._endpoint, Several) else None
        return Stack(
            self._endpoint if several is None else several.within(layer),
            self._layers if several is not None else (*self._layers, layer),
            identity=self._identity,
            capabilities=self._capabilities,
            price=self.price,
            pictures=self.pictures,
        )

    def statistics(self) -> Mapping[str, object]:
        """The endpoint's counters and those of every layer."""
        merged: dict[str, object] = dict(self._endpoint.statistics())
        for layer in self._layers:
            merged.update(layer.statistics())
        return merged

    async def __aenter__(self) -> Self:
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._endpoint.__aexit__(kind, error, trace)


def _counted(send: Send) -> Send:
    """`send`, with every attempt counted where the request asks for it."""

    def complete(request: Request) -> Coroutine[Any, Any, Completion]:
        sent = request.admission.sent
        if sent is not None:
            sent.attempts = (sent.attempts or 0) + 1
        return send(request)

    return complete


class InFlight:
    """A bound on requests in flight, first come first served. Pass one object to several providers to share it."""

    def __init__(self, limit: int) -> None:
        """
        Raises:
            StopError: `limit` is below 1 (CONFIGURATION).
        """
        if limit < 1:
            raise StopError(
                f"an in-flight bound of {limit} lets nothing through: give 1 or more",
                ErrorClass.CONFIGURATION,
                attempts=0,
            )
        self.limit = limit
        self._held = 0
        self._peak = 0
        self._waiting = 0
        self._semaphore: anyio.Semaphore | None = None

    def __repr__(self) -> str:
        return f"InFlight({self.limit}, held={self._held}, waiting={self._waiting})"

    def around(self, send: Send) -> Send:
        """`send`, of which at most `limit` run at once."""

        async def complete(request: Request) -> Completion:
            semaphore = self._current()
            try:
                semaphore.acquire_nowait()
            except anyio.WouldBlock:
                await self._turn(semaphore)
            self._held += 1
            if self._held > self._peak:
                self._peak = self._held
            try:
                return await send(request)
            finally:
                self._held -= 1
                semaphore.release()

        return complete

    def statistics(self) -> Mapping[str, object]:
        """The bound, who holds a place, who waits for one, and the most that ever held one."""
        return {
            "in_flight_limit": self.limit,
            "in_flight": self._held,
            "in_flight_peak": self._peak,
            "waiting": self._waiting,
        }

    async def _turn(self, semaphore: anyio.Semaphore) -> None:
        self._waiting += 1
        try:
            await semaphore.acquire()
        finally:
            self._waiting -= 1

    def _current(self) -> anyio.Semaphore:
        # A semaphore belongs to the event loop that first waited on it, this object to none: an idle bound
        # starts with a new one, so that a provider can be used in one loop after another.
        if self._semaphore is None or (self._held == 0 and self._waiting == 0):
            self._semaphore = anyio.Semaphore(self.limit, fast_acquire=True)
        return self._semaphore


class Defaults:
    """Fills the sampling fields that a request leaves open."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def around(self, send: Send) -> Send:
        """`send` of the filled request."""

        async def complete(request: Request) -> Completion:
            return await send(replace(request, sampling=filled(request.sampling, self._sampling)))

        return complete

    def statistics(self) -> Mapping[str, object]:
        return {}


def filled(sampling: Sampling, defaults: Sampling) -> Sampling:
    """`sampling` with each field that is None (or empty, for `stop`) taken from `defaults`."""
    return Sampling(
        temperature=defaults.temperature if sampling.temperature is None else sampling.temperature,
        top_p=defaults.top_p if sampling.top_p is None else sampling.top_p,
        max_tokens=defaults.max_tokens if sampling.max_tokens is None else sampling.max_tokens,
        seed=defaults.seed if sampling.seed is None else sampling.seed,
        stop=sampling.stop or defaults.stop,
        top_logprobs=defaults.top_logprobs if sampling.top_logprobs is None else sampling.top_logprobs,
    )


class Meter:
    """Counts requests, tokens and dollars of what was answered."""

    def __init__(self, price: Price) -> None:
        self._price = price
        self._requests = 0
        self._failed = 0
        self._tokens = {"input": 0, "cached": 0, "output": 0, "reasoning": 0}
        self._usd = 0.0
        self._unpriced = 0

    def around(self, send: Send) -> Send:
        """`send`, counted."""

        async def complete(request: Request) -> Completion:
            self._requests += 1
            answered = False
            try:
                completion = await send(request)
                answered = True
            finally:
                self._failed += not answered
            self._count(completion.usage)
            return completion

        return complete

    def statistics(self) -> Mapping[str, object]:
        """Requests; tokens that endpoints told of; dollars of the priced requests, and how many had no price."""
        return {
            "requests": self._requests,
            "requests_failed": self._failed,
            "tokens": dict(self._tokens),
            "usd": self._usd,
            "unpriced_requests": self._unpriced,
        }

    def _count(self, usage: Usage) -> None:
        self._tokens["input"] += usage.input or 0
        self._tokens["cached"] += usage.cached_read or 0
        self._tokens["output"] += usage.output or 0
        self._tokens["reasoning"] += usage.reasoning or 0
        price = self._price(usage)
        if price is None:
            self._unpriced += 1
        else:
            self._usd += price
