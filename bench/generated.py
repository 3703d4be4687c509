"""What the generated tasks share: a draw that is balanced in every prefix. Pure; calls no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from semprop.engine.errors import DataError
from semprop.engine.example import Example, draw, normalised


def sides(pool: Sequence[Example], seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The pool in two halves, for training and for the gate. A side is a function of (seed, inputs)."""
    train = [example for example in pool if draw(seed, "side", normalised(example)) < 0.5]
    gate = [example for example in pool if draw(seed, "side", normalised(example)) >= 0.5]
    return tuple(train), tuple(gate)


def alternating(
    pool: Sequence[Example], size: int, key: tuple[object, ...], stratum: Callable[[Example], str]
) -> tuple[Example, ...]:
    """Draw `size` examples, the strata taking turns, so that every prefix is balanced too.

    Args:
        pool: where to draw from.
        size: how many.
        key: what the draw depends on, besides each example's own content.
        stratum: what is balanced; the stratum that the pool names first is drawn from first.

    Raises:
        DataError: a stratum is too small.
    """
    groups: dict[str, list[Example]] = {}
    for example in pool:
        groups.setdefault(stratum(example), []).append(example)
    ordered = [sorted(group, key=lambda example: draw(*key, normalised(example))) for group in groups.values()]
    rounds = -(-size // len(ordered)) if ordered else size
    fewest = min(map(len, ordered), default=0)
    if fewest < rounds:
        raise DataError(
            f"{size} examples were asked for ({key[-1]}), but only {fewest * len(ordered)} different ones can be made: "
            "ask for fewer"
        )
    turns = [group[turn] for turn in range(rounds) for group in ordered]
    return tuple(turns[:size])
