"""Many messages made few: groups of those that say alike, and the most typical of each. Pure, and the same everywhere.

Words weighted by TF-IDF over 1- and 2-grams, cosine distances, average linkage; groups stay apart from a distance of
`APART` on. Where `most` are to be kept, every group gets a seat, the largest first, and further seats go by size; in a
group those nearest to the others come first, ties by the example's id. Distances are rounded to whole millionths before
anything is compared, so that platforms that add in another order decide alike, and messages are taken in the order of
their examples' ids, so that the order of arrival decides nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy.cluster import hierarchy
from scipy.sparse import csr_matrix
from scipy.spatial.distance import squareform

from semprop.engine.gradients import Evidence, Gradient, Message
from semprop.engine.method import Collected
from semprop.engine.parameters import Kind, Parameter, ParameterValue
from semprop.engine.tape import shown

APART = 0.7
"""The cosine distance from which on messages say something else: one word in three shared is alike."""

UNIT = 1_000_000
"""Distances are whole numbers of this part."""

WORDS_BYTES = 4_000
"""What is compared of one message."""

_TOKEN = re.compile(r"\w+")


class Messages(StrEnum):
    """What is kept where messages are too many: the first ones, or the most typical of each group."""

    LIST = "list"
    CLUSTERS = "clusters"


@dataclass(frozen=True, slots=True)
class Kept:
    """One that is kept: its place among those given, and how many it stands for, itself among them."""

    index: int
    stands_for: int


def kept_of(texts: Sequence[str], names: Sequence[str], most: int) -> tuple[Kept, ...]:
    """At most `most` texts that stand for all, in the order given. `names` break ties; equal ones by place."""
    order = sorted(range(len(texts)), key=lambda index: (names[index], index))
    if len(order) < 3:
        return tuple(Kept(index, 1) for index in sorted(order[:most]))
    distances = _distances([texts[index] for index in order])
    groups = _groups(distances)
    seats = _seats([len(group) for group in groups], most)
    kept: list[Kept] = []
    for group, count in zip(groups, seats, strict=True):
        central = sorted(group, key=lambda place: (int(distances[place, group].sum()), place))
        shares = [len(group) // count + (rank < len(group) % count) for rank in range(count)] if count else []
        kept += [Kept(order[place], share) for place, share in zip(central, shares, strict=False)]
    return tuple(sorted(kept, key=lambda entry: entry.index))


def _distances(texts: Sequence[str]) -> np.ndarray:
    """Cosine distances in whole millionths; texts without a word are equal to each other and to no other."""
    counts = [Counter(_grams(text)) for text in texts]
    documents = Counter(gram for count in counts for gram in count)
    column = {gram: place for place, gram in enumerate(sorted(documents))}
    # Smoothed, so that what most of them say still makes those alike.
    weight = {gram: math.log((1 + len(texts)) / (1 + number)) + 1 for gram, number in documents.items()}
    rows, columns, values = [], [], []
    for row, count in enumerate(counts):
        weighted = {gram: number * weight[gram] for gram, number in sorted(count.items())}
        length = math.sqrt(math.fsum(value * value for value in weighted.values())) or 1.0
        rows += [row] * len(weighted)
        columns += [column[gram] for gram in weighted]
        values += [value / length for value in weighted.values()]
    matrix = csr_matrix((values, (rows, columns)), shape=(len(texts), max(1, len(column))))
    nearness = (matrix @ matrix.T).toarray()
    empty = np.array([not count for count in counts])
    nearness[np.ix_(empty, empty)] = 1.0
    np.fill_diagonal(nearness, 1.0)
    rounded: np.ndarray = np.rint(np.clip(1.0 - nearness, 0.0, 1.0) * UNIT).astype(np.int64)
    return rounded


def _grams(text: str) -> list[str]:
    tokens = [match.group() for match in _TOKEN.finditer(text.casefold())]
    return [*tokens, *(f"{first} {second}" for first, second in pairwise(tokens))]


def _groups(distances: np.ndarray) -> list[list[int]]:
    """Places that belong together, the group with the first place first."""
    tree = hierarchy.linkage(squareform(distances, checks=False).astype(float), method="average")
    tree[:, 2] = np.rint(tree[:, 2])
    labels = hierarchy.fcluster(tree, t=APART * UNIT, criterion="distance")
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(int(label), []).append(place)
    return list(groups.values())


def _seats(sizes: Sequence[int], most: int) -> list[int]:
    """How many of each group are kept: one each, the largest first, then by size (the highest quotient wins, as in
    d'Hondt's rule); never more than a group has. The earlier of equals wins."""
    seats = [0] * len(sizes)
    for _ in range(min(most, sum(sizes))):
        free = [place for place, size in enumerate(sizes) if seats[place] < size]
        best = max(free, key=lambda place: (seats[place] == 0, Fraction(sizes[place], seats[place] + 1), -place))
        seats[best] += 1
    return seats


# A and B -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClusteredMessages:
    """A: where more than `most` messages ask for a change, the most typical of each group, which say for how many
    they stand. Keep and lost messages stay as they are."""

    most: int = 8

    def __call__(self, variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
        gradient = Gradient(variable, kind, messages)
        changes = gradient.changes
        if len(changes) <= self.most:
            return gradient
        names = [f"{message.source.example}\x1f{message.source.successor}" for message in changes]
        kept = kept_of([_message_words(message) for message in changes], names, self.most)
        chosen = {id(changes[entry.index]): _standing(changes[entry.index], entry.stands_for) for entry in kept}
        asks = {id(message) for message in changes}
        return Gradient(
            variable, kind, tuple(chosen.get(id(m), m) for m in messages if id(m) in chosen or id(m) not in asks)
        )


def _standing(message: Message, count: int) -> Message:
    if count == 1 or not isinstance(message.content, str):
        return message
    return replace(message, content=f"{message.content} (and {count - 1} more to the same effect)")


@dataclass(frozen=True, slots=True)
class ClusteredEvidence:
    """B: at most `most` gradients, the most typical of each group of examples that were told alike."""

    most: int = 16

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
        if len(gradients) <= self.most:
            return Collected(parameter, value, gradients)
        names = [gradient.messages[0].source.example for gradient in gradients]
        kept = kept_of([told(gradient) for gradient in gradients], names, self.most)
        shown_ones = tuple(gradients[entry.index] for entry in kept)
        counts = tuple(entry.stands_for for entry in kept)
        return Collected(parameter, value, shown_ones, len(gradients) - len(kept), counts)


def told(gradient: Gradient) -> str:
    """What a gradient asks for, in words: of a worked case, what its output was told."""
    return "\n".join(_message_words(message) for message in gradient.changes)


def _message_words(message: Message) -> str:
    match message.content:
        case str(words):
            return words[:WORDS_BYTES]
        case Evidence(gradient=None):
            return ""
        case Evidence(gradient=Gradient() as inner):
            return "\n".join(map(_message_words, inner.changes))
        case other:
            return shown(other)
