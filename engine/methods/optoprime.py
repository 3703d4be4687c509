"""OptoPrime, the optimizer of Trace: one call sees the whole graph's run and proposes all parameters at once. Sans-IO.

The graph of a step's wrong examples is written as pseudo-code with its values and the feedback on the output; earlier
values and their feedback go along. There is no backward pass: the model itself traces the feedback through the code.
Source of the algorithm: Cheng, Nie, Swaminathan 2024 (arXiv 2406.16218) and `opto.optimizers.optoprime`; what differs
from that package stands in `semprop.engine.methods.differences`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from semprop.engine.errors import SpecificationError
from semprop.engine.example import words_of
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.graph import Graph
from semprop.engine.method import (
    Candidate,
    Dropped,
    Edit,
    Method,
    Proposals,
    Scored,
    Selection,
    UpdateContext,
    candidate,
)
from semprop.engine.methods.semantic import target_seed
from semprop.engine.methods.unpropagated import unpropagated
from semprop.engine.nodes import Model, Node
from semprop.engine.outcomes import Failure, Unread
from semprop.engine.parameters import Kind, Number, Parameter, ParameterValue, rendered
from semprop.engine.plans import Ask, Fork, Plan
from semprop.engine.prompts.fences import bounded
from semprop.engine.prompts.forward import repair_request
from semprop.engine.prompts.traces import Call, Remembered, Setting, TraceCase, TraceView, trace_request
from semprop.engine.replies.parsers import ReplyError
from semprop.engine.replies.suggestions import SuggestionReply, parse_suggestions
from semprop.engine.tape import shown
from semprop.providers.base import Sampling

MODEL = "ask_model"
"""How a model call is named in the pseudo-code."""

MODEL_WORDS = (
    "asks a language model, which follows the text given as `instruction`, reads the other arguments under their "
    "names, and writes the value"
)

RIGHT = "This output is right: it must stay so."

HOTTEST = 1.0
"""The temperature of the last of several proposals; the first is drawn at temperature 0."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the update carries from step to step: the latest values and their feedback, oldest first."""

    remembered: tuple[Remembered, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceUpdate:
    """U: one call for all text and number parameters; `context.wanted` calls, at rising temperatures, for several
    candidates. `most_cases` and `cases_bytes` bound what a prompt shows; `memory` is how many steps it remembers."""

    sampling: Sampling = Sampling(max_tokens=4096)
    most_cases: int = 16
    cases_bytes: int = 24_000
    memory: int = 3

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        memory = context.state if isinstance(context.state, Memory) else Memory()
        view = view_of(context, memory, self.most_cases, self.cases_bytes)
        if not view.settings:
            return Proposals((), (Dropped("", "no parameter is a text or a number"),))
        plans = tuple(self._ask(context, view, number) for number in range(context.wanted))
        (answers,) = yield (Fork(plans),)
        candidates: list[Candidate] = []
        dropped: list[Dropped] = []
        for edits, lost in answers:
            dropped += lost
            if edits:
                candidates.append(candidate(context.parameters, edits))
        now = Remembered(tuple((setting.name, setting.text) for setting in view.settings), _summary(context, view))
        kept = (*memory.remembered, now)[-self.memory :] if self.memory else ()
        return Proposals(tuple(candidates), tuple(dropped), Memory(kept))

    def _ask(
        self, context: UpdateContext, view: TraceView, number: int
    ) -> Plan[tuple[tuple[Edit, ...], tuple[Dropped, ...]]]:
        sampling = self.sampling
        if number:
            sampling = replace(sampling, temperature=HOTTEST * number / (context.wanted - 1))
        names = tuple(setting.name for setting in view.settings)
        ask = Ask("update", trace_request(view, context.style, sampling), sample=number)
        (reply,) = yield (ask,)
        if isinstance(reply, Failure):
            return (), (Dropped(", ".join(names), f"no reply: {reply.message}"),)
        read = _parsed(reply.text, names, context)
        if isinstance(read, str):
            unread = Unread(reply, lambda second: not isinstance(_parsed(second.text, names, context), str))
            request = repair_request(ask.request, reply, read)
            again = replace(ask, request=request, slot="repair", unread=unread)
            (second,) = yield (again,)
            if isinstance(second, Failure):
                return (), (Dropped(", ".join(names), f"no reply: {second.message}"),)
            read = _parsed(second.text, names, context)
        if isinstance(read, str):
            return (), (Dropped(", ".join(names), f"the suggestion is lost: {read}"),)
        return _edits(context, read)


def _parsed(text: str, names: Sequence[str], context: UpdateContext) -> SuggestionReply | str:
    """What a reply suggests, or the complaint about it."""
    try:
        return parse_suggestions(text, names, context.style)
    except ReplyError as error:
        return error.complaint


def _edits(context: UpdateContext, read: SuggestionReply) -> tuple[tuple[Edit, ...], tuple[Dropped, ...]]:
    """The changes that a reply suggests. Values that it repeats are no changes; values that do not fit are dropped."""
    edits: list[Edit] = []
    dropped = [Dropped("", f"part of a suggestion is lost: {read.complaint}")] if read.complaint else []
    for name, text in read.texts.items():
        before = context.parameters[name]
        try:
            after = _value(before, text)
        except ValueError:
            dropped.append(Dropped(name, "it is no number", text))
        except SpecificationError as error:
            dropped.append(Dropped(name, str(error), text))
        else:
            if after != before:
                edits.append(Edit(name, before, after, "suggested with all parameters in view"))
    return tuple(edits), tuple(dropped)


def _value(before: ParameterValue, text: str) -> ParameterValue:
    return replace(before, value=float(text)) if isinstance(before, Number) else text


# What the prompt shows -----------------------------------------------------------------------------------------------


def view_of(context: UpdateContext, memory: Memory, most_cases: int, cases_bytes: int) -> TraceView:
    """The graph, its parameters and the step's wrong cases, then the solved ones that must not break."""
    graph, parameters = context.graph, context.parameters
    wrong = [scored for scored in context.scored if scored.score.value < 1.0]
    cases = (*wrong[:most_cases], *context.solved)
    changed = [parameter for parameter in graph.parameters if is_setting(parameter)]
    fixed = [parameter.name for parameter in graph.parameters if not is_setting(parameter)]
    return TraceView(
        calls=tuple(map(_call, graph.nodes)),
        settings=tuple(Setting(each.name, rendered(parameters[each.name]), constraint(each)) for each in changed),
        fixed=tuple((name, rendered(parameters[name])) for name in fixed),
        cases=tuple(_case(graph, scored) for scored in cases),
        memory=memory.remembered,
        left_out=max(0, len(wrong) - most_cases),
        cases_bytes=cases_bytes,
    )


def is_setting(parameter: Parameter) -> bool:
    """Whether the call may set it: a trainable text or number."""
    return parameter.trainable and parameter.kind in (Kind.TEXT, Kind.NUMBER)


def constraint(parameter: Parameter) -> str:
    """What is asked of a parameter's value, in words."""
    value = parameter.value
    if isinstance(value, Number):
        words = (
            f"a number from {value.low:g} to {value.high:g}" if math.isfinite(value.high - value.low) else "a number"
        )
    else:
        words = f"a text of at most {parameter.max_bytes} bytes"
    return "; ".join([words, *parameter.asked, *([parameter.purpose] if parameter.purpose else [])])


def _call(node: Node) -> Call:
    arguments = tuple((slot.name, slot.source) for slot in node.slots)
    if isinstance(node, Model):
        return Call(node.name, MODEL, arguments, MODEL_WORDS)
    name = getattr(node.call, "__name__", node.name)
    said = (getattr(node.call, "__doc__", None) or "a function").strip()
    return Call(node.name, name if name.isidentifier() else node.name, arguments, " ".join(said.split()))


def _case(graph: Graph, scored: Scored) -> TraceCase:
    tape = scored.tape
    inputs = tuple((name, words_of(tape.example.inputs[name])) for name in graph.inputs)
    given = tuple((record.name, shown(record.value)) for record in tape.records)
    return TraceCase(inputs, given, feedback_of(scored))


def feedback_of(scored: Scored) -> str:
    """What is known about how the output should have been different, in words."""
    if scored.score.value == 1.0:
        return RIGHT
    said = [(seed.variable, seed.message.content) for seed in target_seed(scored)]
    output = scored.tape.output
    return "\n".join(str(words) if name == output else f"({name}) {words}" for name, words in said)


def _summary(context: UpdateContext, view: TraceView) -> str:
    """What became of the present values: how many examples came right, and the first cases' feedback."""
    right = sum(scored.score.value == 1.0 for scored in context.scored)
    lines = [f"{right} of {len(context.scored)} outputs were right."]
    for case in view.cases[:3]:
        name, text = case.given[-1] if case.given else ("output", "")
        lines.append(f"{name} gave: {bounded(text, 200)}. {bounded(case.feedback, 200)}")
    return "\n".join(lines)


def optoprime(
    *, update: TraceUpdate = TraceUpdate(), selection: Selection = Selection(), gate: Gate = StrictGate()
) -> Method:
    """Whole-graph updates out of a trace."""
    return unpropagated("optoprime", update, selection, gate)
