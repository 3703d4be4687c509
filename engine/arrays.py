"""Arrays as parameter values: immutable, compared and hashed by content, written as JSON data without loss."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import ArrayLike, NDArray

from semprop.engine.answers import whole_number
from semprop.engine.errors import SpecificationError

Floats = NDArray[np.float64]

SHOWN = 32
"""An array of more numbers than this is shown by its shape and the first of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Finite numbers of any shape with at least one element, each inside closed bounds.

    `values` is copied into 64-bit floats that cannot be written to, so no node can change a parameter in place.

    Raises:
        SpecificationError: no numbers, a number that is not finite, or one outside of the bounds.
    """

    values: Floats
    low: float
    high: float

    def __init__(self, values: ArrayLike, low: float = -math.inf, high: float = math.inf) -> None:
        try:
            held = np.array(values, dtype=np.float64, order="C")
        except (TypeError, ValueError) as error:
            raise SpecificationError(f"an array parameter takes numbers in equal rows: {error}") from error
        held.setflags(write=False)
        put = object.__setattr__
        put(self, "values", held)
        put(self, "low", float(low))
        put(self, "high", float(high))
        if not held.size:
            raise SpecificationError(f"an array parameter of shape {held.shape} holds no numbers: give it one or more")
        if not np.all(np.isfinite(held)):
            raise SpecificationError("an array parameter holds a number that is not finite: give it finite values")
        least, most = float(held.min()), float(held.max())
        if not (self.low <= least and most <= self.high):
            raise SpecificationError(
                f"an array parameter has values from {least:g} to {most:g}, outside [{self.low}, {self.high}]: move "
                "the bounds or the values"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return f"Array({array_words(self.values)}; {self.digest})"

    @property
    def _content(self) -> tuple[tuple[int, ...], bytes, float, float]:
        return self.shape, self.values.tobytes(), self.low, self.high

    @property
    def digest(self) -> str:
        """A hash of shape and numbers."""
        return digest_of(self.values)


def digest_of(values: Any) -> str:
    """A hash of an array's shape and numbers."""
    held = np.ascontiguousarray(values, dtype=np.float64)
    return hashlib.blake2b(repr(held.shape).encode() + held.tobytes(), digest_size=8).hexdigest()


def array_words(values: Any) -> str:
    """An array as text for people and prompts: whole if it is small, else its shape and how it begins."""
    held = np.asarray(values)
    if held.size <= SHOWN:
        return _nested(held)
    first = ", ".join(f"{number:.6g}" for number in held.ravel()[:SHOWN].tolist())
    return f"{' × '.join(map(str, held.shape))} numbers, beginning {first}, …"


def _nested(held: NDArray[Any]) -> str:
    if held.ndim == 0:
        return f"{held.item():.6g}"
    return f"[{', '.join(_nested(row) for row in held)}]"


def numbers_from(text: str) -> float | Floats | None:
    """The number, or the array of numbers in JSON, that a whole text is; None if it is neither."""
    number = whole_number(text)
    if number is not None:
        return float(number)
    try:
        held = np.array(orjson.loads(text), dtype=np.float64)
    except (ValueError, TypeError):
        return None
    return held if held.ndim and held.size and bool(np.all(np.isfinite(held))) else None
