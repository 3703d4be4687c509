"""`sentiment`: is a review positive or negative? A generated task for a model of 135 million parameters.

Takes a seed, gives examples, the graph and what an optimization of it may try. Calls no model.

Two model nodes: `feeling` reads the review, `label` reads the review and the feeling. Both instructions are a
person's plain first try, and both can be changed. Held-out reviews share neither sentence frames nor things nor
opinions with training and gate, so the held-out score cannot come from remembered wording. What the model lacks at
the start is above all the *form* of the answer; `CHOICES` is there to score the same prompts with the form given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semprop.bench.generated import Clauses, Sizes, alternating
from semprop.engine.example import Example, Splits, draw
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model, Placement, Truncation
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

CHOICES = ("positive", "negative")
"""The labels, in the order in which a clause names them."""

SIZES = Sizes(train=16, gate=16, test=64)


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
        for label, opinions in zip(CHOICES, (wording.positive, wording.negative), strict=True)
        for opinion in opinions
    ]
    return tuple(
        Example(f"{wording.name}-{number}", {"review": text}, label) for number, (text, label) in enumerate(rows)
    )


def examples(seed: int, sizes: Sizes = SIZES) -> Splits:
    """Train and gate of the training wording, test of the held-out wording; both labels equally often in each.

    Membership of train or gate is a function of (seed, review) alone.
    """
    train, gate = [], []
    for example in reviews(TRAINING):
        side = train if draw(seed, "side", example.inputs["review"]) < 0.5 else gate
        side.append(example)
    return Splits(
        train=_balanced(train, sizes.train, seed, "train"),
        gate=_balanced(gate, sizes.gate, seed, "gate"),
        test=_balanced(reviews(HELD_OUT), sizes.test, seed, "test"),
    )


def _balanced(pool: Sequence[Example], size: int, seed: int, purpose: str) -> tuple[Example, ...]:
    return alternating(pool, size, (seed, "sentiment", purpose), [example.expected or "" for example in pool])


TASK_CLAUSES = (
    "What is the sentiment?",
    "Classify the sentiment of the review.",
    "Is the review good or bad?",
    "Decide if the writer is happy or unhappy.",
    "Think about the tone of the review.",
    "Say how the writer feels about it.",
)

ANSWER_CLAUSES = (
    "Answer with one word: {labels}.",
    "Answer in one word.",
    "Choose one: {labels}.",
    "Be brief and precise.",
)

CLAUSES = {
    "feeling-instruction": Clauses(TASK_CLAUSES, ANSWER_CLAUSES),
    "label-instruction": Clauses(TASK_CLAUSES, ANSWER_CLAUSES),
}
"""What the update rule combines, for each parameter: one task clause, one answer clause. Good ones and bad ones, as
a person would write them; `{labels}` becomes the labels that the evidence shows, joined by "or"."""


def graph() -> Graph:
    """review → feeling → label, with the review also an input of label."""
    return Graph(
        inputs=("review",),
        parameters=(
            Parameter(
                "feeling-instruction",
                "What does the writer feel?",
                purpose="tells the first step what to find out about the review",
                max_bytes=400,
            ),
            Parameter(
                "label-instruction",
                "What is the sentiment?",
                purpose="tells the last step how to name the review's sentiment",
                max_bytes=400,
            ),
        ),
        nodes=(
            Model(
                "feeling",
                "feeling-instruction",
                ("review",),
                sampling=Sampling(max_tokens=6, seed=0, stop=("\n",)),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
            Model(
                "label",
                "label-instruction",
                ("feeling",),
                sampling=Sampling(max_tokens=4, seed=0, stop=("\n",)),
                placement=Placement.USER,
                truncation=Truncation.KEEP,
            ),
        ),
        output="label",
    )
