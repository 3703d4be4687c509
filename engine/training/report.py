"""The result of a run: what changed, and whether it helped on data that neither training nor gate has seen.

The claim comes from one test on the held-out split, final against initial, opened once (statistics reference, 9–12).
`result` is a function of specification, seed and outcomes alone; `telemetry` is what was measured on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from semprop.engine.gradients import Stance
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Kind, Parameters, document_of
from semprop.engine.statistics import Comparison, Word, compare, fall_unequally
from semprop.engine.training.documents import gate_document
from semprop.engine.training.specification import DEFAULT_ROLES, Specification
from semprop.engine.training.step import Step

RESULT_SCHEMA = 1


class Status(StrEnum):
    """How a run ended. `done`: a reliable gain; `no_gain`: none; `undecided`: too few data to say."""

    DONE = "done"
    NO_GAIN = "no_gain"
    UNDECIDED = "undecided"
    INTERRUPTED = "interrupted"
    BUDGET = "budget"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HeldOutReport:
    """Before and after on the test split.

    `strict` judges the answers as extracted, `lenient` the best reading of the whole replies, `constrained` the
    answers when decoding is held to the labels; the last two are None where there is no such reading. `missing`
    items were excluded from both sides because a provider failed; `unsettled` says why they forbid a word, or "".
    """

    strict: Comparison
    lenient: tuple[float, float] | None
    constrained: tuple[float, float] | None
    missing: int
    unsettled: str = ""

    @property
    def word(self) -> str:
        """What may be said: the comparison's own word, unless failures could turn it."""
        return f"undecided: {self.unsettled}" if self.unsettled else self.strict.phrase


@dataclass(frozen=True, slots=True)
class Result:
    """What `optimize` returns.

    Attributes:
        status: how it ended.
        before, parameters: the parameter values at the start and at the end.
        steps: every step, in order.
        held_out: the claim; None without a test split or if the run did not get there.
        telemetry: what it cost.
        run: the run's directory; None if it was kept in memory only.
    """

    status: Status
    specification: Specification
    before: Parameters
    parameters: Parameters
    steps: tuple[Step, ...]
    held_out: HeldOutReport | None
    telemetry: Mapping[str, Any] = field(hash=False)
    run: Path | None = None

    def document(self) -> dict[str, Any]:
        """The result as the one JSON document that `--json` prints."""
        return {
            "schema": RESULT_SCHEMA,
            "status": str(self.status),
            "error": None,
            "run": None if self.run is None else str(self.run),
            "simulated": self.specification.is_simulated,
            "result": self.result_document(),
            "telemetry": dict(self.telemetry),
        }

    def result_document(self) -> dict[str, Any]:
        """The part that a replay reproduces byte for byte."""
        spec = self.specification
        return {
            "task": spec.task,
            "method": spec.method.name,
            "seed": spec.seed,
            "models": {role: spec.provider(role).identity for role in DEFAULT_ROLES},
            "parameters": {
                name: {"before": document_of(self.before[name]), "after": document_of(self.parameters[name])}
                for name in self.before
            },
            "steps": [_step_document(step) for step in self.steps],
            "held_out": None if self.held_out is None else held_out_document(self.held_out),
            "notes": [*spec.notes, *spec.method.notes, *self._warnings()],
        }

    def _warnings(self) -> list[str]:
        words = []
        if self.specification.is_simulated:
            words.append("simulated: rules answered in place of a language model; this says nothing about one")
        if self.specification.keep_rejected:
            words.append("rejected edits were shown to the update, which leaks gate data")
        return words


def lost_messages(step: Step) -> int:
    """How many messages of a step's gradients were lost: replies that failed or could not be read. Numbers that steer
    a model are probed, not told anything, and do not count."""
    gradients = (gradient for example in step.gradients for gradient in example.values())
    told = (gradient for gradient in gradients if gradient.kind is not Kind.NUMBER)
    return sum(message.stance is Stance.LOST for gradient in told for message in gradient.messages)


def _step_document(step: Step) -> dict[str, Any]:
    verdict = step.verdict
    return {
        "index": step.index,
        "verdict": "no proposal" if verdict is None else str(verdict.decision),
        "reason": step.reason,
        "gate": None if verdict is None else gate_document(verdict),
        "wrong": len(step.selected.wrong),
        "seen": len(step.selected.scored),
        "candidates": len(step.proposals.candidates),
        "dropped": len(step.proposals.dropped),
        "lost": lost_messages(step),
    }


def held_out_document(report: HeldOutReport) -> dict[str, Any]:
    """The held-out part of a result."""
    strict = report.strict
    return {
        "before": strict.before,
        "after": strict.after,
        "n": strict.n,
        "difference": strict.difference,
        "interval": list(strict.interval),
        "p": strict.p,
        "test": strict.test,
        "word": report.word,
        "missing": report.missing,
        "lenient": _pair(report.lenient),
        "constrained": _pair(report.constrained),
    }


def _pair(pair: tuple[float, float] | None) -> dict[str, float] | None:
    return None if pair is None else {"before": pair[0], "after": pair[1]}


Row = tuple[Scored | Failure, Scored | Failure]
"""One test item: scored under the initial and under the final parameters."""


def held_out(rows: Sequence[Row], constrained: Sequence[Row], seed: int) -> HeldOutReport | None:
    """The report on the test split, over the items that both sides have; None if there are none."""
    pairs = _complete(rows)
    if not pairs:
        return None
    before = [entry.score.value for entry, _ in pairs]
    after = [entry.score.value for _, entry in pairs]
    lenient: tuple[float, float] | None = None
    readings = [(one.score.lenient, other.score.lenient) for one, other in pairs]
    if all(one is not None and other is not None for one, other in readings):
        lenient = (_mean([one or 0.0 for one, _ in readings]), _mean([other or 0.0 for _, other in readings]))
    held = _complete(constrained)
    limited = (
        (_mean([one.score.value for one, _ in held]), _mean([other.score.value for _, other in held])) if held else None
    )
    strict = compare(before, after, seed)
    return HeldOutReport(strict, lenient, limited, len(rows) - len(pairs), _unsettled(rows, strict, seed))


def _unsettled(rows: Sequence[Row], strict: Comparison, seed: int) -> str:
    """Why the missing items forbid a verdict (law L3), or "": they fall on one side, or could turn the word."""
    only_before = sum(isinstance(one, Failure) and isinstance(other, Scored) for one, other in rows)
    only_after = sum(isinstance(one, Scored) and isinstance(other, Failure) for one, other in rows)
    if fall_unequally(only_before, only_after):
        return f"failures fall unequally, {only_before} before and {only_after} after"
    missing = len(rows) - strict.n
    for worst_before, worst_after in ((1.0, 0.0), (0.0, 1.0)) if missing else ():
        before = [one.score.value if isinstance(one, Scored) else worst_before for one, _ in rows]
        after = [other.score.value if isinstance(other, Scored) else worst_after for _, other in rows]
        if compare(before, after, seed).word is not strict.word:
            return f"the {missing} missing items could turn the word"
    return ""


def _complete(rows: Sequence[Row]) -> list[tuple[Scored, Scored]]:
    return [(one, other) for one, other in rows if isinstance(one, Scored) and isinstance(other, Scored)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def status_of(before: Parameters, after: Parameters, report: HeldOutReport | None) -> Status:
    """How a finished run ended."""
    if before == after:
        return Status.NO_GAIN
    if report is None or report.unsettled or report.strict.word is Word.TOO_FEW:
        return Status.UNDECIDED
    return Status.DONE if report.strict.word is Word.RELIABLE_GAIN else Status.NO_GAIN
