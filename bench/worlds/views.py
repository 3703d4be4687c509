"""What the best reader could advise, by what a method lets it see. Pure enumeration; no simulated reader is asked.

The predictions rest on this, so it shares no code with the reader whose runs they are compared with. A reader knows
what its view shows, takes what is hidden as uniform over the published domains, blames the input with the most edits
that explain the wanted output, and draws among equals, once for each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product

from semprop.bench.worlds.criterion import Operation
from semprop.bench.worlds.digits import operation_of
from semprop.bench.worlds.truth import Truth, described_by
from semprop.engine.example import draw

UNTOLD = ""
"""Advice that an input should be different, without how."""


class View(StrEnum):
    """What a backward call shows: all inputs in one call; one call an edge with the others named, without names, or
    hidden; hidden with the instruction; or nothing that tells what should change."""

    JOINT = "joint"
    PER_EDGE = "per-edge"
    UNLABELLED = "unlabelled"
    ALONE = "alone"
    HIDDEN = "hidden"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Situation:
    """One wrong example at the meeting node: the values of the slots that can be to blame, what each would be if its
    own fault were repaired, the output, the right output, and the step as a function of those slots."""

    values: tuple[str, ...]
    repaired: tuple[str, ...]
    domains: tuple[tuple[str, ...], ...]
    output: str
    wanted: str
    operation: Operation
    complete: bool

    def targets(self, index: int, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values of one slot with which the step would have been right, the others being these."""
        head, tail = values[:index], values[index + 1 :]
        return tuple(value for value in self.domains[index] if self.operation((*head, value, *tail)) == self.wanted)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a view in a situation: P(following all advice is right), and for each slot P(told to change)
    and P(told the value that its repair would give)."""

    valid: float
    change: tuple[float, ...]
    aligned: tuple[float, ...]


def situations(truth: Truth) -> Iterator[Situation]:
    """The wrong ones of the examples that describe a world."""
    world, initial = truth.world, truth.world.graph.initial
    node = world.graph.node(world.meeting)
    first, *others = node.slots
    places = [index for index, slot in enumerate(others) if slot.name in world.domains]
    text = str(initial[first.source])
    for example in described_by(world):
        wanted = example.expected or ""
        planted = truth.run(initial, example)
        if truth.is_right(planted[world.graph.output], wanted):
            continue
        inputs = tuple(planted[slot.source] for slot in others)
        fixed = {name: truth.run(truth.repaired((name,)), example) for name in world.repairs}

        def repaired(source: str, now: str) -> str:
            return next((run[source] for run in fixed.values() if run[source] != now), now)  # noqa: B023

        def operation(values: tuple[str, ...], given: tuple[str, ...] = inputs) -> str:
            changed = dict(zip(places, values, strict=True))
            return truth.node(world.meeting, text, [changed.get(at, value) for at, value in enumerate(given)])

        yield Situation(
            values=tuple(inputs[place] for place in places),
            repaired=tuple(repaired(others[place].source, inputs[place]) for place in places),
            domains=tuple(world.domains[others[place].name] for place in places),
            output=planted[world.meeting],
            wanted=wanted,
            operation=operation,
            complete=len(places) == len(others),
        )


def expected(view: View, at: Situation) -> Expected:
    """What the best reader with this view does in a situation."""
    count = len(at.values)
    if view is View.NONE:
        return Expected(0.0, (1.0,) * count, (0.0,) * count)
    if view in (View.ALONE, View.HIDDEN):
        return _in_the_dark(view, at)
    targets = [at.targets(index, at.values) for index in range(count)]
    masses = [len(each) / len(domain) for each, domain in zip(targets, at.domains, strict=True)]
    aligned = [(right in each) / len(each) if each else 0.0 for right, each in zip(at.repaired, targets, strict=True)]
    if not any(masses):
        return Expected(0.0, (1.0 / count,) * count, (0.0,) * count)
    tied = [index for index, mass in enumerate(masses) if max(masses) - mass < 1e-9]
    if view is View.UNLABELLED:
        change = tuple(map(float, (_against_the_rest(index, masses) for index in range(count))))
    else:
        blamed = len(tied) * max(masses) >= sum(masses) / 2
        change = tuple(blamed * (index in tied) / len(tied) for index in range(count))
    told = tuple(share * right for share, right in zip(change, aligned, strict=True))
    if view is View.JOINT:
        return Expected(sum(change), change, told)
    return Expected(_apart(at, change, targets), change, told)


def _against_the_rest(index: int, masses: Sequence[float]) -> float:
    """P(this input is blamed) where the others are one text."""
    rest = [mass for other, mass in enumerate(masses) if other != index]
    average = sum(rest) / len(rest) if rest else 0.0
    return 0.5 if abs(masses[index] - average) < 1e-9 else float(masses[index] > average)


def _apart(at: Situation, change: Sequence[float], targets: Sequence[tuple[str, ...]]) -> float:
    """P(all advice together is right), where each call blames its own input independently."""
    total = 0.0
    for chosen in product((False, True), repeat=len(change)):
        weight, values = 1.0, []
        for index, is_changed in enumerate(chosen):
            weight *= change[index] if is_changed else 1 - change[index]
            told = targets[index]
            pick = told[int(draw("told", at.wanted, *at.values, index) * len(told))] if told else UNTOLD
            values.append(pick if is_changed else at.values[index])
        if weight and at.operation(tuple(values)) == at.wanted:
            total += weight
    return total


def _in_the_dark(view: View, at: Situation) -> Expected:
    """Siblings hidden: every input is told what most probably would have done, if that is likely enough."""
    count = len(at.values)
    advice: list[tuple[str, ...]] = []
    for index in range(count):
        if not at.complete:
            advice.append((UNTOLD,))
        elif view is View.ALONE:
            advice.append(_alone(at, index))
        else:
            advice.append(_unknown_step(at.domains[index], at.values[index], at.output, at.wanted))
    aligned = tuple((right in told) / len(told) for right, told in zip(at.repaired, advice, strict=True))
    ways = list(product(*advice))
    valid = [UNTOLD not in way and at.operation(way) == at.wanted for way in ways]
    return Expected(sum(valid) / len(valid), (1.0,) * count, aligned)


def _alone(at: Situation, index: int) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    possible = 0
    others = [domain for other, domain in enumerate(at.domains) if other != index]
    for hidden in product(*others):
        values = (*hidden[:index], at.values[index], *hidden[index:])
        if at.operation(values) == at.output and (fits := at.targets(index, values)):
            possible += 1
            for value in fits:
                weights[value] = weights.get(value, 0.0) + 1
    return _likely(weights, possible)


STEPS = (
    "Add the numbers.",
    "Multiply the numbers.",
    "Subtract the second number from the first.",
    "Give the largest number.",
    "Give the smallest number.",
    "Answer yes if the first number is greater than the second, otherwise no.",
    "Answer yes if the values are equal, otherwise no.",
)
"""What an unseen instruction may be, of those that read two values."""


@lru_cache(maxsize=50_000)
def _unknown_step(domain: tuple[str, ...], value: str, output: str, wanted: str) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    possible = 0.0
    for text in STEPS if all(each.isdigit() for each in domain) else ():
        operation = operation_of(text)
        pairs = [(other, place) for other in domain for place in (0, 1)]

        def result(mine: str, other: str, place: int, run: Operation = operation) -> str:
            return run((mine, other) if place == 0 else (other, mine))

        fitting = [pair for pair in pairs if result(value, *pair) == output]
        for pair in fitting:
            if fits := [each for each in domain if result(each, *pair) == wanted]:
                possible += 1 / len(fitting)
                for each in fits:
                    weights[each] = weights.get(each, 0.0) + 1 / len(fitting)
    return _likely(weights, possible)


def _likely(weights: dict[str, float], possible: float) -> tuple[str, ...]:
    highest = max(weights.values(), default=0.0)
    if not highest or highest < possible / 2 - 1e-9:
        return (UNTOLD,)
    return tuple(value for value, weight in weights.items() if highest - weight < 1e-9)
