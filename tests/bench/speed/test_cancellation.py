"""Cancellation, small; and that the storm sees what it looks for."""

from __future__ import annotations

from dataclasses import replace

import orjson

from semprop.bench.speed import cancellation
from semprop.bench.speed.cancellation import Ground, scripted, specification, storm
from semprop.bench.speed.rows import Settings
from semprop.engine import Trainer
from semprop.providers import Scripted
from semprop.providers.base import Completion, Request
from semprop.providers.layers import Send, Stack


async def test_no_row_finds_anything_left() -> None:
    rows = await cancellation.cancellation(Settings(scale=0.0001))
    assert [row.value for row in rows] == [0, 0, 0, 0]
    assert all(row.met for row in rows)


async def test_the_world_goes_through_every_pass() -> None:
    ground = scripted()
    async with Trainer(specification(ground.provider)) as trainer:
        step = await anext(trainer)
        report = await trainer.report()
    assert step.verdict is not None and len(step.gradients) == 2
    assert report.held_out is not None
    assert set(trainer.telemetry.calls) == {"forward", "backward", "update", "gate", "test"}


# The storm sees what it looks for ------------------------------------------------------------------------------------


class Leaky:
    """A layer that forgets to give something back when it is cancelled."""

    def __init__(self) -> None:
        self.held = 0

    def around(self, send: Send) -> Send:
        async def complete(request: Request) -> Completion:
            self.held += 1
            completion = await send(request)
            self.held -= 1
            return completion

        return complete

    def statistics(self) -> dict[str, object]:
        return {}


async def test_a_permit_that_is_not_given_back_is_seen() -> None:
    leaky = Leaky()
    endpoint = Scripted(lambda request: cancellation.REPLY)
    _, left = await storm(Ground(Stack(endpoint, (leaky,)), lambda: leaky.held), 20)
    assert left.held == left.total > 0


async def test_a_run_that_decides_otherwise_is_seen() -> None:
    texts = iter(range(1_000_000))
    endpoint = Scripted(lambda request: replace(Completion(cancellation.REPLY), text=_varied(next(texts))))
    _, left = await storm(Ground(Stack(endpoint, ()), lambda: 0), 20)
    assert left.different == left.total > 0


def _varied(number: int) -> str:
    document = orjson.loads(cancellation.REPLY)
    return orjson.dumps({**document, "proposal_1": f"Be careful, way {number}."}).decode() if number % 2 else "7"
