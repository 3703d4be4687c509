"""The rhythm of commits: a flow keeps it over its gaps, and what trickles is not held back."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.outcomes import Position
from semprop.engine.training import writing
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import AT_ONCE, ONCE, SOON
from semprop.engine.training.writing import BUSY, SPAN, flow
from semprop.providers import Completion


def flow_after(batches: list[tuple[float, int]]) -> float:
    """The flow after batches of so many records, each so many seconds after the one before."""
    found = 0.0
    for seconds, came in batches:
        found = flow(found, seconds, came)
    return found


@pytest.mark.parametrize("gap", [0.001, 0.015, 0.2])
@given(st.floats(1.0, 1e5))
def test_a_steady_flow_is_its_records_a_second_however_they_are_batched(gap: float, rate: float) -> None:
    found = flow_after([(gap, rate * gap)] * round(20 * SPAN / gap))
    # Just after a batch, and just before the next: the truth lies between.
    assert flow(found, gap) <= rate * 1.000_001 and rate <= found * 1.000_001


def test_a_flow_is_paced_whether_or_not_its_batches_were_held() -> None:
    """Else one burst would make whatever comes after it wait, however slowly it comes."""
    often, seldom = [(1 / 640, 1)] * 4_000, [(0.015, 640 * 0.015)] * 400
    assert flow_after(often) < BUSY and flow_after(seldom) < BUSY
    assert flow_after([(0.0, 4_000), *often]) < BUSY
    assert flow_after([(0.0, 4_000), *seldom]) < BUSY


def test_calls_in_step_are_paced_from_round_to_round() -> None:
    """128 in flight at an endpoint of 0.2 s: each round notes 256 records at once."""
    assert flow(flow_after([(0.215, 256)] * 20), 0.215) >= BUSY


def test_what_trickles_is_never_held_back() -> None:
    assert flow_after([(0.01, 1)] * 10_000) < BUSY


# Whoever is last ------------------------------------------------------------------------------------------------------


MANY = round(2 * BUSY * SPAN)
"""Records of a burst after which the flow is busy."""


@pytest.fixture
async def busy(tmp_path, monkeypatch):
    """A journal under load, whose batches gather for ever unless somebody is less patient."""
    monkeypatch.setattr(writing, "PACE", 1e9)
    monkeypatch.setattr(writing, "QUIET", 1e9)
    journal = await Journal.create(tmp_path / "run", {})
    marks = [journal.answer(Position(number, "f"), f"k{number}", Completion("x")) for number in range(MANY)]
    await journal.reach(marks[-1], AT_ONCE)
    yield journal
    await journal.close()


def noted(journal: Journal, name: str) -> int:
    """The mark of one more record."""
    return journal.answer(Position(0, name), name, Completion("x"))


async def test_a_batch_to_which_nothing_more_is_expected_does_not_gather(busy) -> None:
    for name in "gh":
        mark = noted(busy, name)
        with anyio.fail_after(30):
            await busy.reach(mark, AT_ONCE)
        assert busy.durable == mark


async def test_whoever_waits_with_less_patience_hastens_the_batch_that_it_waits_for(busy) -> None:
    before, mark = busy.durable, noted(busy, "g")
    async with anyio.create_task_group() as tasks:
        for patience in (ONCE, SOON):
            tasks.start_soon(busy.reach, mark, patience)
            await anyio.wait_all_tasks_blocked()
            assert busy.durable == before
        with anyio.fail_after(30):
            await busy.reach(mark, AT_ONCE)


async def test_under_load_a_batch_gathers_what_comes(busy) -> None:
    before, mark = busy.durable, noted(busy, "g")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(busy.reach, mark)
        await anyio.wait_all_tasks_blocked()
        assert busy.durable == before
        later = noted(busy, "h")
        await busy.reach(later, AT_ONCE)
    assert busy.durable == later
