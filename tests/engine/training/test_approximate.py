"""Without a test split: the corrected gain of a full matrix, or no claim at all."""

from dataclasses import replace

import worlds

from semprop.engine import StrictGate, optimize, semantic
from semprop.engine.gates import Decision, ExactGate, Hole, Need, Verdict, WholeGate
from semprop.engine.training.approximate import matrix_of


class Whole:
    """A gate that measures everything, then takes the best."""

    name = "whole"

    def decide(self, board):
        if board.pending:
            return Need(tuple(range(len(board.sizes))), board.pending)
        means = [sum(cell for cell in column if not isinstance(cell, Hole)) for column in zip(*board.rows, strict=True)]
        best = max(range(len(means)), key=lambda place: (means[place], -place))
        decision = Decision.ACCEPT if best else Decision.REJECT
        return Verdict(decision, best, len(board.rows), None, None, 0, "the best of all")


async def run(gate, **changes):
    return await optimize(worlds.specification(method=replace(semantic(), gate=gate), steps=2, **changes))


async def test_a_gate_that_measures_everything_gives_an_approximate_gain():
    result = await run(Whole(), splits=worlds.splits(gate=12))
    document = result.result_document()
    assert document["held_out"] is None
    assert document["approximate"]["difference"] == 1.0
    assert document["approximate"]["method"].startswith("approximate")
    assert any("approximate" in note for note in document["notes"])


async def test_a_gate_that_stops_early_gives_none_and_the_report_says_why():
    result = await run(StrictGate(), splits=worlds.splits(gate=12))
    assert result.approximate is None
    assert any(note.startswith("no test split: nothing may be claimed") for note in result.result_document()["notes"])


async def test_a_run_that_accepted_nothing_has_no_gain_whatever_its_candidates_scored():
    result = await run(WholeGate(ExactGate(alpha=1e-6)), splits=worlds.splits(gate=12))
    assert result.steps[0].verdict.decision is Decision.REJECT
    assert not any(step.accepted for step in result.steps)
    assert result.approximate is None
    assert (
        "no test split, and no change was accepted: there is no gain to speak of" in result.result_document()["notes"]
    )


async def test_with_a_test_split_nothing_approximate_is_said():
    result = await run(Whole(), splits=worlds.splits(gate=12, test=4))
    assert result.approximate is None
    assert not any("no test split" in note for note in result.result_document()["notes"])


def test_no_step_gives_no_matrix():
    assert matrix_of((), worlds.splits().gate) is None
