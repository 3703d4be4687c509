"""What a world is: a graph with planted faults, what repairs them, and where the values meet. Frozen data.

The labels that gradients see can be flipped in a world; those of gate and test are always true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from semprop.bench.task import Sizes
from semprop.bench.worlds.criterion import Domain, State
from semprop.engine.example import Example, Splits, draw, normalised, split
from semprop.engine.graph import Graph
from semprop.engine.losses import Exact
from semprop.engine.nodes import Model
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

SAMPLING = Sampling(max_tokens=256)
SIZES = Sizes(train=12, gate=16, test=20)
MINIBATCH, PER_GRADIENT, STEPS = 12, 8, 3

Draw = Callable[[int, int], Example]
"""(seed, number) → one question, with its true answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A planted world.

    Attributes:
        family: W1 to W6, or "random".
        repairs: parameter at fault → the instruction that repairs it, each judged with the others as they are.
        meeting: the node whose inputs the faults reach.
        domains: slot of the meeting node → the published values that it may take; slots without are never to blame.
        states: for the criterion: everything that can be, of the slot at fault; None where the criterion is silent.
        flipped: the share of training labels that are replaced by `wrong`.
        chains: for each slot of the meeting node, the nodes through which its message travels, from there backwards.
    """

    name: str
    family: str
    description: str
    graph: Graph
    repairs: Mapping[str, str] = field(hash=False)
    example: Draw
    meeting: str
    domains: Mapping[str, Domain] = field(default_factory=dict, hash=False)
    states: Callable[[], tuple[State, ...]] | None = None
    flipped: float = 0.0
    wrong: Callable[[Example, int], str] | None = None
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    sizes: Sizes = SIZES

    loss: Exact = Exact()

    def splits(self, seed: int) -> Splits:
        """Disjoint splits; the labels of `flipped` of the training examples are wrong."""
        splits = drawn(self.example, seed, self.sizes)
        if self.wrong is None or not self.flipped:
            return splits
        wrong = self.wrong
        train = tuple(
            replace(each, expected=wrong(each, seed)) if draw(seed, "flipped", each.id) < self.flipped else each
            for each in splits.train
        )
        return replace(splits, train=train)

    def truths(self, seed: int) -> Mapping[str, str]:
        """Example id → its true answer."""
        splits = drawn(self.example, seed, self.sizes)
        return {each.id: each.expected or "" for each in (*splits.train, *splits.gate, *splits.test)}


def drawn(example: Draw, seed: int, sizes: Sizes) -> Splits:
    """Disjoint splits of distinct questions; whose split a question is in depends on (seed, question) alone.

    Raises:
        DataError: a split that was asked for came out empty.
    """
    total = sizes.train + sizes.gate + sizes.test
    questions = (example(seed, number) for number in range(3 * total + 24))
    distinct = {normalised(each): each for each in questions}
    shares = ((sizes.train + 1) / (total + 3), (sizes.gate + 1) / (total + 3))
    return split(distinct.values(), seed, train=sizes.train, gate=sizes.gate, test=sizes.test, shares=shares)


def step(name: str, *inputs: str, instruction: str | None = None) -> Model:
    """A model node of a world, steered by `NAME-instruction` unless told otherwise."""
    return Model(name, instruction or f"{name}-instruction", inputs, sampling=SAMPLING)


def instruction(step_name: str, text: str, *, trainable: bool = True) -> Parameter:
    """The instruction of a step."""
    return Parameter(f"{step_name}-instruction", text, trainable=trainable)
