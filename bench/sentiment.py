"""`sentiment`: is a review positive or negative? A generated task for a model of 135 million parameters.

Takes a seed, gives examples, the graph and what an optimization of it may try. Calls no model.

Two model nodes: `feeling` reads the review, `label` reads the feeling. Both instructions are a person's plain first
try, and both can be changed. Held-out reviews share neither sentence frames nor things nor opinions with training and
gate, so the held-out score cannot come from remembered wording. What the model lacks at the start is above all the
*form* of the answer; `LABELS` is there to score the same prompts with the form given.
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
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

LABELS = ("positive", "negative")
"""The right answers, one of which each review has."""

SIZES = Sizes(train=16, gate=16, test=100)


@dataclass(frozen=True, slots=True)
class Wording:
    """A name (for ids), frames with `{thing}` and `{opinion}`, and what may stand there. No frame tells the label."""

    name: str
    frames: tuple[str, ...]
    things: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]


TRAINING = Wording(
    name="review",
    frames=(
        "The {thing} was {opinion}.",
        "I bought the {thing} last week and it is {opinion}.",
        "Honestly, this {thing} is {opinion}.",
        "My family thinks the {thing} is {opinion}.",
        "We tried the {thing} yesterday and it was {opinion}.",
        "I can only say that the {thing} is {opinion}.",
    ),
    things=("phone", "hotel", "movie", "soup", "laptop", "sofa", "restaurant", "camera", "pizza", "book"),
    positive=("wonderful", "excellent", "fantastic", "great", "amazing", "perfect", "really good"),
    negative=("terrible", "awful", "horrible", "bad", "boring", "useless", "disappointing"),
)
"""What training and gate reviews are made of."""

HELD_OUT = Wording(
    name="held-out",
    frames=(
        "What {opinion} service they gave us at that {thing}!",
        "Our new {thing} turned out to be {opinion}.",
        "Everyone in the group found their {thing} {opinion}.",
        "Three months later, that {thing} still seems {opinion} to me.",
        "One word for their {thing}: {opinion}.",
        "A neighbour had told us about a {thing} nearby, and yes, {opinion} describes it well.",
    ),
    things=(
        "bakery",
        "museum",
        "gym",
        "garden centre",
        "bike shop",
        "campsite",
        "swimming pool",
        "theatre",
        "dentist",
        "library",
    ),
    positive=("superb", "brilliant", "charming", "lovely", "outstanding", "delightful", "impressive"),
    negative=("dreadful", "miserable", "shoddy", "frustrating", "unpleasant", "annoying", "appalling"),
)
"""What held-out reviews are made of."""


def reviews(wording: Wording) -> tuple[Example, ...]:
    """Every review that the wording can make; ids are its name and a number."""
    rows = [
        (frame.replace("{thing}", thing).replace("{opinion}", opinion), label)
        for frame in wording.frames
        for thing in wording.things
        for label, opinions in zip(LABELS, (wording.positive, wording.negative), strict=True)
        for opinion in opinions
    ]
    return tuple(
        Example(f"{wording.name}-{number}", {"review": text}, label) for number, (text, label) in enumerate(rows)
    )


def examples(seed: int, sizes: Sizes = SIZES) -> Splits:
    """Train and gate of the training wording, test of the held-out wording; both labels equally often in each.

    Raises:
        DataError: more were asked for than there are different reviews.
    """
    train, gate = sides(reviews(TRAINING), seed)
    pools = {"train": train, "gate": gate, "test": reviews(HELD_OUT)}
    return Splits(
        **{
            name: alternating(pool, getattr(sizes, name), (seed, "sentiment", name), lambda row: row.expected or "")
            for name, pool in pools.items()
        }
    )


def load(_: DataSource, seed: int, sizes: Sizes) -> Splits:
    """As `examples`; reads no file."""
    return examples(seed, sizes)


TASKS = (
    "Classify the sentiment of the review.",
    "Decide if the writer is happy or unhappy.",
    "Decide if the review praises or complains.",
    "Is the review good or bad?",
)

ANSWERS = (
    "Answer with one word: positive or negative.",
    "Reply with one word, positive or negative.",
    "Choose one: positive or negative.",
    "Answer in one word.",
)

CLAUSES: Mapping[str, ClausePool] = dict.fromkeys(("feeling_instruction", "label_instruction"), (TASKS, ANSWERS))
"""What the update combines, for either instruction: say the task, say the form of the answer. Good clauses and bad
ones, as a person would write them; which are good is for the run to find out."""

_SAMPLING = Sampling(temperature=0.0, seed=0, stop=("\n",))


def graph() -> Graph:
    """review → feeling → label. Both instructions are a person's first try."""
    return Graph(
        inputs=("review",),
        parameters=(
            Parameter(
                "feeling_instruction",
                "What does the writer feel?",
                purpose="tells the first step what to find out about the review",
                max_bytes=400,
            ),
            Parameter(
                "label_instruction",
                "What is the sentiment?",
                purpose="tells the last step how to name the sentiment",
                max_bytes=400,
            ),
        ),
        nodes=(
            # A first try makes the model ramble; what fits the bound is passed on, so that there is something to judge.
            Model(
                "feeling",
                "feeling_instruction",
                ("review",),
                sampling=replace(_SAMPLING, max_tokens=6),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
            Model(
                "label",
                "label_instruction",
                ("feeling",),
                sampling=replace(_SAMPLING, max_tokens=4),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
        ),
        output="label",
    )


TASK = Task(
    name="sentiment",
    description="reviews, positive or negative, on the embedded model: the feeling, then the label",
    graph=graph(),
    loss=CaseFolded(LABELS),
    load=load,
    defaults=Defaults(
        SIZES,
        method="clauses",
        providers={"forward": "embedded:smollm2"},
        steps=5,
        minibatch=16,
        examples_per_gradient=2,
        candidates=6,
        in_flight=1,
    ),
    clauses=CLAUSES,
    labels=LABELS,
    note=(
        "The reviews are generated; held-out reviews have other frames, things and opinions than training. Most of the "
        "embedded model's gain is answer format: compare the constrained scores, for which the form is given."
    ),
)
