"""Examples and splits. Takes rows, gives frozen data; membership of a split is a pure function of the content.

Law L7: equal normalised inputs share a split, and train, gate and test are disjoint, which is asserted.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from semprop.engine.errors import DataError, SpecificationError
from semprop.providers.base import Image

Given = str | Image
"""What an input of a graph holds: a text, or a picture."""


def words_of(given: Given) -> str:
    """An input where only text can stand; a picture is told by form, size and digest (`Image.text`)."""
    return given.text if isinstance(given, Image) else given


@dataclass(frozen=True, slots=True)
class Example:
    """One question. `inputs` maps the graph's input names to texts and pictures; `expected` is the right answer, if
    known; `group` is the stratum it belongs to (a task of a collection), for reports only."""

    id: str
    inputs: Mapping[str, Given] = field(hash=False)
    expected: str | None = None
    group: str = ""

    def __post_init__(self) -> None:
        for name, given in self.inputs.items():
            if not isinstance(given, Given):
                raise DataError(
                    f"example {self.id!r}, input {name!r}: expected text or an Image, found {type(given).__name__}; "
                    "write it as text"
                )
            self._check(words_of(given), ", input ", name)
            self._check(name, ", name of the input ", name)
        self._check(self.id, "'s id")
        self._check(self.expected or "", "'s expected answer")
        self._check(self.group, "'s group")
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    def _check(self, text: str, place: str, name: str | None = None) -> None:
        """Make sure that text can be sent and put on record."""
        if text.isascii():
            return
        try:
            text.encode()
        except UnicodeEncodeError as error:
            where = place if name is None else f"{place}{name!r}"
            raise DataError(f"example {self.id!r}{where}: holds half a surrogate pair; mend the encoding") from error


def normalised(example: Example) -> str:
    """The inputs as one text in which case, spacing and Unicode form do not matter; a picture by its bytes."""
    items = sorted(example.inputs.items(), key=lambda item: item[0])
    return orjson.dumps([(name, _folded(given)) for name, given in items]).decode()


def _folded(given: Given) -> str:
    if isinstance(given, Image):
        return f"{given.media_type} {given.digest}"
    text = given
    if text.isascii():
        return " ".join(text.lower().split())
    # Compatibility caseless matching (Unicode, definition D146): folding case can undo a normal form.
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return " ".join(unicodedata.normalize("NFKD", once.casefold()).split())


def draw(*key: object) -> float:
    """A number in [0, 1) that is a function of its key alone (law L1: no shared stream of randomness)."""
    digest = hashlib.blake2b(orjson.dumps([str(part) for part in key]), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def shuffled(examples: Iterable[Example], *key: object) -> tuple[Example, ...]:
    """The examples in an order that depends on (key, content) only; equal inputs stay side by side."""
    return tuple(sorted(examples, key=lambda example: (draw(*key, normalised(example)), example.id)))


@dataclass(frozen=True, slots=True)
class Splits:
    """Disjoint examples: `train` gives gradients, `gate` judges candidates, `test` is opened once.

    Raises:
        DataError: two splits share a normalised input, or an id stands twice.
    """

    train: tuple[Example, ...]
    gate: tuple[Example, ...]
    test: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        owner: dict[str, tuple[str, str]] = {}
        ids: dict[str, str] = {}
        for split, examples in (("train", self.train), ("gate", self.gate), ("test", self.test)):
            for example in examples:
                if example.id in ids:
                    raise DataError(
                        f"example id {example.id!r} stands in {ids[example.id]} and in {split}: give every example "
                        "its own id"
                    )
                ids[example.id] = split
                known = owner.setdefault(normalised(example), (split, example.id))
                if known[0] != split:
                    raise DataError(
                        f"example {example.id!r} in {split} has the same inputs as {known[1]!r} in {known[0]}: "
                        "a run must not be judged by what it learned from; remove one of them"
                    )


def split(
    examples: Iterable[Example],
    seed: int,
    *,
    train: int,
    gate: int,
    test: int,
    shares: tuple[float, float] = (0.4, 0.3),
) -> Splits:
    """Draw disjoint splits of at most the given sizes.

    An example's split depends on (seed, normalised input) alone: a draw below `shares[0]` is train, below
    their sum gate, else test; each split is then cut to its size in the order of a second draw.

    Raises:
        DataError: a split that was asked for came out empty.
    """
    buckets: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    for example in examples:
        place = draw(seed, "split", normalised(example))
        buckets[0 if place < shares[0] else 1 if place < sum(shares) else 2].append(example)
    wanted = {"train": train, "gate": gate, "test": test}
    chosen = []
    for (name, size), bucket in zip(wanted.items(), buckets, strict=True):
        if size and not bucket:
            raise DataError(
                f"the {name} split is empty: {sum(map(len, buckets))} examples are too few for it, and which split one "
                f"falls into is drawn from its inputs; give more examples, or ask for none in {name}"
            )
        chosen.append(shuffled(bucket, seed, "order", name)[:size])
    return Splits(*chosen)


@dataclass(frozen=True, slots=True)
class JudgeLabel:
    """The user's own grade of an answer, in [0, 1], to check a judge against.

    Raises:
        SpecificationError: the grade is outside of [0, 1].
    """

    example: Example
    answer: str
    score: float

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise SpecificationError(
                f"the label of {self.example.id!r} is {self.score}, outside of [0, 1]: 0 is worthless, 1 is fully right"
            )
