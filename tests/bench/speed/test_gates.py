"""Gates that stop early, small: what they save against a mock endpoint, and that they say what full evaluation says."""

from __future__ import annotations

import pytest

from semprop.bench.speed import gates
from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Settings
from semprop.engine.gates import Decision, Hole


async def test_without_a_look_ahead_the_ledger_holds_the_cells_of_the_verdict_and_no_others() -> None:
    shares = gates.SHARES["1 candidate, far worse"]
    async with mock({"latency": {"first": 0.01}}, Settings()) as endpoint:
        runs = {name: await gates.gated(endpoint, shares, 20, ahead) for name, ahead in gates.LOOKAHEADS.items()}
    assert {run.verdict.decision for run in runs.values()} == {Decision.REJECT}
    assert len({run.verdict for run in runs.values()}) == 1
    n = runs["0"].verdict.n
    assert n < 20
    assert runs["0"].attempts == 2 * n
    assert runs["unbounded"].attempts == 2 * 20
    assert 2 * n <= runs["16"].attempts <= 2 * 20


async def test_in_random_races_no_verdict_is_contradicted_by_full_evaluation() -> None:
    contradicted, unlike, *saved = await gates.verdicts(Settings(scale=0.04))
    assert contradicted.met and unlike.met
    none, sixteen, unbounded = (row.value for row in saved)
    assert none > sixteen > unbounded == 0.0


@pytest.mark.parametrize("seed", range(20))
async def test_a_race_without_a_look_ahead_asks_for_no_cell_that_is_not_on_its_board(seed: int) -> None:
    case = gates.Case(seed)
    result = await case.raced(gates.LOOKAHEADS["0"])
    assert case.asked == sum(cell is not Hole.DROPPED for row in result.board.rows for cell in row)
