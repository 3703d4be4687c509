"""Updates in which a model rewrites instructions: one plan a parameter, all of them side by side (parallel update).

Demonstrations are taken from evidence and numbers are probed by finite differences, in the same step. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from semprop.engine.gradients import Evidence
from semprop.engine.graph import Graph
from semprop.engine.method import (
    Candidate,
    Collected,
    Dropped,
    Edit,
    Proposals,
    Scored,
    UpdateContext,
    candidate,
)
from semprop.engine.methods.demonstrations import propose_demonstrations
from semprop.engine.methods.numbers import propose_number
from semprop.engine.nodes import Purpose
from semprop.engine.outcomes import Failure, Unread
from semprop.engine.parameters import Kind, ParameterValue
from semprop.engine.plans import Ask, Fork, Plan
from semprop.engine.prompts.forward import repair_request
from semprop.engine.prompts.update import Twin, UpdateView, update_request
from semprop.engine.replies.parsers import ProposalReply, ReplyError, ReplyStyle, parse_proposals
from semprop.engine.tape import shown
from semprop.providers.base import Sampling


class Raced(StrEnum):
    """Which candidates a step races: all edits together and each alone, or only all together."""

    TOGETHER_AND_ALONE = "together_and_alone"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Proposed:
    """What one parameter's plan returned: values in order of preference, and what was lost."""

    parameter: str
    values: tuple[ParameterValue, ...]
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class RewriteUpdate:
    """U: a model proposes instructions; `cases_bytes` bounds the evidence that one prompt shows."""

    sampling: Sampling = Sampling(max_tokens=4096)
    cases_bytes: int = 24_000
    raced: Raced = Raced.TOGETHER_AND_ALONE
    demonstrations: int = 3

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        proposed = yield from self.proposed(context, context.graph.trainable)
        return combined(context, proposed, self.raced)

    def proposed(self, context: UpdateContext, names: Sequence[str]) -> Plan[tuple[Proposed, ...]]:
        """What the plans of these parameters return, side by side."""
        twins = twins_of(context)
        plans = tuple(self._propose(context, name, twins.get(name)) for name in names)
        (found,) = yield (Fork(plans),)
        return tuple(found)

    def _propose(self, context: UpdateContext, name: str, twin: Twin | None) -> Plan[Proposed]:
        collected = context.collected.get(name)
        if context.graph.parameter(name).kind is Kind.NUMBER:
            values = yield from propose_number(context, name)
            return Proposed(name, values)
        if collected is None:
            return Proposed(name, ())
        if collected.parameter.kind is Kind.ARRAY:
            return Proposed(name, (), (Dropped(name, "words do not say how an array should change: use mixed"),))
        if collected.parameter.kind is Kind.DEMONSTRATIONS:
            return Proposed(name, propose_demonstrations(context, name, self.demonstrations))
        return (yield from self._rewrite(context, collected, twin))

    def _rewrite(self, context: UpdateContext, collected: Collected, twin: Twin | None) -> Plan[Proposed]:
        name = collected.parameter.name
        view = update_view(context, collected, twin, self.cases_bytes)
        ask = Ask("update", update_request(view, context.style, self.sampling), name)
        return (yield from asked(ask, name, context.wanted, context.style))


def asked(ask: Ask, name: str, wanted: int, style: ReplyStyle) -> Plan[Proposed]:
    """The proposals that a call gives for one parameter; a reply that cannot be read is asked for once more."""
    (reply,) = yield (ask,)
    if isinstance(reply, Failure):
        return Proposed(name, (), (Dropped(name, f"no reply: {reply.message}"),))
    read = _parsed(reply.text, wanted, style)
    if not read.proposals:
        unread = Unread(reply, lambda second: bool(_parsed(second.text, wanted, style).proposals))
        request = repair_request(ask.request, reply, read.complaint)
        again = replace(ask, request=request, slot="repair", unread=unread)
        (second,) = yield (again,)
        if isinstance(second, Failure):
            return Proposed(name, (), (Dropped(name, f"no reply: {second.message}"),))
        read = _parsed(second.text, wanted, style)
    lost = (Dropped(name, f"{read.missing} proposal(s) lost: {read.complaint}"),) if read.missing else ()
    return Proposed(name, read.proposals, lost)


def _parsed(text: str, wanted: int, style: ReplyStyle) -> ProposalReply:
    try:
        return parse_proposals(text, wanted, style)
    except ReplyError as error:
        return ProposalReply((), wanted, str(error))


