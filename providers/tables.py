"""A table of a file that a user wrote, read with faults that name the place, the key, and what would be right. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from semprop.providers.base import Sampling
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.hedging import Hedge
from semprop.providers.limits.accounts import PERIODS, RESOURCES, Dimension


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `place` names it in faults, which are `StopError`s (CONFIGURATION)."""

    place: str
    table: Mapping[str, Any]

    def only(self, names: tuple[str, ...]) -> None:
        """Raise for a key that is none of the names."""
        for name in self.table:
            if name not in names:
                raise fault(f"{self.place}: {name!r} is unknown: it takes {', '.join(names)}")

    def inner(self, name: str) -> Self:
        """The table inside this one; empty if there is none."""
        value = self.table.get(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, "a table")
        return type(self)(f"{self.place}, {name}", value)

    def switch(self, name: str) -> bool:
        """True or false; false if there is nothing."""
        value = self.table.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str) -> str | None:
        """A text, or None if there is none."""
        value = self.table.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def texts(self, name: str) -> tuple[tuple[str, str], ...]:
        """A table of texts."""
        inner = self.inner(name)
        return tuple((key, inner.text(key) or "") for key in inner.table)

    def number(self, name: str) -> float | None:
        """A finite number that is not negative, or None if there is none."""
        value = self.table.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self.wrong(name, "a number of 0 or more")
        return float(value)

    def count(self, name: str) -> int | None:
        """A whole number that is not negative, or None if there is none."""
        value = self.table.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise self.wrong(name, "a whole number of 0 or more")
        return value

    def wrong(self, name: str, wanted: str) -> StopError:
        """The fault of a value of the wrong type."""
        return fault(f"{self.place}: {name!r} must be {wanted}")

    def word(self, name: str, words: Sequence[str]) -> str | None:
        """One of some words, or None if there is none."""
        value = self.text(name)
        if value is not None and value not in words:
            raise self.wrong(name, f"one of {', '.join(words)}")
        return value

    def limits(self, name: str) -> tuple[tuple[str, float], ...]:
        """A table of limits, `"requests/minute" = 500`, in the order of the file."""
        inner = self.inner(name)
        read = []
        for dimension in inner.table:
            if Dimension.parse(dimension) is None:
                raise fault(
                    f"{inner.place}: there is no limit {dimension!r}: write {', '.join(RESOURCES)}, then a slash and "
                    f'{", ".join(PERIODS)}, as in "requests/minute" = 500'
                )
            amount = inner.number(dimension)
            if not amount:
                raise inner.wrong(dimension, "a number above 0")
            read.append((dimension, amount))
        return tuple(read)

    def hedge(self) -> Hedge | None:
        """`{after = "p95" or seconds, extra = share}`; both may be left out."""
        if "hedge" not in self.table:
            return None
        inner = self.inner("hedge")
        inner.only(tuple(item.name for item in fields(Hedge)))
        after, extra = inner.table.get("after", "p95"), inner.number("extra")
        if after != "p95" and not inner.number("after"):
            raise inner.wrong("after", 'seconds above 0, or "p95"')
        if extra is not None and not 0 < extra <= 1:
            raise inner.wrong("extra", "a share above 0 and at most 1")
        return Hedge("p95" if after == "p95" else float(after), Hedge().extra if extra is None else extra)

    def sampling(self) -> Sampling | None:
        """The defaults of sampling; fields that are not named stay open."""
        inner = self.inner("sampling")
        inner.only(("temperature", "top_p", "max_tokens", "seed", "stop", "top_logprobs"))
        stop = inner.table.get("stop", [])
        if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop):
            raise inner.wrong("stop", "a list of texts")
        if not inner.table:
            return None
        return Sampling(
            temperature=inner.number("temperature"),
            top_p=inner.number("top_p"),
            max_tokens=inner.count("max_tokens"),
            seed=inner.count("seed"),
            stop=tuple(stop),
            top_logprobs=inner.count("top_logprobs"),
        )


def written_out(text: str, begins: Callable[[str], bool]) -> dict[str, Any]:
    """The table that stands in one line: `MEMBER,MEMBER,…[;SETTING=VALUE…]`. Values that read as numbers, `true` or
    `false` are that.

    Args:
        begins: whether a piece between commas begins a member; one that does not goes on with the one before it.
    """
    listed, *settings = text.split(";")
    members: list[str] = []
    for piece in listed.split(","):
        if members and not begins(piece.strip()):
            members[-1] += f",{piece}"
        else:
            members.append(piece)
    table: dict[str, Any] = {"members": members}
    for setting in settings:
        name, _, value = setting.partition("=")
        table[name.strip()] = value.strip() if name.strip() in ("name", "model") else _value(value.strip())
    return table


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def fault(message: str) -> StopError:
    """The error of something that somebody wrote."""
    return StopError(message, ErrorClass.CONFIGURATION, attempts=0)
