"""A JSON document against a schema, in the part of JSON Schema that endpoints hold replies to. Pure.

Not the whole of JSON Schema on purpose. A library for all of it would bring four packages, one of them compiled,
references that are fetched, and patterns without a bound on their work; what a prompt is checked for is what structured
outputs can promise. A keyword that is not of that part is refused when the schema is declared, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from semprop.engine.errors import SpecificationError

MOST_DEEP = 32
"""How deep schemas may be nested; a document is walked no deeper than its schema."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = ("title", "description", "default", "examples")
_KNOWN = (
    *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"),
    *("minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum"),
)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_FORMS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "type": (lambda value: isinstance(value, str) or (_is_texts(value) and bool(value)), "a text, or a list of texts"),
    "properties": (lambda value: isinstance(value, dict), "an object"),
    "required": (_is_texts, "a list of texts"),
    **dict.fromkeys(
        ("enum", "anyOf"), (lambda value: isinstance(value, list) and bool(value), "a list of one or more")
    ),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), (_is_count, "a whole number from 0")),
    **dict.fromkeys(
        ("minimum", "maximum"),
        (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    ),
}
"""What a keyword's value must be, and how it is written."""


def schema_of(text: str) -> dict[str, Any]:
    """A schema from its JSON text.

    Raises:
        SpecificationError: not JSON, not an object, nested too deeply, or with a keyword or type that is not known.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SpecificationError(f"the JSON schema is no JSON: {error}") from error
    _check_schema(document, "$", 0)
    assert isinstance(document, dict)
    return document


def _check_schema(schema: object, where: str, depth: int) -> None:
    if not isinstance(schema, dict):
        raise SpecificationError(f"the JSON schema at {where} is {type(schema).__name__}: write an object")
    if depth > MOST_DEEP:
        raise SpecificationError(f"the JSON schema at {where} is nested deeper than {MOST_DEEP}: make it flatter")
    unknown = [key for key in schema if key not in (*_KNOWN, *_WORDS)]
    if unknown:
        raise SpecificationError(
            f"the JSON schema at {where} uses {unknown[0]!r}, which is not checked; known are: {', '.join(_KNOWN)}"
        )
    for key, (is_fit, form) in _FORMS.items():
        if key in schema and not is_fit(schema[key]):
            raise SpecificationError(f"the JSON schema at {where}: {key} is {schema[key]!r}; write {form}")
    kinds = _types(schema)
    if any(kind not in TYPES for kind in kinds):
        raise SpecificationError(f"the JSON schema at {where} has the type {kinds}; types are: {', '.join(TYPES)}")
    if not isinstance(schema.get("additionalProperties", False), bool):
        raise SpecificationError(f"the JSON schema at {where}: additionalProperties is true or false")
    for name, part in schema.get("properties", {}).items():
        _check_schema(part, f"{where}.{name}", depth + 1)
    if "items" in schema:
        _check_schema(schema["items"], f"{where}[]", depth + 1)
    for number, part in enumerate(schema.get("anyOf", ())):
        _check_schema(part, f"{where}|{number}", depth + 1)


def _types(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def fault_in(text: str, schema: Mapping[str, Any]) -> str:
    """What is wrong with a text as a document of this schema, and where; "" if nothing is."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"it is no JSON document ({error})"
    return _fault(document, schema, "$")


def _fault(value: Any, schema: Mapping[str, Any], where: str) -> str:
    kinds = _types(schema)
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{where} is {type(value).__name__}, expected {' or '.join(kinds)}"
    if "enum" in schema and not any(_same(value, option) for option in schema["enum"]):
        return f"{where} is none of the values that are allowed"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{where} is not {schema['const']!r}"
    if "anyOf" in schema and all(_fault(value, part, where) for part in schema["anyOf"]):
        return f"{where} fits none of the forms that are allowed"
    if fault := _size_fault(value, schema, where):
        return fault
    match value:
        case dict():
            return _object_fault(value, schema, where)
        case list() if "items" in schema:
            faults = (_fault(item, schema["items"], f"{where}[{number}]") for number, item in enumerate(value))
            return next(filter(None, faults), "")
    return ""


def _object_fault(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> str:
    parts = schema.get("properties", {})
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where} lacks {missing[0]!r}"
    extra = [name for name in value if name not in parts]
    if extra and not schema.get("additionalProperties", True):
        return f"{where} has {extra[0]!r}, which is not allowed"
    faults = (_fault(value[name], part, f"{where}.{name}") for name, part in parts.items() if name in value)
    return next(filter(None, faults), "")


def _size_fault(value: Any, schema: Mapping[str, Any], where: str) -> str:
    match value:
        case str():
            least, most, size, what = "minLength", "maxLength", float(len(value)), "characters"
        case list():
            least, most, size, what = "minItems", "maxItems", float(len(value)), "items"
        case int() | float() if not isinstance(value, bool):
            least, most, size, what = "minimum", "maximum", float(value), "as its value"
        case _:
            return ""
    if not schema.get(least, size) <= size <= schema.get(most, size):
        return f"{where} has {size:g} {what}, outside of what is allowed"
    return ""


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and kind == "integer":
        return value.is_integer()
    return isinstance(value, TYPES[kind])


def _same(value: Any, other: Any) -> bool:
    """Equality of JSON values, at any depth: true is not 1."""
    match value, other:
        case list(), list():
            return len(value) == len(other) and all(map(_same, value, other))
        case dict(), dict():
            return value.keys() == other.keys() and all(_same(value[name], other[name]) for name in value)
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)
