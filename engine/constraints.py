"""What a parameter's text must keep to: asked for in the update prompt, and checked before a proposal is tried.

Frozen data and pure functions. A constraint says itself what it asks, and what is wrong with a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from semprop.engine.errors import SpecificationError
from semprop.engine.json_shape import fault_in, schema_of
from semprop.engine.patterns import check

LENGTH = 8_000
"""The longest text that a pattern is made for, where a parameter does not say otherwise."""


@dataclass(frozen=True, slots=True)
class MaxWords:
    """At most so many words, as white space parts them."""

    most: int

    def __post_init__(self) -> None:
        if self.most < 1:
            raise SpecificationError(f"max_words is {self.most}: give 1 or more")

    @property
    def asked(self) -> str:
        return f"it has at most {self.most} words"

    def fault(self, text: str) -> str:
        count = len(text.split())
        return f"it has {count} words, more than the {self.most} allowed" if count > self.most else ""


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Texts that must stand in every value, each as it is: `{question}`, a tag, a name that code looks for."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.texts or not all(self.texts):
            raise SpecificationError("placeholders are one or more texts, none of them empty")

    @property
    def asked(self) -> str:
        return f"it contains, exactly as written here: {', '.join(self.texts)}"

    def fault(self, text: str) -> str:
        missing = [each for each in self.texts if each not in text]
        return f"it does not contain {missing[0]!r}" if missing else ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that the whole text matches; `words` say to the model what it means.

    Its work is bounded when it is declared (`semprop.engine.patterns`).
    """

    pattern: str
    words: str = ""

    def __post_init__(self) -> None:
        check(self.pattern, LENGTH)

    @property
    def asked(self) -> str:
        meaning = f" ({self.words})" if self.words else ""
        return f"the whole of it matches the regular expression {self.pattern}{meaning}"

    def fault(self, text: str) -> str:
        return "" if re.fullmatch(self.pattern, text) else f"it does not match the pattern {self.pattern!r}"


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """The text is a JSON document of this schema (JSON text; what it may use: `semprop.engine.json_shape`)."""

    schema: str

    def __post_init__(self) -> None:
        written = orjson.dumps(schema_of(self.schema), option=orjson.OPT_SORT_KEYS).decode()
        object.__setattr__(self, "schema", written)

    @property
    def asked(self) -> str:
        return f"it is one JSON document, and nothing else, of this schema: {self.schema}"

    def fault(self, text: str) -> str:
        return fault_in(text, schema_of(self.schema))


Constraint = MaxWords | Placeholders | Pattern | JsonDocument


def fault_of(constraints: Sequence[Constraint], text: str) -> str:
    """What is wrong with a text by the first constraint that it breaks; "" if it keeps to all."""
    return next(filter(None, (each.fault(text) for each in constraints)), "")


FIELDS = ("max_words", "placeholders", "pattern", "pattern_words", "json_schema")
"""How constraints are written in documents: each a field of its own."""


def document_of(constraints: Sequence[Constraint]) -> list[dict[str, object]]:
    """Constraints as JSON data, the inverse of `constraint_of` for each."""
    return [_document(each) for each in constraints]


def _document(constraint: Constraint) -> dict[str, object]:
    match constraint:
        case MaxWords(most):
            return {"max_words": most}
        case Placeholders(texts):
            return {"placeholders": list(texts)}
        case Pattern(pattern, words):
            return {"pattern": pattern, **({"pattern_words": words} if words else {})}
        case JsonDocument(schema):
            return {"json_schema": orjson.loads(schema)}


def constraints_of(fields: Mapping[str, object]) -> tuple[Constraint, ...]:
    """The constraints that these fields describe (`FIELDS`), in that order.

    Raises:
        SpecificationError: a field is unknown, of a wrong type, or says what cannot be checked.
    """
    found: list[Constraint] = []
    for name, value in fields.items():
        match name, value:
            case "max_words", int() if not isinstance(value, bool):
                found.append(MaxWords(value))
            case "placeholders", list() | tuple() if all(isinstance(each, str) for each in value):
                found.append(Placeholders(tuple(value)))
            case "pattern", str():
                found.append(Pattern(value, str(fields.get("pattern_words", ""))))
            case "pattern_words", str() if "pattern" in fields:
                continue
            case "json_schema", dict():
                found.append(JsonDocument(orjson.dumps(value).decode()))
            case _:
                raise SpecificationError(
                    f"the constraint {name!r} is {str(value)[:60]!r}; write max_words = 40, placeholders = ['{{x}}'], "
                    "pattern = '…' (with pattern_words = '…'), or json_schema = {…}"
                )
    return tuple(found)
