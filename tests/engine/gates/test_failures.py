"""Providers that fail, on fixed sequences of candidates: how many verdicts are still given."""

from __future__ import annotations

from random import Random

import pytest
from gating import M, raced

from semprop.engine.gates import Board, Decision, ExactGate, Gate, Row, SequentialGate, StrictGate, TwoStageGate

TRUTHS = (-0.1, 0.0, 0.1)
FAILING = 0.05


def row(rng: Random, gain: float) -> Row:
    """Right or wrong before and after; a fifth of the items differ. A cell whose two tries fail is missing."""
    before = rng.random() < 0.6
    broken, mended = (0.2 - gain) / 2 / 0.6, (0.2 + gain) / 2 / 0.4
    after = before != (rng.random() < (broken if before else mended))
    lost = [rng.random() < FAILING and rng.random() < FAILING for _ in range(2)]
    return tuple(M if gone else float(score) for gone, score in zip(lost, (before, after), strict=True))


@pytest.mark.parametrize(
    "gate", [StrictGate(), ExactGate(), TwoStageGate(), SequentialGate()], ids=lambda gate: gate.name
)
def test_where_five_percent_of_the_tries_fail_four_verdicts_in_five_are_given(gate: Gate) -> None:
    given = missing = 0
    for seed in range(60):
        rng = Random(seed)
        rows = tuple(row(rng, TRUTHS[seed % 3]) for _ in range(200))
        missing += sum(M in each for each in rows)
        given += raced(gate, Board(rows, 200, (1, 1)))[0].decision is not Decision.UNDECIDED
    assert missing > 40
    assert given >= 0.8 * 60
