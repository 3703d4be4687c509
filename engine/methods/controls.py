"""Controls: methods from which one thing is taken away, so that it can be seen what it was worth. Sans-IO.

    no-gradient         U sees the failures of each step, and no word on what was wrong
    one-step-rewrite    U sees each step's part in a failure and the answer's feedback, as it is: no backward call
    improve-blind       U sees the instruction alone
    shuffled-gradients  U sees each failure with the gradient of another one

A gain that a control makes too does not come from what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semprop.engine.example import draw
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.gradients import Evidence, Gradient, Message, Provenance, Stance, change, keep, lost
from semprop.engine.method import Collected, CollectRule, Local, Method, Proposals, Selection, UpdateContext
from semprop.engine.methods.rewrite import Proposed, Raced, RewriteUpdate, asked, combined, places, twins_of
from semprop.engine.methods.semantic import EvidenceList, evidence, in_words, ordered_list, target_seed
from semprop.engine.nodes import Purpose
from semprop.engine.parameters import Kind, Parameter, ParameterValue
from semprop.engine.plans import Ask, Fork, Plan, nothing
from semprop.engine.prompts.update import Twin, UpdateView, update_request
from semprop.engine.prompts.words import gradient_words
from semprop.engine.tape import SlotValue, shown
from semprop.providers.base import Sampling

UNTOLD = "An answer that was made with this was wrong."
"""What a step without a gradient hears, so that the steps before it are reached."""

ANSWERED, KNOWN = "The answer of the whole system was: ", "\nOf that answer it is known: "


@dataclass(frozen=True, slots=True)
class Unexplained:
    """h of no-gradient: steering slots get their worked case without a word on what was wrong. Asks nobody."""

    value_bytes: int = 4_000

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        if local.gradient.stance is Stance.KEEP:
            return nothing(_kept(local))
        bare = replace(local, gradient=replace(local.gradient, messages=()))
        slots = (slot for slot in local.record.slots if slot.name in local.active)
        return nothing({slot.name: _passed(local, slot, UNTOLD, evidence(bare, self.value_bytes)) for slot in slots})


@dataclass(frozen=True, slots=True)
class AnswerOnly:
    """h of one-step-rewrite: every step hears what is known of the system's answer, in the same words. Asks nobody."""

    value_bytes: int = 4_000

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        if local.gradient.stance is Stance.KEEP:
            return nothing(_kept(local))
        told = in_words(local.gradient, local.record)
        changes = told.changes
        is_sink = not any(message.source.successor for message in changes)
        words = gradient_words(told, self.value_bytes) if is_sink else str(changes[0].content)
        source = Provenance(local.example)
        case = evidence(replace(local, gradient=replace(told, messages=(change(words, source),))), self.value_bytes)
        if is_sink:
            words = f"{ANSWERED}{shown(local.record.value)}{KNOWN}{words}"
        slots = (slot for slot in local.record.slots if slot.name in local.active)
        return nothing({slot.name: _passed(local, slot, words, case) for slot in slots})


def _kept(local: Local) -> dict[str, Message]:
    return {name: keep(Provenance(local.example, local.record.name, name)) for name in local.active}


def _passed(local: Local, slot: SlotValue, words: str, case: Evidence) -> Message:
    source = Provenance(local.example, local.record.name, slot.name)
    match slot.purpose:
        case Purpose.SAMPLING:
            return lost(source, "a number that steers a model is probed by the update")
        case Purpose.INPUT:
            return change(words, source)
        case _:
            return change(case, source)


@dataclass(frozen=True, slots=True)
class Silent:
    """h that asks for nothing: for methods that learn without gradients."""

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        return nothing(_kept(local))


