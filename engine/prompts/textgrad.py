"""The prompts of TextGrad's library, in our words and fences: backward shows the whole prompt of a step as it was sent.

Its structure is the library's: system text and input of the step as one conversation, the output, the feedback on the
output, then the variable in question alone; the update sees every conversation with the feedback that it gave. What
differs, on purpose: replies are read by our parsers, with a verdict a slot, where the library takes the whole reply
as feedback (its system text asks for none if the variable works well, and gives no way to say so); the variable is
never shortened; feedback is never repeated; all lengths are bounded in bytes. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from semprop.engine.gradients import Gradient
from semprop.engine.nodes import Model, Purpose
from semprop.engine.prompts.backward import advice_format, instruction_of
from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.prompts.forward import forward_request, inputs_block
from semprop.engine.prompts.update import LEAST_CASE_BYTES, constraints_words, proposals_format
from semprop.engine.prompts.words import gradient_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import advice_schema, proposals_schema
from semprop.engine.tape import Record, shown
from semprop.providers.base import Message as Turn
from semprop.providers.base import Request, Sampling

LIBRARY_BACKWARD = (
    "You are part of a system that improves texts, called variables. Your part is to give feedback: given an "
    "objective, say what is wrong with a variable and how it could be changed so that the objective is met. A "
    "variable may be a prompt, an input, a solution or any other text, and it will be used again in the way that you "
    "see here. Be critical and concrete, and give strategies and reasons; do not write the new version of the "
    "variable, since another part of the system does that. If the variable works well as it is, pass it (keep)."
)

LIBRARY_UPDATE = (
    "You are part of a system that improves texts, called variables. You are shown a variable, what it is for, and the "
    "feedback that it got in conversations of which it was a part. The feedback may be noisy: find out what in it is "
    "important and right. What you write replaces the variable as it stands."
)

INSISTENT = (
    "If feedback of the same sort comes back step after step, the changes so far were too small: change more this time."
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One call of a step as it was sent and answered: its system text (or a function's docstring), all the rest of the
    prompt in one piece, and the reply."""

    system: str
    prompt: str
    output: str


def conversation_of(record: Record, limit: int) -> Conversation:
    """A record as its model saw it, each part bounded in bytes."""
    output = record.reply or shown(record.value)
    if isinstance(record.node, Model):
        turns = forward_request(record.node, record.slots, "", "").messages
        system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
        prompt = "\n\n".join(turn.text for turn in turns if turn.role != "system")
    else:
        system = instruction_of(record)
        prompt = inputs_block([(slot.name, shown(slot.value)) for slot in record.slots])
    return Conversation(bounded(system, limit), bounded(prompt, limit), bounded(output, limit))


def role_of(record: Record, slot: str) -> str:
    """What a variable is to the step that it enters."""
    purpose = next(each.purpose for each in record.slots if each.name == slot)
    return f"{'the instruction' if purpose is Purpose.INSTRUCTION else slot + ', an input'} of the step {record.name}"


def library_backward_request(
    record: Record, gradient: Gradient, slot: str, limit: int, style: ReplyStyle, sampling: Sampling
) -> Request:
    """Ask for feedback on one variable of one call, whose whole prompt is shown."""
    seen = conversation_of(record, limit)
    value = next(shown(each.value) for each in record.slots if each.name == slot)
    feedback = gradient_words(gradient, limit)
    fence = Fence(fence_suffix([seen.system, seen.prompt, seen.output, value, feedback]))
    parts = [
        f"You give feedback to a variable: {role_of(record, slot)}. This is a conversation that it was a part of:",
        *([fence.block("instruction", seen.system)] if seen.system else []),
        fence.block("context", seen.prompt),
        fence.block("output", seen.output),
        "The conversation is part of a larger system. The objective is that the variable change so that this feedback "
        "on the output is met:\n" + fence.block("feedback", feedback),
        "The variable, as a span of the conversation:\n" + fence.block("variable", bounded(value, limit), name=slot),
        advice_format((slot,), style),
    ]
    schema = advice_schema((slot,)) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", LIBRARY_BACKWARD), Turn.of("user", "\n\n".join(parts))), sampling, schema)


@dataclass(frozen=True, slots=True)
class Past:
    """A value that a variable had, and the feedback that it got then."""

    value: str
    feedback: str


@dataclass(frozen=True, slots=True)
class LibraryView:
    """What an update sees of one variable: its text and role, (conversation, feedback) pairs, how many more there are,
    earlier values with their feedback (oldest first), and what a new text must keep to."""

    variable: str
    role: str
    told: tuple[tuple[Conversation, str], ...]
    left_out: int = 0
    past: tuple[Past, ...] = ()
    constraints: tuple[str, ...] = ()
    wanted: int = 1
    max_bytes: int = 8_000
    cases_bytes: int = 24_000


def library_update_request(view: LibraryView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for a better variable. It is shown whole; conversations and past share `cases_bytes`, half for each where
    there is a past."""
    told = view.told[: max(1, view.cases_bytes // LEAST_CASE_BYTES)]
    share = view.cases_bytes // (2 if view.past else 1) // max(1, len(told)) // 4
    each_past = view.cases_bytes // 2 // max(1, len(view.past)) // 2
    cases = [
        [
            *([("instruction", bounded(seen.system, share))] if seen.system else []),
            ("context", bounded(seen.prompt, share)),
            ("output", bounded(seen.output, share)),
            ("feedback", bounded(feedback, share)),
        ]
        for seen, feedback in told
    ]
    past = [
        [("variable", bounded(entry.value, each_past)), ("feedback", bounded(entry.feedback, each_past))]
        for entry in view.past
    ]
    fence = Fence(fence_suffix([view.variable, *(text for case in [*cases, *past] for _, text in case)]))

    def numbered(tag: str, blocks: list[list[tuple[str, str]]]) -> list[str]:
        bodies = ("\n".join(fence.block(*block) for block in entry) for entry in blocks)
        return [fence.block(tag, body, number=str(number)) for number, body in enumerate(bodies, 1)]

    parts = [f"What the variable is: {view.role}", "The variable:\n" + fence.block("variable", view.variable)]
    parts += ["The conversations that it was a part of, and the feedback that it got:", *numbered("case", cases)]
    left_out = view.left_out + len(view.told) - len(told)
    parts += [f"({left_out} more conversations are not shown.)"] if left_out else []
    if past:
        parts.append("Earlier values of the variable, oldest first, and the feedback that each got:")
        parts += [*numbered("past", past), INSISTENT]
    parts += constraints_words(view.constraints)
    parts.append(proposals_format(view.wanted, view.max_bytes, style))
    schema = proposals_schema(view.wanted) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", LIBRARY_UPDATE), Turn.of("user", "\n\n".join(parts))), sampling, schema)
