"""Text and numbers in one graph: one backward pass, one step. Each kind of variable has the gradient of its own kind.

    text → model → text → parser → number → operation → number → loss

Numbers are differentiated (a node's own backward, else central differences), texts are told in words. Where the kind
changes, so does the gradient: a parser turns a derivative into "it should rise by about …", and of numbers that a
model or a writer of text read a model is asked whether to raise, lower or keep them. Sans-IO; asks models through
plans only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from semprop.engine.errors import NodeError
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.gradients import Gradient, Message, Provenance, Stance, change, is_numeric, keep, lost, total
from semprop.engine.graph import Graph
from semprop.engine.method import (
    BackwardRule,
    Candidate,
    Collected,
    Edit,
    Local,
    Method,
    Proposals,
    Scored,
    Seed,
    Selection,
    UpdateContext,
    candidate,
)
from semprop.engine.methods.descent import (
    GradientDescent,
    Mean,
    Rule,
    derivatives_in,
    descended,
    memories_in,
    summed,
)
from semprop.engine.methods.numerical import CentralDifferences
from semprop.engine.methods.reverse_mode import DESCENDS, EVERY, objective_seed
from semprop.engine.methods.rewrite import Raced, RewriteUpdate, combined
from semprop.engine.methods.semantic import EvidenceList, SemanticBackward, by_user, ordered_list, target_seed
from semprop.engine.nodes import Function, Purpose
from semprop.engine.outcomes import Failure, Unread
from semprop.engine.parameters import Kind, Parameter, ParameterValue
from semprop.engine.plans import Ask, Fork, Plan, nothing
from semprop.engine.primitives import VectorJacobian
from semprop.engine.prompts.backward import BackwardView
from semprop.engine.prompts.directions import DirectionReply, Move, direction_request, parse_directions
from semprop.engine.prompts.forward import repair_request
from semprop.engine.prompts.words import gradient_words, number_words
from semprop.engine.replies.parsers import ReplyError
from semprop.engine.squared import numeric
from semprop.engine.tape import SlotValue, shown
from semprop.providers.base import Sampling

# F, A, B -------------------------------------------------------------------------------------------------------------


def mixed_seed(scored: Scored) -> tuple[Seed, ...]:
    """F: the derivative of the loss where there is one, else what is known in words."""
    return objective_seed(scored) or target_seed(scored)


def by_kind(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    """A: derivatives are added, words are listed."""
    return summed(variable, kind, messages) if kind.is_numeric else ordered_list(variable, kind, messages)


@dataclass(frozen=True, slots=True)
class CollectByKind:
    """B: the mean of derivatives, a list of at most `most` cases in words."""

    most: int = 16

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
        rule = Mean() if parameter.kind.is_numeric else EvidenceList(self.most)
        return rule(parameter, value, gradients)


# h -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MixedBackward:
    """h.

    Attributes:
        words: the backward for texts.
        differences: the backward for numbers of a function that has none of its own.
        vote: the derivative that "lower" counts for; "raise" counts for its negative, "keep" for 0.
        least: what a number should change by, in parts of itself (or of 1, if that is more), for words to be made of
            it; less is "keep".
        sampling: how the question for a direction is drawn.
    """

    words: SemanticBackward = SemanticBackward()
    differences: BackwardRule = CentralDifferences()
    vote: float = 1.0
    least: float = 1e-3
    sampling: Sampling = field(default=Sampling(max_tokens=1024))

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        node = local.record.node
        numbers = tuple(slot.name for slot in local.record.slots if slot.name in local.active and _is_number(slot))
        texts = tuple(name for name in local.active if name not in numbers)
        if not is_numeric(local.gradient):
            return self._of_words(local, numbers, texts)
        if isinstance(node, Function):
            if node.backward is not None:
                return by_user(local, node.backward)
            there = replace(local, active=numbers)
            told = said_in_words(local, self.least) if texts else local.gradient
            return _both(self.differences(there), self._said(replace(local, gradient=told, active=texts)))
        return self._of_words(replace(local, gradient=said_in_words(local, self.least)), numbers, texts)

    def _of_words(self, local: Local, numbers: tuple[str, ...], texts: tuple[str, ...]) -> Plan[Mapping[str, Message]]:
        """What a gradient in words says of each kind of input."""
        node = local.record.node
        if isinstance(node, Function) and isinstance(node.backward, VectorJacobian):
            return nothing(_passed_on(local, self.words.value_bytes))
        if isinstance(node, Function) and node.backward is not None:
            return by_user(local, node.backward)
        return _both(self._directions(replace(local, active=numbers)), self._said(replace(local, active=texts)))

    def _said(self, local: Local) -> Plan[Mapping[str, Message]]:
        return self.words(local) if local.active else nothing({})

    def _directions(self, local: Local) -> Plan[Mapping[str, Message]]:
        if not local.active or local.gradient.stance is not Stance.CHANGE:
            return nothing({name: keep(Provenance(local.example, local.record.name, name)) for name in local.active})
        return self._asked(local)

    def _asked(self, local: Local) -> Plan[Mapping[str, Message]]:
        view = BackwardView(local.record, local.gradient, local.active, value_bytes=self.words.value_bytes)
        request = direction_request(view, local.style, self.sampling)
        ask = Ask("backward", request, local.record.name, "+".join(local.active))
        (reply,) = yield (ask,)
        if isinstance(reply, Failure):
            return _votes(local, {}, reply.message, self.vote)
        read = _read(reply.text, local)
        moves = dict(read.moves)
        if read.missing:
            unread = Unread(reply, lambda second: not _read(second.text, local).missing)
            again = repair_request(request, reply, read.complaint)
            (second,) = yield (replace(ask, request=again, slot=f"{ask.slot}:repair", unread=unread),)
            if isinstance(second, Failure):
                return _votes(local, moves, second.message, self.vote)
            read = _read(second.text, local)
            moves = {**read.moves, **moves}
        return _votes(local, moves, read.complaint, self.vote)


def _is_number(slot: SlotValue) -> bool:
    return slot.purpose is Purpose.INPUT and not isinstance(slot.value, str) and numeric(slot.value) is not None


def _both(one: Plan[Mapping[str, Message]], other: Plan[Mapping[str, Message]]) -> Plan[Mapping[str, Message]]:
    """What both plans say, side by side."""
    (replies,) = yield (Fork((one, other)),)
    return {name: message for messages in replies for name, message in messages.items()}


def _passed_on(local: Local, limit: int) -> dict[str, Message]:
    """Words for a numeric operation, such as why it failed: all that it read hears them."""
    words = gradient_words(local.gradient, limit)
    return {name: change(words, Provenance(local.example, local.record.name, name)) for name in local.active}


def _read(text: str, local: Local) -> DirectionReply:
    try:
        return parse_directions(text, local.active, local.style)
    except ReplyError as error:
        return DirectionReply({}, local.active, str(error))


def _votes(local: Local, moves: Mapping[str, Move], why: str, vote: float) -> dict[str, Message]:
    """Moves as derivatives; a number of which nothing was said is lost."""
    worth = {Move.RAISE: -vote, Move.LOWER: vote, Move.KEEP: 0.0}
    sources = {name: Provenance(local.example, local.record.name, name) for name in local.active}
    return {
        name: change(worth[moves[name]], source) if name in moves else lost(source, why)
        for name, source in sources.items()
    }


def said_in_words(local: Local, least: float) -> Gradient:
    """A derivative as advice on the number that a node gave.

    How far it should move is, to first order, what would bring a squared loss L to 0 if this number alone moved: 2 L
    over the derivative (the Gauss–Newton step). Where L is not known it is the derivative itself.

    Raises:
        NodeError: the node gave an array, or no number.
    """
    record, gradient = local.record, local.gradient
    at, slope = numeric(record.value), np.asarray(total(gradient))
    if at is None or at.ndim or slope.ndim:
        raise NodeError(
            f"{record.name!r} is told to change by a derivative, and gave {shown(record.value):.60}: only of a single "
            "number can it be said in words; read numbers one by one, or give the node a backward"
        )
    direction, value = float(slope), float(at)
    losses = [seed.loss for seed in local.seeds if seed.loss is not None]
    amount = abs(direction)
    if losses and direction and math.isfinite(nearer := 2.0 * math.fsum(losses) / abs(direction)):
        amount = nearer
    source = Provenance(local.example)
    if not direction or amount <= least * max(1.0, abs(value)):
        return replace(gradient, messages=(keep(source),))
    return replace(gradient, messages=(change(number_words(math.copysign(amount, direction), value), source),))


# U -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MixedUpdate:
    """U: numbers and arrays go one step down, a model rewrites texts, in the same step. Numbers that only steer models
    are probed. The first candidate has all edits; with more than one kind, each text's edit and all numbers' edits are
    raced alone, too."""

    rule: Rule = GradientDescent()
    rewrite: RewriteUpdate = RewriteUpdate()

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        found = descended(context, self.rule, derivatives_in(context), memories_in(context.state))
        others = tuple(name for name in context.graph.trainable if not descends(context.graph, name))
        proposed = yield from self.rewrite.proposed(context, others)
        texts = combined(context, proposed, self.rewrite.raced)
        return Proposals(
            _raced(context, texts.candidates, found.edits, self.rewrite.raced),
            (*texts.dropped, *found.dropped),
            found.memories,
        )


def descends(graph: Graph, name: str) -> bool:
    """Whether a parameter is a number that derivatives know all about: it enters as an ordinary input only. One that
    steers a model is probed, which measures whatever else it does as well."""
    ordinary = all(slot.purpose is Purpose.INPUT for _, slot in graph.steers(name))
    return ordinary and graph.parameter(name).kind.is_numeric


def _raced(
    context: UpdateContext, texts: Sequence[Candidate], numbers: tuple[Edit, ...], raced: Raced
) -> tuple[Candidate, ...]:
    """The candidates for texts, those of all texts together with the numbers' edits, and the numbers alone."""
    if not numbers:
        return tuple(texts)
    alone = candidate(context.parameters, numbers)
    if not texts:
        return (alone,)
    most = max(len(entry.edits) for entry in texts)
    whole = [candidate(context.parameters, (*entry.edits, *numbers)) for entry in texts if len(entry.edits) == most]
    return (*whole, *texts, alone) if raced is Raced.TOGETHER_AND_ALONE else tuple(whole)


def mixed(
    rule: Rule = GradientDescent(),
    *,
    backward: MixedBackward = MixedBackward(),
    rewrite: RewriteUpdate = RewriteUpdate(),
    selection: Selection = EVERY,
    gate: Gate = StrictGate(),
    most_cases: int = 16,
) -> Method:
    """Semantic gradient descent for texts and gradient descent for numbers, in one graph."""
    return Method(
        "mixed",
        mixed_seed,
        selection,
        backward,
        by_kind,
        CollectByKind(most_cases),
        MixedUpdate(rule, rewrite),
        gate,
        notes=(f"of numbers, {DESCENDS}",),
    )
