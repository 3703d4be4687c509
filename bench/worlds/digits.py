"""Worlds of two to five records of digits whose chosen fields meet in one operation: W2, and the random worlds.

Every record has the fields of `FIELDS`; each of the first steps reads one of them. By default the first step reads
the wrong field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from semprop.bench.worlds.criterion import Domain, State, states_of
from semprop.bench.worlds.world import World, instruction, step
from semprop.engine.example import Example, draw
from semprop.engine.graph import Graph
from semprop.providers.simulated.clauses import understood
from semprop.providers.simulated.execution import carried_out
from semprop.providers.simulated.pages import Line

FIELDS = ("primary", "previous", "backup", "partner")
RIGHT = "Give the value of the field primary."
WRONG = "Give the value of the field previous."
NAMES = ("first", "second", "third", "fourth", "fifth")
DIGITS: Domain = tuple("0123456789")
POSITIVE: Domain = DIGITS[1:]


def picked(options: Sequence[str], *key: object) -> str:
    """One of the options, by the key alone."""
    return options[int(draw(*key) * len(options))]


def record(values: dict[str, str], *key: object) -> str:
    """The fields as lines, in an order drawn by the key."""
    return "\n".join(f"{name}: {values[name]}" for name in sorted(values, key=lambda name: draw(*key, name)))


def operation_of(text: str) -> Callable[[tuple[str, ...]], str]:
    """What an instruction makes of values, in order."""
    clauses = understood(text).clauses
    return lambda values: carried_out(
        clauses, [Line(name, name, ":", value) for name, value in zip(NAMES, values, strict=False)]
    )


def graph_of(answer: str, fan_in: int, fault: int) -> Graph:
    """Records → one field each → the operation; the step number `fault` reads the wrong field."""
    names = NAMES[:fan_in]
    texts = [WRONG if number == fault else RIGHT for number in range(fan_in)]
    return Graph(
        inputs=tuple(f"{name}-record" for name in names),
        parameters=(
            *(instruction(name, text) for name, text in zip(names, texts, strict=True)),
            instruction("answer", answer),
        ),
        nodes=(*(step(name, f"{name}-record") for name in names), step("answer", *names)),
        output="answer",
    )


def digits_world(
    name: str,
    family: str,
    answer: str,
    *,
    domain: Domain = DIGITS,
    fan_in: int = 2,
    fault: int = 0,
    alike: float = 0.0,
    description: str,
) -> World:
    """A world of one operation. `answer` is the instruction of the last step; in a share `alike` of the questions all
    right values are the same."""
    names, operation = NAMES[:fan_in], operation_of(answer)

    def example(seed: int, number: int) -> Example:
        records = {}
        for step_name in names:
            values = {field: picked(domain, name, seed, number, step_name, field) for field in FIELDS}
            records[f"{step_name}-record"] = values
        if draw(name, seed, number, "alike") < alike:
            for values in records.values():
                values["primary"] = records["first-record"]["primary"]
        right = operation(tuple(values["primary"] for values in records.values()))
        texts = {each: record(values, name, seed, number, each, "order") for each, values in records.items()}
        return Example(f"{name}-{seed}-{number}", texts, right)

    def states() -> tuple[State, ...]:
        return tuple(states_of(operation, [domain] * fan_in, fault))

    return World(
        name=name,
        family=family,
        description=description,
        graph=graph_of(answer, fan_in, fault),
        repairs={f"{names[fault]}-instruction": RIGHT},
        example=example,
        meeting="answer",
        domains=dict.fromkeys(names, domain),
        states=states,
    )


def worlds() -> tuple[World, ...]:
    """W2: a sum and a product, which can be inverted without the other value, and three operations that cannot, or
    not always."""
    return (
        digits_world(
            "sum",
            "W2",
            "Add the numbers.",
            description="two digits are added: the wrong one can be told from the sum alone",
        ),
        digits_world(
            "product",
            "W2",
            "Multiply the numbers.",
            domain=POSITIVE,
            description="two digits from 1 are multiplied: the same",
        ),
        digits_world(
            "last-digit",
            "W2",
            "Multiply the numbers. Keep only the last digit.",
            description="a·b mod 10: mostly told without the other value",
        ),
        digits_world(
            "compare",
            "W2",
            "Answer yes if the first number is greater than the second, otherwise no.",
            description="a > b: the siblings hold bits about T_v, yet 9 or 0 is always right advice",
        ),
        digits_world(
            "equal",
            "W2",
            "Answer yes if the values are equal, otherwise no.",
            alike=0.6,
            description="a = b: what a should be is the other value",
        ),
    )


SHAPES = ((2, 3), (2, 4), (2, 5), (2, 6), (2, 7), (2, 8), (3, 2), (3, 3), (3, 4), (4, 2), (5, 2))
"""(fan-in, digits) of random worlds; a table of rules has at most 64 entries."""


def random_world(number: int) -> World:
    """World `number` of the random ones: fan-in, digits, operation table and the place of the fault are drawn."""
    fan_in = 2 + int(draw("random world", number, "fan-in") * 4)
    shapes = [shape for shape in SHAPES if shape[0] == fan_in]
    _, size = shapes[int(draw("random world", number, "digits") * len(shapes))]
    results = DIGITS[: 2 + int(draw("random world", number, "results") * 7)]
    rules = " ".join(
        f"{''.join(key)}:{picked(results, 'random world', number, *key)}"
        for key in product(DIGITS[:size], repeat=fan_in)
    )
    return digits_world(
        f"random-{number}",
        "random",
        f"Combine the values by the rules {rules}.",
        domain=DIGITS[:size],
        fan_in=fan_in,
        fault=int(draw("random world", number, "fault") * fan_in),
        description=f"{fan_in} values of {size} digits, {len(results)} results at most",
    )
