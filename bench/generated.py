"""What the generated tasks share: sizes of splits, pools of clauses, and a balanced draw. Pure; calls no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from semprop.engine.errors import DataError
from semprop.engine.example import Example, draw, normalised


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples each split has."""

    train: int
    gate: int
    test: int


@dataclass(frozen=True, slots=True)
class Clauses:
    """The pool of one instruction: a candidate is one task clause, a space, and one answer clause. `{labels}` is
    replaced by the labels that the evidence shows; it is text, never a format template."""

    tasks: tuple[str, ...]
    answers: tuple[str, ...]

    def instructions(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Every combination, tasks slowest, with the labels filled in."""
        named = " or ".join(labels)
        return tuple(
            f"{task} {answer}".replace("{labels}", named) for task, answer in product(self.tasks, self.answers)
        )


def alternating(
    pool: Sequence[Example], size: int, key: tuple[object, ...], strata: Sequence[str]
) -> tuple[Example, ...]:
    """Draw `size` examples, the strata taking turns, so that every prefix is balanced too.

    Args:
        pool: where to draw from.
        size: how many.
        key: what the draw depends on, besides each example's own content.
        strata: the stratum of each example of the pool; those named first are drawn from first.

    Raises:
        DataError: a stratum is too small.
    """
    groups: dict[str, list[Example]] = {}
    for example, stratum in zip(pool, strata, strict=True):
        groups.setdefault(stratum, []).append(example)
    ordered = [sorted(group, key=lambda example: draw(*key, normalised(example))) for group in groups.values()]
    rounds = -(-size // len(ordered)) if ordered else 0
    if not ordered or min(map(len, ordered)) < rounds:
        raise DataError(f"{size} examples were asked for, but the pool is too small; ask for fewer")
    turns = [group[turn] for turn in range(rounds) for group in ordered]
    return tuple(turns[:size])
