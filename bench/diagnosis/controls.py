"""Controls: the method, and the same with something taken away, on examples that neither learned nor judged.

The gate split is halved: one half judges candidates, the other shows the gain. The test split stays closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from semprop.bench.diagnosis.laboratory import Spent, calls_an_item, spent_of
from semprop.engine.errors import SpecificationError
from semprop.engine.example import Splits
from semprop.engine.gates import ExactGate, Gate, SequentialGate, Spending, TwoStageGate, WholeGate
from semprop.engine.method import Method
from semprop.engine.methods.catalogue import Choices, method_named
from semprop.engine.methods.labels import with_wrong_labels
from semprop.engine.statistics import Comparison
from semprop.engine.training.events import CallDone, Event, ItemDone, Observer, PassStarted
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price, Telemetry
from semprop.engine.training.trainer import Trainer

TRUE = "the method"
CONTROLS = ("labels", "blind", "random")

HELD = "held out of the gate"
"""The half of the gate split that shows the gain."""

LONGEST = 10
"""Blind search for the same money takes at most so many times the steps."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A search: its gain on the examples it never saw (None if none could be scored), what it spent before that was
    measured, and what it spent in all."""

    gain: Comparison | None
    spent: Spent
    total: Spent
    telemetry: Telemetry


def halved(spec: Specification) -> Specification:
    """The specification of a control: half of the gate split judges, the other half stands in for the test."""
    gate = spec.splits.gate
    half = (len(gate) + 1) // 2
    splits = Splits(spec.splits.train, gate[:half], gate[half:])
    fresh = None if spec.gate_items is None else min(spec.gate_items, half)
    return replace(spec, splits=splits, gate_items=fresh, run=None, labels=())


def method_of(name: str, spec: Specification) -> Method:
    """The method of a control; `TRUE` is the specification's own.

    Raises:
        SpecificationError: it does not apply, as wrong labels where there are fewer than two.
    """
    if name in ("blind", "random") and spec.method.name == "clauses":
        raise SpecificationError("this method draws its proposals from a pool: it is blind already")
    match name:
        case "the method":
            return spec.method
        case "labels":
            return with_wrong_labels(spec.method, spec.splits.train, 1.0, spec.seed)
        case _:
            return method_named("improve-blind", Choices(spec.method.gate))


def every_step_alike(gate: Gate, steps: int) -> Gate:
    """The gate at the level that it has at each of so many steps, however many there will be: more steps must not make
    a control's gate stricter than the method's."""
    if isinstance(gate, WholeGate):
        return WholeGate(every_step_alike(gate.gate, steps))
    if isinstance(gate, ExactGate | TwoStageGate | SequentialGate) and gate.spending is Spending.EVEN:
        return replace(gate, alpha=gate.alpha / steps, spending=Spending.EACH)
    return gate


async def search(
    spec: Specification, method: Method, price: Price, observers: Sequence[Observer], same: Spent | None = None
) -> Searched:
    """Optimize, and measure the gain. With `same` it goes on until that much money (tokens, where a price is unknown)
    is spent, whatever the number of steps."""
    if same is not None:
        method = replace(method, gate=every_step_alike(method.gate, spec.steps))
    spec = replace(spec, method=method, steps=spec.steps if same is None else LONGEST * spec.steps)
    async with Trainer(spec, price=price, observers=[partial(_told, observer) for observer in observers]) as trainer:
        async for _ in trainer:
            if same is not None and _has_spent(spent_of(trainer.telemetry), same):
                break
        spent = spent_of(trainer.telemetry)
        report = (await trainer.report()).held_out
        total, calls = spent_of(trainer.telemetry), trainer.telemetry.calls
        calls[HELD] = calls.pop("test", 0)
    return Searched(None if report is None else report.strict, spent, total, trainer.telemetry)


def _told(observer: Observer, event: Event) -> None:
    """What stands in for the test here is not the task's test, and is not called so."""
    if isinstance(event, PassStarted | ItemDone | CallDone) and event.phase == "test":
        event = replace(event, phase=HELD)
    observer(event)


def _has_spent(spent: Spent, same: Spent) -> bool:
    if spent.usd is not None and same.usd:
        return spent.usd >= same.usd
    return spent.tokens_in + spent.tokens_out >= same.tokens_in + same.tokens_out


def most_calls(spec: Specification) -> int:
    """The most calls that one search and its measurement take, repairs apart."""
    forward = calls_an_item(spec.graph)
    wrong = spec.minibatch if spec.examples_per_gradient is None else spec.examples_per_gradient
    texts = len(spec.graph.trainable)
    together = 1 + spec.candidates * (texts + 1)
    a_step = spec.minibatch * forward + wrong * forward + texts + len(spec.splits.gate) * together * forward
    return spec.steps * a_step + 2 * len(spec.splits.test) * forward
