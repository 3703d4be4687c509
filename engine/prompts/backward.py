"""The backward prompt: how should the inputs of one step change, given how its output should? Pure; asks nothing.

Named constants and a function that renders them; values stand inside fences and are bounded in bytes, as in `prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from semprop.engine.gradients import Gradient
from semprop.engine.nodes import Purpose
from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.prompts.words import gradient_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import advice_schema
from semprop.engine.tape import Record, shown
from semprop.providers.base import Message as Turn
from semprop.providers.base import Request, Sampling


class Neighbours(StrEnum):
    """What a backward call shows of the other inputs: each under its name, all in one text without names, or none
    (then the instruction is hidden too: the formula of TextGrad sees the variable, the output and its gradient)."""

    LABELLED = "labelled"
    UNLABELLED = "unlabelled"
    HIDDEN = "hidden"


class Question(StrEnum):
    """What a backward call asks of each input: how it should change so that the output would be as wanted, or what
    its quality is."""

    TARGET = "target"
    COMMENT = "comment"


TARGET_SYSTEM = (
    "You trace an error back through one step of a larger system. The step followed its instruction, read its inputs "
    "and wrote its output. Afterwards it became known how that output should have been different. For each input you "
    "are asked about, decide whether it was good as it is (keep) or how it should be different (change), so that this "
    "same step would have written the wanted output.\n"
    "Judge the inputs together, not one by one: weigh what each contributes beside the others, change as few as the "
    "wanted output needs, and make the pieces of advice fit one another. Say what the input should state or contain, "
    "in concrete words that can be understood without seeing this page."
)

TARGET_ONE = (
    "You trace an error back through one step of a larger system. Afterwards it became known how the step's output "
    "should have been different. Decide whether the input you are asked about was good as it is (keep) or how it "
    "should be different (change), so that the step would have written the wanted output. Say what the input should "
    "state or contain, in concrete words that can be understood without seeing this page."
)


COMMENT_SYSTEM = (
    "You judge the inputs of one step of a larger system. The step followed its instruction, read its inputs and wrote "
    "its output. Afterwards it became known how that output should have been different. For each input you are asked "
    "about, judge its quality: is it right, complete, and of use for what the step has to write? Pass it as good "
    "(keep), or comment on what is wrong with it or missing from it, and why that matters (change).\n"
    "Comment on each input by itself, without mention of the other inputs and without dictating a new text, in "
    "concrete words that can be understood without seeing this page."
)

COMMENT_ONE = (
    "You judge one input of one step of a larger system. Afterwards it became known how the step's output should have "
    "been different. Judge the quality of the input: is it right, complete, and of use for the wanted output? Pass it "
    "as good (keep), or comment on what is wrong with it or missing from it, and why that matters (change), without "
    "dictating a new text, in concrete words that can be understood without seeing this page."
)

SYSTEM = {
    (Question.TARGET, True): TARGET_SYSTEM,
    (Question.TARGET, False): TARGET_ONE,
    (Question.COMMENT, True): COMMENT_SYSTEM,
    (Question.COMMENT, False): COMMENT_ONE,
}
"""(question, whether more than the one input is in view) → the system text."""

ADVICE = {
    Question.TARGET: "how it should be different",
    Question.COMMENT: "what is wrong with it or missing from it",
}
"""What the words of a reply say."""


@dataclass(frozen=True, slots=True)
class BackwardView:
    """What a backward call may see: the record, the gradient of its output, the slots asked about, what is shown of
    the others, how many bytes a value may take, and how many a piece of advice."""

    record: Record
    gradient: Gradient
    asked: tuple[str, ...]
    neighbours: Neighbours = Neighbours.LABELLED
    value_bytes: int = 4_000
    question: Question = Question.TARGET
    advice_bytes: int | None = None


def instruction_of(record: Record) -> str:
    """What the node was told to do: the instruction, or a function's docstring."""
    for slot in record.slots:
        if slot.purpose is Purpose.INSTRUCTION:
            return shown(slot.value)
    call = getattr(record.node, "call", None)
    return (getattr(call, "__doc__", None) or f"A function named {record.name}.").strip()


def backward_request(view: BackwardView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask how inputs of one node should change, given how its output should."""
    limit = view.value_bytes
    hidden = view.neighbours is Neighbours.HIDDEN
    visible = [slot for slot in view.record.slots if slot.purpose in (Purpose.INPUT, Purpose.INSTRUCTION)]
    values = {slot.name: bounded(shown(slot.value), limit) for slot in visible}
    instruction = bounded(instruction_of(view.record), limit)
    output = bounded(shown(view.record.value), limit)
    feedback = gradient_words(view.gradient, limit)
    fence = Fence(fence_suffix([*values.values(), instruction, output, feedback]))
    parts = []
    ordinary = [slot.name for slot in visible if slot.purpose is Purpose.INPUT]
    if not hidden and not any(name not in ordinary for name in view.asked):
        parts.append(fence.block("instruction", instruction))
    others = [values[name] for name in ordinary if name not in view.asked]
    if view.neighbours is Neighbours.UNLABELLED and others:
        parts.append("What else the step read:\n" + fence.block("context", "\n".join(others)))
    for name in (*(name for name in view.asked if name not in ordinary), *ordinary):
        if name in view.asked or view.neighbours is Neighbours.LABELLED:
            parts.append(fence.block("input", values[name], name=name))
    parts.append(fence.block("output", output))
    parts.append("How the output should have been different:\n" + fence.block("feedback", feedback))
    parts.append(advice_format(view.asked, style, view.question))
    if view.advice_bytes is not None:
        parts.append(f"Each piece of advice has at most {view.advice_bytes} bytes.")
    system = SYSTEM[view.question, len(view.asked) > 1 or not hidden]
    schema = advice_schema(view.asked) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", system), Turn.of("user", "\n\n".join(parts))), sampling, schema)


def advice_format(asked: Sequence[str], style: ReplyStyle, question: Question = Question.TARGET) -> str:
    """The form of a reply: a verdict on each input, and words for those that should change."""
    names = ", ".join(asked)
    if style is ReplyStyle.JSON:
        return (
            f'You are asked about: {names}.\nReply with one JSON object: the key "reasoning" (brief), then one key for '
            'each of them, whose value is {"verdict": "keep" or "change", "advice": "'
            f'{ADVICE[question]}, or empty for keep"}}.'
        )
    lines = "\n".join(f'<advice slot="{name}" verdict="keep or change">…</advice>' for name in asked)
    return (
        f"You are asked about: {names}.\nReply with one line of this form for each of them, and nothing else:\n{lines}"
    )
