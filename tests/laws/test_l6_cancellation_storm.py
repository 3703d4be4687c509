"""L6 and L5: many runs at once, each cancelled at random awaits; afterwards there is nothing left of any of them."""

from __future__ import annotations

from pathlib import Path

from semprop.bench.speed.cancellation import over_http, scripted, storm
from semprop.bench.speed.rows import Settings


async def test_runs_in_memory_leave_no_permit_no_waiter_and_no_task() -> None:
    tally, left = await storm(scripted(), 1_200)
    assert not left.total, left
    assert tally.cancelled >= 1_200
    assert tally.finished > 100


async def test_runs_over_http_leave_no_socket_either() -> None:
    async with over_http(Settings()) as ground:
        tally, left = await storm(ground, 300)
    assert not left.total, left
    assert tally.cancelled >= 300


async def test_runs_with_a_journal_leave_a_whole_one_from_which_they_are_finished(tmp_path: Path) -> None:
    tally, left = await storm(scripted(), 120, tmp_path)
    assert not left.total, left
    assert tally.finished > 50
