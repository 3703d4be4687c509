"""Aggregate: the gradients of many examples → evidence for each parameter. Pure.

A parameter whose evidence is all keep, or all lost, is not in the result: it has a zero gradient and no update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semprop.engine.gradients import Gradient, Stance
from semprop.engine.graph import Graph
from semprop.engine.method import Collected, CollectRule
from semprop.engine.parameters import Parameters


def aggregate(
    graph: Graph, parameters: Parameters, examples: Sequence[Mapping[str, Gradient]], collect: CollectRule
) -> Mapping[str, Collected]:
    """B for every trainable parameter that some example asks to change, in declared order.

    Args:
        examples: one mapping an example, in example order: variable → gradient.
    """
    collected = {}
    for name in graph.trainable:
        found = [gradients[name] for gradients in examples if name in gradients]
        changes = tuple(gradient for gradient in found if gradient.stance is Stance.CHANGE)
        if changes:
            collected[name] = collect(graph.parameter(name), parameters[name], changes)
    return collected