def combined(context: UpdateContext, proposed: Sequence[Proposed], raced: Raced) -> Proposals:
    """The race of a step: for each round j every parameter's j-th value together, then each edit alone.

    A parameter with fewer values than rounds gives its last one again. Whole-vector gating throws single good edits
    away with bad ones; alone, each can win.
    """
    edits = {
        entry.parameter: [
            Edit(entry.parameter, context.parameters[entry.parameter], value, f"proposal {number}")
            for number, value in enumerate(entry.values, 1)
        ]
        for entry in proposed
        if entry.values
    }
    rounds = max(map(len, edits.values()), default=0)
    candidates: list[Candidate] = []
    for index in range(rounds):
        together = tuple(values[min(index, len(values) - 1)] for values in edits.values())
        candidates.append(candidate(context.parameters, together))
    if raced is Raced.TOGETHER_AND_ALONE and len(edits) > 1:
        alone = (edit for values in edits.values() for edit in values)
        candidates += [candidate(context.parameters, (edit,)) for edit in alone]
    return Proposals(tuple(candidates), tuple(entry for each in proposed for entry in each.dropped))


def update_view(context: UpdateContext, collected: Collected, twin: Twin | None, cases_bytes: int) -> UpdateView:
    """What the update prompt of one instruction shows."""
    name = collected.parameter.name
    assert isinstance(collected.value, str)
    return UpdateView(
        instruction=collected.value,
        purpose=collected.parameter.purpose,
        places=places(context.graph, name),
        gradients=collected.gradients,
        left_out=collected.left_out,
        wanted=context.wanted,
        twin=twin,
        solved=tuple(case for scored in context.solved for case in _solved(context.graph, name, scored)),
        rejected=latest(context.rejected.get(name, ()), cases_bytes),
        max_bytes=collected.parameter.max_bytes,
        cases_bytes=cases_bytes,
        constraints=collected.parameter.asked,
        stands_for=collected.stands_for,
    )


def latest(texts: Sequence[str], limit: int) -> tuple[str, ...]:
    """The last texts, in their order, that have at most `limit` bytes together."""
    kept: list[str] = []
    for text in reversed(texts):
        limit -= len(text.encode())
        if limit < 0:
            break
        kept.append(text)
    return tuple(reversed(kept))


def _solved(graph: Graph, parameter: str, scored: Scored) -> list[Evidence]:
    """Worked cases that came right, at the nodes that this parameter steers."""
    cases = []
    for node, _ in graph.steers(parameter):
        record = scored.tape.record(node.name)
        if record is not None:
            inputs = tuple((slot.name, shown(slot.value)) for slot in record.slots if slot.purpose is Purpose.INPUT)
            cases.append(Evidence(node.name, inputs, record.reply or shown(record.value), None))
    return cases


def places(graph: Graph, parameter: str) -> tuple[str, ...]:
    """Where a parameter is used, one line a node, in words."""
    lines = []
    for node, _ in graph.steers(parameter):
        inputs = ", ".join(slot.name for slot in node.slots if slot.purpose is Purpose.INPUT) or "nothing"
        readers = dict.fromkeys(reader.name for reader, _ in graph.steers(node.name))
        goes = "is the system's answer" if node.name == graph.output else f"is read by {', '.join(readers)}"
        where = f"level {graph.levels[node.name] + 1} of {graph.levels[graph.output] + 1}"
        lines.append(f"step {node.name} ({where}): it reads {inputs}; what it writes {goes}")
    return tuple(lines)


def twins_of(context: UpdateContext) -> dict[str, Twin]:
    """The instructions that are the same text and steer nodes that read the same, numbered in declared order.
    Without it, equal prompts would stay equal for ever, like weights that all start at zero."""
    groups: dict[object, list[str]] = {}
    for parameter in context.graph.parameters:
        if parameter.trainable and parameter.kind is Kind.TEXT:
            nodes = (node for node, _ in context.graph.steers(parameter.name))
            reads = tuple(tuple(slot.source for slot in node.slots if slot.purpose is Purpose.INPUT) for node in nodes)
            groups.setdefault((context.parameters[parameter.name], reads), []).append(parameter.name)
    return {
        name: Twin(number, len(names))
        for names in groups.values()
        if len(names) > 1
        for number, name in enumerate(names, 1)
    }
