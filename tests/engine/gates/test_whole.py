"""The whole gate: nothing is cancelled, and the other gate's verdict stands."""

import pytest

from semprop.engine.gates import Board, Decision, ExactGate, Need, NoGate, SequentialGate, StrictGate, WholeGate

WINS = ((0.0, 1.0, 0.0),) * 60


def board(rows, total=60):
    return Board(rows, total, (10, 10, 10))


@pytest.mark.parametrize("rows", [0, 1, 59])
def test_every_item_is_asked_for_in_every_column_until_none_is_left(rows):
    assert WholeGate(StrictGate()).decide(board(WINS[:rows])) == Need((0, 1, 2), 60 - rows)


@pytest.mark.parametrize("gate", [StrictGate(), ExactGate(), SequentialGate(), NoGate()])
def test_then_the_other_gate_decides(gate):
    verdict = WholeGate(gate).decide(board(WINS))
    assert verdict == gate.decide(board(WINS))
    assert verdict.decision is Decision.ACCEPT
    assert WholeGate(gate).name == f"{gate.name}, whole"
