"""The prompts of forward, backward and update: named constants and pure functions that render them. Asks nothing.

Values are data. They stand inside fences (`<input name="…">` … `</input>`) whose tag is chosen so that it occurs in
none of them, so no value can end its own slot or open another. Lengths are bounded in UTF-8 bytes, never in tokens
(law L1), and the instruction that is being edited is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from semprop.engine.fences import Fence, bounded, fence_suffix
from semprop.engine.gradients import Evidence, Gradient, Message
from semprop.engine.nodes import Model, Placement, Purpose
from semprop.engine.outcomes import FailureKind
from semprop.engine.parameters import Demonstrations, Number
from semprop.engine.replies import ReplyStyle, advice_schema, proposals_schema
from semprop.engine.tape import Record, SlotValue, shown
from semprop.providers.base import Choices, Completion, Request, Sampling
from semprop.providers.base import Message as Turn

PROTOCOL = 1
"""Raised by one whenever a prompt or a decision rule changes, so that old runs can tell."""

FORWARD_TAGGED = (
    "Work step by step if it helps. End with your answer between <answer> and </answer>, and put nothing else "
    "between them: only that part is read."
)

BACKWARD_SYSTEM = (
    "You trace an error back through one step of a larger system. The step followed its instruction, read its inputs "
    "and wrote its output. Afterwards it became known how that output should have been different. For each input you "
    "are asked about, decide whether it was good as it is (keep) or how it should be different (change), so that this "
    "same step would have written the wanted output.\n"
    "Judge the inputs together, not one by one: weigh what each contributes beside the others, change as few as the "
    "wanted output needs, and make the pieces of advice fit one another. Say what the input should state or contain, "
    "in concrete words that can be understood without seeing this page."
)

BACKWARD_ONE = (
    "You trace an error back through one step of a larger system. Afterwards it became known how the step's output "
    "should have been different. Decide whether the input you are asked about was good as it is (keep) or how it "
    "should be different (change), so that the step would have written the wanted output. Say what the input should "
    "state or contain, in concrete words that can be understood without seeing this page."
)

SOLVED_WORDS = "This case came out right: the new instruction must not break it."

UPDATE_SYSTEM = (
    "You improve the instruction of one step in a larger system of language-model calls. You see the present "
    "instruction and cases in which the system went wrong: what the step was given, what it wrote, and what is known "
    "about how that should have been different. Find what the cases have in common and write an instruction that "
    "would have avoided it, and that works for any input of the same sort.\n"
    "Keep what already works. Do not copy names, numbers or sentences out of the cases, do not give their answers, "
    "and do not mention cases or feedback: the step will see neither."
)

REPAIR = "That reply could not be read: {complaint} Reply again, complete, in exactly the form that was asked for."

REPAIR_BYTES = 16_000
"""What a repair shows of the reply that could not be read."""

LEAST_CASE_BYTES = 400
"""A worked case with less room than this says nothing: fewer are shown instead, and the rest are counted."""

LEAST_INPUT_BYTES = 100
"""The same for one input of a worked case."""

MOST_PLACES = 12
"""Of the places where an instruction is used, an update names so many and counts the rest."""

FORMAT_REMINDER = "the answer between <answer> and </answer>."


class Neighbours(StrEnum):
    """What a backward call shows of the other inputs: each under its name, all in one text without names, or none
    (then the instruction is hidden too: the formula of TextGrad sees the variable, the output and its gradient)."""

    LABELLED = "labelled"
    UNLABELLED = "unlabelled"
    HIDDEN = "hidden"


# Forward -------------------------------------------------------------------------------------------------------------


def inputs_block(inputs: Sequence[tuple[str, str]]) -> str:
    """The inputs of a forward call: the bare value of a single input, else one `name: value` line each; a value of
    several lines is fenced, so that no line of it can pass for another input."""
    if len(inputs) == 1:
        return inputs[0][1]
    fence = Fence(fence_suffix(text for _, text in inputs))
    lines = [
        f"{name}: {text}" if text.splitlines() in ([], [text]) else fence.block("input", text, name=name)
        for name, text in inputs
    ]
    return "\n".join(lines)


def forward_request(node: Model, slots: Sequence[SlotValue], example: str, draw: str, sample: int = 0) -> Request:
    """The request of a model node. A demonstration made from this example, or from one that reads the same here, is
    left out (law L7)."""
    instruction, changes = "", {}
    demonstrations: Demonstrations | None = None
    inputs: list[tuple[str, str]] = []
    for slot in slots:
        purpose, value = slot.purpose, slot.value
        if purpose is Purpose.INSTRUCTION:
            instruction = value if isinstance(value, str) else shown(value)
        elif purpose is Purpose.DEMONSTRATIONS and isinstance(value, Demonstrations):
            demonstrations = value
        elif purpose is Purpose.SAMPLING and isinstance(value, Number):
            changes[slot.name] = value.value
        else:
            inputs.append((slot.name, value if isinstance(value, str) else shown(value)))
    if node.is_tagged:
        instruction = f"{instruction}\n\n{FORWARD_TAGGED}" if instruction else FORWARD_TAGGED
    turns: list[Turn] = []
    if node.placement is Placement.SYSTEM and instruction:
        turns.append(Turn.of("system", instruction))
    before = f"{instruction}\n\n" if node.placement is Placement.USER and instruction else ""
    for turn in demonstrations.turns if demonstrations is not None else ():
        if (turn.origin != example or not example) and turn.inputs != tuple(inputs):
            turns.append(Turn.of("user", before + inputs_block(turn.inputs)))
            shown_output = f"<answer>{turn.output}</answer>" if node.is_tagged else turn.output
            turns.append(Turn.of("assistant", shown_output))
    turns.append(Turn.of("user", (before + inputs_block(inputs)).strip()))
    request = Request(tuple(turns), node.sampling, Choices(node.choices) if node.choices else None, draw, sample)
    return request.with_sampling(**changes) if changes else request


def repair_request(request: Request, completion: Completion, complaint: str) -> Request:
    """The same question once more, with the reply that could not be read (bounded) and the parser's complaint."""
    turns = (
        *request.messages,
        Turn.of("assistant", bounded(completion.text, REPAIR_BYTES)),
        Turn.of("user", REPAIR.replace("{complaint}", complaint)),
    )
    return Request(turns, request.sampling, request.schema, request.draw, request.sample, request.admission)


