"""One set of parameters on the held-out split: a figure with its interval.

Takes a specification, gives an `Evaluation`. Trains nothing and records nothing. The tasks that it needs are started
by the engine's scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from semprop.engine.errors import SpecificationError
from semprop.engine.example import Example
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import document_of
from semprop.engine.passes.forward import wiring
from semprop.engine.scheduler import Start, in_order
from semprop.engine.statistics import Interval, bootstrap_interval, wilson
from semprop.engine.training.asker import Asker
from semprop.engine.training.cache import Shared
from semprop.engine.training.driver import Stage
from semprop.engine.training.events import Announcer, ItemDone, Observer, PassStarted
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.specification import DEFAULT_ROLES, Specification
from semprop.engine.training.telemetry import Price, Telemetry, unpriced
from semprop.engine.training.trainer import constrained_to
from semprop.providers.clock import Clock, SystemClock
from semprop.providers.errors import ErrorClass, StopError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean scores in [0, 1] of one set of parameters on the test split.

    Attributes:
        score: of the answers as extracted (strict); `interval` is its 95 % confidence interval, by `method`.
        lenient: of the best reading of the whole replies; None if the loss has no such reading.
        constrained: with decoding held to the labels; None if there are none, or the provider cannot.
        n: examples that were scored; `missing` were not, because a provider failed on them.
        telemetry: what it cost.
    """

    specification: Specification
    n: int
    missing: int
    score: float
    interval: Interval
    method: str
    lenient: float | None
    constrained: float | None
    telemetry: Mapping[str, Any] = field(hash=False)

    def document(self) -> dict[str, Any]:
        """The evaluation as one JSON document, of the same frame as a run's."""
        spec = self.specification
        return {
            "schema": RESULT_SCHEMA,
            "status": "done",
            "error": None,
            "run": None,
            "simulated": spec.is_simulated,
            "result": {
                "task": spec.task,
                "seed": spec.seed,
                "models": {role: spec.provider(role).identity for role in DEFAULT_ROLES},
                "parameters": {name: document_of(value) for name, value in spec.initial.items()},
                "held_out": {
                    "score": self.score,
                    "n": self.n,
                    "interval": list(self.interval),
                    "method": self.method,
                    "missing": self.missing,
                    "lenient": self.lenient,
                    "constrained": self.constrained,
                },
                "notes": list(spec.notes),
            },
            "telemetry": dict(self.telemetry),
        }


async def evaluate(
    spec: Specification,
    *,
    observers: Sequence[Observer] = (),
    price: Price = unpriced,
    clock: Clock | None = None,
    shared: Shared | None = None,
) -> Evaluation:
    """Score the parameters that the specification starts from on its test split; nothing is optimized.

    Raises:
        SpecificationError: the test split is empty.
        StopError: a provider will answer nothing more, or left every example without a score.
    """
    if not spec.splits.test:
        raise SpecificationError("the test split is empty: an evaluation needs examples in it; ask for 1 or more")
    clock = clock or SystemClock()
    began = clock.now()
    telemetry, announce = Telemetry(price), Announcer(observers)
    async with AsyncExitStack() as stack:
        for provider in dict.fromkeys(spec.providers.values()):
            await stack.enter_async_context(provider)
        asker = await stack.enter_async_context(Asker(spec, MemoryLedger(), telemetry, announce, shared))
        stage = Stage(wiring(spec.graph), spec.loss, asker, 2 * spec.in_flight)
        rows = await _measure(stage, spec, "test", announce)
        limited: list[Scored | Failure] = []
        if spec.labels and spec.provider("forward").capabilities.choices:
            held = replace(stage, wired=wiring(constrained_to(spec.graph, spec.labels)))
            limited = await _measure(held, spec, "constrained", announce)
    return _evaluation(spec, rows, limited, telemetry.document(clock.now() - began))


async def _measure(stage: Stage, spec: Specification, phase: str, announce: Announcer) -> list[Scored | Failure]:
    """Every test item; what a provider failed on is asked once more at the end."""
    items, parameters = spec.splits.test, spec.initial
    announce(PassStarted(0, phase, len(items)))
    rows: dict[str, Scored | Failure] = {}
    again = 0

    async def one(item: Example, start: Start) -> Scored | Failure:
        return await stage.score(parameters, item, Position(0, phase, candidate=parameters.hash, again=again), start)

    def consume(item: Example, row: Scored | Failure) -> bool:
        rows[item.id] = row
        announce(ItemDone(0, phase))
        return False

    await in_order(items, one, consume, stage.window)
    again = 1
    await in_order([item for item in items if isinstance(rows[item.id], Failure)], one, consume, stage.window)
    return [rows[item.id] for item in items]


def _evaluation(
    spec: Specification,
    rows: Sequence[Scored | Failure],
    limited: Sequence[Scored | Failure],
    telemetry: Mapping[str, Any],
) -> Evaluation:
    scored = [row.score for row in rows if isinstance(row, Scored)]
    if not scored:
        told = next(row.message for row in rows if isinstance(row, Failure))
        raise StopError(
            f"none of {len(rows)} examples could be scored; the first failure said: {told}", ErrorClass.TRANSIENT
        )
    values = [score.value for score in scored]
    lenient = [score.lenient for score in scored if score.lenient is not None]
    held = [row.score.value for row in limited if isinstance(row, Scored)]
    interval, method = interval_of(values, spec.seed)
    return Evaluation(
        specification=spec,
        n=len(values),
        missing=len(rows) - len(values),
        score=_mean(values),
        interval=interval,
        method=method,
        lenient=_mean(lenient) if len(lenient) == len(values) else None,
        constrained=_mean(held) if held else None,
        telemetry=telemetry,
    )


def interval_of(values: Sequence[float], seed: int) -> tuple[Interval, str]:
    """The 95 % interval of a mean score over items, and by which method: Wilson's where scores are 0 or 1."""
    if all(value in (0.0, 1.0) for value in values):
        return wilson(round(sum(values)), len(values)), "Wilson's score interval"
    low, high = bootstrap_interval(values, seed)
    return Interval(max(0.0, low), min(1.0, high)), "BCa bootstrap interval"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
