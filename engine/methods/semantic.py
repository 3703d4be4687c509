"""Semantic gradient descent: the paper's method as seven choices. Sans-IO; asks models only through plans.

Backward asks one joint call a node, with every input shown under its name, how the inputs that matter should change;
an instruction's own message is the worked case itself (`evidence`), or a slot of that joint call (`advised`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from semprop.engine.errors import NodeError
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.gradients import Evidence, Gradient, Message, Provenance, Stance, change, keep, lost
from semprop.engine.method import AggregateRule, Collected, CollectRule, Local, Method, Scored, Seed, Selection
from semprop.engine.methods.rewrite import RewriteUpdate
from semprop.engine.nodes import Function, Purpose
from semprop.engine.outcomes import Failure, FailureKind, Unread
from semprop.engine.parameters import Kind, Parameter, ParameterValue, argument_of
from semprop.engine.plans import Ask, Plan, nothing
from semprop.engine.prompts.backward import BackwardView, Neighbours, Question, backward_request
from semprop.engine.prompts.fences import bounded
from semprop.engine.prompts.forward import repair_request
from semprop.engine.prompts.words import failure_words, gradient_words, number_words, target_words
from semprop.engine.replies.parsers import Advice, AdviceReply, ReplyError, parse_advice
from semprop.engine.tape import Record, shown
from semprop.providers.base import Completion, Sampling


class Calls(StrEnum):
    """One backward call a node for all its slots, or one for each edge."""

    JOINT = "joint"
    PER_EDGE = "per_edge"


class InstructionMessage(StrEnum):
    """What an instruction is told: the worked case, without a call, or advice from the node's backward call."""

    EVIDENCE = "evidence"
    ADVISED = "advised"


def target_seed(scored: Scored) -> tuple[Seed, ...]:
    """F: the right answer, if it is known, and the loss's own words, said to the output. A node that failed because
    of content is told why, since nothing after it ran."""
    tape, example = scored.tape, scored.tape.example
    source = Provenance(example.id)
    failed = [record for record in tape.records if isinstance(record.value, Failure)]
    seeds = [Seed(record.name, change(_failed_words(record), source)) for record in failed]
    if seeds:
        return tuple(seeds)
    if scored.score.value == 1.0:
        return (Seed(tape.output, keep(source)),)
    words = [] if example.expected is None else [target_words(example.expected)]
    words += [scored.score.feedback] if scored.score.feedback else []
    words = words or [f"The output is not good enough: it scores {scored.score.value:g} of 1."]
    return (Seed(tape.output, change("\n".join(words), source)),)


def _failed_words(record: Record) -> str:
    assert isinstance(record.value, Failure)
    if record.value.kind is FailureKind.CONTENT:
        return record.value.message
    return failure_words(record.value.kind)


