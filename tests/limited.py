"""A server with limits, for tests: true sliding windows, told in headers, in bodies, or not at all; in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from semprop.providers.base import Capabilities, Completion, LimitSeen, Message, Request, Usage
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.wire.profiles import PROFILES

EPSILON = 1e-6


@dataclass
class Rule:
    """At most `limit` of `resource` (`requests` or `tokens`) in any `seconds`; `told` in headers, named in bodies."""

    resource: str
    limit: float
    seconds: float = 60.0
    name: str = ""
    entries: deque[tuple[float, float]] = field(default_factory=deque)
    total: float = 0.0

    def used(self, now: float) -> float:
        while self.entries and self.entries[0][0] + self.seconds <= now:
            self.total -= self.entries.popleft()[1]
        return self.total

    def add(self, now: float, amount: float) -> None:
        self.entries.append((now, amount))
        self.total += amount

    def wait(self, now: float, amount: float) -> float:
        over = self.used(now) + amount - self.limit
        for at, size in self.entries:
            over -= size
            if over <= EPSILON:
                return at + self.seconds - now
        return self.seconds


class Server:
    """Decides at arrival, answers a latency later. Counts everything, as an endpoint's ledger does.

    `latency` is in seconds, with a tenth of jitter, or log-normal (median, sigma); `refusal` the same for refusals, as
    long as answers where it is None. Headers tell of the moment of arrival, or of that of the reply. In `storms` (from,
    to, retry-after in seconds) everything is refused, whatever the rules.
    """

    def __init__(
        self,
        clock: VirtualClock,
        rules: Sequence[Rule],
        *,
        latency: float | tuple[float, float] = 0.2,
        refusal: float | None = None,
        told_at_reply: bool = False,
        headers: bool = False,
        bodies: bool = False,
        retry_after: bool = False,
        foreign: float = 0.0,
        foreign_from: float = 1e18,
        changes: Mapping[float, float] | None = None,
        tokens: int = 100,
        bucket: bool = False,
        storms: Sequence[tuple[float, float, float | None]] = (),
    ) -> None:
        self.clock = clock
        self.rules = list(rules)
        self.latency = latency
        self.refusal = refusal
        self.told_at_reply = told_at_reply
        self.headers = headers
        self.bodies = bodies
        self.retry_after = retry_after
        self.foreign = foreign
        self.foreign_from = foreign_from
        self.changes = dict(changes or {})
        self.tokens = tokens
        self.storms = storms
        self.foreign_until = math.inf
        self._foreign_at = foreign_from
        self.arrivals: list[tuple[float, bool, float]] = []
        self._random = Random(7)

    identity = "server"
    model = "server"
    capabilities = Capabilities()

    def statistics(self) -> Mapping[str, object]:
        return {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def complete(self, request: Request) -> Completion:
        now = self.clock.now()
        self._advance(now)
        tokens = float(request.messages[0].text or self.tokens)
        amounts = {"requests": 1.0, "tokens": tokens}
        broken = next((r for r in self.rules if r.used(now) + amounts[r.resource] > r.limit + EPSILON), None)
        storm = next((storm for storm in self.storms if storm[0] <= now < storm[1]), None)
        admitted = broken is None and storm is None
        self.arrivals.append((now, admitted, tokens))
        if admitted:
            for rule in self.rules:
                rule.add(now, amounts[rule.resource])
        seen = self._seen(now) if self.headers else ()
        await self.clock.sleep(self._seconds(admitted))
        if self.headers and self.told_at_reply:
            self._advance(self.clock.now())
            seen = self._seen(self.clock.now())
        if admitted:
            usage = Usage(input=int(tokens // 2), output=int(tokens - tokens // 2))
            return Completion("ok", usage=usage, limits=seen)
        wait = None
        if storm is not None:
            wait = storm[2]
        elif broken is not None and self.retry_after:
            wait = float(int(broken.wait(now, amounts[broken.resource])) + 1)
        if broken is not None and self.bodies:
            told = LimitSeen(broken.name, broken.limit, max(0.0, broken.limit - broken.used(now)))
            seen = (*seen, told)
        dimension = broken.name if broken is not None and self.bodies else None
        raise RetryError("429", ErrorClass.RATE, status=429, retry_after=wait, dimension=dimension, limits=seen)

    def _seconds(self, admitted: bool) -> float:
        if not admitted and self.refusal is not None:
            return self.refusal * (0.9 + 0.2 * self._random.random())
        if isinstance(self.latency, tuple):
            return self.latency[0] * math.exp(self.latency[1] * self._random.gauss(0.0, 1.0))
        return self.latency * (0.9 + 0.2 * self._random.random())

    def _seen(self, now: float) -> tuple[LimitSeen, ...]:
        return tuple(
            LimitSeen(rule.name, rule.limit, max(0.0, float(int(rule.limit - rule.used(now)))), rule.seconds)
            for rule in self.rules
            if rule.name
        )

    def _advance(self, now: float) -> None:
        for at in [at for at in self.changes if at <= now]:
            factor = self.changes.pop(at)
            for rule in self.rules:
                rule.limit *= factor
        while self.foreign and self._foreign_at <= min(now, self.foreign_until):
            for rule in self.rules:
                rule.used(self._foreign_at)
                rule.add(self._foreign_at, 1.0 if rule.resource == "requests" else self.tokens)
            self._foreign_at += 1.0 / self.foreign

    def admitted(self, begin: float, end: float) -> int:
        return sum(1 for at, admitted, _ in self.arrivals if admitted and begin <= at < end)

    def refused(self, begin: float, end: float) -> int:
        return sum(1 for at, admitted, _ in self.arrivals if not admitted and begin <= at < end)

    def taken(self, begin: float, end: float) -> float:
        return sum(tokens for at, admitted, tokens in self.arrivals if admitted and begin <= at < end)


def stack_of(server: Server, terms: Terms | None = None, seed: int = 0) -> tuple[Stack, Limiter]:
    """The server behind retries and limits."""
    limiter = Limiter(clock=server.clock, random=Random(seed), wall=server.clock.now)
    limits = Limits(limiter, terms or Terms("a", "m", profile=PROFILES["unknown"]))
    retry = Retry(RetryPolicy(elapsed=3600.0), server.clock, Random(seed), limiter_waits)
    return Stack(server, (retry, limits)), limiter


async def load(stack: Stack, server: Server, seconds: float, workers: int, sizes: Sequence[int] = (100,)) -> None:
    """`workers` callers, each with one request out at a time, for so many virtual seconds."""
    numbers = iter(range(10**9))

    async def worker() -> None:
        while server.clock.now() < seconds:
            size = sizes[next(numbers) % len(sizes)]
            await stack.complete(Request((Message.of("user", str(size)),)))

    tasks = [asyncio.ensure_future(worker()) for _ in range(workers)]
    try:
        await server.clock.sleep(seconds)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
