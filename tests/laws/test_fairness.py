"""Two runs in one process that share a provider share what it lets through."""

from __future__ import annotations

import anyio
import pytest
import worlds

from semprop.engine import Trainer
from semprop.providers import Scripted, VirtualClock
from semprop.providers.layers import Stack
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.wire.profiles import PROFILES


@pytest.mark.parametrize("first", [1, 9])
async def test_a_run_that_came_later_is_not_kept_waiting_by_one_that_asks_for_more(first: int) -> None:
    clock = VirtualClock()
    seen: list[str] = []

    def answer(request):
        seen.append(request.admission.flow)
        return worlds.script(request)

    limiter = Limiter(clock=clock)
    limits = Limits(limiter, Terms("account", "model", (), (), 2, PROFILES["local"]))
    shared = Stack(Scripted(answer, latency=1.0, clock=clock), [limits])

    async def run(after: float) -> None:
        await clock.sleep(after)
        async with Trainer(worlds.specification(providers={"forward": shared}, steps=1)) as trainer:
            await anext(trainer)

    async with anyio.create_task_group() as tasks:
        for number in range(first):
            tasks.start_soon(run, 0.001 * number)
        tasks.start_soon(run, 1.5)
    flows = list(dict.fromkeys(seen))
    assert len(flows) == first + 1
    late = flows[-1]
    begun = seen.index(late)
    share = seen[begun : begun + 4 * (first + 1)].count(late)
    assert share >= 3, "of four turns that each of them has, no fewer than three are its own"
