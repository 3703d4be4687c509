"""Numbers that steer models: which way to move them, by a central finite difference of the mean score. Sans-IO."""

from __future__ import annotations

import math
from dataclasses import replace

from semprop.engine.graph import Graph
from semprop.engine.losses import Score
from semprop.engine.method import UpdateContext
from semprop.engine.methods.present import present_scores
from semprop.engine.nodes import Purpose
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Number
from semprop.engine.plans import Plan, Probe

SHARE_OF_RANGE = 0.1
"""The step of a bounded number, as a share of its range; an unbounded one moves by this share of itself."""


def propose_number(context: UpdateContext, name: str) -> Plan[tuple[Number, ...]]:
    """The better of the two neighbours of a number, if its mean score on this step's examples is above the present.

    Each neighbour is compared on the examples that have both scores; a provider's failure on one leaves the other be.
    """
    number = context.parameters[name]
    assert isinstance(number, Number)
    neighbours = _neighbours(within(context.graph, name, number))
    if not neighbours or not context.scored:
        return ()
    examples = tuple(scored.tape.example for scored in context.scored)
    probes = tuple(Probe(context.parameters.replaced({name: value}), examples) for value in neighbours)
    present = yield from present_scores(context)
    measured = yield probes
    gains = [_gain(present, column) for column in measured]
    best = max(range(len(gains)), key=lambda index: gains[index])
    # A neighbour keeps the parameter's own bounds; only the probe stays within what the field can mean.
    return (replace(number, value=neighbours[best].value),) if gains[best] > 0 else ()


def _gain(present: tuple[Score | Failure, ...], probed: tuple[Score | Failure, ...]) -> float:
    """The mean difference over the examples that have both scores; 0 if there are none."""
    pairs = zip(present, probed, strict=True)
    gains = [
        score.value - before.value for before, score in pairs if isinstance(before, Score) and isinstance(score, Score)
    ]
    return math.fsum(gains) / len(gains) if gains else 0.0


LEGAL = {"temperature": (0.0, 2.0), "top_p": (0.01, 1.0)}
"""What a sampling field can mean, wherever the parameter's own bounds are wider."""


def within(graph: Graph, name: str, number: Number) -> Number:
    """The number with bounds that are legal in every sampling field it steers."""
    for _, slot in graph.steers(name):
        if slot.purpose is Purpose.SAMPLING:
            low, high = LEGAL[slot.name]
            low, high = min(max(number.low, low), number.value), max(min(number.high, high), number.value)
            number = replace(number, low=low, high=high)
    return number


def _neighbours(number: Number) -> list[Number]:
    span = number.high - number.low
    step = SHARE_OF_RANGE * (span if math.isfinite(span) else max(abs(number.value), 1.0))
    values = [min(number.high, number.value + step), max(number.low, number.value - step)]
    return [replace(number, value=value) for value in values if value != number.value]
