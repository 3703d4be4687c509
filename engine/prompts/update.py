"""The update prompt: from an instruction and the cases in which it went wrong to better instructions. Pure.

Named constants and a function that renders them; values stand inside fences and are bounded in bytes, as in `prompts`;
the instruction that is being edited is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semprop.engine.gradients import Evidence, Gradient
from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.prompts.words import gradient_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import proposals_schema
from semprop.engine.tape import shown
from semprop.providers.base import Message as Turn
from semprop.providers.base import Request, Sampling

SOLVED_WORDS = "This case came out right: the new instruction must not break it."

UPDATE_SYSTEM = (
    "You improve the instruction of one step in a larger system of language-model calls. You see the present "
    "instruction and cases in which the system went wrong: what the step was given, what it wrote, and what is known "
    "about how that should have been different. Find what the cases have in common and write an instruction that "
    "would have avoided it, and that works for any input of the same sort.\n"
    "Keep what already works. Do not copy names, numbers or sentences out of the cases, do not give their answers, "
    "and do not mention cases or feedback: the step will see neither."
)

UPDATE_ADVISED = (
    "You improve the instruction of one step in a larger system of language-model calls. You see the present "
    "instruction and, from cases in which the system went wrong, advice on how the instruction should change. Find "
    "what the pieces of advice have in common and write an instruction that follows it, and that works for any input "
    "of the same sort.\n"
    "Keep what already works. The advice may be noisy: leave out what fits one case only, and do not mention cases or "
    "feedback: the step will see neither."
)

UPDATE_UNEXPLAINED = (
    "You improve the instruction of one step in a larger system of language-model calls. You see the present "
    "instruction and cases in which the answer of the whole system was wrong: what the step was given and what it "
    "wrote. Why the answer was wrong is not known. Think of what may have gone wrong at this step and write an "
    "instruction that would avoid it, and that works for any input of the same sort.\n"
    "Keep what already works. Do not copy names, numbers or sentences out of the cases, do not give their answers, "
    "and do not mention cases: the step will not see them."
)

UPDATE_BLIND = (
    "You improve the instruction of one step in a larger system of language-model calls. You see the present "
    "instruction and where it is used, and nothing of the data. Improve the instruction."
)

LEAST_CASE_BYTES = 400
"""A worked case with less room than this says nothing: fewer are shown instead, and the rest are counted."""

LEAST_INPUT_BYTES = 100
"""The same for one input of a worked case."""

MOST_PLACES = 12
"""Of the places where an instruction is used, an update names so many and counts the rest."""


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
    down; `wanted` is how many proposals to ask for; `cases_bytes` bounds all the cases together; `constraints` say
    what a new text must keep to; `stands_for` says of each gradient for how many examples it stands.
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
    constraints: tuple[str, ...] = ()
    stands_for: tuple[int, ...] = ()


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
        count = view.stands_for[number - 1] if number <= len(view.stands_for) else 1
        like = {"like_it": str(count)} if count > 1 else {}
        parts.append(fence.block("case", body, number=str(number), **like))
    if max(view.stands_for[: len(cases)], default=1) > 1:
        parts.append("A case with like_it stands for so many that were told much the same.")
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
    parts += constraints_words(view.constraints)
    parts.append(proposals_format(view.wanted, view.max_bytes, style))
    schema = proposals_schema(view.wanted) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", _system(view)), Turn.of("user", "\n\n".join(parts))), sampling, schema)


def _system(view: UpdateView) -> str:
    """The system text that is true of the cases: worked with feedback, worked without, advice alone, or none."""
    pieces = [message.content for gradient in view.gradients for message in gradient.changes]
    worked = [piece for piece in pieces if isinstance(piece, Evidence)]
    if not pieces and not view.solved:
        return UPDATE_BLIND
    if pieces and not worked:
        return UPDATE_ADVISED
    if worked and all(is_unexplained(piece) for piece in worked):
        return UPDATE_UNEXPLAINED
    return UPDATE_SYSTEM


def is_unexplained(case: Evidence) -> bool:
    """Whether a worked case went wrong and nobody says why: its gradient holds no message."""
    return case.gradient is not None and not case.gradient.messages


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
    words = SOLVED_WORDS if case.gradient is None else gradient_words(case.gradient, limit)
    texts = [*(text for _, text in shown_inputs), case.output, words]
    *rooms, for_output, for_words = shares([len(text.encode()) for text in texts], limit)
    if case.gradient is not None:
        words = gradient_words(case.gradient, for_words)
    inputs = [("input", name, bounded(text, room)) for (name, text), room in zip(shown_inputs, rooms, strict=True)]
    if len(case.inputs) > len(shown_inputs):
        inputs.append(("input", "others", f"({len(case.inputs) - len(shown_inputs)} more inputs are not shown.)"))
    feedback = [] if is_unexplained(case) else [("feedback", "", words)]
    return [*inputs, ("output", "", bounded(case.output, for_output)), *feedback]


def shares(sizes: Sequence[int], limit: int) -> list[int]:
    """How much of `limit` each of these gets: the short ones all they need, the others even parts of what is left."""
    given = [0] * len(sizes)
    left = limit
    order = sorted(range(len(sizes)), key=lambda place: (sizes[place], place))
    for rank, place in enumerate(order):
        given[place] = min(sizes[place], left // (len(order) - rank))
        left -= given[place]
    return given


def constraints_words(constraints: Sequence[str]) -> list[str]:
    """The part of a prompt that asks for constraints; none if there are none."""
    return ["What you write must keep to this:\n" + "\n".join(f"- {each}" for each in constraints)] * bool(constraints)


def proposals_format(wanted: int, max_bytes: int, style: ReplyStyle) -> str:
    """How many instructions to write, how long, and in which form."""
    if wanted > 1:
        what = f"Write {wanted} improved instructions that differ in approach, each of at most {max_bytes} bytes."
    else:
        what = f"Write one improved instruction of at most {max_bytes} bytes."
    if style is ReplyStyle.JSON:
        keys = ", ".join(f'"proposal_{number}"' for number in range(1, wanted + 1))
        return f'{what}\nReply with one JSON object with the keys "reasoning" (brief), {keys}; all values are text.'
    lines = "\n".join(f'<proposal number="{number}">…</proposal>' for number in range(1, wanted + 1))
    return f"{what}\nReason briefly, then end with:\n{lines}"
