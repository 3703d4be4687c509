"""The identity bench itself, on a small run: one result in every schedule, and what does not hold is said."""

from dataclasses import replace

import anyio
import pytest

from semprop.bench.identity import LOOPS, Arm, Found, Size, identity, peak
from semprop.bench.speed.mock import Attempt
from semprop.bench.task import Sizes

SMALL = Size(Sizes(3, 4, 6), 1, ((1, LOOPS[0]), (32, LOOPS[-1])))


async def test_one_run_has_one_result_however_it_is_scheduled_and_whatever_fails_on_the_way():
    lines = []
    found = await anyio.to_thread.run_sync(identity, SMALL, lines.append)
    assert found.faults == []
    assert [(arm.in_flight, arm.loop) for arm in found.arms] == list(SMALL.ways)
    assert len({arm.digest for arm in found.arms}) == 1
    assert all(arm.failed for arm in found.arms)
    assert len(lines) == len(found.arms)
    assert found.document()["verdicts"] == list(found.steps)
    assert found.steps


ARM = Arm(1, "asyncio", 0, 100, 20, 1, 1.0, "aa")


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        (
            replace(ARM, in_flight=64, peak=60, digest="bb"),
            "another result than at 1 in flight on asyncio: 64 in flight",
        ),
        (replace(ARM, in_flight=64, peak=60, failed=0), "failed nowhere"),
        (replace(ARM, in_flight=64, peak=3), "nothing was in flight together"),
    ],
)
def test_what_does_not_hold_is_said(arm, told):
    (words,) = Found((ARM, arm)).faults
    assert told in words


def attempt(arrived, answered):
    return Attempt(1, "k", "any", arrived, 1, answered, 200, 1, 1, None)


def test_the_peak_is_the_most_that_were_under_way_at_once():
    assert peak([attempt(0.0, 2.0), attempt(1.0, 3.0), attempt(2.5, 4.0), attempt(3.5, None)]) == 2
    assert peak([]) == 0
