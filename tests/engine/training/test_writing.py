"""The rhythm of commits: a flow keeps it over its gaps, and what trickles is not held back."""

from __future__ import annotations

from itertools import accumulate

import anyio
import pytest

from semprop.engine.outcomes import Position
from semprop.engine.training import writing
from semprop.engine.training.journal import Journal
from semprop.engine.training.writing import BUSY, CALM, paced_after
from semprop.providers import Completion


@pytest.mark.parametrize("gaps", range(CALM))
def test_a_flow_is_paced_over_fewer_small_batches_than_end_it(gaps: int) -> None:
    batches = [BUSY, *[1] * gaps, BUSY, *[1] * gaps]
    assert all(list(accumulate(batches, paced_after, initial=0))[1:])


def test_so_many_small_batches_in_a_row_end_it() -> None:
    paced = list(accumulate([BUSY, *[BUSY - 1] * (CALM + 1)], paced_after, initial=0))
    assert paced[CALM] > 0 and paced[CALM + 1 :] == [0, 0]


def test_what_trickles_from_the_beginning_is_never_held_back() -> None:
    assert not any(accumulate([1] * 9, paced_after, initial=0))


# Whoever is last ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def journal(tmp_path):
    journal = await Journal.create(tmp_path / "run", {})
    yield journal
    await journal.close()


async def test_a_batch_to_which_nothing_more_is_expected_does_not_gather(journal, monkeypatch) -> None:
    """Were it to gather, this would wait for ever."""
    monkeypatch.setattr(writing, "PACE", 1e9)
    monkeypatch.setattr(writing, "QUIET", 1e9)
    for _ in range(2):  # The first is not held back anyway, and begins the pace.
        marks = [journal.answer(Position(number, "f"), f"k{number}", Completion("x")) for number in range(BUSY)]
        with anyio.fail_after(30):
            await journal.reach(marks[-1], is_last=True)
        assert journal.durable == marks[-1]


async def test_under_load_a_batch_gathers_what_comes(journal, monkeypatch) -> None:
    monkeypatch.setattr(writing, "QUIET", 1e9)
    begun = [journal.answer(Position(number, "f"), f"k{number}", Completion("x")) for number in range(BUSY)]
    await journal.reach(begun[-1])
    mark = journal.answer(Position(0, "g"), "first", Completion("x"))
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    later = journal.answer(Position(0, "h"), "later", Completion("x"))
    await journal.reach(mark)
    assert journal.durable == later
