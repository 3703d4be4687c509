"""The prompts of score-guided search: an instruction, texts that were tried with their scores, exemplars. Pure.

Takes frozen views, gives requests that ask for new texts. No trace and no gradient stands in them: all that a model
learns of the task is the instruction, its purpose, the scores and, where they are given, questions with their answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.prompts.update import constraints_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import proposals_schema
from semprop.providers.base import Message, Request, Sampling

BASIC_SYSTEM = (
    "You write instructions for language models. You are shown the instruction that one step of a system has now, "
    "and what the step reads and writes. Propose instructions under which a good language model would do this work "
    "well. Be creative."
)

ATTEMPTS_SYSTEM = (
    "You write instructions for language models. You are shown instructions that were tried for one step of a system, "
    "each with the score that it reached on examples; they stand in increasing order of their scores, from 0 to 100, "
    "and a higher score is better. Propose new instructions under which a good language model would do this work even "
    "better. Be creative."
)

TRAJECTORY_SYSTEM = (
    "You write the instruction of one step of a system of language-model calls. You are shown earlier instructions "
    "with their scores, from 0 to 100, in ascending order: a higher score is better. You are also shown some of the "
    "problems that the system is given, with what is known about the right answers. Write instructions that differ "
    "from all of the earlier ones and reach a higher score than all of them. They should be concise, effective, and "
    "apply to all problems of this sort: do not copy names, numbers or answers out of the problems."
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A text that was tried, and its mean score in [0, 1] on training examples."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A problem as the system is given it, and what is known about its right answer."""

    inputs: tuple[tuple[str, str], ...]
    answer: str


@dataclass(frozen=True, slots=True)
class AttemptView:
    """What a search call sees of one instruction.

    `places` says where it is used; `attempts` stand in ascending order of their scores, the present text among them,
    unless nothing was scored yet; `wanted` is how many new texts to ask for; `constraints` say what they must keep to;
    `exemplar_bytes` bounds all exemplars.
    """

    instruction: str
    purpose: str
    places: tuple[str, ...]
    attempts: tuple[Attempt, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    wanted: int = 1
    max_bytes: int = 8_000
    constraints: tuple[str, ...] = ()
    exemplar_bytes: int = 12_000


def ascending(attempts: Iterable[Attempt], most: int) -> tuple[Attempt, ...]:
    """The best `most` attempts, the best last; of equal scores the later one stands later."""
    return tuple(sorted(attempts, key=lambda attempt: attempt.score)[-most:])


def basic_request(view: AttemptView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for texts knowing the present one alone."""
    fence = Fence(fence_suffix([view.instruction]))
    present = "The instruction before optimization:\n" + fence.block("instruction", view.instruction)
    return _request(BASIC_SYSTEM, [*_about(view), present], view, style, sampling)


def attempts_request(view: AttemptView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for texts better than those that were tried."""
    fence = Fence(fence_suffix(attempt.text for attempt in view.attempts))
    return _request(ATTEMPTS_SYSTEM, [*_about(view), _attempts(view, fence)], view, style, sampling)


def trajectory_request(view: AttemptView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask for texts that score higher than those of the trajectory, with exemplars of the task."""
    known = [text for exemplar in view.exemplars for _, text in exemplar.inputs]
    known += [exemplar.answer for exemplar in view.exemplars]
    fence = Fence(fence_suffix([*known, *(attempt.text for attempt in view.attempts)]))
    parts = [*_about(view), _attempts(view, fence), *_problems(view, fence)]
    return _request(TRAJECTORY_SYSTEM, parts, view, style, sampling)


def points(score: float) -> str:
    """A score as it is shown: of 100, with one digit after the point where it needs one."""
    return f"{round(100 * score, 1):g}"


def _about(view: AttemptView) -> list[str]:
    parts = ["Where the instruction is used:\n" + "\n".join(f"- {place}" for place in view.places)]
    if view.purpose:
        parts.append(f"What it is for: {view.purpose}")
    return parts


def _attempts(view: AttemptView, fence: Fence) -> str:
    tried = (fence.block("instruction", each.text, score=points(each.score)) for each in view.attempts)
    return "Instructions that were tried, with their scores:\n" + "\n".join(tried)


def _problems(view: AttemptView, fence: Fence) -> list[str]:
    if not view.exemplars:
        return []
    share = view.exemplar_bytes // len(view.exemplars)
    problems = []
    for number, exemplar in enumerate(view.exemplars, 1):
        each = share // (len(exemplar.inputs) + 1)
        blocks = [fence.block("input", bounded(text, each), name=name) for name, text in exemplar.inputs]
        blocks.append(fence.block("feedback", bounded(exemplar.answer, each)))
        problems.append(fence.block("case", "\n".join(blocks), number=str(number)))
    return ["Some of the problems:\n" + "\n".join(problems)]


def _request(system: str, parts: Sequence[str], view: AttemptView, style: ReplyStyle, sampling: Sampling) -> Request:
    body = "\n\n".join([*parts, *constraints_words(view.constraints), _format(view, style)])
    schema = proposals_schema(view.wanted) if style is ReplyStyle.JSON else None
    return Request((Message.of("system", system), Message.of("user", body)), sampling, schema)


def _format(view: AttemptView, style: ReplyStyle) -> str:
    many = view.wanted > 1
    what = (
        f"Write {view.wanted} new instructions that differ in approach, each" if many else "Write one new instruction"
    )
    what = f"{what} of at most {view.max_bytes} bytes."
    if style is ReplyStyle.JSON:
        keys = ", ".join(f'"proposal_{number}"' for number in range(1, view.wanted + 1))
        return f'{what}\nReply with one JSON object with the keys "reasoning" (brief), {keys}; all values are text.'
    lines = "\n".join(f'<proposal number="{number}">…</proposal>' for number in range(1, view.wanted + 1))
    return f"{what}\nReason briefly, then end with:\n{lines}"
