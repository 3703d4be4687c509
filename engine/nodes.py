"""Nodes of a graph, and the slots by which variables enter them. Frozen data; runs nothing.

An edge is (predecessor, successor, slot): one variable may enter a node twice, under two slots. A parameter is an
ordinary predecessor of the call that it steers, in a slot with a purpose of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from semprop.engine.errors import GraphError
from semprop.engine.parameters import Kind
from semprop.providers.base import Sampling

NUMBER_FIELDS = ("temperature", "top_p")
"""Sampling fields that a number parameter may bind to."""


class Purpose(StrEnum):
    """What a slot does in the call that it enters."""

    INPUT = "input"
    INSTRUCTION = "instruction"
    DEMONSTRATIONS = "demonstrations"
    SAMPLING = "sampling"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a variable enters a node: the slot's name (unique in the node), the variable, the purpose."""

    name: str
    source: str
    purpose: Purpose = Purpose.INPUT


class ReplyFormat(StrEnum):
    """How a model node's reply becomes its value.

    WHOLE: the whole reply, stripped. TAGGED: the model may reason first; only the text inside the last
    `<answer>` … `</answer>` pair is passed on, and a reply without one is asked once more, then a failure.
    """

    WHOLE = "whole"
    TAGGED = "tagged"


class Placement(StrEnum):
    """Where the instruction stands: in a system message, or before the inputs in the user's."""

    SYSTEM = "system"
    USER = "user"


class Truncation(StrEnum):
    """What a reply is that was cut at its token limit: a model failure, or a value like any other."""

    FAIL = "fail"
    KEEP = "keep"


Inputs = Mapping[str, str] | Sequence[str]


def _frozen(mapping: Mapping[str, str] | None) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping or {}))


def named_slots(node: str, inputs: Inputs) -> Mapping[str, str]:
    """Slot name → variable. A sequence names each slot after its variable, the second time `name_2`."""
    if isinstance(inputs, str):
        raise GraphError(f"node {node!r}: inputs is the text {inputs!r}; write a tuple: inputs=({inputs!r},)")
    if isinstance(inputs, Mapping):
        return _frozen(inputs)
    slots: dict[str, str] = {}
    for source in inputs:
        name, count = source, 1
        while name in slots:
            count += 1
            name = f"{source}_{count}"
        slots[name] = source
    return _frozen(slots)


@dataclass(frozen=True, slots=True)
class Model:
    """A language-model call.

    Attributes:
        name: the variable that the reply becomes.
        instruction: the text parameter that steers it.
        inputs: slot → variable, or a sequence of variables.
        demonstrations: a demonstrations parameter, shown as chat turns before the question.
        numbers: sampling field → number parameter (`temperature`, `top_p`).
        role: which provider answers: a key of the specification's providers.
        choices: if given, decoding is constrained to these texts, and the reply is the value as it is.
    """

    name: str
    instruction: str
    inputs: Inputs = field(hash=False)
    demonstrations: str | None = None
    numbers: Mapping[str, str] = field(default_factory=dict, hash=False)
    sampling: Sampling = Sampling(max_tokens=1024)
    reply: ReplyFormat = ReplyFormat.WHOLE
    placement: Placement = Placement.SYSTEM
    truncation: Truncation = Truncation.FAIL
    role: str = "forward"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", named_slots(self.name, self.inputs))
        object.__setattr__(self, "numbers", _frozen(self.numbers))

    @property
    def kind(self) -> Kind:
        return Kind.TEXT

    @property
    def is_tagged(self) -> bool:
        """Whether the value stands between tags; never so where decoding leaves no room for them."""
        return self.reply is ReplyFormat.TAGGED and not self.choices

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every slot, instruction first; the order of messages and of prompts."""
        steering = [Slot("instruction", self.instruction, Purpose.INSTRUCTION)]
        if self.demonstrations is not None:
            steering.append(Slot("demonstrations", self.demonstrations, Purpose.DEMONSTRATIONS))
        steering += [Slot(name, source, Purpose.SAMPLING) for name, source in self.numbers.items()]
        assert isinstance(self.inputs, Mapping)
        return (*steering, *(Slot(name, source) for name, source in self.inputs.items()))


@dataclass(frozen=True, slots=True)
class Function:
    """A tool, a parser, any Python function; called with its slots as keyword arguments.

    Attributes:
        call: sync or async. Its docstring is the instruction when a model must say how inputs should change.
        kind: what it returns: text, number, array, or opaque (any object; needs `backward` on a trained path).
        pure: the value depends on the arguments alone, so it is computed again rather than recorded.
        blocking: runs in a bounded worker thread, off the event loop; cancellation waits for it.
        version: change it when the behaviour changes; part of the address of recorded results.
        backward: `(inputs: Mapping[slot, value], output, gradient: Gradient) -> Mapping[slot, message]`, where a
            message is a `semprop.engine.gradients.Message`, a text (change), a derivative (number or array; the sum of
            those that arrived is `gradients.total(gradient)`), or None (no message).

    Raise `ContentError` in `call` to count the example as wrong; any other exception is a failure of the
    function, which excludes the example.
    """

    name: str
    call: Callable[..., Any]
    inputs: Inputs = field(hash=False)
    kind: Kind = Kind.TEXT
    pure: bool = False
    blocking: bool = False
    version: str = "1"
    backward: Callable[..., Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", named_slots(self.name, self.inputs))

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every slot in the order of the arguments."""
        assert isinstance(self.inputs, Mapping)
        return tuple(Slot(name, source) for name, source in self.inputs.items())


Node = Model | Function
