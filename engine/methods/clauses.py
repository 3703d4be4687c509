"""Search without a model that can rewrite: instructions out of clauses, demonstrations out of evidence. Sans-IO.

For models too small to give advice or to edit prompts. Backward walks the graph but asks no model: every input hears
what the output heard. The update asks no model either. A parameter's pool is groups of alternative clauses; a
candidate joins one clause of each group. `{labels}` in a clause stands for the right answers that the step's examples
have; it is replaced, never formatted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product, zip_longest

from semprop.engine.errors import SpecificationError
from semprop.engine.example import draw
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.gradients import Message, Provenance, Stance, change, keep, lost
from semprop.engine.method import BackwardRule, Edit, Local, Method, Proposals, Selection, UpdateContext, candidate
from semprop.engine.methods.demonstrations import propose_demonstrations
from semprop.engine.methods.semantic import (
    EvidenceList,
    by_user,
    evidence,
    in_words,
    ordered_list,
    target_seed,
)
from semprop.engine.nodes import Function, Purpose
from semprop.engine.parameters import Kind, ParameterValue
from semprop.engine.plans import Plan, nothing
from semprop.engine.prompts.words import gathered_words
from semprop.engine.tape import SlotValue

ClausePool = tuple[tuple[str, ...], ...]
"""Groups of alternative clauses; one of each group, joined by spaces, is an instruction."""

LABELS = "{labels}"

MOST = 100_000
"""Instructions that the clauses of one parameter may make: all of them are put in order, in every step."""


@dataclass(frozen=True, slots=True)
class PassThrough:
    """h without a model: an input is told what the node's output was told, an instruction gets the worked case.

    Blames every active input alike; `value_bytes` bounds the words, and what comes on two ways is passed on once. A
    function's own backward is used where it has one.
    """

    value_bytes: int = 4_000

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        node = local.record.node
        if isinstance(node, Function) and node.backward is not None:
            return by_user(local, node.backward)
        local = replace(local, gradient=in_words(local.gradient, local.record))
        if local.gradient.stance is Stance.KEEP:
            return nothing({name: keep(Provenance(local.example, local.record.name, name)) for name in local.active})
        slots = (slot for slot in local.record.slots if slot.name in local.active)
        return nothing({slot.name: self._message(local, slot) for slot in slots})

    def _message(self, local: Local, slot: SlotValue) -> Message:
        source = Provenance(local.example, local.record.name, slot.name)
        match slot.purpose:
            case Purpose.SAMPLING:
                return lost(source, "a number that steers a model is probed by the update")
            case Purpose.INPUT:
                return change(gathered_words(local.gradient, self.value_bytes), source)
            case _:
                return change(evidence(local, self.value_bytes), source)


@dataclass(frozen=True, slots=True)
class ClauseUpdate:
    """U: up to `context.wanted` candidates a step, in all.

    The first changes every parameter that has evidence, the others one parameter each, dealt in turn. Each
    parameter's instructions come in an order drawn once from the seed; every step takes the next few of them, as many
    as it can race, so nothing is tried twice before everything had its turn. No memory of outcomes is needed; the
    price is that a turn passes unused where the parameter has no evidence or holds that text already.
    """

    pools: Mapping[str, ClausePool] = field(hash=False)
    demonstrations: int = 4

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        offers = {name: self._offers(context, name) for name in context.collected}
        edits = {
            name: [Edit(name, context.parameters[name], value, "clauses and evidence") for value in values]
            for name, values in offers.items()
            if values
        }
        if not edits:
            return nothing(Proposals(()))
        first = [tuple(values[0] for values in edits.values())] if len(edits) > 1 else []
        dealt = chain.from_iterable(zip_longest(*edits.values()))
        alone = [(edit,) for edit in dealt if edit is not None]
        chosen = [*first, *alone][: context.wanted]
        return nothing(Proposals(tuple(candidate(context.parameters, entry) for entry in chosen)))

    def _offers(self, context: UpdateContext, name: str) -> Sequence[ParameterValue]:
        """Values for one parameter, at most as many as are wanted, the present one left out."""
        if context.graph.parameter(name).kind is Kind.DEMONSTRATIONS:
            return propose_demonstrations(context, name, self.demonstrations)
        texts = instructions(self.pools.get(name, ()))
        if not texts:
            return ()
        order = sorted(texts, key=lambda text: (draw(context.seed, "clauses", name, text), text))
        turns = min(self._turns(context, name), len(order))
        start = context.step * turns
        answers = labels(context)
        turn = [order[(start + index) % len(order)].replace(LABELS, answers) for index in range(turns)]
        return [text for text in dict.fromkeys(turn) if text != context.parameters[name]]

    def _turns(self, context: UpdateContext, name: str) -> int:
        """How many instructions of one parameter a step can race: one together with the other parameters' values, and
        its share of the rest. A function of the graph, the pools and `wanted`, so that the turns of all steps join
        without gap or overlap."""
        graph = context.graph
        searched = [
            entry
            for entry in graph.trainable
            if self.pools.get(entry) or graph.parameter(entry).kind is Kind.DEMONSTRATIONS
        ]
        if len(searched) == 1:
            return context.wanted
        rest = context.wanted - 1 - searched.index(name)
        return max(1, -(-rest // len(searched)))


def labels(context: UpdateContext) -> str:
    """The right answers among this step's examples, sorted, joined by "or"."""
    answers = (scored.tape.example.expected for scored in context.scored)
    seen = dict.fromkeys(answer for answer in answers if answer is not None)
    return " or ".join(sorted(seen))


def instructions(pool: ClausePool) -> list[str]:
    """Every way to take one clause of each group, the placeholder for labels still in it."""
    if not pool:
        return []
    joined = (" ".join(clause for clause in choice if clause) for choice in product(*pool))
    return list(dict.fromkeys(joined))


def _check_pool(name: str, pool: ClausePool) -> None:
    if not all(pool):
        raise SpecificationError(f"a group of the clauses for {name!r} is empty, so none can be taken: leave it out")
    count = math.prod(map(len, pool))
    if count > MOST:
        raise SpecificationError(
            f"the clauses for {name!r} make {count:,} instructions, and {MOST:,} at most can be raced: give fewer "
            "groups, or fewer clauses in each"
        )


def clauses(
    pools: Mapping[str, ClausePool],
    *,
    backward: BackwardRule = PassThrough(),
    selection: Selection = Selection(),
    gate: Gate = StrictGate(),
    demonstrations: int = 4,
    most_cases: int = 16,
) -> Method:
    """Clause search on semantic gradients, raced under a gate.

    Raises:
        SpecificationError: a group has no clause, or the clauses of a parameter make more than `MOST` instructions.
    """
    for name, pool in pools.items():
        _check_pool(name, pool)
    return Method(
        "clauses",
        target_seed,
        selection,
        backward,
        ordered_list,
        EvidenceList(most_cases),
        ClauseUpdate(dict(pools), demonstrations),
        gate,
        notes=(
            "proposals: put together from a pool of clauses and from demonstrations, not written by a model; backward "
            "passed each output's feedback on to its inputs without asking a model",
        ),
    )
