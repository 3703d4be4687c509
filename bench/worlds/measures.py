"""What is measured of one step's gradients: who was told to change, whether the advice does, and what arrives below.

Pure: takes a step and the truth, gives counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from semprop.bench.worlds.truth import Truth
from semprop.engine.example import Example
from semprop.engine.gradients import Gradient, Message, Stance
from semprop.engine.method import Scored
from semprop.engine.parameters import ParameterValue
from semprop.engine.training.step import Step
from semprop.providers.simulated.pages import value_lines
from semprop.providers.simulated.wanted import Demand, Wanted, wanted_in


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Keep or change against blame above 0, over (example, parameter). `hits` were told to change and are to blame."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    @property
    def precision(self) -> float | None:
        told = self.hits + self.false
        return self.hits / told if told else None

    @property
    def recall(self) -> float | None:
        blamed = self.hits + self.missed
        return self.hits / blamed if blamed else None

    @property
    def f1(self) -> float | None:
        """Of precision and recall; None where nobody is to blame or nothing was said."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total and self.hits + self.missed else None

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(self.hits + other.hits, self.false + other.false, self.missed + other.missed)


def verdicts(step: Step, trainable: Sequence[str], blame: Mapping[str, float]) -> Verdicts:
    """Count the verdicts of the gradients of wrong examples; a parameter without a message is kept."""
    total = Verdicts()
    for _, gradients in _wrong(step):
        for name in trainable:
            told = name in gradients and bool(gradients[name].changes)
            guilty = blame.get(name, 0.0) > 0
            total += Verdicts(int(told and guilty), int(told and not guilty), int(guilty and not told))
    return total


def _wrong(step: Step) -> Iterator[tuple[Scored, Mapping[str, Gradient]]]:
    """The wrong examples with their gradients; some methods take the others too."""
    for scored, gradients in zip(step.selected.wrong, step.gradients, strict=True):
        if scored.score.value < 1.0:
            yield scored, gradients


@dataclass(frozen=True, slots=True)
class Validity:
    """Of `asked` wrong examples with advice at the meeting node, in how many following all of it makes it right."""

    valid: int = 0
    asked: int = 0

    @property
    def share(self) -> float | None:
        return self.valid / self.asked if self.asked else None


def validity(step: Step, truth: Truth, expected: Mapping[str, str]) -> Validity:
    """Apply all advice to the meeting node's inputs at once and run it, read without error. Advice that does not say
    how cannot be followed: it is not right."""
    valid = asked = 0
    for scored, gradients in _wrong(step):
        advice = _advice(truth, gradients)
        if advice is None:
            return Validity()
        asked += 1
        example = scored.tape.example
        now = truth.run(step.before, example)
        output = _followed(truth, step.before, now, advice)
        valid += output is not None and truth.is_right(output, expected[example.id])
    return Validity(valid, asked)


def fitting(step: Step, truth: Truth, examples: Mapping[str, Example], expected: Mapping[str, str]) -> Validity:
    """Of the inputs of the meeting node that are wrong and told to change, how many are told a value in T_v: followed
    alone, the others as they are, it makes the step right. This is what the criterion speaks of."""
    valid = asked = 0
    slots = truth.world.graph.node(truth.world.meeting).slots[1:]
    for scored, gradients in _wrong(step):
        name = scored.tape.example.id
        now = truth.run(step.before, examples[name])
        right = truth.run(truth.repaired(tuple(truth.world.repairs)), examples[name])
        advice = _advice(truth, gradients) or {}
        for slot in slots:
            message = advice.get(slot.name)
            if message is not None and message.stance is Stance.CHANGE and now[slot.source] != right[slot.source]:
                asked += 1
                output = _followed(truth, step.before, now, {slot.name: message})
                valid += output is not None and truth.is_right(output, expected[name])
    return Validity(valid, asked)


def _advice(truth: Truth, gradients: Mapping[str, Gradient]) -> dict[str, Message] | None:
    """Slot of the meeting node → its message; None if no message came from there: the method asks nothing of it."""
    meeting = truth.world.meeting
    found = {
        message.source.slot: message
        for gradient in gradients.values()
        for message in gradient.messages
        if message.source.successor == meeting and message.source.slot != "instruction"
    }
    return found or None


def _followed(
    truth: Truth, parameters: Mapping[str, ParameterValue], now: Mapping[str, str], advice: Mapping[str, Message]
) -> str | None:
    first, *others = truth.world.graph.node(truth.world.meeting).slots
    inputs = [
        followed(now[slot.source], str(advice[slot.name].content))
        if slot.name in advice and advice[slot.name].stance is Stance.CHANGE
        else now[slot.source]
        for slot in others
    ]
    return None if UNTOLD in inputs else truth.node(truth.world.meeting, str(parameters[first.source]), inputs)


UNTOLD = "(something else)"
"""What a value becomes that should be different, without how."""


def followed(value: str, advice: str) -> str:
    """A value after the advice in words was followed."""
    for wanted in wanted_in(advice) or (Wanted(Demand.DIFFERS),):
        value = _changed(value, wanted)
    return value


def _changed(value: str, wanted: Wanted) -> str:
    lines = [line.raw for line in value_lines("", value)]
    told = value_lines("", wanted.text)
    match wanted.demand:
        case Demand.IS:
            return wanted.text
        case Demand.OMITS:
            return "\n".join(line for line in lines if line != wanted.text)
        case Demand.STATES if len(told) == 1 and told[0].sign:
            fields = [line.field for line in value_lines("", value)]
            if told[0].field in fields:
                lines[fields.index(told[0].field)] = told[0].raw
            elif len(lines) == 1:  # A value of one fact holds one fact.
                lines = [told[0].raw]
            else:
                lines.append(told[0].raw)
            return "\n".join(lines)
        case Demand.STATES:
            return wanted.text
        case _:
            return UNTOLD


@dataclass(frozen=True, slots=True)
class Level:
    """Messages at one distance from the seed, over examples: the share of the facts that are still told, and the mean
    bytes of a gradient."""

    distance: int
    facts: int
    alive: int
    told: int
    bytes: int


def levels(step: Step, truth: Truth, examples: Mapping[str, Example]) -> tuple[Level, ...]:
    """How far the value that an input should have had gets through its chain. A fact counts for the chain whose value
    is wrong."""
    chains = truth.world.chains
    deepest = max((len(chain) for chain in chains.values()), default=0)
    counts = [[0, 0, 0, 0] for _ in range(deepest)]
    for scored, gradients in _wrong(step):
        example = examples[scored.tape.example.id]
        now = truth.run(step.before, example)
        right = truth.run(truth.repaired(tuple(truth.world.repairs)), example)
        for chain in chains.values():
            for distance, name in enumerate(chain):
                count = counts[distance]
                words = [str(each.content) for each in gradients[name].changes] if name in gradients else []
                if now[name] != right[name]:
                    count[0] += 1
                    count[1] += any(wanted.text == right[name] for text in words for wanted in wanted_in(text))
                count[2] += bool(words)
                count[3] += sum(len(text.encode()) for text in words)
    return tuple(Level(distance, *count) for distance, count in enumerate(counts, 1))
