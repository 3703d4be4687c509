"""Reverse-mode automatic differentiation as seven choices: the special case of semantic backpropagation in which a
gradient is a derivative. Sans-IO; asks no model.

F is the derivative of the loss at the answer; h is Jᵀg for each slot, by the node's own backward (the factories of
`semprop.engine.primitives` have one); A is the sum over successors and slots, B the mean over examples. Together they
are the chain rule, by induction over the reverse topological order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from semprop.engine.errors import NodeError
from semprop.engine.gates import Gate, NoGate
from semprop.engine.gradients import Message, Provenance, change, is_numeric
from semprop.engine.method import Local, Method, Scored, Seed, Selection
from semprop.engine.methods.descent import DescentUpdate, GradientDescent, Mean, Rule, summed
from semprop.engine.methods.semantic import by_user
from semprop.engine.nodes import Function
from semprop.engine.plans import Plan

EVERY = Selection(threshold=-1.0)
"""σ: every example counts, since a mean over wrong ones only is the derivative of another loss."""

DESCENDS = "the numeric loss itself was descended (for squared: half of the mean squared error), not 1 − score"


def objective_seed(scored: Scored) -> tuple[Seed, ...]:
    """F: the derivative of the loss with respect to the answer. An example that failed, or whose answer is no number,
    has none."""
    objective = scored.score.objective
    if objective is None or scored.tape.failure is not None:
        return ()
    message = change(objective.derivative, Provenance(scored.tape.example.id))
    return (Seed(scored.tape.output, message, objective.value),)


@dataclass(frozen=True, slots=True)
class ReverseMode:
    """h: Jᵀg for each active slot, exact.

    Raises (when called): NodeError: the node has no backward, or its gradient is no derivative.
    """

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        node = local.record.node
        if isinstance(node, Function) and node.backward is not None and is_numeric(local.gradient):
            return by_user(local, node.backward)
        raise NodeError(
            f"{node.name!r} cannot be differentiated: reverse mode needs function nodes with a backward "
            "(semprop.engine.primitives, or backward=…) all the way; the method numerical does without, and mixed "
            "takes model nodes too"
        )


def reverse_mode(rule: Rule = GradientDescent(), *, selection: Selection = EVERY, gate: Gate = NoGate()) -> Method:
    """Mini-batch gradient descent (or momentum, or Adam) on exact derivatives, ungated."""
    return Method(
        "reverse-mode",
        objective_seed,
        selection,
        ReverseMode(),
        summed,
        Mean(),
        DescentUpdate(rule),
        gate,
        notes=(DESCENDS,),
    )
