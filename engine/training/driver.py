"""The driver: answers the effects of sans-IO plans through the seam, all of a batch side by side.

A provider failure is asked once more before a plan sees it (law L3); what the plan makes of a failure is its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import orjson

from semprop.engine.arrays import Array, digest_of
from semprop.engine.errors import NodeError, RunError, SempropError
from semprop.engine.example import Example
from semprop.engine.losses import Loss, Score
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import Parameters
from semprop.engine.passes.forward import Wiring, forward, run_node
from semprop.engine.passes.loss import judged
from semprop.engine.plans import Ask, Effect, Evaluate, Fork, Plan, Probe
from semprop.engine.scheduler import Start, in_order, together
from semprop.engine.seam import ModelCall, Seam
from semprop.engine.tape import Value, shown
from semprop.engine.training.events import Event, Observer
from semprop.providers.base import Completion
from semprop.providers.errors import StopError


def unobserved(event: Event) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What every pass of a run needs: the wired graph, the loss, the seam, how many items may be open, and who is told
    which phase begins."""

    wired: Wiring
    loss: Loss
    seam: Seam
    window: int
    announce: Observer = unobserved

    async def score(self, parameters: Parameters, example: Example, at: Position, start: Start) -> Scored | Failure:
        """Forward and loss of one example; the failure if a provider left it without a score."""
        at = Position(at.step, at.phase, example.id, at.candidate, at.node, at.slot, at.sample, at.again)
        tape = await forward(self.wired, parameters, example, at, self.seam, start)
        return await judged(tape, self.loss, at, self.seam)


@dataclass(frozen=True, slots=True)
class Driver:
    """Runs plans at a place in the run; `order` is where their requests stand in line."""

    stage: Stage
    at: Position
    order: int = 0

    async def __call__(self, plan: Plan[Any]) -> Any:
        """Run a plan to its end and return what it returns.

        Raises:
            NodeError: the plan raised; a plan is a method's code.
        """
        replies: tuple[Any, ...] | None = None
        while True:
            try:
                effects = next(plan) if replies is None else plan.send(replies)
            except StopIteration as end:
                return end.value
            except (SempropError, StopError):
                raise
            except Exception as error:
                raise NodeError(f"a plan of the method raised at {self.at}: {type(error).__name__}: {error}") from error
            if not isinstance(effects, Sequence):
                raise RunError(
                    f"a plan yielded {type(effects).__name__} at {self.at}; it must yield a tuple of effects"
                )
            replies = await self._perform(effects)

    async def _perform(self, effects: Sequence[Effect]) -> tuple[Any, ...]:
        return await together([partial(self._one, effect) for effect in effects]) if effects else ()

    async def _one(self, effect: Effect) -> Any:
        match effect:
            case Ask():
                return await self._ask(effect)
            case Evaluate():
                return await self._evaluate(effect)
            case Probe():
                return await self._probe(effect)
            case Fork(plans):
                return await together([partial(self, plan) for plan in plans]) if plans else ()
        raise RunError(f"a plan yielded {type(effect).__name__}; it may yield Ask, Evaluate, Probe and Fork")

    async def _ask(self, ask: Ask) -> Completion | Failure:
        at = self.at.moved(node=ask.node, slot=ask.slot, sample=ask.sample)
        # Who draws: twins never share a random reply, and every step draws anew (law L2). Greedy keys ignore it.
        draw = f"{at.step}|{at.phase}|{ask.node}|{ask.slot}|{at.example}"
        request = replace(ask.request, draw=draw, sample=ask.sample)
        call = ModelCall(ask.role, request, order=self.order, unread=ask.unread)
        outcome = await self.stage.seam.ask_model(at, call)
        if isinstance(outcome, Failure) and not outcome.is_model_failure:
            outcome = await self.stage.seam.ask_model(at.moved(again=1), call)
        return outcome

    async def _evaluate(self, effect: Evaluate) -> Value | Failure:
        record, changes, example = effect.record, effect.changes, effect.example.id
        unknown = [name for name in changes if all(slot.name != name for slot in record.slots)]
        if unknown:
            raise RunError(f"a plan changed the slots {', '.join(unknown)} of {record.name!r}, which has no such slots")
        slots = tuple(slot._replace(value=changes.get(slot.name, slot.value)) for slot in record.slots)
        seam = self.stage.seam
        # One batch may try a node under several values: they enter the position, since each is a request of its own.
        at = self.at.moved(example=example, candidate=_digest(changes), node=record.name, slot="evaluate")
        at = at.moved(sample=effect.sample)
        value = (await run_node(record.node, slots, example, at, seam, self.order)).value
        if isinstance(value, Failure) and not value.is_model_failure:
            value = (await run_node(record.node, slots, example, at.moved(again=1), seam, self.order)).value
        return value

    async def _probe(self, probe: Probe) -> tuple[Score | Failure, ...]:
        at = self.at.moved(candidate=probe.parameters.hash, sample=probe.sample)
        scores: dict[str, Score | Failure] = {}

        async def one(again: int, example: Example, start: Start) -> Scored | Failure:
            return await self.stage.score(probe.parameters, example, at.moved(again=again), start)

        def consume(example: Example, scored: Scored | Failure) -> bool:
            scores[example.id] = scored if isinstance(scored, Failure) else scored.score
            return False

        await in_order(probe.examples, partial(one, 0), consume, self.stage.window)
        failed = [example for example in probe.examples if isinstance(scores[example.id], Failure)]
        await in_order(failed, partial(one, 1), consume, self.stage.window)
        return tuple(scores[example.id] for example in probe.examples)


def _exactly(value: Value) -> str:
    """A value as text in which two that differ, however little, differ."""
    match value:
        case float():
            return repr(float(value))
        case np.ndarray():
            return digest_of(value)
        case Array():
            return value.digest
        case _:
            return shown(value)


def _digest(changes: Mapping[str, Value]) -> str:
    document = [(name, _exactly(value)) for name, value in changes.items()]
    return hashlib.blake2b(orjson.dumps(document), digest_size=8).hexdigest()
