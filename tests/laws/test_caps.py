"""Caps hold over whole runs: calls, tokens, dollars and seconds, in storms of refusals and under hedging, by not one.

In virtual time, so in memory: a journal is written in real time. What an endpoint charges is counted by the endpoint
itself, for every attempt that reached it, those that were cancelled too.
"""

from __future__ import annotations

from random import Random
from zlib import crc32

import pytest
import worlds

from semprop.engine import Status, Trainer
from semprop.providers import Capabilities, Completion, ErrorClass, Request, RetryError, Usage, VirtualClock
from semprop.providers.budget import Caps
from semprop.providers.hedging import Hedge, Hedging
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.plain import Plain
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.valve import Valve
from semprop.providers.wire.profiles import PROFILES
from semprop.tools.interruption import Patience, listening

DOLLARS = (2e-6, 8e-6)
"""Of a token in, and of one out."""


def price(usage: Usage) -> float:
    return (usage.input or 0) * DOLLARS[0] + (usage.output or 0) * DOLLARS[1]


class Endpoint(Plain):
    """Refuses everything half of the time, and every third attempt otherwise; charges whatever it begins to answer."""

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        super().__init__("scripted:caps", "caps", Capabilities())
        self.clock, self.seed = clock, seed
        self.arrivals: list[float] = []
        self.charged: list[Usage] = []
        self.hedges: object = 0

    def statistics(self) -> dict[str, object]:
        return {}

    async def complete(self, request: Request) -> Completion:
        now = self.clock.now()
        self.arrivals.append(now)
        lot = crc32(f"{self.seed} {len(self.arrivals)}".encode())
        is_storm = int(now / 0.7) % 2 == 1
        if is_storm or len(self.arrivals) % 3 == 0:
            await self.clock.sleep(0.02)
            raise RetryError("slow down", ErrorClass.RATE, status=429, retry_after=0.1 if is_storm else None)
        given = sum(len(message.text.encode()) for message in request.messages)
        usage = Usage(given // (1 + lot % 4), 0, 0, 1 + lot % (request.sampling.max_tokens or 64))
        self.charged.append(usage)  # Those that are cancelled later, too.
        await self.clock.sleep(1.5 if lot % 5 == 0 else 0.05 + lot % 100 / 500)
        return Completion(worlds.script(request), usage=usage)

    @property
    def tokens(self) -> int:
        return sum((usage.input or 0) + (usage.output or 0) for usage in self.charged)

    @property
    def usd(self) -> float:
        return sum(map(price, self.charged))


def no_signal(number: int = 0) -> None:
    raise AssertionError("no signal was sent")


async def carried_out(caps: Caps, seed: int, seconds: float | None = None):
    """A run to its end or to that of its budget, as the command carries it out; gives what the endpoint saw."""
    clock = VirtualClock()
    endpoint = Endpoint(clock, seed)
    valve = Valve(caps)
    retry = Retry(RetryPolicy(base=0.1, per_minute=6_000.0), clock, Random(seed), limiter_waits)
    limiter = Limiter(clock=clock, random=Random(seed))
    limits = Limits(limiter, Terms("a", "m", profile=PROFILES["unknown"], in_flight=32))
    hedging = Hedging(Hedge(after=0.15, extra=1.0), clock, retry, limits)
    stack = Stack(endpoint, (hedging, valve.around(price)))
    spec = worlds.specification(providers={"forward": stack}, splits=worlds.splits(24, 24, 24), in_flight=32)
    patience = Patience(no_signal, no_signal, clock, grace=10.0)
    async with (
        listening(valve, patience) as interruption,
        Trainer(spec, clock=clock) as trainer,
    ):
        if seconds is not None:
            interruption.give(max(0.0, seconds - trainer.seconds))
        with interruption.scope:
            async for _ in trainer:
                pass
            await trainer.report()
        trainer.end(Status.BUDGET)
        used = trainer.seconds
    assert (limiter.permits, limiter.waiting, valve.on_wire) == (0, 0, 0)
    endpoint.hedges = hedging.statistics()["hedges"]
    return endpoint, interruption.spent, used


each = pytest.mark.parametrize("seed", range(4))


@each
async def test_a_hundred_calls_are_a_hundred_attempts(seed):
    endpoint, spent, _ = await carried_out(Caps(calls=100), seed)
    assert spent is not None
    assert spent.dimension == "calls"
    assert 95 <= len(endpoint.arrivals) <= 100, "what is allowed is used"
    assert endpoint.hedges, "without second attempts this would show less than it says"


@each
async def test_ten_thousand_tokens_are_not_passed(seed):
    endpoint, spent, _ = await carried_out(Caps(tokens=10_000), seed)
    assert spent is not None
    assert 1_000 < endpoint.tokens <= 10_000


@each
async def test_a_cent_is_not_passed(seed):
    endpoint, spent, _ = await carried_out(Caps(usd=0.01), seed)
    assert spent is not None
    assert 0.001 < endpoint.usd <= 0.01


@each
async def test_five_seconds_are_not_passed_and_nothing_is_under_way_when_they_are_over(seed):
    endpoint, spent, used = await carried_out(Caps(), seed, seconds=5.0)
    assert spent is not None
    assert spent.dimension == "seconds"
    assert used <= 5.0
    assert max(endpoint.arrivals) <= 4.5, "the last half second is for what is on the wire"
    assert len(endpoint.arrivals) > 10
