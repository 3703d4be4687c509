"""Worlds in which inputs depend on one another: coverage twins (W3), interaction (W4), shared and deep (W5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from semprop.bench.task import Sizes
from semprop.bench.worlds.criterion import Domain, State
from semprop.bench.worlds.digits import DIGITS, FIELDS, POSITIVE, RIGHT, WRONG, picked, record
from semprop.bench.worlds.world import World, instruction, step
from semprop.engine.example import Example, draw
from semprop.engine.graph import Graph

FACTS = ("north", "south", "east")
NORTH, SOUTH = "Copy the whole north line.", "Copy the whole south line."
BOTH = "Give the value of the field north. Give the value of the field south. Add the numbers."
LINES: Domain = tuple(f"{fact}: {digit}" for fact in FACTS for digit in DIGITS)


# W3 ------------------------------------------------------------------------------------------------------------------


def _covering(seed: int, number: int) -> Example:
    facts = {fact: picked(DIGITS, "coverage", seed, number, fact) for fact in FACTS}
    expected = str(int(facts["north"]) + int(facts["south"]))
    return Example(f"coverage-{seed}-{number}", {"record": record(facts, "coverage", seed, number, "order")}, expected)


def _twin_states() -> Iterator[State]:
    """One twin reports north; the other north, so that this one should report south, or east, so that neither alone
    can make it right. Of the second kind nothing is wanted of one input: T_v is empty."""
    for mine in DIGITS:
        for south in DIGITS:
            wanted = str(int(mine) + int(south))
            seen = (f"north: {mine}", "unknown", wanted)
            yield State(10.0, seen, (f"south: {south}",))
            for _ in DIGITS:
                yield State(1.0, seen, ())


def coverage() -> World:
    """W3: twins report one of three facts each; right iff the first and the second are both reported."""
    graph = Graph(
        inputs=("record",),
        parameters=(instruction("left", NORTH), instruction("right", NORTH), instruction("answer", BOTH)),
        nodes=(step("left", "record"), step("right", "record"), step("answer", "left", "right")),
        output="answer",
    )
    return World(
        name="coverage",
        family="W3",
        description="twins both report north; right iff north and south are covered: one of them must change",
        graph=graph,
        repairs={"left-instruction": SOUTH, "right-instruction": SOUTH},
        example=_covering,
        meeting="answer",
        domains={"left": LINES, "right": LINES},
        states=lambda: tuple(_twin_states()),
    )


# W4 ------------------------------------------------------------------------------------------------------------------

_Kinds = Callable[[int], str]
"""Question number → for which repaired sets it comes out right: letters of "-" (none), "a", "b", "2" (both)."""


def _masking(number: int) -> str:
    return ("-ab2", "-ab2", "-ab2", "-ab2", "-2", "-2", "-2", "2", "2", "2")[number % 10]


def _harmful(number: int) -> str:
    return ("-ab2", "-ab2", "-ab2", "-ab2", "-ab2", "a2", "a2", "-a", "-a", "")[number % 10]


def _equals(kind: str, *key: object) -> tuple[dict[str, str], dict[str, str], str]:
    """Two records and the expected word, such that "equal" is right exactly for the repaired sets in `kind`."""
    one, two, three, four = sorted(DIGITS, key=lambda digit: draw(*key, digit))[:4]
    # (previous, primary) of either record; "equal" is said for the sets whose two values agree.
    match kind:
        case "-ab2":
            left, right, expected = (one, two), (three, four), "no"
        case "-2":
            left, right, expected = (one, two), (one, two), "yes"
        case "2":
            left, right, expected = (one, two), (three, two), "yes"
        case "a2":
            left, right, expected = (one, two), (two, two), "yes"
        case "-a":
            left, right, expected = (one, one), (one, two), "yes"
        case _:
            left, right, expected = (one, two), (three, four), "yes"
    filled = ({name: picked(DIGITS, *key, side, name) for name in FIELDS[2:]} for side in ("left", "right"))
    records = [
        {"previous": values[0], "primary": values[1], **rest}
        for values, rest in zip((left, right), filled, strict=True)
    ]
    return records[0], records[1], expected


def _interaction(name: str, kinds: _Kinds, description: str) -> World:
    def example(seed: int, number: int) -> Example:
        left, right, expected = _equals(kinds(number), name, seed, number)
        return Example(
            f"{name}-{seed}-{number}",
            {
                "left-record": record(left, name, seed, number, "left"),
                "right-record": record(right, name, seed, number, "right"),
            },
            expected,
        )

    graph = Graph(
        inputs=("left-record", "right-record"),
        parameters=(
            instruction("left", WRONG),
            instruction("right", WRONG),
            instruction("answer", "Answer yes if the values are equal, otherwise no."),
        ),
        nodes=(step("left", "left-record"), step("right", "right-record"), step("answer", "left", "right")),
        output="answer",
    )
    return World(
        name=name,
        family="W4",
        description=description,
        graph=graph,
        repairs={"left-instruction": RIGHT, "right-instruction": RIGHT},
        example=example,
        meeting="answer",
        domains={"left": DIGITS, "right": DIGITS},
    )


# W5 ------------------------------------------------------------------------------------------------------------------

COPY = "Repeat the input unchanged."
DEPTHS = (2, 4, 8, 16)


def _shared(seed: int, number: int) -> Example:
    """Two records; in one of them the wrong field holds another digit, in the other the same."""
    wrong_side = ("left", "right")[number % 2]
    texts, total = {}, 0
    for side in ("left", "right"):
        values = {name: picked(POSITIVE, "shared", seed, number, side, name) for name in FIELDS}
        others = [digit for digit in POSITIVE if digit != values["primary"]]
        same = side != wrong_side
        values["previous"] = values["primary"] if same else picked(others, "shared", seed, number, side, "wrong")
        texts[f"{side}-record"] = record(values, "shared", seed, number, side, "order")
        total += int(values["primary"])
    return Example(f"shared-{seed}-{number}", texts, str(total))


def shared(depth: int) -> World:
    """W5: one instruction steers the first step of two chains of `depth` steps, which meet in a sum."""
    chains = {side: tuple(f"{side}-{level}" for level in range(depth, 0, -1)) for side in ("left", "right")}
    nodes = []
    for level in range(1, depth + 1):
        for side in chains:
            read = f"{side}-record" if level == 1 else f"{side}-{level - 1}"
            nodes.append(
                step(f"{side}-{level}", read, instruction="read-instruction" if level == 1 else "copy-instruction")
            )
    return World(
        name=f"shared-{depth}",
        family="W5",
        description=f"one instruction steers two steps with compatible demands, each {depth} levels before a sum",
        graph=Graph(
            inputs=("left-record", "right-record"),
            parameters=(
                instruction("read", WRONG),
                instruction("copy", COPY, trainable=False),
                instruction("answer", "Add the numbers."),
            ),
            nodes=(*nodes, step("answer", f"left-{depth}", f"right-{depth}")),
            output="answer",
        ),
        repairs={"read-instruction": RIGHT},
        example=_shared,
        meeting="answer",
        domains={f"{side}-{depth}": POSITIVE for side in chains},
        chains={f"{side}-{depth}": chain for side, chain in chains.items()},
        sizes=Sizes(train=8, gate=10, test=12),
    )


def worlds() -> tuple[World, ...]:
    """W3, W4 and W5."""
    return (
        coverage(),
        _interaction(
            "masking", _masking, "loss of (none, a, b, both repaired) = (.3, .6, .6, 0): one repair masks the other"
        ),
        _interaction("harmful", _harmful, "loss of (none, a, b, both) = (.3, .1, .5, .3): a good and a harmful edit"),
        *(shared(depth) for depth in DEPTHS),
    )