def ordered_list(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    """A: all messages, in their canonical order. Bytes are bounded where the gradient is rendered."""
    return Gradient(variable, kind, messages)


@dataclass(frozen=True, slots=True)
class EvidenceList:
    """B: the first `most` gradients in example order; the rest are counted."""

    most: int = 16

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
        return Collected(parameter, value, gradients[: self.most], max(0, len(gradients) - self.most))


@dataclass(frozen=True, slots=True)
class SemanticBackward:
    """h. `value_bytes` bounds what a prompt shows of each value and of the gradient; `message_bytes` what is passed on
    to the next level: it is asked for, and what is longer is cut in its middle. None: as long as a reply may be."""

    neighbours: Neighbours = Neighbours.LABELLED
    calls: Calls = Calls.JOINT
    instruction: InstructionMessage = InstructionMessage.EVIDENCE
    question: Question = Question.TARGET
    sampling: Sampling = Sampling(max_tokens=2048)
    value_bytes: int = 4_000
    message_bytes: int | None = None

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        record = local.record
        if isinstance(record.node, Function) and record.node.backward is not None:
            return by_user(local, record.node.backward)
        local = replace(local, gradient=in_words(local.gradient, local.record))
        if local.gradient.stance is Stance.KEEP:
            return nothing({name: keep(Provenance(local.example, record.name, name)) for name in local.active})
        messages: dict[str, Message] = {}
        asked: list[str] = []
        for slot in record.slots:
            if slot.name not in local.active:
                continue
            source = Provenance(local.example, record.name, slot.name)
            if slot.purpose is Purpose.SAMPLING:
                messages[slot.name] = lost(source, "a number that steers a model is probed by the update")
            elif slot.purpose is Purpose.INPUT or self._is_advised(slot.purpose):
                asked.append(slot.name)
            else:
                messages[slot.name] = change(evidence(local, self.value_bytes), source)
        if isinstance(record.node, Function) and len(asked) == 1:
            source = Provenance(local.example, record.name, asked[0])
            limit = self.value_bytes if self.message_bytes is None else self.message_bytes
            messages[asked[0]] = change(gradient_words(local.gradient, limit), source)
            asked = []
        return self._ask(local, tuple(asked), messages)

    def _is_advised(self, purpose: Purpose) -> bool:
        return purpose is Purpose.INSTRUCTION and self.instruction is InstructionMessage.ADVISED

    def _ask(self, local: Local, asked: tuple[str, ...], messages: dict[str, Message]) -> Plan[Mapping[str, Message]]:
        if not asked:
            return messages
        groups = [asked] if self.calls is Calls.JOINT else [(name,) for name in asked]
        views = [
            BackwardView(
                local.record,
                local.gradient,
                group,
                self.neighbours,
                self.value_bytes,
                self.question,
                self.message_bytes,
            )
            for group in groups
        ]
        requests = [backward_request(view, local.style, self.sampling) for view in views]
        asks = [
            Ask("backward", request, local.record.name, "+".join(view.asked))
            for view, request in zip(views, requests, strict=True)
        ]
        told = yield from advised(asks, groups, local)
        return messages | {name: _within(message, self.message_bytes) for name, message in told.items()}


def _within(message: Message, limit: int | None) -> Message:
    """The message with advice of at most `limit` bytes."""
    if limit is None or not isinstance(message.content, str) or message.stance is not Stance.CHANGE:
        return message
    return replace(message, content=bounded(message.content, limit))


def advised(asks: Sequence[Ask], groups: Sequence[tuple[str, ...]], local: Local) -> Plan[dict[str, Message]]:
    """The messages that backward calls give, each call asked about a group of slots."""
    messages: dict[str, Message] = {}
    replies = yield tuple(asks)
    for ask, group, reply in zip(asks, groups, replies, strict=True):
        found, why = yield from _read(ask, group, reply, local)
        for name in group:
            source = Provenance(local.example, local.record.name, name)
            messages[name] = _message(found.get(name), source, why)
    return messages


def _read(
    ask: Ask, asked: tuple[str, ...], reply: Completion | Failure, local: Local
) -> Plan[tuple[dict[str, Advice], str]]:
    """The advice in a reply, asking once more for what could not be read. Also why something is still missing."""
    if isinstance(reply, Failure):
        return {}, reply.message
    first = _parsed(reply.text, asked, local)
    found = dict(first.advice)
    if not first.missing:
        return found, ""
    again = repair_request(ask.request, reply, first.complaint)
    unread = Unread(reply, lambda second: not _parsed(second.text, asked, local).missing)
    (second_reply,) = yield (replace(ask, request=again, slot=f"{ask.slot}:repair", unread=unread),)
    if isinstance(second_reply, Failure):
        return found, second_reply.message
    second = _parsed(second_reply.text, asked, local)
    for name in first.missing:
        if name in second.advice:
            found[name] = second.advice[name]
    return found, second.complaint


def _parsed(text: str, asked: tuple[str, ...], local: Local) -> AdviceReply:
    try:
        return parse_advice(text, asked, local.style)
    except ReplyError as error:
        return AdviceReply({}, asked, str(error))


def _message(advice: Advice | None, source: Provenance, why: str) -> Message:
    if advice is None:
        return lost(source, why)
    return keep(source) if advice.stance is Stance.KEEP else change(advice.text, source)


def evidence(local: Local, limit: int) -> Evidence:
    """The worked case of a record: its ordinary inputs, what it wrote, and the gradient of that."""
    record = local.record
    inputs = tuple((slot.name, shown(slot.value)) for slot in record.slots if slot.purpose is Purpose.INPUT)
    written = record.reply or shown(record.value)
    return Evidence(record.name, inputs, written, local.gradient)


def in_words(gradient: Gradient, record: Record) -> Gradient:
    """The gradient with numeric directions said in words, for methods that speak to models."""
    if all(isinstance(message.content, str | Evidence | None) for message in gradient.messages):
        return gradient

    def worded(message: Message) -> Message:
        if isinstance(message.content, str | Evidence | None):
            return message
        try:
            direction = float(message.content)
            if direction == 0:
                return keep(message.source)
            return change(number_words(direction, float(str(record.value))), message.source)
        except (TypeError, ValueError) as error:
            raise NodeError(
                f"{record.name!r} is told to change by {shown(message.content):.60}, but its value "
                f"{shown(record.value):.60} is no number: let the backward rule of {message.source.successor!r} return "
                "advice in words"
            ) from error

    return replace(gradient, messages=tuple(map(worded, gradient.messages)))


def by_user(local: Local, rule: Callable[..., Mapping[str, Any]]) -> Plan[Mapping[str, Message]]:
    """The messages of a function's own backward rule.

    Raises:
        NodeError: the rule raised, or returned something that is no message.
    """
    yield from ()
    record = local.record
    inputs = {slot.name: argument_of(slot.value) for slot in record.slots}
    try:
        given = rule(inputs, record.value, local.gradient)
    except Exception as error:
        raise NodeError(f"backward of {record.name!r} raised on example {local.example!r}: {error}") from error
    if not isinstance(given, Mapping):
        raise NodeError(f"backward of {record.name!r} returned {type(given).__name__}; it must return slot → message")
    messages = {}
    for name in local.active:
        source = Provenance(local.example, record.name, name)
        content = given.get(name)
        if content is None:
            messages[name] = lost(source, "the function's backward gave no message")
        elif isinstance(content, Message):
            messages[name] = replace(content, source=source)
        else:
            messages[name] = change(content, source)
    return messages


def semantic(
    *,
    backward: SemanticBackward = SemanticBackward(),
    update: RewriteUpdate = RewriteUpdate(),
    selection: Selection = Selection(),
    gate: Gate = StrictGate(),
    aggregate: AggregateRule = ordered_list,
    collect: CollectRule = EvidenceList(),
) -> Method:
    """Semantic gradient descent with the paper's defaults: wrong examples only, joint labelled backward calls,
    worked cases as evidence, a model that rewrites instructions, the strict gate."""
    return Method("semantic", target_seed, selection, backward, aggregate, collect, update, gate)
