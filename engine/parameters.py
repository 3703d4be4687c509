"""Parameters: what an optimization changes. Immutable values with a content hash, replaced whole or not at all.

Takes and gives frozen data; never edits in place (law L4).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

import orjson
from numpy.typing import ArrayLike

from semprop.engine.arrays import Array, array_words
from semprop.engine.constraints import Constraint, MaxWords, Pattern, fault_of
from semprop.engine.errors import SpecificationError
from semprop.engine.patterns import check


class Kind(StrEnum):
    """What a variable holds, and so what a gradient of it says."""

    TEXT = "text"
    NUMBER = "number"
    ARRAY = "array"
    DEMONSTRATIONS = "demonstrations"
    OPAQUE = "opaque"

    @property
    def is_numeric(self) -> bool:
        """Whether a gradient of it is a derivative."""
        return self in (Kind.NUMBER, Kind.ARRAY)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One solved example as a pair of chat turns. `origin` is the id of the example it was made from: it is
    never shown to that example (law L7)."""

    inputs: tuple[tuple[str, str], ...]
    output: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Solved examples, in the order in which the model sees them."""

    turns: tuple[Demonstration, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A number inside closed bounds; as a sampling field (temperature, …) or as an ordinary input."""

    value: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        # Equal numbers have equal hashes, and 1 and 1.0 are written differently.
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not math.isfinite(self.value):
            raise SpecificationError(f"a number parameter is {self.value}: give it a finite value")
        if not self.low <= self.value <= self.high:
            raise SpecificationError(f"{self.value} is outside [{self.low}, {self.high}]: move the bounds or the value")


ParameterValue = str | Demonstrations | Number | Array


def kind_of(value: ParameterValue) -> Kind:
    """The kind of a parameter's value; an instruction is plain text."""
    match value:
        case str():
            return Kind.TEXT
        case Demonstrations():
            return Kind.DEMONSTRATIONS
        case Number():
            return Kind.NUMBER
        case Array():
            return Kind.ARRAY


def argument_of(value: Any) -> Any:
    """A variable's value as a function takes it: numbers and arrays without their bounds."""
    match value:
        case Number():
            return value.value
        case Array():
            return value.values
        case _:
            return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named value that steers nodes. `purpose` says in words what it is for, to the model that edits it;
    `max_bytes` bounds its UTF-8 length, and `constraints` say what else its text keeps to: they are asked for, and
    proposals that break one are refused.

    Raises:
        SpecificationError: constraints on what is no text, on a text that breaks them already (too many words apart:
            those may be there to be made fewer), or a pattern that could take too long on `max_bytes`.
    """

    name: str
    value: ParameterValue
    trainable: bool = True
    purpose: str = ""
    max_bytes: int = 8_000
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if not self.constraints:
            return
        if not isinstance(self.value, str):
            raise SpecificationError(f"parameter {self.name!r} is {self.kind}: only texts have constraints")
        for each in self.constraints:
            if isinstance(each, Pattern):
                check(each.pattern, self.max_bytes)
        fault = fault_of([each for each in self.constraints if not isinstance(each, MaxWords)], self.value)
        if fault:
            raise SpecificationError(f"parameter {self.name!r} breaks its own constraint from the start: {fault}")

    @property
    def asked(self) -> tuple[str, ...]:
        """What its text keeps to, in words for the model that edits it."""
        return tuple(each.asked for each in self.constraints)

    @property
    def kind(self) -> Kind:
        return kind_of(self.value)


class Parameters(Mapping[str, ParameterValue]):
    """All parameter values of a graph, ordered as the graph declares them. Immutable, with a content hash."""

    __slots__ = ("_values", "hash")

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        self._values = dict(values)
        document = [(name, document_of(value)) for name, value in self._values.items()]
        self.hash = hashlib.blake2b(orjson.dumps(document), digest_size=8).hexdigest()

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """A new dictionary of these values and others."""
        return {**self._values, **other}

    def __getitem__(self, name: str) -> ParameterValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Parameters({', '.join(self._values)}; {self.hash})"

    def replaced(self, changes: Mapping[str, ParameterValue]) -> Parameters:
        """New parameters with some values replaced.

        Raises:
            SpecificationError: a name is unknown, or a value is of another kind.
        """
        for name, value in changes.items():
            if name not in self._values:
                raise SpecificationError(f"there is no parameter {name!r}; there are: {', '.join(self._values)}")
            if kind_of(value) is not kind_of(self._values[name]):
                raise SpecificationError(
                    f"parameter {name!r} is {kind_of(self._values[name])}, the new value is {kind_of(value)}"
                )
        return Parameters({**self._values, **changes})


def document_of(value: ParameterValue) -> object:
    """A value as JSON data, the inverse of `value_of`."""
    match value:
        case str():
            return value
        case Demonstrations(turns):
            return {
                "turns": [
                    {"inputs": list(map(list, turn.inputs)), "output": turn.output, "origin": turn.origin}
                    for turn in turns
                ]
            }
        case Number(number, low, high):
            return {"value": number, **_bounds(low, high)}
        case Array():
            return {"array": value.values.tolist(), **_bounds(value.low, value.high)}


def _bounds(low: float, high: float) -> dict[str, float]:
    return {name: bound for name, bound in (("low", low), ("high", high)) if math.isfinite(bound)}


def value_of(document: object) -> ParameterValue:
    """A value from JSON data.

    Raises:
        SpecificationError: the data are none of text, `{"turns": […]}`, `{"value": number}` and `{"array": […]}`.
    """
    match document:
        case str():
            return document
        case {"turns": list(turns)}:
            return Demonstrations(tuple(_turn(turn) for turn in turns))
        case {"value": number, **rest}:
            low, high = rest.get("low", -math.inf), rest.get("high", math.inf)
            if _is_number(number) and _is_number(low) and _is_number(high):
                return Number(number, low, high)
        case {"array": values, **rest}:
            low, high = rest.get("low", -math.inf), rest.get("high", math.inf)
            if _is_number(low) and _is_number(high) and _holds_numbers(values):
                return Array(values, low, high)
    raise SpecificationError(
        f'not a parameter value: {str(document)[:80]!r}; expected text, {{"turns": […]}}, {{"value": 0.5}} or '
        '{"array": [0.5, 1]}'
    )


def _is_number(part: object) -> TypeGuard[float]:
    return isinstance(part, int | float) and not isinstance(part, bool)


def _holds_numbers(values: object) -> TypeGuard[ArrayLike]:
    """Whether data are numbers, or lists of them at any depth; in a loop, since data may be as deep as they like."""
    left = [values]
    while left:
        entry = left.pop()
        if isinstance(entry, list):
            left += entry
        elif not _is_number(entry):
            return False
    return True


def _turn(document: object) -> Demonstration:
    match document:
        case {"inputs": list(pairs), "output": str(output), **rest}:
            if all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in pairs):
                return Demonstration(tuple((name, text) for name, text in pairs), output, str(rest.get("origin", "")))
    raise SpecificationError('a demonstration is {"inputs": [[name, text], …], "output": text}')


def rendered(value: ParameterValue) -> str:
    """A value as text for people and prompts."""
    match value:
        case str():
            return value
        case Number(number):
            return f"{number:g}"
        case Array(values=values):
            return array_words(values)
        case Demonstrations(turns):
            blocks = (
                "\n".join([*(f"{name}: {text}" for name, text in turn.inputs), f"→ {turn.output}"]) for turn in turns
            )
            return "\n\n".join(blocks)
