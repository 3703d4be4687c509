"""Numerical gradients: derivatives from running nodes or the whole graph again, for what cannot be differentiated.
Sans-IO; asks no model unless a node of the graph does.

`CentralDifferences` and `LocalSPSA` are backward functions: they run one node again under changed inputs (`Evaluate`)
and give Jᵀg for each slot. `JointSPSA` is an update: it runs the whole graph again under changed parameters (`Probe`),
all of them at once, and needs no backward at all. Random signs are drawn by (seed, step, node, sample) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from semprop.engine.arrays import Array, Floats
from semprop.engine.errors import SpecificationError
from semprop.engine.example import Example, draw
from semprop.engine.gates import Gate, NoGate
from semprop.engine.gradients import Message, Provenance, change, is_numeric, lost, total
from semprop.engine.losses import Score
from semprop.engine.method import BackwardRule, Local, Method, Proposals, Scored, Seed, Selection, UpdateContext
from semprop.engine.methods.descent import (
    DescentUpdate,
    GradientDescent,
    Mean,
    Rule,
    descended,
    memories_in,
    placed,
    proposals_of,
    summed,
)
from semprop.engine.methods.numbers import within
from semprop.engine.methods.reverse_mode import DESCENDS, EVERY, objective_seed
from semprop.engine.nodes import Purpose
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Number
from semprop.engine.plans import Evaluate, Plan, Probe
from semprop.engine.primitives import plain
from semprop.engine.squared import numeric
from semprop.engine.tape import SlotValue

BATCH = 512
"""The most runs of a node that are asked for at once."""

NO_NUMBER = "only numbers have a derivative"


@dataclass(frozen=True, slots=True)
class Pair:
    """A node's inputs on two sides of where they are: slot → value, and slot → how far the sides are apart."""

    above: Mapping[str, Any]
    below: Mapping[str, Any]
    apart: Mapping[str, Floats]
    sample: int = 0


def _pair(slots: Sequence[SlotValue], steps: Mapping[str, Floats], sample: int = 0) -> Pair:
    """Each slot moved by its step up and down, inside the bounds of a parameter."""
    above, below, apart = {}, {}, {}
    for slot in slots:
        if slot.name in steps:
            high, low = _moved(slot.value, steps[slot.name]), _moved(slot.value, -steps[slot.name])
            above[slot.name], below[slot.name], apart[slot.name] = plain(high), plain(low), high - low
    return Pair(above, below, apart, sample)


def _moved(value: Any, step: Floats) -> Floats:
    at = numeric(value)
    assert at is not None, "only numeric slots are moved"
    if isinstance(value, Number | Array):
        return np.asarray(np.clip(at + step, value.low, value.high))
    return np.asarray(at + step)


def _slopes(local: Local, pairs: Sequence[Pair]) -> Plan[list[Floats | str]]:
    """gᵀ(f(above) − f(below)) for each pair, or why it is not known."""
    g = np.asarray(total(local.gradient))
    example = Example(local.example, {})
    found: list[Floats | str] = []
    queue = iter(pairs)
    while batch := tuple(islice(queue, BATCH)):
        sides = [(pair.above, pair.sample) for pair in batch] + [(pair.below, pair.sample) for pair in batch]
        replies = yield tuple(Evaluate(local.record, example, changes, sample) for changes, sample in sides)
        found += [_difference(g, *both) for both in zip(replies[: len(batch)], replies[len(batch) :], strict=True)]
    return found


def _difference(g: Floats, above: Any, below: Any) -> Floats | str:
    for side in (above, below):
        if isinstance(side, Failure):
            return side.words
    high, low = numeric(above), numeric(below)
    if high is None or low is None or high.shape != low.shape:
        return "the node gave no finite numbers of one shape"
    return np.asarray(np.sum(g * (high - low)))


def _numeric_slots(local: Local) -> list[SlotValue]:
    return [
        slot
        for slot in local.record.slots
        if slot.name in local.active and slot.purpose is Purpose.INPUT and _is_number(slot.value)
    ]


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and numeric(value) is not None


def _told(local: Local, derivatives: Mapping[str, Floats | str]) -> dict[str, Message]:
    """A message for each active slot: its derivative, or why there is none."""
    messages = {}
    for name in local.active:
        source = Provenance(local.example, local.record.name, name)
        found = derivatives.get(name, NO_NUMBER)
        messages[name] = lost(source, found) if isinstance(found, str) else change(plain(found), source)
    return messages