# Gradients in words --------------------------------------------------------------------------------------------------


def target_words(expected: str) -> str:
    """The seed of the answer's gradient when the right answer is known."""
    return f"The expected output is: {expected}"


def failure_words(kind: FailureKind) -> str:
    """The seed of the gradient of a node whose model call failed because of content."""
    match kind:
        case FailureKind.TRUNCATED:
            return "The output was cut off at its length limit before it was complete: it must be shorter."
        case FailureKind.UNPARSEABLE:
            return f"The output could not be read. It must end with {FORMAT_REMINDER}"
        case FailureKind.CONTEXT:
            return "The inputs were too long for the model: they must be shorter."
        case FailureKind.FILTER | FailureKind.REFUSAL:
            return "The model did not answer: what it was asked looked like something it must not do."
        case _:
            return "The output could not be used by the function that read it."


def number_words(direction: float, value: float) -> str:
    """A derivative of the loss as advice in words; a positive one asks for a smaller value."""
    verb = "fall" if direction > 0 else "rise"
    return f"It should {verb} by about {abs(direction):.3g}; it is {value:g} now."


def gradient_words(gradient: Gradient, limit: int) -> str:
    """The changes a gradient asks for as a numbered list, in its own order, within `limit` bytes. What does not fit
    is counted, not silently dropped; the first message always stands, shortened if it must be."""
    messages = gradient.changes
    if not messages:
        return "Nothing is known to be wrong with it."
    lines: list[str] = []
    left = limit
    for index, message in enumerate(messages):
        line = _message_words(message, bounded_to=left if index == 0 else None)
        size = len(line.encode()) + 4
        if index and size > left:
            lines.append(f"({len(messages) - index} more left out)")
            break
        lines.append(line if len(messages) == 1 else f"{index + 1}. {line}")
        left -= size
    return "\n".join(lines)


def _message_words(message: Message, bounded_to: int | None) -> str:
    content = message.content
    words = content if isinstance(content, str) else "" if isinstance(content, Evidence) else shown(content)
    if message.source.successor:
        words = f"(from the step {message.source.successor}) {words}"
    return words if bounded_to is None else bounded(words, bounded_to)


# Backward ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackwardView:
    """What a backward call may see: the record, the gradient of its output, the slots asked about, what is shown of
    the others, and how many bytes a value may take."""

    record: Record
    gradient: Gradient
    asked: tuple[str, ...]
    neighbours: Neighbours = Neighbours.LABELLED
    value_bytes: int = 4_000


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
        parts.append(fence.block("context", "\n".join(others)))
    for name in (*(name for name in view.asked if name not in ordinary), *ordinary):
        if name in view.asked or view.neighbours is Neighbours.LABELLED:
            parts.append(fence.block("input", values[name], name=name))
    parts.append(fence.block("output", output))
    parts.append("How the output should have been different:\n" + fence.block("feedback", feedback))
    parts.append(_advice_format(view.asked, style))
    system = BACKWARD_SYSTEM if len(view.asked) > 1 or not hidden else BACKWARD_ONE
    schema = advice_schema(view.asked) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", system), Turn.of("user", "\n\n".join(parts))), sampling, schema)


def _advice_format(asked: Sequence[str], style: ReplyStyle) -> str:
    names = ", ".join(asked)
    if style is ReplyStyle.JSON:
        return (
            f'You are asked about: {names}.\nReply with one JSON object: the key "reasoning" (brief), then one key for '
            'each of them, whose value is {"verdict": "keep" or "change", "advice": "how it should be different, or '
            'empty for keep"}.'
        )
    lines = "\n".join(f'<advice slot="{name}" verdict="keep or change">…</advice>' for name in asked)
    return (
        f"You are asked about: {names}.\nReply with one line of this form for each of them, and nothing else:\n{lines}"
    )


