"""A gain without a test split: the full candidates × items matrix of a run, if there is one. Pure.

A gate that stops early, drops candidates or draws fresh items leaves the matrix incomplete; then nothing is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semprop.engine.bias import Corrected, bias_corrected
from semprop.engine.example import Example
from semprop.engine.training.step import Step

NO_CLAIM = (
    "no test split: nothing may be claimed. The gate's own scores are those at the stop, which overstate; the "
    "bootstrap correction needs every candidate on every gate item, and this run's gate left cells unmeasured "
    "(--whole-gate measures them all, if every step is judged on the same items)"
)
UNCHANGED = "no test split, and no change was accepted: there is no gain to speak of"
APPROXIMATE = "no test split: the gain is approximate, a bootstrap correction of the gate's own scores"


def matrix_of(steps: Sequence[Step], items: Sequence[Example]) -> tuple[tuple[float, ...], ...] | None:
    """A row for each gate item, a column for each set of parameters that was judged, the first incumbent first; None
    unless every cell was measured. Repeated draws of one cell are averaged."""
    cells: dict[str, dict[str, list[float]]] = {}
    for step in steps:
        if step.race is None:
            continue
        contenders = [step.before.hash, *(entry.parameters.hash for entry in step.proposals.candidates)]
        for item, row in zip(items, step.race.board.rows, strict=False):
            for name, cell in zip(contenders, row, strict=True):
                if isinstance(cell, float):
                    cells.setdefault(name, {}).setdefault(item.id, []).append(cell)
        for name in contenders:
            cells.setdefault(name, {})
    if not cells or any(len(column) < len(items) for column in cells.values()):
        return None
    means = [{item: sum(draws) / len(draws) for item, draws in column.items()} for column in cells.values()]
    return tuple(tuple(column[item.id] for column in means) for item in items)


def approximate(steps: Sequence[Step], items: Sequence[Example], seed: int) -> Corrected | None:
    """The corrected gain, if the run measured all that it needs."""
    matrix = matrix_of(steps, items)
    return None if matrix is None else bias_corrected(matrix, seed)


def approximate_document(found: Corrected) -> dict[str, Any]:
    """The corrected gain as JSON data."""
    return {
        "difference": found.difference,
        "interval": list(found.interval),
        "n": found.n,
        "contenders": found.contenders,
        "method": "approximate: bootstrap bias correction on gate items",
    }
