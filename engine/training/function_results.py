"""What a function is given and returns, as text that loses nothing: the address of a result, and what is recorded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from semprop.engine.errors import NodeError
from semprop.engine.outcomes import Position
from semprop.engine.seam import FunctionCall
from semprop.providers.base import Image


def _known(value: Any) -> Any:
    """What JSON does not know by itself: mappings, arrays, and dataclasses with every field they have."""
    match value:
        case Mapping():
            return dict(value)
        case np.ndarray() | np.generic():
            return value.tolist()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} is not data")


def _exact(value: Any) -> str:
    """JSON text that loses nothing.

    Raises:
        TypeError, ValueError: the value is not data, or holds a number that is not finite.
    """
    return json.dumps(value, default=_known, allow_nan=False)


def _addressed(value: Any) -> Any:
    """The same for addresses, where a picture is its digest. As a result it is not data: nothing would give it back."""
    return (value.media_type, value.digest) if isinstance(value, Image) else _known(value)


def function_key(position: Position, call: FunctionCall) -> str:
    """The address of a function's result: function, version, arguments, and who asks (node, example, sample), since
    a function may be random. Arguments that are not data leave the position as the only address."""
    who = (position.node, position.example, position.sample)
    try:
        arguments = json.dumps(call.arguments, default=_addressed, allow_nan=False)
    except (TypeError, ValueError):
        arguments = repr(position)
    document = orjson.dumps((call.name, call.version, who, arguments))
    return hashlib.blake2b(document, digest_size=16).hexdigest()


def recordable(call: FunctionCall, result: Any) -> Any:
    """A result as the journal will give it back, so that a replay sees the same value."""
    try:
        recorded = json.loads(_exact(result))
        orjson.dumps(recorded)  # What the journal writes with: it refuses integers of more than 64 bits.
        return recorded
    except (TypeError, ValueError):
        found = repr(result) if isinstance(result, float) else type(result).__name__
        raise NodeError(
            f"{call.name!r} returned {found}, which cannot be recorded: return text, finite numbers, lists or dicts, "
            "or declare it pure=True if it depends on its arguments alone"
        ) from None
