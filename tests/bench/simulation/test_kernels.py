"""Array programs of the gates, against the gates themselves on random boards."""

from __future__ import annotations

import numpy as np
import pytest

from semprop.bench.simulation.draws import binary, generator, graded
from semprop.bench.simulation.kernels import Boards, decided
from semprop.bench.simulation.rows import raced, rows_of
from semprop.engine.gates import (
    Board,
    ExactGate,
    Gate,
    Need,
    NoGate,
    SequentialGate,
    Spending,
    StrictGate,
    Turn,
    TwoStageGate,
    Verdict,
)

GATES = [
    NoGate(),
    StrictGate(),
    ExactGate(),
    ExactGate(alpha=0.4, spending=Spending.SQUARES),
    TwoStageGate(alpha=0.4),
    TwoStageGate(alpha=0.6, first=0.1),
    SequentialGate(spending=Spending.EACH),
    SequentialGate(alpha=0.6, beta=0.5, delta=0.5),
    SequentialGate(alpha=0.5, beta=0.0, delta=0.05),
]
each_gate = pytest.mark.parametrize("gate", GATES, ids=repr)


def boards(seed: int, many: int = 25) -> list[Boards]:
    random = generator(seed, "test")
    return [
        binary(random, many, 60, (0.0,), 0.3),
        binary(random, many, 45, (0.25, 0.0), 0.3),
        binary(random, many, 80, (0.0, 0.15, 0.3, -0.2), 0.35),
    ]


@each_gate
@pytest.mark.parametrize("turn", [Turn(), Turn(2, 5)], ids=str)
def test_winners_stops_and_cells_are_those_of_the_gate(gate: Gate, turn: Turn) -> None:
    for given in boards(1):
        found = decided(gate, given, turn)
        for index, board in enumerate(given):
            verdict, cells = raced(gate, rows_of(board), turn)
            assert verdict.winner == found.winners[index]
            if found.cells is not None:
                assert cells == found.cells[index]
            if isinstance(gate, SequentialGate) and verdict.winner:
                assert verdict.after is not None
                assert verdict.before is not None
                assert verdict.after - verdict.before == pytest.approx(found.gains[index], abs=1e-12)


@pytest.mark.parametrize("gate", [gate for gate in GATES if isinstance(gate, SequentialGate | StrictGate)], ids=repr)
def test_on_graded_scores_too(gate: Gate) -> None:
    given = graded(generator(2, "test"), 60, 80, 0.1, 0.08)
    found = decided(gate, given, Turn())
    for index, board in enumerate(given):
        verdict, _ = raced(gate, rows_of(board), Turn())
        assert verdict.winner == found.winners[index]
    assert 0 < np.count_nonzero(found.winners) <= 60


def test_among_the_boards_some_are_accepted_and_some_are_not() -> None:
    for gate in GATES[1:]:
        winners = np.concatenate([decided(gate, given, Turn()).winners for given in boards(1)])
        assert 0 < np.count_nonzero(winners) < len(winners)


def test_the_gain_of_an_exact_gate_is_that_of_all_items() -> None:
    (given, *_) = boards(3)
    found = decided(ExactGate(alpha=0.6), given, Turn())
    accepted = found.winners > 0
    expected = (given[:, 1] - given[:, 0]).mean(axis=1)
    assert found.gains[accepted] == pytest.approx(expected[accepted])
    assert not found.gains[~accepted].any()


def test_a_gate_without_an_array_program_is_refused() -> None:
    class Other:
        name = "other"

        def decide(self, board: Board) -> Verdict | Need:
            return Need((0, 1))

    with pytest.raises(TypeError, match="no array program"):
        decided(Other(), boards(1)[0], Turn())
