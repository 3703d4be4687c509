"""Sharing, small, in the ledger of a mock endpoint."""

from __future__ import annotations

from semprop.bench.speed import sharing
from semprop.bench.speed.rows import Settings
from semprop.engine import Trainer
from semprop.providers import Scripted


async def test_equal_requests_at_once_are_one_attempt_and_random_draws_share_nothing() -> None:
    greedy, random = await sharing.sharing(Settings(repetitions=1, scale=0.05))
    assert (greedy.value, random.value) == (1, 50)
    assert greedy.met and random.met


async def test_a_thousand_equal_requests_at_once_ask_the_provider_once() -> None:
    for temperature, asked in ((0.0, 1), (0.8, 1_000)):
        scripted = Scripted(lambda request: "Alder", latency=1.0)
        async with Trainer(sharing.specification(scripted, temperature, 1_000)) as trainer:
            step = await anext(trainer)
        assert len(step.selected.scored) == 1_000
        assert len(scripted.requests) == scripted.peak == asked
