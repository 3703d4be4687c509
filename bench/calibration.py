"""Text and numbers in one graph: a simulated model reads a gauge, and what it reads is calibrated by two numbers.

    record → model (which gauge?) → parser → · gain → + offset → answer

One instruction is at fault and both numbers are off; which instruction is right and which numbers are best is known.
It shows that one pass and one step train both kinds, nothing about language models.
"""

from __future__ import annotations

from collections.abc import Iterator

from semprop.bench.data import DataSource
from semprop.bench.task import Defaults, Sizes, Task
from semprop.bench.worlds.lookup import FIELDS, NOTE, RIGHT_KEY, WRONG_KEY
from semprop.engine.converters import parsed_number
from semprop.engine.example import Example, Splits, draw, split
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model
from semprop.engine.parameters import Number, Parameter
from semprop.engine.primitives import add, multiply
from semprop.engine.squared import Squared
from semprop.providers.base import Sampling

GAIN, OFFSET = 1.5, 0.75
"""What the examples are made with."""

SIZES = Sizes(train=32, gate=32, test=64)


def example(seed: int, number: int) -> Example:
    """One record of eight readings in [−2, 2], and the calibrated value of the primary one."""
    readings = {field: round(4.0 * draw(seed, "calibration", number, field) - 2.0, 2) for field in FIELDS}
    lines = sorted(FIELDS, key=lambda field: draw(seed, "calibration", number, "line", field))
    record = "\n".join(f"{field}: {readings[field]}" for field in lines)
    target = GAIN * readings["primary"] + OFFSET
    return Example(f"calibration-{seed}-{number}", {"record": record}, f"{target:.6f}")


def _examples(seed: int, total: int) -> Iterator[Example]:
    distinct = {each.inputs["record"]: each for each in (example(seed, number) for number in range(3 * total + 24))}
    return iter(distinct.values())


def graph(*, read: str = WRONG_KEY, gain: float = 1.0, offset: float = 0.0) -> Graph:
    """The graph, by default with a wrong instruction and uncalibrated."""
    return Graph(
        inputs=("record",),
        parameters=(
            Parameter("read-instruction", read, purpose="tells the first step which reading of the record to give"),
            Parameter("gain", Number(gain), purpose="what the reading is multiplied by"),
            Parameter("offset", Number(offset), purpose="what is added to that"),
        ),
        nodes=(
            Model("read", "read-instruction", ("record",), sampling=Sampling(max_tokens=64)),
            parsed_number("reading", "read"),
            multiply("scaled", "reading", "gain"),
            add("answer", "scaled", "offset"),
        ),
        output="answer",
    )


def load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
    """Disjoint splits of distinct records.

    Raises:
        DataError: a split that was asked for came out empty.
    """
    total = sizes.train + sizes.gate + sizes.test
    shares = ((sizes.train + 1) / (total + 3), (sizes.gate + 1) / (total + 3))
    return split(_examples(seed, total), seed, train=sizes.train, gate=sizes.gate, test=sizes.test, shares=shares)


RIGHT = RIGHT_KEY
"""An instruction that reads the right gauge."""

TASK = Task(
    name="calibration",
    description="simulated world: an instruction and two numbers, trained together by the method mixed",
    graph=graph(),
    loss=Squared(scale=0.5),
    load=load,
    defaults=Defaults(
        SIZES,
        method="mixed",
        providers=dict.fromkeys(("forward", "backward", "update"), "simulated:"),
        steps=40,
        minibatch=SIZES.train,
        examples_per_gradient=SIZES.train,
    ),
    note="The fault is planted: the right instruction and the best numbers are known, whoever answers.",
    simulated_note=NOTE,
)