@dataclass(frozen=True, slots=True)
class CentralDifferences:
    """h: each number of each active slot moved up and down on its own, 2n runs of a node whose slots hold n numbers.

    The step is `share` of the number, or `share` itself where that is larger; the default is the cube root of the
    rounding unit, where errors of rounding and of truncation are alike.
    """

    share: float = 6e-6

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        slots = _numeric_slots(local) if is_numeric(local.gradient) else []
        places = [(slot, place) for slot in slots for place in range(_at(slot).size)]
        pairs = [_pair(slots, {slot.name: self._step(slot, place)}) for slot, place in places]
        slopes = yield from _slopes(local, pairs)
        derivatives: dict[str, Floats | str] = {slot.name: np.zeros(_at(slot).shape) for slot in slots}
        for (slot, place), pair, slope in zip(places, pairs, slopes, strict=True):
            held = derivatives[slot.name]
            if isinstance(slope, str):
                derivatives[slot.name] = slope
            elif not isinstance(held, str):
                apart = pair.apart[slot.name].flat[place]
                held.flat[place] = slope / apart if apart else 0.0
        return _told(local, derivatives)

    def _step(self, slot: SlotValue, place: int) -> Floats:
        at = _at(slot)
        step = np.zeros(at.shape)
        step.flat[place] = self.share * max(1.0, abs(float(at.flat[place])))
        return step


def _at(slot: SlotValue) -> Floats:
    at = numeric(slot.value)
    assert at is not None, "only numeric slots are moved"
    return at


def signs(shape: tuple[int, ...], *key: object) -> Floats:
    """Numbers of which each is 1 or −1 with even odds (Rademacher), a function of the key alone."""
    drawn = [1.0 if draw(*key, place) < 0.5 else -1.0 for place in range(math.prod(shape))]
    return np.array(drawn).reshape(shape)


@dataclass(frozen=True, slots=True)
class LocalSPSA:
    """h: all numbers of a node's active slots moved at once, by ± `width` with random signs (simultaneous perturbation,
    Spall 1992); two runs of the node for each of `samples` draws, whatever the number of slots. Its mean over draws is
    Jᵀg up to terms in width²."""

    width: float = 1e-3
    samples: int = 1

    def __post_init__(self) -> None:
        _check_spsa(self.width, self.samples)

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        slots = _numeric_slots(local) if is_numeric(local.gradient) else []
        pairs = [self._drawn(local, slots, sample) for sample in range(self.samples)] if slots else []
        slopes = yield from _slopes(local, pairs)
        why = next((slope for slope in slopes if isinstance(slope, str)), None)
        if why is not None:
            return _told(local, {slot.name: why for slot in slots})
        known = [(pair.apart, slope) for pair, slope in zip(pairs, slopes, strict=True) if not isinstance(slope, str)]
        return _told(local, {slot.name: _mean_slope(slot.name, known) for slot in slots})

    def _drawn(self, local: Local, slots: Sequence[SlotValue], sample: int) -> Pair:
        def step(slot: SlotValue) -> Floats:
            key = ("spsa", local.record.name, local.example, slot.name, sample)
            return self.width * signs(_at(slot).shape, *local.draws, *key)

        return _pair(slots, {slot.name: step(slot) for slot in slots}, sample)


def _mean_slope(name: str, known: Sequence[tuple[Mapping[str, Floats], Floats]]) -> Floats:
    added = np.zeros(known[0][0][name].shape)
    for apart, slope in known:
        added = added + _over(slope, apart[name])
    return added / len(known)


def _over(slope: Floats | float, apart: Floats) -> Floats:
    """The slope along each number; 0 where a bound left it in place."""
    return np.divide(slope, apart, out=np.zeros_like(apart), where=apart != 0)


def _check_spsa(width: float, samples: int) -> None:
    if not (math.isfinite(width) and width > 0):
        raise SpecificationError(f"the width of the perturbation is {width}: give a number above 0")
    if samples < 1:
        raise SpecificationError(f"{samples} samples of the perturbation: give 1 or more")


# The whole graph -----------------------------------------------------------------------------------------------------


def no_seed(scored: Scored) -> tuple[Seed, ...]:
    """F of a method that needs no backward."""
    return ()


def no_messages(local: Local) -> Plan[Mapping[str, Message]]:
    """h of a method that needs no backward."""
    yield from ()
    return {}


