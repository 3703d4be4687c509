"""Sans-IO plans: a method yields what it wants to know, is sent the replies, and returns what it decided.

A plan is a generator of batches of effects; whoever drives it answers each batch with as many replies, in the same
order. So a method can be tested by hand, replayed from a journal, and run at any concurrency without knowing it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from semprop.engine.example import Example
from semprop.engine.losses import Score
from semprop.engine.outcomes import Failure, Unread
from semprop.engine.parameters import Parameters
from semprop.engine.tape import Record, Value
from semprop.providers.base import Completion, Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a model. `role` names the provider; (node, slot, sample) complete the position; `unread`
    says why it is asked once more. Reply: the completion, or the failure."""

    role: str
    request: Request
    node: str = ""
    slot: str = ""
    sample: int = 0
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Run one node again with some slots changed, as on `record`. Reply: the new value, or the failure."""

    record: Record
    example: Example
    changes: Mapping[str, Value] = field(hash=False)
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """Run the whole graph under other parameters. Reply: one score or failure for each example, in order."""

    parameters: Parameters
    examples: tuple[Example, ...]
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Fork:
    """Run plans side by side. Reply: the tuple of what they return."""

    plans: tuple[Plan[Any], ...]


Effect = Ask | Evaluate | Probe | Fork
Reply = Completion | Failure | Value | tuple[Score | Failure, ...] | tuple[Any, ...]
Plan = Generator[tuple[Effect, ...], tuple[Any, ...], T]


def nothing(value: T) -> Plan[T]:
    """The plan that asks nothing and returns a value."""
    yield from ()
    return value
