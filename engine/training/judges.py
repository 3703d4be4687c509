"""Who judged, and whether the user agrees with it: a digest of everything that makes the judge, and its grades beside
the user's own. Asks the judge about the user's labels; decides nothing.
"""

from __future__ import annotations

import hashlib

import orjson

from semprop.engine.example import JudgeLabel
from semprop.engine.losses import Judge, Score
from semprop.engine.outcomes import Failure, Position
from semprop.engine.passes.loss import graded
from semprop.engine.prompts.judge import JUDGE_SYSTEM, JUDGED_BYTES
from semprop.engine.prompts.protocol import PROTOCOL
from semprop.engine.scheduler import Start, in_order
from semprop.engine.training.claim import JudgeReport
from semprop.engine.training.driver import Stage
from semprop.engine.training.specification import Specification


def digest_of(judge: Judge, identity: str) -> str:
    """A judge's digest: criteria, prompt, sampling and model. It is frozen for a run, since these values are."""
    parts = (JUDGE_SYSTEM, JUDGED_BYTES, PROTOCOL, judge.criteria, judge.reference, repr(judge.sampling), identity)
    return hashlib.blake2b(orjson.dumps([str(part) for part in parts]), digest_size=8).hexdigest()


async def judge_report(spec: Specification, stage: Stage, step: int) -> JudgeReport | None:
    """The judge of a run, checked against the user's labels; None if no model judges."""
    loss = spec.loss
    if not isinstance(loss, Judge):
        return None
    identity = spec.provider(loss.role).identity
    pairs: list[tuple[float, float]] = []

    async def one(entry: tuple[int, JudgeLabel], start: Start) -> Score | Failure:
        place, label = entry
        at = Position(step, "agreement", label.example.id, node=loss.name, slot=f"loss:{place}")
        return await graded(loss, label.example, label.answer, at, stage.seam)

    def consume(entry: tuple[int, JudgeLabel], given: Score | Failure) -> bool:
        if isinstance(given, Score):
            pairs.append((given.value, entry[1].score))
        return False

    await in_order([*enumerate(spec.judge_labels)], one, consume, stage.window)
    agreed = sum((grade >= 0.5) == (label >= 0.5) for grade, label in pairs)
    return JudgeReport(digest_of(loss, identity), identity, len(pairs), agreed)