@dataclass(frozen=True, slots=True)
class JointSPSA:
    """U: every trainable number and array moved at once by ± `width` with random signs, two runs of the whole graph on
    this step's examples for each of `samples` draws, then one step of the rule along the mean slope.

    It descends the loss's objective where both sides have one, else 1 − score, so it serves graphs of any nodes.
    """

    rule: Rule = GradientDescent()
    width: float = 1e-2
    samples: int = 1

    def __post_init__(self) -> None:
        _check_spsa(self.width, self.samples)

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        derivatives = yield from self.derivatives(context)
        return proposals_of(context, descended(context, self.rule, derivatives, memories_in(context.state)))

    def derivatives(self, context: UpdateContext) -> Plan[dict[str, Floats]]:
        """Parameter → the mean slope along it; empty if nothing is numeric or no draw has examples with both sides."""
        values = dict(_numeric_parameters(context))
        examples = tuple(scored.tape.example for scored in context.scored)
        if not values or not examples:
            return {}
        sides = [self._sides(context, values, sample) for sample in range(self.samples)]
        replies = yield tuple(
            Probe(context.parameters.replaced(changes), examples, sample)
            for sample, both in enumerate(sides)
            for changes in both
        )
        found: list[tuple[Mapping[str, Floats], Floats]] = []
        for (above, below), high, low in zip(sides, replies[::2], replies[1::2], strict=True):
            slope = _mean_difference(high, low)
            if slope is not None:
                apart = {name: _held(above[name]) - _held(below[name]) for name in values}
                found.append((apart, np.asarray(slope)))
        return {name: _mean_slope(name, found) for name in values} if found else {}

    def _sides(
        self, context: UpdateContext, values: Mapping[str, Number | Array], sample: int
    ) -> tuple[dict[str, Number | Array], dict[str, Number | Array]]:
        above, below = {}, {}
        for name, value in values.items():
            at = _held(value)
            step = self.width * signs(at.shape, context.seed, context.step, "spsa", name, sample)
            above[name], below[name] = placed(value, at + step), placed(value, at - step)
        return above, below


def _numeric_parameters(context: UpdateContext) -> Iterator[tuple[str, Number | Array]]:
    """Name → value, with bounds inside of which it means something wherever it steers a model."""
    for name in context.graph.trainable:
        value = context.parameters[name]
        if isinstance(value, Number):
            yield name, within(context.graph, name, value)
        elif isinstance(value, Array):
            yield name, value


def _held(value: Number | Array) -> Floats:
    return np.asarray(value.value) if isinstance(value, Number) else value.values


def _mean_difference(above: Sequence[Score | Failure], below: Sequence[Score | Failure]) -> float | None:
    """The mean over examples of how much higher the loss is above; None if no example has both sides."""
    both = [_loss_difference(*pair) for pair in zip(above, below, strict=True)]
    known = [difference for difference in both if difference is not None]
    return math.fsum(known) / len(known) if known else None


def _loss_difference(above: Score | Failure, below: Score | Failure) -> float | None:
    if isinstance(above, Failure) or isinstance(below, Failure):
        return None
    high, low = above.objective, below.objective
    if high is not None and low is not None:
        return high.value - low.value
    return below.value - above.value if high is None and low is None else None


# Methods -------------------------------------------------------------------------------------------------------------


def numerical(
    rule: Rule = GradientDescent(),
    *,
    backward: BackwardRule = CentralDifferences(),
    selection: Selection = EVERY,
    gate: Gate = NoGate(),
) -> Method:
    """Gradient descent on central differences, node by node: no node needs a backward."""
    name = "spsa" if isinstance(backward, LocalSPSA) else "numerical"
    update = DescentUpdate(rule)
    return Method(name, objective_seed, selection, backward, summed, Mean(), update, gate, notes=(DESCENDS,))


def joint_spsa(
    rule: Rule = GradientDescent(),
    *,
    width: float = 1e-2,
    samples: int = 1,
    selection: Selection = EVERY,
    gate: Gate = NoGate(),
) -> Method:
    """Gradient descent on perturbations of all parameters at once: no backward, any graph with numbers in it."""
    update = JointSPSA(rule, width, samples)
    notes = (f"{DESCENDS}; where the loss has none, 1 − score",)
    return Method("spsa-joint", no_seed, selection, no_messages, summed, Mean(), update, gate, notes)
