"""Gates: pure decisions on a board of scores. They say what to measure next, or the verdict; they never measure."""

from semprop.engine.gates.board import (
    Board,
    Cell,
    Decision,
    Fold,
    Folding,
    Gate,
    Hole,
    Need,
    Row,
    Turn,
    Verdict,
    folded,
)
from semprop.engine.gates.exact import ExactGate, TwoStageGate
from semprop.engine.gates.levels import Spending, level_at
from semprop.engine.gates.sequential import SequentialGate
from semprop.engine.gates.strict import NoGate, StrictGate
from semprop.engine.gates.whole import WholeGate

__all__ = [
    "Board",
    "Cell",
    "Decision",
    "ExactGate",
    "Fold",
    "Folding",
    "Gate",
    "Hole",
    "Need",
    "NoGate",
    "Row",
    "SequentialGate",
    "Spending",
    "StrictGate",
    "Turn",
    "TwoStageGate",
    "Verdict",
    "WholeGate",
    "folded",
    "level_at",
]
