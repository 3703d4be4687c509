"""Every attempt is accounted for, also those of a call that was cancelled before it had an answer."""

from __future__ import annotations

from random import Random

import anyio
import worlds
from anyio.lowlevel import checkpoint

from semprop.engine import Trainer
from semprop.providers import ErrorClass, RetryError, Scripted, VirtualClock
from semprop.providers.layers import Stack
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.wire.profiles import PROFILES


async def test_attempts_of_a_call_that_was_cancelled_between_two_tries_are_counted():
    clock = VirtualClock()
    endpoint = Scripted(lambda request: RetryError("down", ErrorClass.TRANSIENT), clock=clock)
    provider = Stack(endpoint, (Retry(RetryPolicy(tries=9, base=1.0), clock, Random(0)),))
    async with Trainer(worlds.specification(providers={"forward": provider}, in_flight=1)) as trainer:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def step():
                    await anext(trainer)

                tasks.start_soon(step)
                while len(endpoint.requests) < 4:
                    await checkpoint()
                scope.cancel()
    assert trainer.telemetry.attempts == len(endpoint.requests)


async def test_a_call_that_was_cancelled_before_its_turn_came_was_never_sent():
    clock = VirtualClock()
    endpoint = Scripted(lambda request: "x", latency=9.0, clock=clock)
    limits = Limits(Limiter(clock=clock), Terms("account", "model", (), (), 1, PROFILES["local"]))
    async with Trainer(worlds.specification(providers={"forward": Stack(endpoint, [limits])})) as trainer:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def step():
                    await anext(trainer)

                tasks.start_soon(step)
                while not endpoint.requests:
                    await checkpoint()
                scope.cancel()
    assert trainer.telemetry.document(0)["calls"] == {"forward": 1}
    assert trainer.telemetry.attempts == len(endpoint.requests) == 1
