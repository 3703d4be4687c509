"""The result of a run: what changed, and whether it helped on data that neither training nor gate has seen.

The claim comes from one test on the held-out split, final against initial, opened once (statistics reference, 9–16).
`result` is a function of specification, seed and outcomes alone; `telemetry` is what was measured on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from semprop.engine.bias import Corrected
from semprop.engine.gradients import Stance
from semprop.engine.nodes import NUMBER_FIELDS
from semprop.engine.parameters import Kind, Parameters, document_of
from semprop.engine.statistics import Word
from semprop.engine.training.approximate import APPROXIMATE, NO_CLAIM, UNCHANGED, approximate_document
from semprop.engine.training.claim import HeldOutReport, held_out_document
from semprop.engine.training.documents import gate_document
from semprop.engine.training.specification import DEFAULT_ROLES, Specification, gate_uses
from semprop.engine.training.step import Step

RESULT_SCHEMA = 1


REUSED = (
    "later verdicts were given on items that earlier ones had seen, so they lean towards what was accepted on them, "
    "and a gate's level does not hold over the run; --gate-pool draws fresh ones"
)


class Status(StrEnum):
    """How a run ended. `done`: a reliable gain; `no_gain`: none; `undecided`: too few data to say."""

    DONE = "done"
    NO_GAIN = "no_gain"
    UNDECIDED = "undecided"
    INTERRUPTED = "interrupted"
    BUDGET = "budget"
    FAILED = "failed"


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
        approximate: the corrected gain of a run without a test split, if its gate measured all that this needs.
    """

    status: Status
    specification: Specification
    before: Parameters
    parameters: Parameters
    steps: tuple[Step, ...]
    held_out: HeldOutReport | None
    telemetry: Mapping[str, Any] = field(hash=False)
    run: Path | None = None
    approximate: Corrected | None = None

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
            "gate": self._gate_document(),
            "steps": [_step_document(step) for step in self.steps],
            "held_out": None if self.held_out is None else held_out_document(self.held_out),
            "approximate": None if self.approximate is None else approximate_document(self.approximate),
            "notes": [*spec.notes, *spec.method.notes, *self._warnings()],
        }

    def _warnings(self) -> list[str]:
        words = []
        if self.specification.is_simulated:
            words.append("simulated: rules answered in place of a language model; this says nothing about one")
        if not self.specification.splits.test and self.steps:
            unchanged = self.before == self.parameters
            words.append(UNCHANGED if unchanged else NO_CLAIM if self.approximate is None else APPROXIMATE)
        if self.specification.gate_on_train:
            words.append(
                "candidates were judged on the training examples themselves: the gate's verdicts are no evidence"
            )
        if self.specification.keep_rejected:
            told = f"rejected edits were shown to the update, which leaks gate data; verdicts leaked: {self._leaked}"
            words.append(told)
        if self._gate_uses > 1:
            words.append(f"gate pool used {self._gate_uses} times: {REUSED}")
        return words

    def _gate_document(self) -> dict[str, Any]:
        """How the steps were judged: on how many items, out of how many, how often each was used, and how many
        verdicts the update was told of."""
        spec = self.specification
        return {
            "name": spec.method.gate.name,
            "items": spec.gate_items or len(spec.splits.gate),
            "pool": len(spec.splits.gate),
            "uses": self._gate_uses,
            "leaked": self._leaked if spec.keep_rejected else 0,
        }

    @property
    def _gate_uses(self) -> int:
        judged = [step.index for step in self.steps if step.race is not None and step.race.board.rows]
        return gate_uses(self.specification, judged)

    @property
    def _leaked(self) -> int:
        """How many verdicts a later update was told of."""
        asked = [step.index for step in self.steps if step.selected.wrong]
        told = (step for step in self.steps if step.verdict is not None and not step.accepted)
        return sum(any(later > step.index for later in asked) for step in told)


def lost_messages(step: Step) -> int:
    """How many messages of a step's gradients were lost: replies that failed or could not be read, derivatives that
    are not known. Numbers that steer a model are probed, not told anything, and do not count."""
    gradients = (gradient for example in step.gradients for gradient in example.values())
    return sum(
        message.stance is Stance.LOST and not (gradient.kind is Kind.NUMBER and message.source.slot in NUMBER_FIELDS)
        for gradient in gradients
        for message in gradient.messages
    )


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


def status_of(before: Parameters, after: Parameters, report: HeldOutReport | None) -> Status:
    """How a finished run ended."""
    if before == after:
        return Status.NO_GAIN
    if report is None or report.unsettled or report.strict.word is Word.TOO_FEW:
        return Status.UNDECIDED
    return Status.DONE if report.strict.word is Word.RELIABLE_GAIN else Status.NO_GAIN
