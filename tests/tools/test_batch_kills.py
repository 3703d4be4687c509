"""The kill harness for batches itself, at the point that tells most. Costs some 10 s: eight processes."""

import sys

import pytest

from semprop.tools.batch_kills import POINTS, QUICK, Counts, batch_kills


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
async def test_killed_after_the_create_and_before_the_store_nothing_is_submitted_twice_and_nothing_lost():
    at = {kind: tuple(point for point in points if point.step == "create.done") for kind, points in POINTS.items()}
    counts = await batch_kills(1, QUICK, lambda line: None, at)
    assert counts.kills == {"created, not known": 2}
    assert counts.faults == []
    assert counts.batches == 8
    assert counts.rows > 400


def test_what_does_not_hold_is_said():
    counts = Counts(runs=2, twice=1, lost=1, unused_files=1, other_results=1)
    assert len(counts.faults) == 4
