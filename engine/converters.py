"""Nodes between text and numbers. Factories of `Function`, without backward: how a gradient crosses them is the choice
of a method (`semprop.engine.methods.mixed`: a derivative becomes words, words become raise, lower or keep).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semprop.engine.arrays import Floats, numbers_from
from semprop.engine.errors import ContentError
from semprop.engine.nodes import Function
from semprop.engine.parameters import Kind

SEEN = 80
"""How much of a text that is no number the error shows, in characters."""


def read_number(text: str) -> float:
    """Reads the text as one number."""
    found = numbers_from(text)
    if isinstance(found, float) and np.isfinite(found):
        return found
    raise ContentError(f"It must be one number and nothing else, but it is: {text[:SEEN]!r}")


def read_array(text: str) -> Floats:
    """Reads the text as an array of numbers in JSON, such as [1, 2.5]."""
    found = numbers_from(text)
    if found is None or isinstance(found, float):
        raise ContentError(f"It must be an array of numbers, as [1, 2.5], and nothing else, but it is: {text[:SEEN]!r}")
    return found


def write_number(number: Any) -> str:
    """Writes the number in digits, six of them that count."""
    return f"{float(number):.6g}"


def parsed_number(name: str, text: str) -> Function:
    """Text → number. A text that is no number is a model failure, and its words go back to who wrote it."""
    return Function(name, read_number, {"text": text}, kind=Kind.NUMBER, pure=True)


def parsed_array(name: str, text: str) -> Function:
    """Text → array, from JSON; fails as `parsed_number`."""
    return Function(name, read_array, {"text": text}, kind=Kind.ARRAY, pure=True)


def written_number(name: str, number: str) -> Function:
    """Number → text."""
    return Function(name, write_number, {"number": number}, pure=True)
