"""Semantic gradients: in which direction a variable should change, and who said so. Frozen data.

A message is one of keep ("this input was fine"), change (how), or lost (the reply did not arrive or could not be
read). A gradient is the ordered list of the messages for one variable of one example; it has a zero (all keep).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from semprop.engine.arrays import Floats
from semprop.engine.parameters import Kind


class Stance(StrEnum):
    """What a message says of an input."""

    KEEP = "keep"
    CHANGE = "change"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a message came from: the example, the successor (a node; "" for the loss's own seed) and the slot."""

    example: str
    successor: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A worked case shown to whoever edits an instruction: what entered the node, what came out, and the gradient
    of what came out (None if it came right). The paper's tuple; costs no call."""

    node: str
    inputs: tuple[tuple[str, str], ...]
    output: str
    gradient: Gradient | None


Direction = str | Evidence | Any
"""How a variable should change: advice in words, a worked case, or a number or array (a derivative)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One edge's part of a gradient. `content` is None unless the stance is change."""

    stance: Stance
    content: Direction | None
    source: Provenance


def keep(source: Provenance) -> Message:
    """This input was fine."""
    return Message(Stance.KEEP, None, source)


def change(content: Direction, source: Provenance) -> Message:
    """This input should change in this way."""
    return Message(Stance.CHANGE, content, source)


def lost(source: Provenance, why: str = "") -> Message:
    """No message: nothing is known. `why` is for the journal and people."""
    return Message(Stance.LOST, why or None, source)


@dataclass(frozen=True, slots=True)
class Gradient:
    """All messages for one variable of one example, seed first, then by (topological index of successor, slot)."""

    variable: str
    kind: Kind
    messages: tuple[Message, ...]

    @property
    def stance(self) -> Stance:
        """Change if any message says so, else keep if any does, else lost."""
        stances = [message.stance for message in self.messages]
        for stance in (Stance.CHANGE, Stance.KEEP):
            if stance in stances:
                return stance
        return Stance.LOST

    @property
    def changes(self) -> tuple[Message, ...]:
        """The messages that ask for a change."""
        return tuple(message for message in self.messages if message.stance is Stance.CHANGE)


def is_numeric(gradient: Gradient) -> bool:
    """Whether every change that it asks for is a derivative, and there is one."""
    changes = gradient.changes
    return bool(changes) and all(derivative_in(message) is not None for message in changes)


def derivative_in(message: Message) -> Floats | None:
    """The derivative that a message holds, as an array (of no dimension for a number); None if it holds none."""
    match message.content:
        case bool():
            return None
        case int() | float() | np.ndarray() | np.generic():
            return np.asarray(message.content, dtype=np.float64)
        case _:
            return None


def total(gradient: Gradient) -> Floats | float:
    """The sum of the derivatives that a gradient holds, in its order.

    Raises:
        ValueError: it asks for no change, or for one that is no derivative.
    """
    found = [derivative_in(message) for message in gradient.changes]
    parts = [part for part in found if part is not None]
    if not parts or len(parts) < len(found):
        raise ValueError(
            f"the gradient of {gradient.variable!r} is not a derivative: numeric nodes need a loss with a derivative "
            "(squared, or a Score with an objective) and a method that passes it on (reverse_mode, mixed)"
        )
    added = parts[0]
    for part in parts[1:]:
        added = added + part
    return added if np.ndim(added) else float(added)
