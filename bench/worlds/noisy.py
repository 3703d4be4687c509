"""W1 as worlds, and W6: flipped labels of the gradient, a class prior that invites "always no", nothing to learn."""

from __future__ import annotations

from dataclasses import replace

from semprop.bench.worlds import lookup
from semprop.bench.worlds.criterion import lookup_states
from semprop.bench.worlds.digits import DIGITS, FIELDS, RIGHT, graph_of, picked, record
from semprop.bench.worlds.world import World, instruction, step
from semprop.engine.example import Example, draw, words_of
from semprop.engine.graph import Graph

FLIPPED = (0.1, 0.3, 1.0)
PRIOR = 0.8
"""The share of questions whose answer is no."""


def _other_town(example: Example, seed: int) -> str:
    towns = [line.split(" = ")[1] for line in words_of(example.inputs["sheet"]).split("\n")]
    return picked([town for town in towns if town != example.expected], seed, "flipped to", example.id)


def _lookup() -> World:
    return World(
        name="lookup",
        family="W1",
        description="a key is looked up in a table; the key's step reads the wrong field",
        graph=lookup.lookup_graph(),
        repairs={"key-instruction": lookup.RIGHT_KEY},
        example=lookup.example,
        meeting="place",
        domains={"key": lookup.SIGNS},
        states=lambda: tuple(lookup_states(len(lookup.SIGNS))),
    )


def _lookup_seen() -> World:
    names = ("key", "table", "place")
    texts = (lookup.WRONG_KEY, lookup.RIGHT_TABLE, lookup.RIGHT_PLACE)
    graph = Graph(
        inputs=("record", "sheet"),
        parameters=tuple(instruction(name, text) for name, text in zip(names, texts, strict=True)),
        nodes=(step("key", "record"), step("table", "sheet"), step("place", "key", "table", "record", "sheet")),
        output="place",
    )
    return replace(
        _lookup(), name="lookup-seen", description="the same, and the last step also sees record and sheet", graph=graph
    )


def _prevalent(seed: int, number: int) -> Example:
    """A comparison whose answer is no in four of five questions; the wrong field gives a yes in half of them."""
    key = ("prevalence", seed, number)
    label = "no" if draw(*key, "label") < PRIOR else "yes"
    second = str(3 + int(draw(*key, "second") * 4))
    above = [digit for digit in DIGITS if digit > second]
    below = [digit for digit in DIGITS if digit <= second]
    first = {name: picked(DIGITS, *key, "first", name) for name in FIELDS}
    first["primary"] = picked(above if label == "yes" else below, *key, "right")
    misled = draw(*key, "misled") < 0.5
    first["previous"] = picked(above if (label == "yes") != misled else below, *key, "wrong")
    other = {name: picked(DIGITS, *key, "other", name) for name in FIELDS}
    other["primary"] = second
    texts = {"first-record": record(first, *key, "a"), "second-record": record(other, *key, "b")}
    return Example(f"prevalence-{seed}-{number}", texts, label)


def _aimless(seed: int, number: int) -> Example:
    """A look-up whose answer is a town of the sheet that nothing on the page tells."""
    given = lookup.example(seed, number)
    towns = [line.split(" = ")[1] for line in words_of(given.inputs["sheet"]).split("\n")]
    return replace(given, id=f"null-{seed}-{number}", expected=picked(towns, "null", seed, number))


def worlds() -> tuple[World, ...]:
    """W1 and W1q."""
    return (_lookup(), _lookup_seen())


def noisy_worlds() -> tuple[World, ...]:
    """W6."""
    flipped = tuple(
        replace(
            _lookup(),
            name=f"noise-{share * 100:.0f}",
            family="W6",
            description=f"lookup with {share:.0%} of the gradient's labels flipped",
            flipped=share,
            wrong=_other_town,
        )
        for share in FLIPPED
    )
    compare = "Answer yes if the first number is greater than the second, otherwise no."
    prevalence = World(
        name="prevalence",
        family="W6",
        description="a comparison whose answer is no in 80 %: 'always no' scores .8 and repairs nothing",
        graph=graph_of(compare, 2, 0),
        repairs={"first-instruction": RIGHT},
        example=_prevalent,
        meeting="answer",
        domains={"first": DIGITS, "second": DIGITS},
    )
    null = replace(
        _lookup(),
        name="null",
        family="W6",
        description="no clause helps: the answer is told by nothing",
        example=_aimless,
    )
    return (*flipped, prevalence, replace(null, repairs={}, states=None))
