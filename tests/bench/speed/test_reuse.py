"""Reuse, small: in the ledger of a mock endpoint, and by the requests that a scripted provider was asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from semprop.bench.speed import reuse
from semprop.bench.speed.rows import Settings
from semprop.engine import Trainer
from semprop.providers import Request, Scripted


async def test_the_ledger_counts_the_calls_downstream_of_an_edit_and_no_others() -> None:
    rows = await reuse.reuse(Settings(repetitions=1, scale=0.03))
    assert [row.value for row in rows] == [1.0, 2.0, 3.0]
    assert all(row.met for row in rows)


@pytest.mark.parametrize("node", reuse.EDITS)
async def test_a_step_asks_each_node_upstream_of_an_edit_once(node: str) -> None:
    def told(request: Request) -> str:
        return f"[{request.messages[0].text} {request.messages[1].text}]"

    scripted = Scripted(told)
    async with Trainer(reuse.specification(scripted, node, forward=2, gate=5)) as trainer:
        step = await anext(trainer)
    assert step.race is not None and len(step.race.board.rows) == 5
    asked = Counter(request.admission.node for request in scripted.requests)
    downstream = [*reuse.TOLD][[*reuse.TOLD].index(node) :]
    assert asked == {name: 2 + 5 * (2 if name in downstream else 1) for name in reuse.TOLD}
    assert len(scripted.requests) == 3 * 7 + 5 * reuse.CALLS[node]


async def test_the_incumbent_is_measured_once_however_many_candidates_it_meets() -> None:
    asked = []
    for edits in (["Answer in capitals."], ["Answer in capitals.", "Capitalise it.", "Shout."]):
        scripted = Scripted(lambda request: request.messages[1].text)
        spec = reuse.specification(scripted, "last", forward=2, gate=5)
        method = reuse.proposing([("last-told", text) for text in edits])
        async with Trainer(replace(spec, method=method)) as trainer:
            await anext(trainer)
        asked.append(len(scripted.requests))
    assert asked == [3 * 7 + 5, 3 * 7 + 3 * 5]
