"""One run on one world: method × L0 × seed → what it reached and what it cost. Runs one after the other.

The engine does the run, as for any task; the figures beside it come from the truth, which asks no provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from semprop.bench.worlds.measures import Level, Validity, Verdicts, fitting, levels, validity, verdicts
from semprop.bench.worlds.methods import Compared
from semprop.bench.worlds.truth import Blame, Truth, blame
from semprop.bench.worlds.world import MINIBATCH, PER_GRADIENT, STEPS, World
from semprop.engine.errors import UsageError
from semprop.engine.example import Splits
from semprop.engine.training.specification import Specification
from semprop.engine.training.step import Step
from semprop.engine.training.trainer import Trainer
from semprop.providers.base import Capabilities, Completion, Provider, Request, content_key
from semprop.providers.errors import ErrorClass, StopError

BUDGETS = (100, 300, 1_000)
"""Calls within which a repair is counted."""

TRAINING = ("forward", "backward", "update", "gate")


@dataclass(frozen=True, slots=True)
class Cell:
    """One run.

    Attributes:
        before, after: held-out score under the run's own L0.
        repaired: calls of training when the planted loss first fell to the least that repairs reach, read without
            error; None if it never did: then it is censored at `calls`.
        calls, tokens: of training, attempts served from a store left out.
        validity, fit: of all advice together, and of the advice to a wrong input by itself.
    """

    world: str
    method: str
    scale: str
    seed: int
    before: float
    after: float
    repaired: int | None
    calls: int
    tokens: int
    verdicts: Verdicts
    validity: Validity
    levels: tuple[Level, ...] = ()
    fit: Validity = Validity()


@dataclass(slots=True, eq=False)
class Remembering:
    """A provider that answers an equal request again without asking: for rules that give the same reply for ever.

    Every run counts its calls as if it had asked; only the machine's time is saved.
    """

    inner: Provider
    known: dict[str, Completion] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def complete(self, request: Request) -> Completion:
        key = content_key(self.identity, request)
        if key not in self.known:
            self.known[key] = await self.inner.complete(request)
        return self.known[key]

    def statistics(self) -> Mapping[str, object]:
        return self.inner.statistics()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)


@dataclass(slots=True)
class Ground:
    """A world with its truth and its examples by seed, shared by all runs on it."""

    truth: Truth
    blame: Blame
    drawn: dict[int, tuple[Splits, Mapping[str, str]]] = field(default_factory=dict)

    def examples(self, seed: int) -> tuple[Splits, Mapping[str, str]]:
        """The splits of a seed, and the true answer of every example."""
        if seed not in self.drawn:
            world = self.truth.world
            self.drawn = {seed: (world.splits(seed), world.truths(seed))}
        return self.drawn[seed]


def ground_of(world: World) -> Ground:
    """A world with what is true of it."""
    truth = Truth(world)
    return Ground(truth, blame(truth))


async def run_cell(ground: Ground, method: Compared, provider: Provider, scale: str, seed: int) -> Cell:
    """Run a method on a world with the examples of this seed.

    Raises:
        StopError: a provider will answer nothing more, or nothing of the test could be scored.
    """
    world = ground.truth.world
    splits, expected = ground.examples(seed)
    spec = Specification(
        graph=world.graph,
        loss=world.loss,
        splits=splits,
        method=method.made(seed),
        providers={"forward": provider},
        steps=STEPS,
        minibatch=MINIBATCH,
        examples_per_gradient=PER_GRADIENT,
        lookahead=0,
        seed=seed,
        in_flight=64,
        task=world.name,
    )
    repaired: int | None = None
    first: Step | None = None
    async with Trainer(spec) as trainer:
        async for step in trainer:
            first = first or step
            if step.accepted and repaired is None and _is_repaired(ground, step, spec):
                repaired = _calls(trainer)
                break
        calls = _calls(trainer)
        tokens = trainer.telemetry.input + trainer.telemetry.output
        result = await trainer.report()
    held_out = result.held_out
    if held_out is None:
        told = f"none of {len(splits.test)} test examples could be scored: a provider failed on all of them"
        raise StopError(told, ErrorClass.TRANSIENT)
    assert first is not None, "a run has a step"
    train = {each.id: each for each in splits.train}
    return Cell(
        world=world.name,
        method=method.name,
        scale=scale,
        seed=seed,
        before=held_out.strict.before,
        after=held_out.strict.after,
        repaired=repaired,
        calls=calls,
        tokens=tokens,
        verdicts=verdicts(first, world.graph.trainable, ground.blame.shapley),
        validity=validity(first, ground.truth, expected),
        levels=levels(first, ground.truth, train) if world.chains else (),
        fit=fitting(first, ground.truth, train, expected),
    )


def _is_repaired(ground: Ground, step: Step, spec: Specification) -> bool:
    if not ground.truth.world.repairs:
        return False
    return ground.truth.loss(step.after, spec.splits.test) <= ground.blame.best + 1e-9


def _calls(trainer: Trainer) -> int:
    return sum(trainer.telemetry.calls[phase] for phase in TRAINING)


def cell_of(document: Mapping[str, Any]) -> Cell:
    """A run out of JSON data.

    Raises:
        UsageError: it is not what `document_of` gives.
    """
    try:
        return Cell(
            world=document["world"],
            method=document["method"],
            scale=document["l0"],
            seed=document["seed"],
            before=document["before"],
            after=document["after"],
            repaired=document["repaired"],
            calls=document["calls"],
            tokens=document["tokens"],
            verdicts=Verdicts(*document["verdicts"]),
            validity=Validity(document["valid"], document["asked"]),
            levels=tuple(Level(*each) for each in document["levels"]),
            fit=Validity(*document["fit"]),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"this is no run of `semprop worlds` ({error}): give a file that --write made") from error


def document_of(cell: Cell) -> dict[str, Any]:
    """A run as JSON data."""
    return {
        "world": cell.world,
        "method": cell.method,
        "l0": cell.scale,
        "seed": cell.seed,
        "before": cell.before,
        "after": cell.after,
        "repaired": cell.repaired,
        "calls": cell.calls,
        "tokens": cell.tokens,
        "verdicts": [cell.verdicts.hits, cell.verdicts.false, cell.verdicts.missed],
        "valid": cell.validity.valid,
        "asked": cell.validity.asked,
        "fit": [cell.fit.valid, cell.fit.asked],
        "levels": [[each.distance, each.facts, each.alive, each.told, each.bytes] for each in cell.levels],
    }
