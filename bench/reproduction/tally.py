"""From finished runs to the table: pooled and stratified over tasks, by half, over seeds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semprop.bench.diagnosis.laboratory import Spent
from semprop.bench.reproduction.experiment import ALGORITHMIC, Figure
from semprop.bench.reproduction.protocol import Plan
from semprop.engine.statistics import SIGNIFICANCE, Comparison, compare, sign_flip
from semprop.engine.strata import Stratified, stratified
from semprop.engine.training.claim import HeldOutReport, strata_document

FULL = "full"

TIE = 0.05
"""Arms that are surely less than this apart tie."""

SEEDS_NEEDED = 6
"""Fewer seeds cannot reach p ≤ .05 by sign flips: the least two-sided p is 2^(1−S)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished run. `report` is None if nothing of the test could be scored."""

    label: str
    task: str
    seed: int
    report: HeldOutReport | None
    spent: Spent
    run: Path | None = None
    status: str = ""
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm on one part of the data under one seed: all items pooled, and each task with the same weight. `after` are
    the scores after, by task."""

    seed: int
    pooled: Comparison
    strata: Stratified | None
    after: Mapping[str, tuple[float, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One arm on one part of the data, over seeds; `part` is "" for all of it. `p` tests the gain over seeds, None
    below six of them."""

    label: str
    part: str
    cells: tuple[Cell, ...]
    p: float | None

    @property
    def before(self) -> float:
        return _mean([cell.pooled.before for cell in self.cells])

    @property
    def after(self) -> float:
        return _mean([cell.pooled.after for cell in self.cells])

    @property
    def gain(self) -> float:
        return _mean([cell.pooled.difference for cell in self.cells])


def half_of(task: str) -> str:
    """The half of BIG-Bench Hard that a task belongs to; "" for other data."""
    if not task.startswith("bbh:"):
        return ""
    return "Algorithmic" if task.removeprefix("bbh:") in ALGORITHMIC else "NLP"


def table(ran: Sequence[Ran]) -> tuple[Row, ...]:
    """Every arm on all of the data, then on each half, if there are two."""
    labels = tuple(dict.fromkeys(entry.label for entry in ran))
    halves = tuple(dict.fromkeys(filter(None, (half_of(entry.task) for entry in ran))))
    parts = ("", *halves) if len(halves) > 1 else ("",)
    rows = []
    for label in labels:
        for part in parts:
            chosen = [entry for entry in ran if entry.label == label and part in ("", half_of(entry.task))]
            cells = tuple(filter(None, (_cell(chosen, seed) for seed in dict.fromkeys(entry.seed for entry in chosen))))
            if cells:
                gains = [cell.pooled.difference for cell in cells]
                rows.append(Row(label, part, cells, sign_flip(gains, 0) if len(gains) >= SEEDS_NEEDED else None))
    return tuple(rows)


def _cell(ran: Sequence[Ran], seed: int) -> Cell | None:
    known = [(entry.task, entry.report) for entry in ran if entry.seed == seed and entry.report is not None]
    pairs = [(task, before, after) for task, report in known for before, after in report.pairs]
    if not pairs:
        return None
    tasks, before, after = ([row[0] for row in pairs], [row[1] for row in pairs], [row[2] for row in pairs])
    strata = stratified(tasks, before, after, seed) if len(dict.fromkeys(tasks)) > 1 else None
    own = {task: tuple(late for _, late in report.pairs) for task, report in known if report.pairs}
    return Cell(seed, compare(before, after, seed), strata, own)


@dataclass(frozen=True, slots=True)
class Against:
    """An arm against the full method on the same seeds and tasks: the mean difference of the scores after, the
    two-sided p of "no difference", and of "five points or more apart"; None below six seeds. `left_out` runs have no
    partner."""

    label: str
    seeds: int
    difference: float
    p: float | None
    apart: float | None
    left_out: int = 0

    @property
    def words(self) -> str:
        """What may be said: the unit is the seed."""
        return self._claim + (f"; {self.left_out} runs that only one of them has are left out" if self.left_out else "")

    @property
    def _claim(self) -> str:
        if self.p is None or self.apart is None:
            return f"no claim below {SEEDS_NEEDED} seeds"
        if self.p <= SIGNIFICANCE:
            return f"they differ (p = {self.p:.3f} by sign flips over seeds)"
        if self.apart <= SIGNIFICANCE:
            return f"a tie within {100 * TIE:g} points (two one-sided tests, p = {self.apart:.3f})"
        return f"neither a difference nor a tie within {100 * TIE:g} points can be claimed (p = {self.p:.3f})"


def against_full(rows: Sequence[Row]) -> tuple[Against, ...]:
    """Every other arm against the full method, on the seeds and tasks that both have: a task that one of them lacks
    would make a difference of its own."""
    whole = {row.label: {cell.seed: cell.after for cell in row.cells} for row in rows if not row.part}
    full = whole.pop(FULL, {})
    found = []
    for label, cells in whole.items():
        shared = {seed: [task for task in full[seed] if task in cells[seed]] for seed in full if seed in cells}
        differences = [
            _mean_over(cells[seed], tasks) - _mean_over(full[seed], tasks) for seed, tasks in shared.items() if tasks
        ]
        if not differences:
            continue
        alone = sum(map(len, (*cells.values(), *full.values()))) - 2 * sum(map(len, shared.values()))
        p = apart = None
        if len(differences) >= SEEDS_NEEDED:
            p, apart = sign_flip(differences, 0), equivalence(differences)
        found.append(Against(label, len(differences), _mean(differences), p, apart, alone))
    return tuple(found)


def _mean_over(scores: Mapping[str, Sequence[float]], tasks: Sequence[str]) -> float:
    return _mean([score for task in tasks for score in scores[task]])


def equivalence(differences: Sequence[float], bound: float = TIE) -> float:
    """The p of two one-sided sign-flip tests: how likely such differences are if the true one is `bound` or more, on
    either side. Half of a two-sided p where the mean lies inside, else 1."""
    sides = ([bound - difference for difference in differences], [bound + difference for difference in differences])
    return max(sign_flip(side, 0) / 2 if _mean(side) > 0 else 1.0 for side in sides)


def against_document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The arms against the full method as JSON data."""
    return [
        {"arm": each.label, "seeds": each.seeds, "difference": each.difference, "p": each.p, "words": each.words}
        for each in against_full(rows)
    ]


def beside(figures: Sequence[Figure], part: str) -> tuple[Figure, ...]:
    """The published figures for a part."""
    return tuple(figure for figure in figures if figure.of == part)


def total(ran: Sequence[Ran]) -> Spent:
    """What all runs took."""
    spent = Spent()
    for entry in ran:
        spent = spent + entry.spent
    return spent


def table_document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table as JSON data."""
    return [
        {
            "arm": row.label,
            "part": row.part,
            "before": row.before,
            "after": row.after,
            "gain": row.gain,
            "p_over_seeds": row.p,
            "seeds": [
                {
                    "seed": cell.seed,
                    "n": cell.pooled.n,
                    "before": cell.pooled.before,
                    "after": cell.pooled.after,
                    "difference": cell.pooled.difference,
                    "interval": list(cell.pooled.interval),
                    "p": cell.pooled.p,
                    "word": cell.pooled.phrase,
                    "stratified": None if cell.strata is None else strata_document(cell.strata),
                }
                for cell in row.cells
            ],
        }
        for row in rows
    ]


def published_document(plan: Plan) -> list[dict[str, Any]]:
    """The published figures as JSON data."""
    return [
        {"who": figure.who, "score": figure.score, "part": figure.of, "note": figure.note or None}
        for figure in plan.experiment.figures
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
