"""Load shapes: when work is to begin. Pure: a shape and a seed give the same instants always.

A *closed* shape keeps so many units under way: the next begins when one ends, so a slow endpoint is asked less. An
*open* one begins units at instants that were drawn before, however slow the endpoint is; their latency counts from
there, or overload would hide itself (coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from semprop.engine.errors import SpecificationError
from semprop.engine.example import draw


class Form(StrEnum):
    """The forms of load. CONCURRENCY is closed, the others are open."""

    CONCURRENCY = "concurrency"
    CONSTANT = "constant"
    POISSON = "poisson"
    RAMP = "ramp"


@dataclass(frozen=True, slots=True)
class Shape:
    """One load.

    Attributes:
        form: what `at` means: units under way (CONCURRENCY), or units a second.
        at: how many; for a ramp at its beginning.
        to: units a second at the end of a ramp.
        seconds: how long a ramp takes.

    Raises:
        SpecificationError: a number that no load has.
    """

    form: Form
    at: float
    to: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        ramp = self.form is Form.RAMP
        if self.at <= 0 or (ramp and (self.to <= 0 or self.seconds <= 0)):
            wants = "`from`, `to` and `seconds` above 0" if ramp else "`at` above 0"
            raise SpecificationError(f"the load {self.form} needs {wants}")
        if self.form is Form.CONCURRENCY and self.at != int(self.at):
            raise SpecificationError(f"the load concurrency needs a whole number of units, not {self.at:g}")

    @property
    def name(self) -> str:
        """As in tables."""
        match self.form:
            case Form.CONCURRENCY:
                return f"{self.at:g} at once"
            case Form.RAMP:
                return f"{self.at:g} to {self.to:g} a second in {self.seconds:g} s"
            case _:
                return f"{self.form} {self.at:.3g} a second"

    @property
    def is_open(self) -> bool:
        """Whether units begin whatever became of those before."""
        return self.form is not Form.CONCURRENCY


def instants(shape: Shape, *key: object) -> Iterator[float]:
    """When the units of an open shape are to begin, in seconds from its own begin; endless, but for a ramp.

    Args:
        key: what draws a Poisson process: (seed, endpoint, block, …).

    Raises:
        SpecificationError: the shape is closed.
    """
    match shape.form:
        case Form.CONSTANT:
            return _constant(shape.at)
        case Form.POISSON:
            return _poisson(shape.at, key)
        case Form.RAMP:
            return _ramp(shape)
    raise SpecificationError("a closed load has no instants: its units begin when others end")


def _constant(rate: float) -> Iterator[float]:
    number = 0
    while True:
        yield number / rate
        number += 1


def _poisson(rate: float, key: tuple[object, ...]) -> Iterator[float]:
    """Gaps are exponential: −ln(1 − u)/rate."""
    at, number = 0.0, 0
    while True:
        at -= math.log1p(-draw("arrivals", *key, number)) / rate
        yield at
        number += 1


def _ramp(shape: Shape) -> Iterator[float]:
    """The n-th unit begins where the integral of the rate reaches n: a·t + (b − a)·t²/(2s) = n."""
    slope = (shape.to - shape.at) / shape.seconds
    total = (shape.at + shape.to) * shape.seconds / 2
    for number in range(math.ceil(total)):
        if slope == 0:
            yield number / shape.at
        else:
            yield (math.sqrt(shape.at**2 + 2 * slope * number) - shape.at) / slope


def sweep(slow: float, fast: float, points: int) -> tuple[Shape, ...]:
    """Constant rates at equal steps from one to the other, which were measured with one unit at once and with as many
    as may be; the last one is beyond saturation."""
    if points < 2 or fast <= slow:
        return (Shape(Form.CONSTANT, fast),)
    return tuple(Shape(Form.CONSTANT, slow + (fast - slow) * step / (points - 1)) for step in range(points))


def dispersion(at: list[float], width: float) -> float:
    """Variance over mean of the counts in windows of this width: 1 for a Poisson process, 0 for a constant rate."""
    windows = max(1, int(at[-1] / width)) if at else 1
    counts = [0] * windows
    for instant in at:
        if instant < windows * width:
            counts[int(instant / width)] += 1
    mean = sum(counts) / windows
    return sum((count - mean) ** 2 for count in counts) / windows / mean if mean else 0.0
