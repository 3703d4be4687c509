"""What a run decided, as JSON data for the journal and for people (law L8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semprop.engine.example import words_of
from semprop.engine.gates import Verdict
from semprop.engine.gradients import Evidence, Gradient, Message
from semprop.engine.method import Proposals, Scored
from semprop.engine.parameters import document_of
from semprop.engine.tape import Tape, shown
from semprop.engine.training.step import Selected, Step


def tape_document(tape: Tape) -> dict[str, Any]:
    """Everything that one example did on its way."""
    return {
        "example": tape.example.id,
        "inputs": {name: words_of(given) for name, given in tape.example.inputs.items()},
        "expected": tape.example.expected,
        "parameters": tape.parameters,
        "records": [
            {
                "node": record.name,
                "slots": [[slot.name, slot.source, str(slot.purpose), shown(slot.value)] for slot in record.slots],
                "value": shown(record.value),
                "reply": record.reply,
            }
            for record in tape.records
        ],
    }


def message_document(message: Message) -> dict[str, Any]:
    """A message with its provenance; evidence in full."""
    source = message.source
    return {
        "stance": str(message.stance),
        "from": [source.successor, source.slot],
        "content": _content_document(message.content),
    }


def _content_document(content: Any) -> Any:
    match content:
        case None | str() | int() | float():
            return content
        case np.ndarray():
            return content.tolist()
        case Evidence(node, inputs, output, gradient):
            words = [] if gradient is None else [message_document(message) for message in gradient.messages]
            return {"node": node, "inputs": [list(pair) for pair in inputs], "output": output, "gradient": words}
        case _:
            return str(content)


def gradients_document(gradients: Mapping[str, Gradient]) -> dict[str, Any]:
    """Every gradient of one example, by variable."""
    return {
        name: {
            "kind": str(gradient.kind),
            "stance": str(gradient.stance),
            "messages": [message_document(message) for message in gradient.messages],
        }
        for name, gradient in gradients.items()
    }


def selection_document(selected: Selected) -> dict[str, Any]:
    """Which examples were looked at, how they scored, and which were worth a gradient."""
    return {
        "scored": [_scored_document(entry) for entry in selected.scored],
        "wrong": [entry.tape.example.id for entry in selected.wrong],
        "solved": [entry.tape.example.id for entry in selected.solved],
        "missing": selected.missing,
    }


def _scored_document(entry: Scored) -> dict[str, Any]:
    score = entry.score
    return {
        "example": entry.tape.example.id,
        "answer": shown(entry.tape.answer) if entry.tape.answer is not None else None,
        "score": score.value,
        "lenient": score.lenient,
        "feedback": score.feedback,
    }


def proposals_document(proposals: Proposals) -> dict[str, Any]:
    """The candidates of a step with their edits, and what was dropped, with the reasons."""
    return {
        "candidates": [
            {
                "id": entry.id,
                "edits": [
                    {
                        "parameter": edit.parameter,
                        "before": document_of(edit.before),
                        "after": document_of(edit.after),
                        "reason": edit.reason,
                    }
                    for edit in entry.edits
                ],
            }
            for entry in proposals.candidates
        ],
        "dropped": [
            {"parameter": entry.parameter, "reason": entry.reason, "text": entry.text} for entry in proposals.dropped
        ],
    }


def verdict_document(step: Step) -> dict[str, Any]:
    """What became of a step's candidates."""
    verdict = step.verdict
    document: dict[str, Any] = {
        "decision": "no proposal" if verdict is None else str(verdict.decision),
        "reason": step.reason,
        "gate": None if verdict is None else gate_document(verdict),
        "accepted": None,
        "parameters": step.after.hash,
    }
    if step.accepted and verdict is not None:
        document["accepted"] = step.proposals.candidates[verdict.winner - 1].id
    return document


def gate_document(verdict: Verdict) -> dict[str, Any]:
    """What a verdict rests on. Scores are those of the deciding prefix, whose `n` items have both sides: figures of the
    search, never a claim. `alpha` is the level of the step, `p` or `wealth` what was held against its share."""
    return {
        "before": verdict.before,
        "after": verdict.after,
        "n": verdict.n,
        "missing": verdict.missing,
        "alpha": verdict.level,
        "p": verdict.p,
        "wealth": verdict.wealth,
        "figures": "search",
    }
