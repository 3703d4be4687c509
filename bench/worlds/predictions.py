"""Predictions, computed before any run: does the joint labelled method win, tie or lose against another?

Two outcomes: `advice`, P(following all advice at once makes the meeting step right), and `score`, the held-out score.
From the enumeration of `views`, with the price of length: a prompt of L tokens whose advice rests on F facts is read
right with probability exp(−F·L/L0), and a share of the labels may be flipped. An instruction is repaired if more than
a quarter of its cases ask for the value that the repair gives. The difference is predicted in points; within 5 points
it is a tie.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from semprop.bench.worlds.criterion import Criterion, criterion
from semprop.bench.worlds.truth import Truth, blame, described_by
from semprop.bench.worlds.views import Expected, View, expected, situations
from semprop.bench.worlds.world import PER_GRADIENT, World
from semprop.engine.gradients import Evidence, Gradient, Provenance, change
from semprop.engine.nodes import Model, Purpose
from semprop.engine.parameters import Kind
from semprop.engine.prompts.backward import BackwardView, Neighbours, backward_request
from semprop.engine.prompts.forward import forward_request
from semprop.engine.prompts.update import UpdateView, update_request
from semprop.engine.prompts.words import target_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.tape import Record, SlotValue
from semprop.providers.base import Request, Sampling
from semprop.providers.simulated.pages import tokens

MARGIN = 0.05
"""Differences up to so much are a tie (statistics reference, 14)."""
LABELLED = {View.JOINT: Neighbours.LABELLED, View.PER_EDGE: Neighbours.LABELLED, View.ALONE: Neighbours.LABELLED}
SEEN = (View.JOINT, View.PER_EDGE, View.UNLABELLED)


class Word(StrEnum):
    """How the joint labelled method fares."""

    WIN = "win"
    TIE = "tie"
    LOSE = "lose"


def word_of(difference: float) -> Word:
    """The word for a difference, joint minus other."""
    if abs(difference) <= MARGIN:
        return Word.TIE
    return Word.WIN if difference > 0 else Word.LOSE


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a view is expected to reach in a world at one L0."""

    advice: float
    score: float


@dataclass(frozen=True, slots=True)
class Basis:
    """What predictions of a world rest on, the same for every L0."""

    world: World
    losses: Mapping[tuple[str, ...], float]
    criterion: Criterion | None
    expected: Mapping[View, tuple[Expected, ...]]
    lengths: Mapping[View, int]
    update: int
    forward: tuple[tuple[int, int], ...]
    slots: tuple[tuple[str, ...], ...]


def basis(world: World) -> Basis:
    """Enumerate a world."""
    truth = Truth(world)
    found = tuple(situations(truth))
    return Basis(
        world=world,
        losses=blame(truth).losses,
        criterion=None if world.states is None else criterion(world.states()),
        expected={view: tuple(expected(view, each) for each in found) for view in View},
        lengths={view: _length(truth, view) for view in View},
        update=_update_length(truth),
        forward=_forward_lengths(truth),
        slots=_steered(world),
    )


def _steered(world: World) -> tuple[tuple[str, ...], ...]:
    """For each slot of the meeting node that can be to blame, the parameters at fault behind it."""
    behind: dict[str, tuple[str, ...]] = {}
    for node in world.graph.nodes:
        sources = [slot.source for slot in node.slots]
        names = [name for source in sources for name in (source, *behind.get(source, ())) if name in world.repairs]
        behind[node.name] = tuple(dict.fromkeys(names))
    slots = [slot for slot in world.graph.node(world.meeting).slots if slot.name in world.domains]
    return tuple(behind.get(slot.source, ()) for slot in slots)


def outlook(on: Basis, view: View, scale: float) -> Outlook:
    """Advice and score that a view is expected to reach at this L0."""
    facts = max(1, len(on.slots)) if view in SEEN else 1
    read = math.exp(-facts * on.lengths[view] / scale)
    true = 1 - on.world.flipped
    calls = 1 if view is View.JOINT else max(1, len(on.slots))
    cases = on.expected[view]
    advice = sum(case.valid for case in cases) / len(cases) if cases else 0.0
    told = true * read * math.exp(-on.update / scale)
    repaired = {name: _repaired(on, name, cases, told) for name in on.world.repairs}
    forward = math.exp(-sum(facts * length for facts, length in on.forward) / scale)
    gain = _gain(on.losses, repaired)
    return Outlook(true * advice * read**calls, 1 - on.losses[()] + gain * forward)


