"""How much of its level a gate may spend at one step, so that a run as a whole keeps it. Pure.

Over a run the chance of one false acceptance or more is at most Σ α_t ≤ α (union bound), whatever the candidates are
made of, if every step's gate items are new to it. Candidates of one step share α_t equally.
"""

from __future__ import annotations

import math
from enum import StrEnum

from semprop.engine.errors import SpecificationError
from semprop.engine.gates.board import Turn


class Spending(StrEnum):
    """How α is spent over the steps t = 1 … T of a run.

    `even`: α/T. `squares`: 6α/(π²t²), for runs without an end. `each`: α at every step, so that the level holds for
    one step and not for the run.
    """

    EVEN = "even"
    SQUARES = "squares"
    EACH = "each"


def level_at(alpha: float, spending: Spending, turn: Turn) -> float:
    """α_t."""
    match spending:
        case Spending.EVEN:
            return alpha / max(turn.steps, turn.step)
        case Spending.SQUARES:
            return 6 * alpha / (math.pi * turn.step) ** 2
        case Spending.EACH:
            return alpha


def check_share(name: str, value: float, least: float = 0.0) -> None:
    """A level or a share lies above `least` and below 1.

    Raises:
        SpecificationError: it does not.
    """
    if not least < value < 1:
        raise SpecificationError(f"{name} is {value:g}: give a number above {least:g} and below 1")