# Update --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Twin:
    """One of several instructions that are still the same text, so that something must tell them apart."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class UpdateView:
    """What an update call sees of one instruction.

    `places` says where it is used, a line each; `gradients` hold the cases, one an example; `left_out` counts cases
    that are not shown; `solved` are cases that came right; `rejected` are earlier proposals that the gate turned
    down; `wanted` is how many proposals to ask for; `cases_bytes` bounds all the cases together.
    """

    instruction: str
    purpose: str
    places: tuple[str, ...]
    gradients: tuple[Gradient, ...]
    left_out: int = 0
    solved: tuple[Evidence, ...] = ()
    wanted: int = 1
    twin: Twin | None = None
    rejected: tuple[str, ...] = ()
    max_bytes: int = 8_000
    cases_bytes: int = 24_000


def update_request(view: UpdateView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for better instructions. The present one is always shown whole."""
    cases = _cases(view)
    fence = Fence(fence_suffix([view.instruction, *view.rejected, *(text for case in cases for _, _, text in case)]))
    places = [f"- {place}" for place in view.places[:MOST_PLACES]]
    if len(view.places) > MOST_PLACES:
        places.append(f"- and at {len(view.places) - MOST_PLACES} more places")
    parts = ["Where the instruction is used:\n" + "\n".join(places)]
    if view.purpose:
        parts.append(f"What it is for: {view.purpose}")
    parts.append("The present instruction:\n" + fence.block("instruction", view.instruction))
    for number, case in enumerate(cases, 1):
        body = "\n".join(fence.block(tag, text, **({"name": name} if name else {})) for tag, name, text in case)
        parts.append(fence.block("case", body, number=str(number)))
    left_out = view.left_out + len(view.gradients) + len(view.solved) - len(cases)
    if left_out:
        parts.append(f"({left_out} more cases are not shown.)")
    if view.rejected:
        parts.append("Tried before, and no better:\n" + "\n".join(fence.block("instruction", t) for t in view.rejected))
    if view.twin:
        parts.append(
            f"{view.twin.count} steps of the system have this same instruction now, so they all do the same work. "
            f"This is number {view.twin.number} of them: give it a part of the work of its own, different from what "
            "the others will choose."
        )
    parts.append(_proposals_format(view, style))
    schema = proposals_schema(view.wanted) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", UPDATE_SYSTEM), Turn.of("user", "\n\n".join(parts))), sampling, schema)


def _cases(view: UpdateView) -> list[list[tuple[str, str, str]]]:
    """Each case as (tag, name, text) blocks, every case with the same share of the byte bound."""
    gradients, solved = _shown_cases(view)
    share = view.cases_bytes // max(len(gradients) + len(solved), 1)
    cases = []
    for gradient in gradients:
        blocks: list[tuple[str, str, str]] = []
        pieces = [message.content for message in gradient.changes]
        most = max(1, share // LEAST_CASE_BYTES)
        for piece in pieces[:most]:
            each = share // min(len(pieces), most)
            if isinstance(piece, Evidence):
                blocks += _worked(piece, each)
            else:
                blocks.append(("feedback", "", bounded(shown(piece), each)))
        if len(pieces) > most:
            blocks.append(("feedback", "", f"({len(pieces) - most} more of this case are not shown.)"))
        cases.append(blocks)
    return cases + [_worked(case, share) for case in solved]


def _shown_cases(view: UpdateView) -> tuple[tuple[Gradient, ...], tuple[Evidence, ...]]:
    """The cases that have room to say something: wrong ones first, solved ones no more than these."""
    room = max(1, view.cases_bytes // LEAST_CASE_BYTES)
    gradients = view.gradients[:room]
    return gradients, view.solved[: min(max(1, len(gradients)), max(0, room - len(gradients)))]


def _worked(case: Evidence, limit: int) -> list[tuple[str, str, str]]:
    shown_inputs = case.inputs[: max(1, limit // LEAST_INPUT_BYTES)]
    each = limit // (len(shown_inputs) + 2)
    words = SOLVED_WORDS if case.gradient is None else gradient_words(case.gradient, each)
    inputs = [("input", name, bounded(text, each)) for name, text in shown_inputs]
    if len(case.inputs) > len(shown_inputs):
        inputs.append(("input", "others", f"({len(case.inputs) - len(shown_inputs)} more inputs are not shown.)"))
    return [*inputs, ("output", "", bounded(case.output, each)), ("feedback", "", words)]


def _proposals_format(view: UpdateView, style: ReplyStyle) -> str:
    many = view.wanted > 1
    what = (
        f"Write {view.wanted} improved instructions that differ in approach"
        if many
        else "Write one improved instruction"
    )
    what = f"{what}, each of at most {view.max_bytes} bytes." if many else f"{what} of at most {view.max_bytes} bytes."
    if style is ReplyStyle.JSON:
        keys = ", ".join(f'"proposal_{number}"' for number in range(1, view.wanted + 1))
        return f'{what}\nReply with one JSON object with the keys "reasoning" (brief), {keys}; all values are text.'
    lines = "\n".join(f'<proposal number="{number}">…</proposal>' for number in range(1, view.wanted + 1))
    return f"{what}\nReason briefly, then end with:\n{lines}"
