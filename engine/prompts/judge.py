"""The prompt of a judge: a named constant and the pure function that renders it. Asks nothing."""

from __future__ import annotations

from collections.abc import Mapping

from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.replies.schemas import judgement_schema
from semprop.providers.base import Message, Request, Sampling

JUDGE_SYSTEM = (
    "You grade an answer. Judge only by the criteria. Say briefly what is wrong or missing, if anything, then give a "
    "whole number from 0 (worthless) to 10 (fully meets the criteria)."
)


JUDGED_BYTES = 16_000
"""What a judge is shown of each text."""


def judge_request(
    criteria: str, inputs: Mapping[str, str], expected: str | None, answer: str, style: ReplyStyle, sampling: Sampling
) -> Request:
    """Ask a model to grade an answer by criteria, with the reference answer if there is one."""
    fence = Fence(fence_suffix([criteria, *inputs.values(), expected or "", answer]))
    parts = [fence.block("criteria", criteria)]
    parts += [fence.block("input", bounded(text, JUDGED_BYTES), name=name) for name, text in inputs.items()]
    if expected is not None:
        parts.append(fence.block("expected", bounded(expected, JUDGED_BYTES)))
    parts.append(fence.block("output", bounded(answer, JUDGED_BYTES)))
    if style is ReplyStyle.JSON:
        parts.append('Reply with one JSON object: {"feedback": "what is wrong or missing", "score": 0 to 10}.')
    else:
        parts.append("Reply with <feedback>what is wrong or missing</feedback><score>0 to 10</score>.")
    schema = judgement_schema() if style is ReplyStyle.JSON else None
    return Request((Message.of("system", JUDGE_SYSTEM), Message.of("user", "\n\n".join(parts))), sampling, schema)
