"""One step: the critical path by hand, the work that is done, and the refusal to report less than that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Settings
from semprop.bench.speed.step import CHAIN, GRAPH, REPLY, body_of, calls_of, check, ideal, specification, step
from semprop.engine import Trainer
from semprop.engine.errors import RunError
from semprop.engine.gates import Decision


def test_a_step_of_256_examples_has_2563_calls_in_a_chain_of_six() -> None:
    assert calls_of(256) == 768 + 256 + 3 + 1536 == 2563
    levels = 1 + max(GRAPH.levels[node.name] for node in GRAPH.nodes)
    assert levels == 2
    assert levels + 1 + 1 + levels == CHAIN


def test_the_ideal_is_the_chain_and_the_bare_loops_work() -> None:
    assert ideal(0.2, 2563, 0.0004) == pytest.approx(1.2 + 1.0252)


def test_the_bare_loops_prompts_have_the_size_that_was_seen() -> None:
    document = body_of(2000)(7)
    assert isinstance(document, dict)
    assert 1990 <= len(document["messages"][1]["content"].encode()) <= 2002


async def test_the_step_does_all_of_its_work_and_less_is_refused(tmp_path) -> None:
    async with mock({"reply": {"text": REPLY}}, Settings()) as endpoint:
        async with Trainer(specification(endpoint.url, 3, 0, tmp_path / "run")) as trainer:
            done = await anext(trainer)
        attempts = await endpoint.ledger()
    check(done, attempts, 3)
    assert len({entry.key for entry in attempts}) == calls_of(3), "no two requests are equal"
    assert done.verdict is not None and done.verdict.decision is Decision.REJECT
    assert trainer.telemetry.calls == {"forward": 9, "backward": 3, "update": 3, "gate": 18}
    assert not trainer.telemetry.speculative
    with pytest.raises(RunError, match="did not do its whole work"):
        check(done, attempts[1:], 3)
    with pytest.raises(RunError, match="unanswered attempts 1"):
        check(done, [replace(attempts[0], status=499), *attempts[1:]], 3)


async def test_the_measurement_gives_the_ratio_and_the_time() -> None:
    ratio, wall = await step(Settings(repetitions=1, scale=0.01))
    assert str(ratio.bar) == "≤ 1.25" and wall.unit == "s"
    # 6 × 0.2 s is the least that it can take; the bare loop's work makes the ideal longer.
    assert wall.value >= 1.2 and ratio.value < wall.value / 1.2
    assert "33 = 3N forward" in ratio.note
