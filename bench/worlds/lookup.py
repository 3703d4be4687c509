"""Planted-fault worlds: generated tasks for the simulated model, where it is known which instruction is at fault.

Takes a seed, gives examples and graphs. Calls no model. They show conformance, that information reaches the right slot
and nothing else does; they never show that a method helps language models, and each task's note says so.

World W1, *lookup*: `key` reads a record and names a call sign, `table` reads a sheet and writes its eight pairs,
`place` sees only what those two wrote, and answers with the town beside the call sign. All call signs of a record are
in its sheet, so a wrong field gives a wrong town, and only who sees the table can say which call sign would be right.
"""

from __future__ import annotations

from collections.abc import Sequence

from semprop.bench.data import DataSource
from semprop.bench.task import Defaults, Sizes, Task
from semprop.engine.example import Example, Splits, draw, normalised, split
from semprop.engine.graph import Graph
from semprop.engine.losses import Exact
from semprop.engine.nodes import Model
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

NOTE = (
    "Simulated: rules in place of a language model. It shows that information reaches the right instruction, never "
    "that the method helps language models."
)

PLANTED = "The fault is planted: the instructions that must change are known, whoever answers."

SIZES = Sizes(train=24, gate=40, test=80)

FIELDS = ("primary", "backup", "previous", "partner", "standby", "relief", "guest", "reserve")
"""What a record lists, in some order; the question is always about the primary one."""

SIGNS = (
    *("avocet", "bittern", "bunting", "curlew", "dipper", "dunlin", "eider", "fieldfare", "finch", "gannet"),
    *("godwit", "goldcrest", "grebe", "guillemot", "harrier", "heron", "hoopoe", "kestrel", "kite", "knot"),
    *("lapwing", "linnet", "martin", "merlin", "nightjar", "nuthatch", "oriole", "osprey", "ouzel", "petrel"),
    *("pipit", "plover", "puffin", "redstart", "sanderling", "siskin", "sparrow", "swift", "tern", "wagtail"),
)
TOWNS = (
    *("Alder", "Barrow", "Calder", "Darwen", "Eccles", "Flint", "Goole", "Hexham", "Ilkley", "Jarrow"),
    *("Keswick", "Leek", "Malton", "Nairn", "Oban", "Penrith", "Quorn", "Ripon", "Selby", "Thirsk"),
    *("Ulver", "Wells", "Yarm", "Ashby", "Bourne", "Corby", "Diss", "Ely", "Frome", "Gorse"),
    *("Hythe", "Irvine", "Kirkby", "Louth", "Marlow", "Newark", "Olney", "Poole", "Rugby", "Settle"),
)
PAIRS = 8

RIGHT_KEY = "Give the value of the field primary."
WRONG_KEY = "Give the value of the field previous."
RIGHT_TABLE = "Write out the whole table, one pair to a line."
SHORT_TABLE = "Write out the whole table, one pair to a line. Keep only the first four lines."
RIGHT_PLACE = "Find the key in the table and answer with the value beside it."


def example(seed: int, number: int) -> Example:
    """One question of W1. Signs, towns and the order of all lines are drawn by (seed, number)."""
    signs = _drawn(SIGNS, PAIRS, seed, number, "sign")
    towns = _drawn(TOWNS, PAIRS, seed, number, "town")
    named = _drawn(signs, len(FIELDS), seed, number, "field")
    record = dict(zip(FIELDS, named, strict=True))
    lines = _drawn(FIELDS, len(FIELDS), seed, number, "line")
    sheet = dict(zip(signs, towns, strict=True))
    return Example(
        f"lookup-{seed}-{number}",
        {
            "record": "\n".join(f"{field}: {record[field]}" for field in lines),
            "sheet": "\n".join(f"{sign} = {town}" for sign, town in sheet.items()),
        },
        sheet[named[0]],
    )


def _drawn(words: Sequence[str], size: int, *key: object) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda word: draw(*key, word))[:size])


def examples(seed: int, sizes: Sizes = SIZES) -> Splits:
    """Disjoint splits of distinct questions; whose split a question is in depends on (seed, question) alone.

    Raises:
        DataError: a split that was asked for came out empty.
    """
    total = sizes.train + sizes.gate + sizes.test
    distinct = {normalised(each): each for each in (example(seed, number) for number in range(3 * total + 24))}
    shares = ((sizes.train + 1) / (total + 3), (sizes.gate + 1) / (total + 3))
    return split(distinct.values(), seed, train=sizes.train, gate=sizes.gate, test=sizes.test, shares=shares)


def lookup_graph(*, key: str = WRONG_KEY, table: str = RIGHT_TABLE, place: str = RIGHT_PLACE) -> Graph:
    """W1 with the given instructions to start from; by default `key-instruction` is at fault."""
    sampling = Sampling(max_tokens=256)
    return Graph(
        inputs=("record", "sheet"),
        parameters=(
            Parameter("key-instruction", key, purpose="tells the first step which call sign of the record to name"),
            Parameter("table-instruction", table, purpose="tells the second step what of the sheet to pass on"),
            Parameter("place-instruction", place, purpose="tells the last step how to find the town"),
        ),
        nodes=(
            Model("key", "key-instruction", ("record",), sampling=sampling),
            Model("table", "table-instruction", ("sheet",), sampling=sampling),
            Model("place", "place-instruction", ("key", "table"), sampling=sampling),
        ),
        output="place",
    )


def _load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
    return examples(seed, sizes)


def _defaults(steps: int) -> Defaults:
    roles = ("forward", "backward", "update")
    return Defaults(
        SIZES,
        providers=dict.fromkeys(roles, "simulated:"),
        steps=steps,
        minibatch=16,
        examples_per_gradient=8,
        candidates=1,
    )


LOOKUP = Task(
    name="lookup",
    description="simulated world W1: a record, a table and a look-up; the first instruction reads the wrong field",
    graph=lookup_graph(),
    loss=Exact(),
    load=_load,
    defaults=_defaults(steps=2),
    note=PLANTED,
    simulated_note=NOTE,
)

LOOKUP_TWO_FAULTS = Task(
    name="lookup-two-faults",
    description="the same, and the second instruction passes on half of the table: two steps to repair",
    graph=lookup_graph(table=SHORT_TABLE),
    loss=Exact(),
    load=_load,
    defaults=_defaults(steps=3),
    note=PLANTED,
    simulated_note=NOTE,
)


def tasks() -> tuple[Task, ...]:
    """The worlds that the command knows by name."""
    return (LOOKUP, LOOKUP_TWO_FAULTS)
