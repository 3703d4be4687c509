"""The gates themselves, row by row, on simulated boards: as the gate pass drives them, without its waiting."""

from __future__ import annotations

from semprop.bench.simulation.kernels import Boards
from semprop.engine.gates import Board, Gate, Hole, Need, Row, Turn, Verdict, folded


def raced(gate: Gate, rows: list[Row], turn: Turn) -> tuple[Verdict, int]:
    """The verdict, and how many cells were measured for it."""
    fold = folded(gate, Board((), len(rows), (1,) * len(rows[0]), turn))
    length = cells = 0
    while isinstance(found := fold.decide(), Need):
        racing = found.racing
        fold.add(tuple(cell if column in racing else Hole.DROPPED for column, cell in enumerate(rows[length])))
        cells += len(racing)
        length += 1
    return found, cells


def rows_of(board: Boards) -> list[Row]:
    """One board as rows of cells."""
    return [tuple(float(cell) for cell in row) for row in board.T]
