"""What methods share that learn without a backward pass: no seed, so no gradient and no backward call. Pure.

Their updates read scores and tapes, or measure by probes on training examples, which the gate never sees (law L7).
"""

from __future__ import annotations

from semprop.engine.gates import Gate
from semprop.engine.method import Method, Scored, Seed, Selection, UpdateRule
from semprop.engine.methods.clauses import PassThrough
from semprop.engine.methods.semantic import EvidenceList, ordered_list


def no_seed(scored: Scored) -> tuple[Seed, ...]:
    """F that says nothing: the example has no gradient, and the backward pass makes no call."""
    return ()


def unpropagated(name: str, update: UpdateRule, selection: Selection, gate: Gate, *notes: str) -> Method:
    """A method that is all in its update: the other choices are never reached, since nothing is ever seeded."""
    return Method(
        name,
        seed=no_seed,
        selection=selection,
        backward=PassThrough(),
        aggregate=ordered_list,
        collect=EvidenceList(),
        update=update,
        gate=gate,
        notes=notes,
    )
