"""Numbers that steer models: which way to move them, by a central finite difference of the mean score. Sans-IO."""

from __future__ import annotations

import math
from dataclasses import replace

from semprop.engine.losses import Score
from semprop.engine.method import UpdateContext
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Number
from semprop.engine.plans import Plan, Probe

SHARE_OF_RANGE = 0.1
"""The step of a bounded number, as a share of its range; an unbounded one moves by this share of itself."""


def propose_number(context: UpdateContext, name: str) -> Plan[tuple[Number, ...]]:
    """The better of the two neighbours of a number, if its mean score on this step's examples is above the present.

    Examples that a provider failed on in any of the three measurements are left out of all three.
    """
    number = context.parameters[name]
    assert isinstance(number, Number)
    neighbours = _neighbours(number)
    if not neighbours or not context.scored:
        return ()
    examples = tuple(scored.tape.example for scored in context.scored)
    probes = tuple(Probe(context.parameters.replaced({name: value}), examples) for value in neighbours)
    measured = yield probes
    columns = [tuple(scored.score for scored in context.scored), *measured]
    rows = [row for row in zip(*columns, strict=True) if not any(isinstance(cell, Failure) for cell in row)]
    if not rows:
        return ()
    means = [_mean([row[column] for row in rows]) for column in range(len(columns))]
    best = max(range(1, len(means)), key=lambda column: means[column])
    return (neighbours[best - 1],) if means[best] > means[0] else ()


def _mean(scores: list[Score | Failure]) -> float:
    return math.fsum(score.value for score in scores if isinstance(score, Score)) / len(scores)


def _neighbours(number: Number) -> list[Number]:
    span = number.high - number.low
    step = SHARE_OF_RANGE * (span if math.isfinite(span) else max(abs(number.value), 1.0))
    values = [min(number.high, number.value + step), max(number.low, number.value - step)]
    return [replace(number, value=value) for value in values if value != number.value]
