"""The scores that probes are compared with: those of the present parameters on a step's examples. Sans-IO."""

from __future__ import annotations

from semprop.engine.losses import Score
from semprop.engine.method import UpdateContext
from semprop.engine.outcomes import Failure
from semprop.engine.plans import Plan, Probe


def present_scores(context: UpdateContext) -> Plan[tuple[Score | Failure, ...]]:
    """The step's own scores; probed again where the labels are not those that these were given by, since a comparison
    of scores by two labels is none."""
    if not context.relabelled:
        return tuple(scored.score for scored in context.scored)
    examples = tuple(scored.tape.example for scored in context.scored)
    (column,) = yield (Probe(context.parameters, examples),)
    found: tuple[Score | Failure, ...] = column
    return found
