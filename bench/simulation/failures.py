"""Races in which a provider fails for good: how many verdicts are still given, and whether a level is kept where the
failures depend on the side. Decided by the gates themselves, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from semprop.bench.simulation.draws import binary, generator
from semprop.bench.simulation.figures import Figure, share
from semprop.bench.simulation.kernels import Boards
from semprop.bench.simulation.rows import raced, rows_of
from semprop.bench.simulation.scale import Scale
from semprop.engine.gates import (
    Decision,
    ExactGate,
    Gate,
    Hole,
    Row,
    SequentialGate,
    StrictGate,
    Turn,
    TwoStageGate,
    Verdict,
)

ITEMS, RHO, FAILING = 200, 0.2, 0.05
GAINS = (-0.1, 0.0, 0.05, 0.1)
GATES: tuple[tuple[str, Gate], ...] = (
    ("strict", StrictGate()),
    ("exact", ExactGate()),
    ("two-stage", TwoStageGate()),
    ("sequential δ = .10", SequentialGate()),
)


def figures(scale: Scale) -> Iterator[Figure]:
    """Verdicts given at 5 % of lost items, and false acceptances where what fails depends on the score."""
    table = f"Verdicts given (not undecided), N = {ITEMS}, ρ = {RHO}"
    for name, gate in GATES:
        scale.say(f"failures: {name} …")
        for gain in GAINS:
            boards = binary(generator(scale.seed, "failures", gain), scale.checked, ITEMS, (gain,), RHO)
            for words, lost in _lost(boards, scale.seed, gain):
                given = np.array([verdict.decision is not Decision.UNDECIDED for verdict in _races(gate, boards, lost)])
                value, error = share(given)
                what = f"{name}; true {100 * gain:+g}; {words}"
                yield Figure(table=table, what=what, value=value, error=error, n=scale.checked)
    table = f"False acceptances where failures depend on the side: null candidate, α = .05, N = {ITEMS}, ρ = {RHO}"
    boards = binary(generator(scale.seed, "sides"), 4 * scale.checked, ITEMS, (0.0,), RHO)
    for name, gate in GATES[1:]:
        for words, lost in _sided(boards, scale.seed):
            scale.say(f"failures: {name}, {words} …")
            value, error = share(np.array([verdict.winner > 0 for verdict in _races(gate, boards, lost)]))
            yield Figure(table=table, what=f"{name}; {words}", value=value, error=error, n=len(boards))


def _lost(boards: Boards, seed: int, gain: float) -> Iterator[tuple[str, np.ndarray]]:
    """Cells that are lost for good, in four ways."""
    random = generator(seed, "lost", gain)
    first, second = random.random(boards.shape) < FAILING, random.random(boards.shape) < FAILING
    yield "nothing fails", np.zeros_like(first)
    yield "5 % of tries fail, each cell is asked twice", first & second
    yield "5 % of the items are lost", np.repeat(first[:, :1], 2, axis=1)
    yield "5 % of the cells are lost", first


def _sided(boards: Boards, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Cells that are lost: on one side, and where the score is such as to help the candidate."""
    drawn = generator(seed, "sided").random(boards.shape)
    candidate = np.array([[False], [True]])
    wrong = boards == 0
    yield "5 % of the candidate's cells fail", (drawn < 0.05) & candidate
    yield "20 % of the candidate's wrong answers fail", (drawn < 0.2) & wrong & candidate
    yield (
        "5 % of either side's cells fail, where the candidate is worse",
        (drawn < 0.05) & (boards[:, :1] > boards[:, 1:]),
    )
    helped = np.where(candidate, wrong, ~wrong)
    yield "10 % of the candidate's wrong and of the incumbent's right answers fail", (drawn < 0.1) & helped


def _races(gate: Gate, boards: Boards, lost: np.ndarray) -> Iterator[Verdict]:
    for board, holes in zip(boards, lost, strict=True):
        rows: list[Row] = [
            tuple(Hole.MISSING if hole else cell for cell, hole in zip(row, kept, strict=True))
            for row, kept in zip(rows_of(board), holes.T, strict=True)
        ]
        yield raced(gate, rows, Turn())[0]
