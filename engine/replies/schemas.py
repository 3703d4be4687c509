"""The JSON schemas of the replies that the parsers read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semprop.providers.base import JsonSchema

_STRING = {"type": "string"}


def advice_schema(slots: Sequence[str]) -> JsonSchema:
    """The schema of a joint backward reply: reasoning first, then a verdict and advice for each slot."""
    verdict = _closed({"verdict": {"type": "string", "enum": ["keep", "change"]}, "advice": _STRING})
    reasoning = "reasoning"
    while reasoning in slots:
        reasoning = reasoning.upper() if reasoning.islower() else f"_{reasoning}"
    return JsonSchema.of("advice", _closed({reasoning: _STRING, **dict.fromkeys(slots, verdict)}))


def proposals_schema(count: int) -> JsonSchema:
    """The schema of proposals: reasoning first, then `proposal_1` to `proposal_<count>`."""
    names = ("reasoning", *(f"proposal_{number}" for number in range(1, count + 1)))
    return JsonSchema.of("proposals", _closed(dict.fromkeys(names, _STRING)))


def judgement_schema() -> JsonSchema:
    """The schema of a judge's reply: reasoning and feedback first, then a whole number from 0 to 10."""
    score = {"type": "integer", "enum": list(range(11))}
    return JsonSchema.of("judgement", _closed({"reasoning": _STRING, "feedback": _STRING, "score": score}))


def suggestions_schema(names: Sequence[str]) -> JsonSchema:
    """The schema of a reply that sets many parameters: reasoning first, then an object with a text for each name."""
    texts = _closed(dict.fromkeys(names, _STRING))
    return JsonSchema.of("suggestions", _closed({"reasoning": _STRING, "suggestion": texts}))


def _closed(properties: Mapping[str, object]) -> dict[str, object]:
    """An object schema that endpoints take in strict mode: everything required, nothing else allowed."""
    fixed: dict[str, object] = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **fixed}
