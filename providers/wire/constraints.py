"""Constraints on a reply as JSON schemas: what wire formats send of them, and how a choice comes back.

Takes constraints and texts; gives schemas and texts. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from semprop.providers.base import Choices, Constraint, JsonSchema

STATED = "Answer with one JSON value that this JSON schema describes, and with nothing else:\n"
"""Stands before a schema that had to go into the prompt, because the endpoint takes none of its own."""


def with_own(document: dict[str, Any], body: str, inner: str) -> dict[str, Any]:
    """A request's document with the user's further fields: theirs take the place of ours, inside of `inner` field by
    field, so that one setting there leaves the others (the schema, the bound of the reply) as they are.

    Args:
        body: the text of one JSON object.
        inner: the field of the document that holds others.
    """
    own = orjson.loads(body)
    within, theirs = document.get(inner), own.get(inner)
    if isinstance(within, dict) and isinstance(theirs, dict):
        own = {**own, inner: {**within, **theirs}}
    return {**document, **own}


def name_of(constraint: Constraint) -> str:
    """A name that every service takes: letters, digits, `_` and `-`, at most 64."""
    name = constraint.name if isinstance(constraint, JsonSchema) else "choice"
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "reply"


@lru_cache(maxsize=256)
def schema_of(constraint: Constraint) -> Mapping[str, Any]:
    """The JSON schema of a constraint. Shared: not to be changed."""
    schema: Mapping[str, Any] = orjson.loads(schema_text(constraint))
    return schema


def schema_text(constraint: Constraint) -> str:
    """The schema as JSON text: the user's own, or an object whose one field is one of the choices."""
    if isinstance(constraint, JsonSchema):
        return constraint.document
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": constraint.options}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return orjson.dumps(schema).decode()


def is_strict(schema: object) -> bool:
    """Whether strict mode would take the schema: every object closed and all of its properties required."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            properties = part.get("properties")
            if part.get("type") == "object" or properties is not None:
                named = list(properties) if isinstance(properties, dict) else []
                if part.get("additionalProperties") is not False or sorted(part.get("required", [])) != sorted(named):
                    return False
            waiting += [value for value in part.values() if isinstance(value, dict | list)]
    return True


def unwrapped(text: str, constraint: Constraint | None) -> str:
    """The chosen text out of `{"answer": …}`; any other text stays as it is, for the reader to judge."""
    if not isinstance(constraint, Choices) or not text.lstrip().startswith("{"):
        return text
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    answer = document.get("answer") if isinstance(document, dict) else None
    return answer if isinstance(answer, str) and answer in constraint.options else text
