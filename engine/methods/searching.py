"""What score-guided searches share: texts that may be tried, and their mean scores on training examples. Sans-IO.

Scores come from probes on the examples of the step, never from gate items (law L7). A provider's failure is no score
(law L3): texts are compared on the examples on which all of them have one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from semprop.engine.constraints import fault_of
from semprop.engine.graph import Graph
from semprop.engine.losses import Score
from semprop.engine.method import Dropped, UpdateContext
from semprop.engine.methods.present import present_scores
from semprop.engine.methods.rewrite import Proposed, asked
from semprop.engine.parameters import Kind, Parameters
from semprop.engine.plans import Ask, Plan, Probe


@dataclass(frozen=True, slots=True)
class Texts:
    """New texts for a parameter that may be tried, and what was dropped on the way."""

    texts: tuple[str, ...]
    dropped: tuple[Dropped, ...] = ()


def text_parameters(graph: Graph) -> tuple[str, ...]:
    """The trainable instructions, in declared order."""
    return tuple(name for name in graph.trainable if graph.parameter(name).kind is Kind.TEXT)


def new_texts(context: UpdateContext, ask: Ask, name: str, wanted: int, known: Sequence[str]) -> Plan[Texts]:
    """What a call proposes for one parameter, without what is known already, too long, against a constraint, or
    copied from an example: probes cost calls, and such a text could never be accepted."""
    proposed: Proposed = yield from asked(ask, name, wanted, context.style)
    kept: list[str] = []
    dropped = list(proposed.dropped)
    most, present = context.graph.parameter(name).max_bytes, str(context.parameters[name])
    for value in proposed.values:
        text = str(value)
        if text in known:
            reason = "it was tried before"
        elif len(text.encode()) > most:
            reason = f"it has {len(text.encode())} bytes, more than the {most} allowed"
        elif fault := fault_of(context.graph.parameter(name).constraints, text):
            reason = fault
        elif copied := context.is_copy(text, present):
            reason = f"it copies a training example: «{copied}»"
        else:
            kept.append(text)
            continue
        dropped.append(Dropped(name, reason, text))
    return Texts(tuple(kept), tuple(dropped))


def measured(context: UpdateContext, tried: Sequence[Parameters]) -> Plan[tuple[float, ...]]:
    """The mean score of the present parameters, and then of each of these, on this step's examples.

    Means are over the examples on which all of them have a score; empty if there is none.
    """
    examples = tuple(scored.tape.example for scored in context.scored)
    present = yield from present_scores(context)
    columns = yield tuple(Probe(parameters, examples) for parameters in tried)
    table = [[each.value if isinstance(each, Score) else None for each in column] for column in (present, *columns)]
    whole = [row for row in range(len(examples)) if all(column[row] is not None for column in table)]
    if not whole:
        return ()
    return tuple(math.fsum(column[row] or 0.0 for row in whole) / len(whole) for column in table)


UNMEASURED = "no training example has a score under all of the texts: a provider failed"
