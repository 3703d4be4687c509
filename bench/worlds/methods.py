"""What is compared on worlds: neighbourhoods of the semantic method, and any method of the catalogue by name.

`alone` exists here only: the siblings are hidden and the instruction is shown, which is what the criterion speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from semprop.bench.worlds.views import View
from semprop.engine.errors import UsageError
from semprop.engine.gates.catalogue import gate_named
from semprop.engine.gradients import Message
from semprop.engine.method import Local, Method
from semprop.engine.methods.catalogue import METHODS, Choices, Options, default_gate, method_named
from semprop.engine.methods.semantic import Calls, SemanticBackward
from semprop.engine.nodes import Purpose
from semprop.engine.plans import Plan
from semprop.engine.prompts.backward import Neighbours

JOINT = "joint"
"""The method that the others are compared with: one call a node, all inputs under their names."""


@dataclass(frozen=True, slots=True)
class Alone:
    """h with one call an edge that shows the instruction and no other input."""

    inner: SemanticBackward = SemanticBackward(calls=Calls.PER_EDGE)

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        inputs = [slot.name for slot in local.record.slots if slot.purpose is Purpose.INPUT]
        steering = tuple(name for name in local.active if name not in inputs)
        messages = dict((yield from self.inner(replace(local, active=steering)))) if steering else {}
        for name in (each for each in local.active if each in inputs):
            slots = tuple(slot for slot in local.record.slots if slot.name == name or slot.name not in inputs)
            seen = replace(local, record=replace(local.record, slots=slots), active=(name,))
            messages.update((yield from self.inner(seen)))
        return messages


@dataclass(frozen=True, slots=True)
class Compared:
    """A method under comparison, how it is made for a seed, and what its backward calls and its updates let a reader
    see; None where nothing is predicted of it."""

    name: str
    made: Callable[[int], Method]
    advice: View | None
    cases: View | None


def _semantic(options: Options = Options()) -> Callable[[int], Method]:
    return lambda seed: method_named("semantic", Choices(gate_named("strict"), options=options, seed=seed))


def _alone(seed: int) -> Method:
    return replace(_semantic()(seed), backward=Alone())


def _apart(neighbours: Neighbours) -> Callable[[int], Method]:
    return _semantic(Options(neighbours=neighbours, calls=Calls.PER_EDGE))


_OURS = (
    Compared(JOINT, _semantic(), View.JOINT, View.JOINT),
    Compared("per-edge", _apart(Neighbours.LABELLED), View.PER_EDGE, View.PER_EDGE),
    Compared("unlabelled", _apart(Neighbours.UNLABELLED), View.UNLABELLED, View.UNLABELLED),
    Compared("alone", _alone, View.ALONE, View.ALONE),
    Compared("hidden", _apart(Neighbours.HIDDEN), View.HIDDEN, View.HIDDEN),
)
NEIGHBOURHOODS: Mapping[str, Compared] = MappingProxyType({each.name: each for each in _OURS})

VIEWS: Mapping[str, tuple[View, View]] = MappingProxyType(
    {
        "semantic-advised": (View.JOINT, View.JOINT),
        "textgrad": (View.HIDDEN, View.HIDDEN),
        "textgrad-library": (View.UNLABELLED, View.UNLABELLED),
        "no-gradient": (View.NONE, View.NONE),
        "one-step-rewrite": (View.NONE, View.NONE),
        "improve-blind": (View.NONE, View.NONE),
        "shuffled-gradients": (View.JOINT, View.NONE),
    }
)
"""Methods of the catalogue of which something is predicted: what advice rests on, and what updates do.
`shuffled-gradients` mixes the cases of updates, not the advice before; `one-step-rewrite` sees the wanted answer and
not what a step's own output should have been."""

DEFAULT = (*NEIGHBOURHOODS, *(name for name in VIEWS if name in METHODS))


def compared(name: str) -> Compared:
    """A method by name.

    Raises:
        UsageError: there is no such method.
    """
    if name in NEIGHBOURHOODS:
        return NEIGHBOURHOODS[name]
    if name not in METHODS:
        raise UsageError(f"there is no method {name!r}; there are: {', '.join((*NEIGHBOURHOODS, *METHODS))}")
    advice, cases = VIEWS.get(name, (None, None))
    gate = gate_named(default_gate(name))
    return Compared(name, lambda seed: method_named(name, Choices(gate, seed=seed)), advice, cases)
