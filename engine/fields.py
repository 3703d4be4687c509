"""Typed fields out of a document that somebody wrote: JSON or TOML data in, values out, complaints that name the place.

A reader knows every field that it asks for; what is left over at the end is a mistake in the document, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Literal, TypeVar

from semprop.engine.errors import UsageError

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


class Required(Enum):
    """The default of a field that has none."""

    REQUIRED = "required"


Missing = Literal[Required.REQUIRED]
REQUIRED: Missing = Required.REQUIRED


class Fields:
    """The fields of one JSON object or TOML table. Each can be taken once.

    Args:
        document: the data.
        where: what it is called in complaints; its own `name` is added, if it has one.
        error: what is raised.
    """

    def __init__(self, document: object, where: str, error: type[UsageError]) -> None:
        self._error = error
        if not isinstance(document, Mapping):
            raise error(f"{where}: expected an object with fields, found {described(document)}")
        self._left = dict(document)
        name = self._left.get("name")
        self.where = f"{where} {name!r}" if isinstance(name, str) else where

    def __contains__(self, key: object) -> bool:
        return key in self._left

    def take(self, key: str, kind: type[T], default: T | Missing = REQUIRED) -> T:
        """The value of a field, which must be of this type (a truth value is no number)."""
        value = self.data(key, default)
        if not _is(value, kind):
            raise self.wrong(key, kind.__name__, value)
        return value  # type: ignore[return-value]  # checked above

    def data(self, key: str, default: object = REQUIRED) -> object:
        """The value of a field, whatever it is."""
        if key in self._left:
            return self._left.pop(key)
        if default is REQUIRED:
            raise self._error(f"{self.where}: the field {key!r} is missing; add it")
        return default

    def optional(self, key: str, kind: type[T]) -> T | None:
        """The value of a field that may be absent or null."""
        value = self.data(key, None)
        return None if value is None else self._checked(key, kind, value)

    def number(self, key: str, default: float | Missing = REQUIRED) -> float:
        """A whole or broken number."""
        value = self.data(key, default)
        return value if _is(value, int) else self._checked(key, float, value)  # type: ignore[return-value]

    def optional_number(self, key: str) -> float | None:
        """A whole or broken number that may be absent or null; a whole one stays whole."""
        value = self.data(key, None)
        if value is None or _is(value, int):
            return value  # type: ignore[return-value]
        return self._checked(key, float, value)

    def texts(self, key: str, default: tuple[str, ...] | Missing = REQUIRED) -> tuple[str, ...]:
        """A list of texts."""
        value = self.data(key, default)
        if not isinstance(value, list | tuple):
            raise self.wrong(key, "list of texts", value)
        return tuple(self._checked(key, str, item) for item in value)

    def names(self, key: str, default: Mapping[str, str] | Missing = REQUIRED) -> dict[str, str]:
        """A table of texts."""
        return self.checked_names(key, self.data(key, default))

    def checked_names(self, key: str, value: object) -> dict[str, str]:
        """A value that was taken from this field before, as a table of texts."""
        if not isinstance(value, Mapping):
            raise self.wrong(key, "table of texts", value)
        return {name: self._checked(key, str, item) for name, item in value.items()}

    def choice(self, key: str, kind: type[Choice], default: Choice | Missing = REQUIRED) -> Choice:
        """One of the words of an enumeration."""
        value = self.data(key, default)
        if isinstance(value, str) and value in list(kind):
            return kind(value)
        raise self._error(f"{self.where}, field {key!r}: {described(value)} is none of {', '.join(kind)}")

    def tables(self, key: str) -> tuple[object, ...]:
        """A list of anything; none if the field is absent."""
        return tuple(self.take(key, list, []))

    def finish(self) -> None:
        """Complain of every field that nobody asked for."""
        if self._left:
            raise self._error(f"{self.where}: unknown fields {', '.join(map(repr, self._left))}; remove them")

    def wrong(self, key: str, wanted: str, found: object) -> UsageError:
        """The complaint that a field holds something else."""
        return self._error(f"{self.where}, field {key!r}: expected {wanted}, found {described(found)}")

    def _checked(self, key: str, kind: type[T], value: object) -> T:
        if not _is(value, kind):
            raise self.wrong(key, kind.__name__, value)
        return value  # type: ignore[return-value]  # checked above


def _is(value: object, kind: type) -> bool:
    # A bool is an int in Python, but neither in JSON nor in TOML.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def described(value: object) -> str:
    """A value's type and beginning, for complaints."""
    return f"{type(value).__name__} {str(value)[:40]!r}"
