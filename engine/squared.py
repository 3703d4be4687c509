"""The squared error as a loss with a derivative, for answers that are numbers or arrays. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from semprop.engine.arrays import Array, Floats, numbers_from
from semprop.engine.errors import DataError, SpecificationError
from semprop.engine.example import Example
from semprop.engine.losses import Answer, Objective, Score
from semprop.engine.parameters import Number, argument_of


@dataclass(frozen=True, slots=True)
class Squared:
    """How far an answer is from the expected number, or array in JSON.

    With e² the mean over components of (answer − expected)², the score is 1 / (1 + e²/scale²): 1 where they are
    equal, ½ where they are `scale` apart. What methods with derivatives descend is not 1 − score but ½ e² itself, the
    score's `objective`: its derivative (answer − expected) / components neither vanishes far away nor depends on
    `scale`, and is smallest at the same answer. An answer that is no finite number of the expected shape scores 0 and
    has no derivative. There is no lenient reading.

    Raises (when made): SpecificationError: the scale is not a positive number.
    Raises (when called): DataError: the example has no expected answer, or one that is neither number nor array.
    """

    scale: float = 1.0
    name: str = "squared"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise SpecificationError(f"the loss {self.name!r} has the scale {self.scale}: give a number above 0")

    def __call__(self, example: Example, answer: Answer) -> Score:
        expected = _expected(self.name, example)
        found = numeric(answer.value if answer.value is not None else answer.text)
        if found is None or found.shape != expected.shape:
            return Score(0.0, f"It is not {_wanted(expected)}.")
        with np.errstate(over="ignore"):
            difference = found - expected
            mean = float(np.mean(difference * difference))
        if not math.isfinite(mean):
            return Score(0.0, "It is too large a number.")
        slope = difference / difference.size
        score = 1.0 / (1.0 + mean / self.scale / self.scale)
        return Score(score, "", None, Objective(0.5 * mean, slope if slope.ndim else slope.item()))


def numeric(value: Any) -> Floats | None:
    """A value as an array of finite numbers (of no dimension for a single one); None if it is none."""
    held = argument_of(value) if isinstance(value, Number | Array) else value
    if isinstance(held, str):
        held = numbers_from(held)
    if held is None or isinstance(held, bool):
        return None
    try:
        array = np.asarray(held, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.size and bool(np.all(np.isfinite(array))) else None


def _expected(loss: str, example: Example) -> Floats:
    wanted = numeric(example.expected)
    if wanted is None:
        raise DataError(
            f"example {example.id!r} expects {str(example.expected)[:60]!r}, and the loss {loss!r} needs a number or "
            "an array in JSON, as 3.5 or [1, 2]: mend the row, or use another loss"
        )
    return wanted


def _wanted(expected: Floats) -> str:
    return "a number" if not expected.ndim else f"an array of {' × '.join(map(str, expected.shape))} numbers"
