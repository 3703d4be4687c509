"""TextGrad as two methods: by its formula, and as its library behaves. Sans-IO; asks models only through plans.

By the formula a message is h(v, w, g_w): the variable, the output that it led to, the output's gradient, and nothing
else; so every edge is a call and every sibling is hidden. The library shows the step's whole prompt, where siblings
stand among the rest without being told apart, and asks once for each variable. Both learn from every example and have
no gate unless one is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semprop.engine.gates import Gate, NoGate
from semprop.engine.gradients import Message, Provenance, Stance, keep, lost
from semprop.engine.method import Collected, Local, Method, Proposals, Selection, UpdateContext
from semprop.engine.methods.rewrite import Proposed, Raced, RewriteUpdate, asked, combined, places
from semprop.engine.methods.semantic import (
    Calls,
    EvidenceList,
    InstructionMessage,
    SemanticBackward,
    advised,
    by_user,
    in_words,
    ordered_list,
    target_seed,
)
from semprop.engine.nodes import Function, Purpose
from semprop.engine.parameters import Kind
from semprop.engine.plans import Ask, Fork, Plan, nothing
from semprop.engine.prompts.backward import Neighbours
from semprop.engine.prompts.fences import bounded
from semprop.engine.prompts.textgrad import (
    LibraryView,
    Past,
    conversation_of,
    library_backward_request,
    library_update_request,
)
from semprop.engine.prompts.words import gradient_words
from semprop.engine.tape import Record, Tape, shown
from semprop.providers.base import Sampling

EVERY = Selection(threshold=-1.0)
"""σ: every example, right or wrong."""


def textgrad(*, gate: Gate = NoGate(), selection: Selection = EVERY, most_cases: int = 16) -> Method:
    """TextGrad by its formula: one call an edge, which sees the variable, the output and the output's gradient."""
    backward = SemanticBackward(Neighbours.HIDDEN, Calls.PER_EDGE, InstructionMessage.ADVISED)
    update = RewriteUpdate(raced=Raced.TOGETHER)
    return Method("textgrad", target_seed, selection, backward, ordered_list, EvidenceList(most_cases), update, gate)


@dataclass(frozen=True, slots=True)
class LibraryBackward:
    """h as in the library: one call for each variable of a call, with the whole prompt in view."""

    sampling: Sampling = Sampling(max_tokens=2048)
    value_bytes: int = 4_000

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        record = local.record
        if isinstance(record.node, Function) and record.node.backward is not None:
            return by_user(local, record.node.backward)
        local = replace(local, gradient=in_words(local.gradient, record))
        if local.gradient.stance is Stance.KEEP:
            return nothing({name: keep(Provenance(local.example, record.name, name)) for name in local.active})
        return self._ask(local)

    def _ask(self, local: Local) -> Plan[Mapping[str, Message]]:
        record = local.record
        slots = [slot for slot in record.slots if slot.name in local.active]
        names = [slot.name for slot in slots if slot.purpose in (Purpose.INPUT, Purpose.INSTRUCTION)]
        messages = {
            slot.name: lost(Provenance(local.example, record.name, slot.name), "TextGrad has no gradient for it")
            for slot in slots
            if slot.name not in names
        }
        if not names:
            return messages
        asks = tuple(
            Ask(
                "backward",
                library_backward_request(record, local.gradient, name, self.value_bytes, local.style, self.sampling),
                record.name,
                name,
            )
            for name in names
        )
        return messages | (yield from advised(asks, [(name,) for name in names], local))


@dataclass(frozen=True, slots=True)
class Memory:
    """What the update carries from step to step: for each parameter its last values and their feedback."""

    past: tuple[tuple[str, tuple[Past, ...]], ...] = ()

    def of(self, name: str) -> tuple[Past, ...]:
        """A parameter's past, oldest first."""
        return dict(self.past).get(name, ())


@dataclass(frozen=True, slots=True)
class LibraryUpdate:
    """U as in the library: a model sees the variable, each conversation with its feedback, and `momentum` earlier
    values with theirs. The published library sends its model nothing where it has momentum; this does what it says.
    """

    momentum: int = 0
    sampling: Sampling = Sampling(max_tokens=4096)
    cases_bytes: int = 24_000

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        memory = context.state if isinstance(context.state, Memory) else Memory()
        texts = [each for each in context.collected.values() if each.parameter.kind is Kind.TEXT]
        (proposed,) = yield (Fork(tuple(self._propose(context, each, memory) for each in texts)),)
        proposals = combined(context, proposed, Raced.TOGETHER)
        return replace(proposals, state=self._remembered(memory, texts))

    def _propose(self, context: UpdateContext, collected: Collected, memory: Memory) -> Plan[Proposed]:
        parameter = collected.parameter
        assert isinstance(collected.value, str)
        tapes = {scored.tape.example.id: scored.tape for scored in context.scored}
        role = "\n".join([parameter.purpose, *places(context.graph, parameter.name)]).strip()
        told = [
            (conversation_of(record, self.cases_bytes), shown(message.content))
            for gradient in collected.gradients
            for message in gradient.changes
            if (record := _record(tapes, message.source)) is not None
        ]
        view = LibraryView(
            variable=collected.value,
            role=role,
            told=tuple(told),
            left_out=collected.left_out,
            past=memory.of(parameter.name),
            constraints=parameter.asked,
            wanted=context.wanted,
            max_bytes=parameter.max_bytes,
            cases_bytes=self.cases_bytes,
        )
        request = library_update_request(view, context.style, self.sampling)
        return (yield from asked(Ask("update", request, parameter.name), parameter.name, context.wanted, context.style))

    def _remembered(self, memory: Memory, collected: list[Collected]) -> Memory | None:
        """The memory with this step's values and feedback; the last `momentum` of each parameter are kept."""
        if not self.momentum:
            return None
        past = dict(memory.past)
        for each in collected:
            words = "\n".join(gradient_words(gradient, self.cases_bytes) for gradient in each.gradients)
            entry = Past(str(each.value), bounded(words, self.cases_bytes))
            past[each.parameter.name] = (*past.get(each.parameter.name, ()), entry)[-self.momentum :]
        return Memory(tuple(past.items()))


def _record(tapes: Mapping[str, Tape], source: Provenance) -> Record | None:
    """The record of the step that a message came from."""
    tape = tapes.get(source.example)
    return None if tape is None else tape.record(source.successor)


def textgrad_library(
    *, gate: Gate = NoGate(), selection: Selection = EVERY, momentum: int = 0, most_cases: int = 16
) -> Method:
    """TextGrad as its library behaves: the whole prompt in one piece, one call a variable, optional momentum."""
    return Method(
        "textgrad-library",
        target_seed,
        selection,
        LibraryBackward(),
        ordered_list,
        EvidenceList(most_cases),
        LibraryUpdate(momentum),
        gate,
    )
