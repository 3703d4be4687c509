"""Linear regression as a task: no model is asked, and the best weights are known. Takes a seed, gives examples.

It shows that the one kernel is reverse-mode differentiation, or numerical descent, where all nodes are numeric.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from semprop.bench.data import DataSource
from semprop.bench.task import Defaults, Sizes, Task
from semprop.engine.arrays import Array
from semprop.engine.converters import parsed_array
from semprop.engine.example import Example, Splits, draw, split
from semprop.engine.graph import Graph
from semprop.engine.parameters import Number, Parameter
from semprop.engine.primitives import add, matmul
from semprop.engine.squared import Squared

WEIGHTS = (1.5, -2.0, 0.5)
BIAS = 0.75
"""What the examples are made with."""

NOISE = 0.1
"""Targets are off by up to this, evenly."""

SIZES = Sizes(train=64, gate=32, test=64)

GRAPH = Graph(
    inputs=("x",),
    parameters=(
        Parameter("weights", Array(np.zeros(len(WEIGHTS))), purpose="what each component of x counts for"),
        Parameter("bias", Number(0.0), purpose="what is added to all"),
    ),
    nodes=(
        parsed_array("row", "x"),
        matmul("product", "row", "weights"),
        add("answer", "product", "bias"),
    ),
    output="answer",
)


def example(seed: int, number: int) -> Example:
    """One row with components in [−2, 2], and its target."""
    row = [round(4.0 * draw(seed, "regression", number, place) - 2.0, 3) for place in range(len(WEIGHTS))]
    noise = NOISE * (2.0 * draw(seed, "regression", number, "noise") - 1.0)
    target = float(np.dot(row, WEIGHTS)) + BIAS + noise
    return Example(f"regression-{seed}-{number}", {"x": str(row)}, f"{target:.6f}")


def _examples(seed: int, total: int) -> Iterator[Example]:
    distinct = {each.inputs["x"]: each for each in (example(seed, number) for number in range(3 * total + 24))}
    return iter(distinct.values())


def load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
    """Disjoint splits of distinct rows.

    Raises:
        DataError: a split that was asked for came out empty.
    """
    total = sizes.train + sizes.gate + sizes.test
    shares = ((sizes.train + 1) / (total + 3), (sizes.gate + 1) / (total + 3))
    return split(_examples(seed, total), seed, train=sizes.train, gate=sizes.gate, test=sizes.test, shares=shares)


TASK = Task(
    name="regression",
    description="linear regression: exact or numerical derivatives in place of words; no model",
    graph=GRAPH,
    loss=Squared(scale=0.5),
    load=load,
    defaults=Defaults(
        SIZES,
        method="reverse-mode",
        providers={},
        steps=60,
        minibatch=SIZES.train,
        examples_per_gradient=SIZES.train,
    ),
    note="No model was asked: it shows the kernel on numbers, nothing about language models.",
)
