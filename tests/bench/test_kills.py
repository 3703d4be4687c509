"""The kill harness itself, on a small run: nothing that was recorded is lost, and what is wrong is said."""

import sys

import pytest

from semprop.bench.kills import KINDS, QUICK, Counts, kills


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
async def test_a_run_that_is_killed_and_resumed_loses_nothing_and_ends_the_same():
    counts = await kills(3, 0, QUICK, lambda line: None)
    assert counts.kills.total() == 3
    assert set(counts.kills) <= set(KINDS)
    assert counts.faults == []
    assert counts.recorded >= counts.calls
    assert counts.document()["lost"] == 0


def test_what_does_not_hold_is_said():
    counts = Counts(runs=2, lost=1, repeated=5, in_flight=4, other_results=1, outside_ledger=2)
    assert len(counts.faults) == 4
    assert "1 recorded replies were lost" in counts.faults[0]
