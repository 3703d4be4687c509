"""Demonstrations alone: solved examples are chosen, no text is written and no model is asked. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

from semprop.engine.gates import Gate, StrictGate
from semprop.engine.method import Edit, Method, Proposals, Selection, UpdateContext, candidate
from semprop.engine.methods.clauses import PassThrough
from semprop.engine.methods.demonstrations import propose_demonstrations
from semprop.engine.methods.semantic import EvidenceList, ordered_list, target_seed
from semprop.engine.parameters import Kind
from semprop.engine.plans import Plan, nothing


@dataclass(frozen=True, slots=True)
class DemonstrationUpdate:
    """U: up to `context.wanted` candidates, each a new set of at most `size` demonstrations for every parameter that
    holds some."""

    size: int = 4

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        graph = context.graph
        names = [name for name in graph.trainable if graph.parameter(name).kind is Kind.DEMONSTRATIONS]
        offers = {name: propose_demonstrations(context, name, self.size) for name in names}
        rounds = max(map(len, offers.values()), default=0)
        edits = (
            tuple(
                Edit(name, context.parameters[name], sets[min(index, len(sets) - 1)], "solved examples")
                for name, sets in offers.items()
                if sets
            )
            for index in range(rounds)
        )
        return nothing(Proposals(tuple(candidate(context.parameters, each) for each in edits)))


def demonstrations(*, gate: Gate = StrictGate(), selection: Selection = Selection(), size: int = 4) -> Method:
    """Demonstrations only, drawn from what a step looked at."""
    return Method(
        "demonstrations",
        target_seed,
        selection,
        PassThrough(),
        ordered_list,
        EvidenceList(),
        DemonstrationUpdate(size),
        gate,
        notes=("proposals: solved training examples, shown as demonstrations; no instruction was changed",),
    )