def _repaired(on: Basis, name: str, cases: Sequence[Expected], read: float) -> float:
    """P(the repair of a parameter is proposed): more than a quarter of its cases ask for what it gives."""
    shares = [
        (case.change[at], case.aligned[at]) for case in cases for at, names in enumerate(on.slots) if name in names
    ]
    told = sum(share for share, _ in shares)
    if not told:
        return 0.0
    places = sum(name in names for names in on.slots)
    wrong = min(PER_GRADIENT, round(on.losses[()] * on.world.sizes.train))
    count = max(1, round(wrong * places * told / len(shares)))
    right = read * sum(aligned for _, aligned in shares) / told
    return sum(
        math.comb(count, hits) * right**hits * (1 - right) ** (count - hits)
        for hits in range(count + 1)
        if hits > max(0.5, count / 4)
    )


def _gain(losses: Mapping[tuple[str, ...], float], repaired: Mapping[str, float]) -> float:
    """The expected gain if all proposed repairs together and each alone are raced, and the best is taken."""
    total = 0.0
    for chosen in product((False, True), repeat=len(repaired)):
        names = tuple(name for name, is_in in zip(repaired, chosen, strict=True) if is_in)
        weight = math.prod(
            share if is_in else 1 - share for share, is_in in zip(repaired.values(), chosen, strict=True)
        )
        raced = (names, *((name,) for name in names), ())
        total += weight * (losses[()] - min(losses[each] for each in raced))
    return total


# Lengths, read off prompts as they are rendered ----------------------------------------------------------------------


def _tokens(request: Request) -> int:
    return tokens("\n".join(message.text for message in request.messages))


def _record(truth: Truth, name: str) -> Record:
    example = described_by(truth.world)[0]
    initial = truth.world.graph.initial
    values = {**initial, **truth.run(initial, example)}
    node = truth.world.graph.node(name)
    slots = tuple(SlotValue(slot.name, slot.source, slot.purpose, values[slot.source]) for slot in node.slots)
    return Record(node, slots, values[name], str(values[name]))


def _gradient(truth: Truth, variable: str) -> Gradient:
    expected_answer = described_by(truth.world)[0].expected or ""
    return Gradient(variable, Kind.TEXT, (change(target_words(expected_answer), Provenance("")),))


def _length(truth: Truth, view: View) -> int:
    """Tokens of a backward prompt of the meeting node."""
    record = _record(truth, truth.world.meeting)
    inputs = [slot for slot in record.slots if slot.purpose is Purpose.INPUT]
    active = [slot for slot in inputs if slot.source not in truth.world.graph.inputs]
    asked = tuple(slot.name for slot in (active if view is View.JOINT else active[:1]))
    if view is View.ALONE:
        kept = tuple(slot for slot in record.slots if slot.purpose is not Purpose.INPUT or slot.name in asked)
        record = Record(record.node, kept, record.value, record.reply)
    neighbours = LABELLED.get(view, Neighbours.UNLABELLED if view is View.UNLABELLED else Neighbours.HIDDEN)
    shown = BackwardView(record, _gradient(truth, record.name), asked, neighbours)
    return _tokens(backward_request(shown, ReplyStyle.JSON, Sampling()))


def _update_length(truth: Truth) -> int:
    """Tokens of an update prompt with as many cases as a gradient has."""
    world = truth.world
    names = tuple(world.repairs) or world.graph.trainable
    node = next(node for node in world.graph.nodes if any(slot.source == names[0] for slot in node.slots))
    record = _record(truth, node.name)
    inputs = tuple((slot.name, str(slot.value)) for slot in record.slots if slot.purpose is Purpose.INPUT)
    case = Evidence(node.name, inputs, record.reply, _gradient(truth, node.name))
    gradients = tuple(
        Gradient(names[0], Kind.TEXT, (change(case, Provenance(str(number))),)) for number in range(PER_GRADIENT)
    )
    view = UpdateView(str(world.graph.initial[names[0]]), "", (f"step {node.name}",), gradients)
    return _tokens(update_request(view, ReplyStyle.JSON, Sampling()))


def _forward_lengths(truth: Truth) -> tuple[tuple[int, int], ...]:
    """(facts, tokens) of every forward prompt."""
    found = []
    for node in truth.world.graph.nodes:
        assert isinstance(node, Model), "worlds are made of model nodes"
        facts = max(1, len(truth.world.domains)) if node.name == truth.world.meeting else 1
        found.append((facts, _tokens(forward_request(node, _record(truth, node.name).slots, "", ""))))
    return tuple(found)
