"""How well projections hold: runs of methods under gates on a simulated world, each beside what was said before it.

The lengths are those of a simulated model, so this tells that the ranges hold what is counted, and nothing of how long
a language model's replies are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

from semprop.bench.data import DataSource
from semprop.bench.diagnosis.laboratory import Spent, spent_of
from semprop.bench.projection import Projection, projection
from semprop.bench.task import Sizes
from semprop.bench.tasks import resolve
from semprop.engine.gates.catalogue import GATES, gate_named
from semprop.engine.methods.catalogue import METHODS, Choices, graph_for, method_named
from semprop.engine.training.specification import Specification
from semprop.engine.training.trainer import Trainer
from semprop.providers.base import Usage
from semprop.providers.prices import Prices
from semprop.providers.stack import connect

PRICES = {"forward": Prices(0.15, 0.6), "backward": Prices(2.0, 8.0), "update": Prices(2.0, 8.0)}
"""Dollars per million tokens, by role: two models of different prices."""

SIZES = Sizes(train=12, gate=16, test=20)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what was projected, and what its ledger counted."""

    method: str
    gate: str
    seed: int
    planned: Projection
    spent: Spent

    @property
    def holds(self) -> bool:
        """Whether all that was spent lies within the range."""
        return self.planned.whole.holds(self.spent)

    def error(self, of: str) -> float | None:
        """The relative error of the usual figure; None where nothing was spent."""
        found, usual = getattr(self.spent, of) or 0, getattr(self.planned.spent, of) or 0
        return abs(usual - found) / found if found else None


def price(role: str, usage: Usage) -> float | None:
    """Dollars of a call of a role."""
    return PRICES.get(role, PRICES["forward"])(usage)


async def study(
    methods: Sequence[str] = tuple(METHODS),
    gates: Sequence[str] = tuple(GATES),
    seeds: Sequence[int] = (0,),
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Run, ...]:
    """Project and run every method under every gate, once for each seed."""
    runs = []
    for method, gate, seed in product(methods, gates, seeds):
        spec = specification(method, gate, seed)
        planned = projection([spec], price)
        async with Trainer(spec, price=price) as trainer:
            async for _ in trainer:
                pass
            await trainer.report()
            runs.append(Run(method, gate, seed, planned, spent_of(trainer.telemetry)))
        say(f"{method}, gate {gate}, seed {seed}: {'within' if runs[-1].holds else 'OUTSIDE'} its range")
    return tuple(runs)


def specification(method: str, gate: str, seed: int) -> Specification:
    """A small run on the task that shows the method."""
    task = resolve(METHODS[method].task)
    splits = task.load(DataSource(), seed, SIZES)
    return Specification(
        graph=graph_for(method, task.graph),
        loss=task.loss,
        splits=splits,
        method=method_named(method, Choices(gate_named(gate), pools=task.clauses, seed=seed)),
        providers={"forward": connect("simulated:")},
        steps=2,
        minibatch=6,
        examples_per_gradient=3,
        candidates=2,
        seed=seed,
        labels=task.labels,
        task=task.name,
    )


def document(runs: Sequence[Run]) -> dict[str, Any]:
    """The share of runs within their ranges, and the median error of the usual figures, as JSON data."""
    errors = {of: [found for run in runs if (found := run.error(of)) is not None] for of in FIGURES}
    return {
        "n": len(runs),
        "within": sum(run.holds for run in runs) / len(runs),
        "median_relative_error": {of: median(found) if found else None for of, found in errors.items()},
        "outside": [f"{run.method}, {run.gate}, seed {run.seed}" for run in runs if not run.holds],
    }


FIGURES = ("calls", "tokens_in", "tokens_out", "usd")
"""What is compared."""
