"""A second attempt beside one that takes too long, within a stated share of extra attempts. Off unless asked for.

Takes a `Hedge`, a clock, and the layers for retries and limits that it stands around; gives a layer. The second attempt
needs admission like any other and is never asked again, so one request sends at most one more than it would. The
first usable answer wins; the other attempt is cancelled, counted and paid for. The one module of the providers that
starts tasks: both attempts run in a task group that ends with the call.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import anyio
import anyio.lowlevel

from semprop.providers.base import Completion, Request
from semprop.providers.clock import Clock, Handle
from semprop.providers.errors import ProviderError, ProviderFailure
from semprop.providers.layers import Layer, Send

QUANTILE = 0.95

WINDOW = 200
"""Attempts, the newest, whose seconds the quantile is taken of."""

ENOUGH = 20
"""Attempts of a node that must have been seen before its own quantile counts; before it, that of all nodes."""

_EVERY = 10
_NODES = 4096


@dataclass(frozen=True, slots=True)
class Hedge:
    """When to send a second attempt, and how many.

    Attributes:
        after: seconds that an attempt is waited for before another is sent beside it; `p95`: as long as 95 of 100
            attempts of its node take.
        extra: second attempts, as a share of all requests so far: the bound on the extra cost.
    """

    after: float | Literal["p95"] = "p95"
    extra: float = 0.05

    def __post_init__(self) -> None:
        if self.after != "p95" and not 0 < self.after < math.inf:
            raise ValueError(f"a hedge is sent after some seconds, or after p95, not after {self.after!r}")
        if not 0 < self.extra <= 1:
            raise ValueError(f"the share of hedges is above 0 and at most 1, not {self.extra!r}")


class Hedging:
    """The layer: the first attempt goes through retries and limits, the second through the limits only."""

    def __init__(self, hedge: Hedge, clock: Clock, retry: Layer, limits: Layer) -> None:
        """
        Args:
            hedge: when and how many.
            clock: what attempts are timed on.
            retry, limits: the layers that stand inside.
        """
        self._hedge = hedge
        self._clock = clock
        self._retry = retry
        self._limits = limits
        self._latencies = _Latencies()
        self._running: dict[asyncio.Task[Any] | None, _Attempt] = {}
        self._requests = 0
        self._sent = 0
        self._won = 0
        self._wasted = 0
        self._withheld = 0

    def __repr__(self) -> str:
        return f"Hedging({self._hedge}, sent={self._sent}, won={self._won})"

    def around(self, send: Send) -> Send:
        """`send` with limits, retries and hedges."""
        once = self._limits.around(self._watched(send))
        patient = self._retry.around(once)

        async def complete(request: Request) -> Completion:
            self._requests += 1
            async with anyio.create_task_group() as group:
                race = _Race(group.cancel_scope)
                group.start_soon(self._run, patient, request, race.first)
                while race.second is None:
                    await race.slowness()
                    if not race.is_decided and self._may_send():
                        race.second = _Attempt(race)
                        group.start_soon(self._run, once, request, race.second)
            return self._outcome(race)

        return complete

    def statistics(self) -> Mapping[str, object]:
        """Second attempts begun, those that won, and those that the share did not allow; attempts that lost on the
        wire (whether the endpoint charged them is not known); and what the layers inside say."""
        hedges = {
            "hedges": self._sent,
            "hedges_won": self._won,
            "hedges_withheld": self._withheld,
            "attempts_wasted": self._wasted,
        }
        return {**hedges, **self._retry.statistics(), **self._limits.statistics()}

    def _may_send(self) -> bool:
        # The request that asks is one of those counted, so the share holds at every moment.
        if self._sent + 1 > self._hedge.extra * self._requests:
            self._withheld += 1
            return False
        self._sent += 1
        return True

    async def _run(self, send: Send, request: Request, attempt: _Attempt) -> None:
        task = asyncio.current_task()
        self._running[task] = attempt
        try:
            attempt.completion = await send(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, `_outcome` raises it in the caller's own task
            attempt.error = error
        finally:
            del self._running[task]
        attempt.race.decide()

    def _watched(self, send: Send) -> Send:
        """`send`, timed from when the limits let it go: a wait for a turn is no reason for a second one."""

        async def complete(request: Request) -> Completion:
            attempt = self._running[asyncio.current_task()]
            if attempt.race.is_decided:
                # Its turn came with the very reply that made it needless.
                await anyio.lowlevel.checkpoint_if_cancelled()
            began = self._clock.now()
            timer = self._timer(attempt, request.admission.node)
            try:
                completion = await send(request)
            except ProviderError as error:
                attempt.sent += error.attempts
                raise
            except BaseException:
                attempt.sent += 1
                if attempt.is_first:
                    # It would have taken longer still: leaving out the slow ones would make the quantile sink.
                    self._latencies.add(request.admission.node, self._clock.now() - began)
                raise
            finally:
                if timer is not None:
                    timer.cancel()
            attempt.sent += completion.attempts
            self._latencies.add(request.admission.node, self._clock.now() - began)
            return completion

        return complete

    def _timer(self, attempt: _Attempt, node: str) -> Handle | None:
        if not attempt.is_first or attempt.race.second is not None:
            return None
        after = self._latencies.quantile(node) if self._hedge.after == "p95" else self._hedge.after
        return None if after is None else self._clock.call_later(after, attempt.race.slow)

    def _outcome(self, race: _Race) -> Completion:
        won, lost = race.result
        wasted = 0 if lost is None else lost.sent
        self._wasted += wasted
        if won.completion is not None:
            self._won += won is race.second
            return replace(won.completion, attempts=won.completion.attempts + wasted) if wasted else won.completion
        error = won.error
        if error is None:
            raise RuntimeError("a race ended without an outcome")
        if isinstance(error, ProviderError):
            error.attempts += wasted
        raise error


class _Attempt:
    """One of the two: what it sent on the wire, and how it ended."""

    __slots__ = ("completion", "error", "race", "sent")

    def __init__(self, race: _Race) -> None:
        self.race = race
        self.sent = 0
        self.completion: Completion | None = None
        self.error: Exception | None = None

    @property
    def is_first(self) -> bool:
        return self.race.first is self


class _Race:
    """A request whose first attempt may be overtaken."""

    __slots__ = ("_scope", "_slow", "first", "second")

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.first = _Attempt(self)
        self.second: _Attempt | None = None
        self._slow = anyio.Event()
        self._scope = scope

    @property
    def is_decided(self) -> bool:
        """A completion decides; so does the first attempt's error, unless it is one that the second may mend."""
        first, second = self.first, self.second
        if first.completion is not None or (second is not None and second.completion is not None):
            return True
        if first.error is None:
            return False
        return second is None or second.error is not None or not isinstance(first.error, ProviderFailure)

    @property
    def result(self) -> tuple[_Attempt, _Attempt | None]:
        """Who decided it, and the other."""
        if self.second is not None and self.second.completion is not None and self.first.completion is None:
            return self.second, self.first
        return self.first, self.second

    async def slowness(self) -> None:
        """Wait until the first attempt is slow; cancelled when the race is decided before."""
        await self._slow.wait()
        self._slow = anyio.Event()

    def slow(self) -> None:
        """The first attempt has been on the wire for too long."""
        self._slow.set()

    def decide(self) -> None:
        """An attempt ended: if that decides it, the other is cancelled."""
        if self.is_decided:
            self._scope.cancel()


class _Latencies:
    """Seconds that attempts took, by node."""

    def __init__(self) -> None:
        self._all = _Window()
        self._nodes: dict[str, _Window] = {}

    def add(self, node: str, seconds: float) -> None:
        self._all.add(seconds)
        found = self._nodes.get(node)
        if found is None and len(self._nodes) < _NODES:
            found = self._nodes[node] = _Window()
        if found is not None:
            found.add(seconds)

    def quantile(self, node: str) -> float | None:
        """As long as 95 of 100 take; None while too few have been seen."""
        found = self._nodes.get(node)
        return self._all.quantile if found is None or found.quantile is None else found.quantile


class _Window:
    """The newest values, and their quantile, which is looked at again now and then."""

    __slots__ = ("_count", "_values", "quantile")

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._count = 0
        self.quantile: float | None = None

    def add(self, value: float) -> None:
        self._values.append(value)
        self._count += 1
        if self._count >= ENOUGH and self._count % _EVERY == 0:
            ordered = sorted(self._values)
            self.quantile = ordered[math.ceil(QUANTILE * len(ordered)) - 1]