@dataclass(frozen=True, slots=True)
class BlindUpdate:
    """U of improve-blind: a model improves every instruction without a case. Drawn at random, since nothing in the
    prompt differs from step to step."""

    sampling: Sampling = Sampling(temperature=1.0, max_tokens=4096)

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        twins = twins_of(context)
        names = [name for name in context.graph.trainable if context.graph.parameter(name).kind is Kind.TEXT]
        (proposed,) = yield (Fork(tuple(self._propose(context, name, twins.get(name)) for name in names)),)
        return combined(context, proposed, Raced.TOGETHER_AND_ALONE)

    def _propose(self, context: UpdateContext, name: str, twin: Twin | None) -> Plan[Proposed]:
        parameter, value = context.graph.parameter(name), context.parameters[name]
        assert isinstance(value, str)
        view = UpdateView(
            value,
            parameter.purpose,
            places(context.graph, name),
            (),
            wanted=context.wanted,
            twin=twin,
            max_bytes=parameter.max_bytes,
            constraints=parameter.asked,
        )
        request = update_request(view, context.style, self.sampling)
        return (yield from asked(Ask("update", request, name), name, context.wanted, context.style))


@dataclass(frozen=True, slots=True)
class ShuffledGradients:
    """B with each worked case told the gradient of another example, by a derangement that the seed draws from the
    examples' ids. A single case has no other: it is told nothing."""

    collect: CollectRule
    seed: int

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
        names = [_example(gradient) for gradient in gradients]
        order = sorted(range(len(names)), key=lambda index: (draw(self.seed, "shuffled", names[index]), index))
        donor = dict(zip(order, [*order[1:], *order[:1]], strict=True))
        mixed = tuple(
            _told(gradient, gradients[donor[index]], donor[index] != index) for index, gradient in enumerate(gradients)
        )
        return self.collect(parameter, value, mixed)


def _example(gradient: Gradient) -> str:
    return gradient.messages[0].source.example if gradient.messages else ""


def _told(gradient: Gradient, other: Gradient, is_other: bool) -> Gradient:
    """The worked cases of one gradient with what another one says of the same places."""
    said = {
        (message.source.successor, message.source.slot): message.content.gradient
        for message in other.changes
        if isinstance(message.content, Evidence) and is_other
    }

    def retold(message: Message) -> Message:
        case = message.content
        if not isinstance(case, Evidence) or case.gradient is None:
            return message
        found = said.get((message.source.successor, message.source.slot))
        return replace(message, content=replace(case, gradient=found or replace(case.gradient, messages=())))

    return replace(gradient, messages=tuple(map(retold, gradient.messages)))


def no_gradient(*, gate: Gate = StrictGate(), selection: Selection = Selection(), most_cases: int = 16) -> Method:
    """The paper's ablation: inputs and outputs of failures, and no gradient."""
    return Method(
        "no-gradient",
        target_seed,
        selection,
        Unexplained(),
        ordered_list,
        EvidenceList(most_cases),
        RewriteUpdate(),
        gate,
        notes=("control: the update saw failures, and no gradient",),
    )


def one_step_rewrite(*, gate: Gate = StrictGate(), selection: Selection = Selection(), most_cases: int = 16) -> Method:
    """Rewrite each instruction in one call from failures and the answer's feedback, without backward calls."""
    return Method(
        "one-step-rewrite",
        target_seed,
        selection,
        AnswerOnly(),
        ordered_list,
        EvidenceList(most_cases),
        RewriteUpdate(),
        gate,
        notes=("control: the update saw the answer's feedback at every step, and no backward call was made",),
    )


def improve_blind(*, gate: Gate = StrictGate()) -> Method:
    """Improve each instruction without data. One example a step is run, because a step begins with one."""
    return Method(
        "improve-blind",
        target_seed,
        Selection(threshold=-1.0, most=1),
        Silent(),
        ordered_list,
        EvidenceList(),
        BlindUpdate(),
        gate,
        notes=("control: the update saw no data",),
    )


def with_shuffled_gradients(method: Method, seed: int) -> Method:
    """A method whose update is told the gradients of other examples. It must do no better than without gradients."""
    return replace(
        method,
        name="shuffled-gradients",
        collect=ShuffledGradients(method.collect, seed),
        notes=(*method.notes, "control: each worked case was told the gradient of another example"),
    )
