"""The tape: what one example did on its way through a graph. Frozen data that backward reads instead of the graph.

A record holds a node, the values that entered its slots and the value that came out; records stand in topological
order. A node whose predecessors failed has no record, whatever the order of events was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from semprop.engine.arrays import Array, array_words
from semprop.engine.example import Example
from semprop.engine.graph import active_variables
from semprop.engine.nodes import Node, Purpose
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Demonstrations, Number, rendered
from semprop.providers.base import Image, TokenLogprob, Usage

Value = Any
"""What a variable may hold: text, a picture, a number, an array, or any object that a function returned."""


class SlotValue(NamedTuple):
    """What entered a slot: the variable it came from, and its value."""

    name: str
    source: str
    purpose: Purpose
    value: Value


@dataclass(frozen=True, slots=True)
class Record:
    """One node's part of a forward pass.

    `value` is what successors see, or the failure; `reply` is a model's whole text, which lenient extraction reads;
    `logprobs` are those of the reply's tokens, if they were asked for; `usage` is what each of the node's replies took.
    """

    node: Node
    slots: tuple[SlotValue, ...]
    value: Value | Failure
    reply: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: tuple[Usage, ...] = ()

    @property
    def name(self) -> str:
        return self.node.name


@dataclass(frozen=True, slots=True)
class Tape:
    """One example's forward pass under one set of parameters (named by its hash)."""

    example: Example
    parameters: str
    records: tuple[Record, ...]
    output: str

    def record(self, name: str) -> Record | None:
        """The record of a node, or None if it never ran."""
        for record in self.records:
            if record.node.name == name:
                return record
        return None

    @property
    def failure(self) -> Failure | None:
        """The failure that decides the example: a provider's if there is one (the answer is unknown), else the
        first model failure in topological order, else None."""
        first: Failure | None = None
        for record in self.records:
            if isinstance(record.value, Failure):
                if not record.value.is_model_failure:
                    return record.value
                first = first or record.value
        return first

    @property
    def answer(self) -> Value:
        """The output's value; None when it never ran or failed."""
        record = self.record(self.output)
        return None if record is None or isinstance(record.value, Failure) else record.value

    @property
    def tokens(self) -> int | None:
        """Tokens read and written for this answer, as the endpoint counted them; None where it did not say."""
        used = [usage for record in self.records for usage in record.usage]
        counts = [(usage.input, usage.output) for usage in used]
        total = 0
        for read, written in counts:
            if read is None or written is None:
                return None
            total += read + written
        return total if used else None

    def active(self, trainable: Iterable[str]) -> frozenset[str]:
        """The variables that are trainable or have a trainable ancestor on this tape.

        A number that steers a model's sampling is probed, not described: it makes nothing after it active.
        """
        edges = (
            (record.name, [slot.source for slot in record.slots if slot.purpose is not Purpose.SAMPLING])
            for record in self.records
        )
        return active_variables(edges, trainable)


def shown(value: Value | Failure) -> str:
    """A value as text for prompts, reports and people."""
    match value:
        case str():
            return value
        case Image():
            return value.text
        case Failure():
            return f"[no value: {value.words}]"
        case Demonstrations() | Number() | Array():
            return rendered(value)
        case np.ndarray():
            return array_words(value)
        case float():
            return f"{value:.12g}"
        case _:
            text = str(value)
            # The default text holds an address, which differs between sittings.
            return f"<{type(value).__name__}>" if text == object.__repr__(value) else text
