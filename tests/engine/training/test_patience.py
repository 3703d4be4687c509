"""Phases whose answers nobody waits for: what of them is asked is asked at once, and told to whoever gathers it."""

import asyncio

import pytest
import worlds

from semprop.engine import SpecificationError, optimize
from semprop.engine.training.driver import Stage
from semprop.engine.training.patience import OPEN, phases, widened


class Gathering:
    """Answers requests that may wait only when it is told that no more will come; others at once."""

    def __init__(self):
        self.inner = worlds.scripted()
        self.identity, self.model, self.capabilities = self.inner.identity, self.inner.model, self.inner.capabilities
        self.held: list[asyncio.Future[None]] = []
        self.sizes: list[int] = []
        self.waited: dict[bool, int] = {False: 0, True: 0}

    async def complete(self, request):
        self.waited[request.admission.patient] += 1
        if request.admission.patient:
            self.held.append(asyncio.get_running_loop().create_future())
            await self.held[-1]
        return await self.inner.complete(request)

    def quiescent(self):
        if self.held:
            self.sizes.append(len(self.held))
            held, self.held = self.held, []
            for future in held:
                future.set_result(None)

    def statistics(self):
        return {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *raised):
        return None


def spec(**changes):
    return worlds.specification(**{"splits": worlds.splits(8, 8, 8), "steps": 2, **changes})


async def test_a_run_whose_gate_and_test_are_gathered_ends_as_one_that_waits_for_each(tmp_path):
    provider = Gathering()
    gathered = await optimize(spec(providers={"forward": provider}, batched=("gate", "test"), run=tmp_path / "run"))
    plain = await optimize(spec())
    assert gathered.result_document() == plain.result_document()
    assert provider.waited[True] == sum(provider.sizes)
    assert provider.waited[False] > 0
    # Two levels of the gate and two of the test, each whole, though each request waits until it is on disk.
    assert len(provider.sizes) == 4


async def test_nothing_is_gathered_where_nobody_said_so(tmp_path):
    provider = Gathering()
    await optimize(spec(providers={"forward": provider}, run=tmp_path / "run"))
    assert provider.sizes == []


def test_a_phase_that_is_none_is_refused():
    with pytest.raises(SpecificationError, match="batched names 'gates', which is no phase of forward"):
        spec(batched=("gates",))


def test_the_test_has_parts_of_its_own():
    assert phases(("gate", "test")) == ("gate", "test", "constrained", "agreement")


def test_a_decided_step_is_replayed_item_by_item_all_the_same():
    stage = Stage(None, None, None, 1)
    assert widened(stage, ("gate",), "gate").window == 1
    assert widened(Stage(None, None, None, 64), ("gate",), "gate").window == OPEN
    assert widened(Stage(None, None, None, 64), ("gate",), "test").window == 64
