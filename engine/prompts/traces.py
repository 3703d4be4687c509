"""The prompt of a whole-graph update: a program as pseudo-code, its values on several cases, and the feedback. Pure.

Takes frozen views, gives a request that asks for new values of all parameters at once. Values are data: they stand
inside fences that none of them can close. Lengths are bounded in UTF-8 bytes; a value that may be changed is never cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import suggestions_schema
from semprop.providers.base import Message, Request, Sampling

TRACE_SYSTEM = (
    "You improve a program by setting the values that it lets you change. You see the program, one call a line, in "
    "the order in which it runs; what each call does; the values that you can change, and what is asked of each; "
    "values that you cannot change; and cases in which the program ran: what went in, what each call gave, what came "
    "out, and what is known about how that should have been different.\n"
    "Work out what the feedback on the output means for each value that you can change: follow how the value is used, "
    "call by call, and compare what each call gave with what the calls after it needed. Change the values that are to "
    "blame and leave the others as they are.\n"
    "New values must serve any input of the same sort: do not copy names, numbers or sentences out of the cases, do "
    "not give their answers, and do not mention cases or feedback, which the program will not see."
)

OBJECTIVE = "Change the values so that the output becomes what the feedback asks for."

MOST_STEPS = 400
"""Lines of the program that a prompt shows; further ones are counted."""

LEAST_BYTES = 60
"""A value of a case with less room than this is left out, and counted."""


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the program: `name = function(slot=variable, …)`, and what the function does."""

    name: str
    function: str
    arguments: tuple[tuple[str, str], ...]
    words: str

    @property
    def line(self) -> str:
        """As pseudo-code."""
        return f"{self.name} = {self.function}({', '.join(f'{slot}={source}' for slot, source in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that may be changed, and what is asked of it."""

    name: str
    text: str
    constraint: str


@dataclass(frozen=True, slots=True)
class TraceCase:
    """One run of the program: (name, text) of its inputs and of what each call gave, the output last; the feedback."""

    inputs: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    feedback: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """Values of an earlier step, by name, and what they earned."""

    texts: tuple[tuple[str, str], ...]
    feedback: str


@dataclass(frozen=True, slots=True)
class TraceView:
    """What a whole-graph update sees. `fixed` are parameters that may not be changed; `left_out` counts cases that
    are not shown; `cases_bytes` bounds all cases together, and all of the memory as well."""

    calls: tuple[Call, ...]
    settings: tuple[Setting, ...]
    fixed: tuple[tuple[str, str], ...]
    cases: tuple[TraceCase, ...]
    memory: tuple[Remembered, ...] = ()
    left_out: int = 0
    cases_bytes: int = 24_000


def trace_request(view: TraceView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for new values of all settings in one call."""
    fence = Fence(fence_suffix(_texts(view)))
    names = [setting.name for setting in view.settings]
    lines = [call.line for call in view.calls[:MOST_STEPS]]
    if len(view.calls) > MOST_STEPS:
        lines.append(f"({len(view.calls) - MOST_STEPS} more calls are not shown.)")
    words = dict.fromkeys(f"- {call.function}: {call.words}" for call in view.calls[:MOST_STEPS])
    parts = [
        f"What to do: {OBJECTIVE}",
        "The program:\n" + "\n".join(lines),
        "What its calls do:\n" + "\n".join(words),
        "Values that you can change:\n"
        + "\n".join(fence.block("instruction", setting.text, name=setting.name) for setting in view.settings),
        "What is asked of them:\n" + "\n".join(f"- {setting.name}: {setting.constraint}" for setting in view.settings),
    ]
    if view.fixed:
        fixed = (fence.block("input", bounded(text, view.cases_bytes // 4), name=name) for name, text in view.fixed)
        parts.append("Values that you cannot change:\n" + "\n".join(fixed))
    room = view.cases_bytes // max(len(view.cases), 1)
    for number, case in enumerate(view.cases, 1):
        parts.append(fence.block("case", "\n".join(_case(case, fence, room)), number=str(number)))
    if view.left_out:
        parts.append(f"({view.left_out} more cases are not shown.)")
    if view.memory:
        room = view.cases_bytes // len(view.memory)
        tried = (fence.block("context", "\n".join(_remembered(each, fence, room))) for each in view.memory)
        parts.append("Values of earlier steps and what became of them:\n" + "\n".join(tried))
    parts.append(_format(names, style))
    schema = suggestions_schema(names) if style is ReplyStyle.JSON else None
    return Request((Message.of("system", TRACE_SYSTEM), Message.of("user", "\n\n".join(parts))), sampling, schema)


def _texts(view: TraceView) -> Iterator[str]:
    yield from (setting.text for setting in view.settings)
    yield from (text for _, text in view.fixed)
    for case in view.cases:
        yield from (text for _, text in (*case.inputs, *case.given))
        yield case.feedback
    for each in view.memory:
        yield from (text for _, text in each.texts)
        yield each.feedback


def _case(case: TraceCase, fence: Fence, room: int) -> Iterator[str]:
    """Inputs, then every call's value, the output last, then the feedback, each with the same share of the room."""
    values = [("input", name, text) for name, text in case.inputs]
    values += [("output", name, text) for name, text in case.given]
    most = max(1, room // LEAST_BYTES - 1)
    shown = values if len(values) <= most else [*values[: most - 1], values[-1]]
    share = room // (len(shown) + 1)
    for tag, name, text in shown:
        yield fence.block(tag, bounded(text, share), name=name)
    if len(shown) < len(values):
        yield f"({len(values) - len(shown)} more values are not shown.)"
    yield fence.block("feedback", bounded(case.feedback, share))


def _remembered(each: Remembered, fence: Fence, room: int) -> Iterator[str]:
    share = room // (len(each.texts) + 1)
    for name, text in each.texts:
        yield fence.block("instruction", bounded(text, share), name=name)
    yield fence.block("feedback", bounded(each.feedback, share))


def _format(names: Sequence[str], style: ReplyStyle) -> str:
    if style is ReplyStyle.JSON:
        keys = ", ".join(f'"{name}"' for name in names)
        return (
            'Reply with one JSON object: the key "reasoning" (what the feedback means for the values, and what you '
            f'expect of the changes), then the key "suggestion", an object with a text for each of {keys}: the new '
            "value, whole, or an empty text if it should stay as it is."
        )
    lines = "\n".join(f'<suggestion name="{name}">…</suggestion>' for name in names)
    return (
        "First reason: what the feedback means for the values, and what you expect of the changes. Then end with one "
        "line of this form for each value, which holds the new value, whole, or nothing if it should stay as it is:\n"
        f"{lines}"
    )
