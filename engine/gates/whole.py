"""A gate that cancels nothing: every candidate is measured on every item, then another gate decides. Pure.

It costs what the other gate would have saved, and gives the full candidates × items matrix, which a gain without a
test split needs (statistics reference, 13).
"""

from __future__ import annotations

from dataclasses import dataclass

from semprop.engine.gates.board import Board, Gate, Need, Verdict


@dataclass(frozen=True, slots=True)
class WholeGate:
    """`gate`, on whole boards only."""

    gate: Gate

    @property
    def name(self) -> str:
        return f"{self.gate.name}, whole"

    def decide(self, board: Board) -> Verdict | Need:
        if board.pending:
            return Need(tuple(range(len(board.sizes))), board.pending)
        return self.gate.decide(board)
