"""Runs the units of a plan, one after the other; each is a recorded run like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semprop.bench.diagnosis.laboratory import spent_of
from semprop.bench.reproduction.protocol import Unit
from semprop.bench.reproduction.tally import Ran
from semprop.engine.training.events import Observer
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price
from semprop.engine.training.trainer import Trainer


async def run_unit(
    unit: Unit, spec: Specification, directory: Path | None, price: Price, observers: Sequence[Observer] = ()
) -> Ran:
    """Optimize one unit and measure it on its test split.

    Raises:
        UsageError: the directory exists.
        StopError: a provider will answer nothing more.
        StorageError: the run cannot be written.
    """
    async with Trainer(replace(spec, run=directory), observers=observers, price=price) as trainer:
        async for _ in trainer:
            pass
        result = await trainer.report()
        spent, test = spent_of(trainer.telemetry), trainer.telemetry.test
    reused = 0 if test is None else test["reused"]
    return Ran(unit.label, unit.task.name, unit.seed, result.held_out, spent, directory, str(result.status), reused)
