"""Truth by intervention: what the system does under any parameters, read without error, and who is to blame.

The forward pass of the simulated model is free here: it is asked directly, without the engine, and remembered.
L(S) is the loss after repairing the parameters S; the blame of j is its Shapley value of L(none) − L(S).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from math import factorial

from semprop.bench.worlds.world import World
from semprop.engine.example import Example, words_of
from semprop.engine.losses import Answer
from semprop.engine.nodes import Model
from semprop.engine.parameters import ParameterValue
from semprop.engine.prompts.forward import forward_request
from semprop.engine.tape import SlotValue
from semprop.providers.simulated.model import completion_of

TRUTH_SEED = -1
"""Of the examples with which worlds are described; no run has it."""
TRUTH_SIZE = 100


@dataclass(slots=True)
class Truth:
    """The clean forward pass of a world, with a memory."""

    world: World
    known: dict[tuple[str, str, tuple[str, ...]], str] = field(default_factory=dict)

    def node(self, name: str, text: str, inputs: Sequence[str]) -> str:
        """What a node writes under this instruction, given its inputs in the order of its slots."""
        key = (name, text, tuple(inputs))
        if key not in self.known:
            node = self.world.graph.node(name)
            assert isinstance(node, Model), "worlds are made of model nodes"
            values = iter((text, *inputs))
            slots = [SlotValue(slot.name, slot.source, slot.purpose, next(values)) for slot in node.slots]
            self.known[key] = completion_of(forward_request(node, slots, "", "")).text
        return self.known[key]

    def run(self, parameters: Mapping[str, ParameterValue], example: Example) -> dict[str, str]:
        """The value of every node on an example."""
        values = {name: words_of(given) for name, given in example.inputs.items()}
        for node in self.world.graph.nodes:
            first, *others = node.slots
            inputs = [values[slot.source] for slot in others]
            values[node.name] = self.node(node.name, str(parameters[first.source]), inputs)
        return values

    def is_right(self, answer: str, expected: str) -> bool:
        """Whether the loss is 0."""
        return self.world.loss(Example("", {}, expected), Answer(answer, answer)).value == 1.0

    def loss(self, parameters: Mapping[str, ParameterValue], examples: Sequence[Example]) -> float:
        """The mean loss of a set of parameters."""
        output = self.world.graph.output
        right = [self.is_right(self.run(parameters, each)[output], each.expected or "") for each in examples]
        return 1.0 - sum(right) / len(right)

    def repaired(self, names: Sequence[str]) -> dict[str, ParameterValue]:
        """The planted parameters with these repaired."""
        return {**self.world.graph.initial, **{name: self.world.repairs[name] for name in names}}


def described_by(world: World) -> tuple[Example, ...]:
    """The examples by which a world's truth is described; in no run."""
    return tuple(world.example(TRUTH_SEED, number) for number in range(TRUTH_SIZE))


@dataclass(frozen=True, slots=True)
class Blame:
    """L(S) for every subset of the parameters at fault, in order of size, and each one's Shapley value."""

    losses: Mapping[tuple[str, ...], float] = field(hash=False)
    shapley: Mapping[str, float] = field(hash=False)

    @property
    def planted(self) -> float:
        """The loss before any repair."""
        return self.losses[()]

    @property
    def best(self) -> float:
        """The least loss that repairs reach."""
        return min(self.losses.values())


def blame(truth: Truth) -> Blame:
    """L(S) and blame, over the examples that describe the world."""
    names, examples = tuple(truth.world.repairs), described_by(truth.world)
    subsets = tuple(chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)))
    losses = {subset: truth.loss(truth.repaired(subset), examples) for subset in subsets}
    return Blame(losses, {name: _shapley(name, names, losses) for name in names})


def _shapley(name: str, names: Sequence[str], losses: Mapping[tuple[str, ...], float]) -> float:
    total, count = 0.0, len(names)
    for subset, loss in losses.items():
        if name not in subset:
            joined = tuple(each for each in names if each in subset or each == name)
            weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
            total += weight * (loss - losses[joined])
    return total
