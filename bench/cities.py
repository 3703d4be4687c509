"""`cities`: which city does a sentence name? A generated task for a model of 135 million parameters.

Takes a seed, gives examples, the graph and what an optimization of it may try. Calls no model.

Two model nodes: `place` reads the sentence, `city` reads the place. Instructions and the last
node's demonstrations can be changed; demonstrations as chat turns are the strong lever for so small a model. Held-out
sentences share neither frames nor cities with training and gate, so no demonstration can hold a held-out answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semprop.bench.data import DataSource
from semprop.bench.generated import alternating, sides
from semprop.bench.task import Defaults, Sizes, Task
from semprop.engine.example import Example, Splits
from semprop.engine.graph import Graph
from semprop.engine.losses import CaseFolded
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.nodes import Model, Placement, Truncation
from semprop.engine.parameters import Demonstrations, Parameter
from semprop.providers.base import Sampling

SIZES = Sizes(train=16, gate=16, test=100)


@dataclass(frozen=True, slots=True)
class Wording:
    """A name (for ids), sentence frames with `{city}`, and the cities that may stand there."""

    name: str
    frames: tuple[str, ...]
    cities: tuple[str, ...]


TRAINING = Wording(
    name="city",
    frames=(
        "Yesterday we flew to {city} for a short holiday.",
        "My sister has lived in {city} since 2015.",
        "The train from {city} was two hours late.",
        "There is a new museum in {city}.",
        "{city} is cold and dark in January.",
        "He grew up in {city} and then joined the navy.",
        "The best bread I ever had was in {city}.",
        "They are building a bridge in the north of {city}.",
    ),
    cities=(
        "Paris",
        "London",
        "Berlin",
        "Madrid",
        "Chicago",
        "Tokyo",
        "Vienna",
        "Moscow",
        "Sydney",
        "Cairo",
        "Toronto",
        "Dublin",
        "Mumbai",
        "Boston",
        "Prague",
        "Seoul",
    ),
)
"""What training and gate sentences are made of."""

HELD_OUT = Wording(
    name="held-out",
    frames=(
        "After university Anna found work at a bank near {city}.",
        "Heavy rain flooded several streets of {city} on Monday.",
        "Every morning a ferry leaves {city} for the islands.",
        "I still miss those food markets outside {city}.",
        "Doctors from {city} presented their results at this conference.",
        "The football club of {city} lost again, three to nil.",
        "Tickets to {city} cost twice as much during summer.",
        "Our grandparents met at a dance hall close to {city}.",
    ),
    cities=(
        "Oslo",
        "Lisbon",
        "Rome",
        "Athens",
        "Bangkok",
        "Montreal",
        "Helsinki",
        "Warsaw",
        "Denver",
        "Nairobi",
        "Istanbul",
        "Melbourne",
        "Delhi",
        "Zurich",
        "Havana",
        "Budapest",
    ),
)
"""What held-out sentences are made of."""


def sentences(wording: Wording) -> tuple[Example, ...]:
    """Every sentence that the wording can make; ids are its name and a number, `group` the number of the frame."""
    rows = [(frame, city) for frame in wording.frames for city in wording.cities]
    return tuple(
        Example(
            f"{wording.name}-{number}",
            {"sentence": frame.replace("{city}", city)},
            city,
            group=str(wording.frames.index(frame)),
        )
        for number, (frame, city) in enumerate(rows)
    )


def examples(seed: int, sizes: Sizes = SIZES) -> Splits:
    """Train and gate of the training wording, test of the held-out wording; all frames equally often in each.

    Raises:
        DataError: more were asked for than there are different sentences.
    """
    train, gate = sides(sentences(TRAINING), seed)
    pools = {"train": train, "gate": gate, "test": sentences(HELD_OUT)}
    return Splits(
        **{
            name: alternating(pool, getattr(sizes, name), (seed, "cities", name), lambda row: row.group)
            for name, pool in pools.items()
        }
    )


def load(_: DataSource, seed: int, sizes: Sizes) -> Splits:
    """As `examples`; reads no file."""
    return examples(seed, sizes)


CLAUSES: Mapping[str, ClausePool] = {
    "place_instruction": (
        (
            "Where does it happen?",
            "Find the city in the sentence.",
            "Which town or city is named here?",
            "Name the place in the sentence.",
        ),
        ("", "Be brief.", "Answer with the name of the city."),
    ),
    "city_instruction": (
        ("What is the city?", "Name the city.", "Copy the name of the city."),
        ("", "Answer with the name only.", "Answer in one word."),
    ),
}
"""What the update combines, for each instruction: say the task, say the form of the answer. Good clauses and bad
ones, as a person would write them; which are good is for the run to find out."""

_SAMPLING = Sampling(temperature=0.0, seed=0, stop=("\n",))


def graph() -> Graph:
    """sentence → place → city. Instructions are a person's first try; there are no demonstrations at the start."""
    return Graph(
        inputs=("sentence",),
        parameters=(
            Parameter(
                "place_instruction",
                "Where is it?",
                purpose="tells the first step what to find out about the sentence",
                max_bytes=400,
            ),
            Parameter(
                "city_instruction",
                "Which city?",
                purpose="tells the last step how to name the city",
                max_bytes=400,
            ),
            Parameter("city_demonstrations", Demonstrations(), purpose="shows the last step solved examples"),
        ),
        nodes=(
            # A first try makes the model ramble; what fits the bound is passed on, so that there is something to judge.
            Model(
                "place",
                "place_instruction",
                ("sentence",),
                sampling=replace(_SAMPLING, max_tokens=12),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
            Model(
                "city",
                "city_instruction",
                ("place",),
                demonstrations="city_demonstrations",
                sampling=replace(_SAMPLING, max_tokens=6),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
        ),
        output="city",
    )


TASK = Task(
    name="cities",
    description="the city that a sentence names, on the embedded model: the place, then the city",
    graph=graph(),
    loss=CaseFolded(),
    load=load,
    defaults=Defaults(
        SIZES,
        method="clauses",
        providers={"forward": "embedded:smollm2"},
        steps=3,
        minibatch=16,
        examples_per_gradient=4,
        candidates=4,
        in_flight=1,
    ),
    clauses=CLAUSES,
    note=(
        "The sentences are generated; held-out sentences have other frames and cities than training. Most of the "
        "embedded model's gain is answer format, which demonstrations show to the model."
    ),
)
