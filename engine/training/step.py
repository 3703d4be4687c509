"""One step, on one screen: the only place that knows the order of the passes.

minibatch ─▶ forward, loss ─▶ selection ─▶ backward ─▶ aggregate ─▶ update ─▶ gate ─▶ parameters'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from semprop.engine.example import Example
from semprop.engine.gates import Decision, Turn, Verdict
from semprop.engine.gradients import Gradient
from semprop.engine.graph import is_greedy
from semprop.engine.method import CopyTest, Proposals, Scored, UpdateContext
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import Parameters, rendered
from semprop.engine.passes.aggregate import aggregate
from semprop.engine.passes.backward import backward
from semprop.engine.passes.gate import Race, race
from semprop.engine.passes.loss import loss_of
from semprop.engine.passes.update import update
from semprop.engine.scheduler import Start, in_order, place_of
from semprop.engine.training.driver import Driver, Stage
from semprop.engine.training.events import PhaseBegan
from semprop.engine.training.patience import widened
from semprop.engine.training.specification import Specification, gate_items


@dataclass(frozen=True, slots=True)
class Selected:
    """σ's product: every example that was looked at, those worth a gradient, those that must not break, and the ids of
    those that a provider left without a score."""

    scored: tuple[Scored, ...]
    wrong: tuple[Scored, ...]
    solved: tuple[Scored, ...]
    left_out: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many have no score."""
        return len(self.left_out)


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step. `gradients` holds one mapping (variable → gradient) for each wrong example."""

    index: int
    before: Parameters
    after: Parameters
    selected: Selected
    gradients: tuple[Mapping[str, Gradient], ...] = field(hash=False)
    proposals: Proposals
    race: Race | None
    reason: str

    @property
    def verdict(self) -> Verdict | None:
        """The gate's, or None if there was nothing to judge."""
        return self.race.verdict if self.race else None

    @property
    def accepted(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class StepInput:
    """What one step starts from."""

    index: int
    parameters: Parameters
    minibatch: tuple[Example, ...]
    is_copy: CopyTest
    rejected: Mapping[str, tuple[str, ...]] = field(hash=False)
    tried: tuple[str, ...] = ()
    state: object = None


async def run_step(spec: Specification, stage: Stage, given: StepInput) -> Step:
    """Propose better parameters and let the gate decide."""
    parameters, method, index = given.parameters, spec.method, given.index
    stage.announce(PhaseBegan(index, "forward"))
    selected = await select(spec, stage, given)
    if not selected.wrong:
        reason = f"nothing to learn: none of {len(selected.scored)} examples was wrong"
        if not selected.scored:
            reason = f"no example had a score: a provider failed on all {selected.missing}"
        return Step(index, parameters, parameters, selected, (), Proposals((), state=given.state), None, reason)
    stage.announce(PhaseBegan(index, "backward"))
    gradients = await backpropagate(spec, stage, index, selected.wrong)
    collected = aggregate(spec.graph, parameters, gradients, method.collect)
    context = UpdateContext(
        graph=spec.graph,
        parameters=parameters,
        collected=collected,
        scored=selected.scored,
        solved=selected.solved,
        step=index,
        seed=spec.seed,
        wanted=spec.candidates,
        style=stage.seam.style("update"),
        is_copy=given.is_copy,
        rejected=given.rejected,
        tried=given.tried,
        state=given.state,
    )
    stage.announce(PhaseBegan(index, "update"))
    proposals = await update(context, method.update, Driver(stage, Position(index, "update")))
    if not proposals.candidates:
        reason = "no proposal" if collected or not any(gradients) else "no proposal: no gradient asked for a change"
        return Step(index, parameters, parameters, selected, gradients, proposals, None, reason)
    stage.announce(PhaseBegan(index, "gate"))
    raced = await judge(spec, stage, index, parameters, proposals)
    accepted = raced.verdict.decision is Decision.ACCEPT
    after = proposals.candidates[raced.verdict.winner - 1].parameters if accepted else parameters
    return Step(index, parameters, after, selected, gradients, proposals, raced, raced.verdict.reason)


async def select(spec: Specification, stage: Stage, given: StepInput) -> Selected:
    """Forward and loss in example order, until enough examples are wrong.

    Examples without a score are asked once more at the end, if the whole minibatch was needed; then left out.
    """
    rule = spec.method.selection
    wanted = min(filter(None, (rule.most, spec.examples_per_gradient)), default=None)
    scored: dict[str, Scored] = {}
    missing: list[Example] = []
    found = 0

    def is_wrong(entry: Scored) -> bool:
        return loss_of(entry.score) > rule.threshold

    def consume(example: Example, entry: Scored | Failure) -> bool:
        nonlocal found
        if isinstance(entry, Failure):
            missing.append(example)
            return False
        scored[example.id] = entry
        found += is_wrong(entry)
        return wanted is not None and found >= wanted

    async def work(again: int, example: Example, start: Start) -> Scored | Failure:
        at = Position(given.index, "forward", again=again)
        return await stage.score(given.parameters, example, at, start)

    # Where every example counts, it is known how many are needed.
    lookahead = spec.lookahead if rule.threshold >= 0 else 0
    window = stage.window if wanted is None else min(stage.window, wanted + lookahead)
    await in_order(given.minibatch, partial(work, 0), consume, window)
    if missing and len(scored) + len(missing) == len(given.minibatch):
        again, missing = tuple(missing), []
        await in_order(again, partial(work, 1), consume, window)
    ordered = [scored[example.id] for example in given.minibatch if example.id in scored]
    wrong = tuple(entry for entry in ordered if is_wrong(entry))
    solved = tuple(entry for entry in ordered if not is_wrong(entry))[: rule.solved]
    return Selected(tuple(ordered), wrong[:wanted], solved, tuple(example.id for example in missing))


async def backpropagate(
    spec: Specification, stage: Stage, index: int, wrong: Sequence[Scored]
) -> tuple[Mapping[str, Gradient], ...]:
    """Backward of every selected example; each on its own, no barrier between them."""
    method, trainable = spec.method, spec.graph.trainable
    rules, style = (method.backward, method.aggregate), stage.seam.style("backward")
    results: list[Mapping[str, Gradient]] = []

    async def one(entry: Scored, start: Start) -> Mapping[str, Gradient]:
        drive = Driver(stage, Position(index, "backward", entry.tape.example.id), place_of(start))
        return await backward(
            entry.tape, method.seed(entry), trainable, rules, style, drive, start, draws=(spec.seed, index)
        )

    def consume(_: Scored, gradients: Mapping[str, Gradient]) -> bool:
        results.append(gradients)
        return False

    await in_order(wrong, one, consume, stage.window)
    return tuple(results)


async def judge(spec: Specification, stage: Stage, index: int, incumbent: Parameters, proposals: Proposals) -> Race:
    """Race the candidates against the incumbent on the step's gate items."""
    # Random draws are measured anew in every step, the incumbent's too: a lucky draw must not stay the bar.
    sample = 0 if is_greedy(spec.graph) else index
    contenders = [("", incumbent), *((entry.id, entry.parameters) for entry in proposals.candidates)]
    sizes = [sum(len(rendered(value).encode()) for value in values.values()) for _, values in contenders]

    async def measure(column: int, item: Example, again: int, start: Start) -> float | None:
        name, parameters = contenders[column]
        at = Position(index, "gate", candidate=name, sample=sample, again=again)
        entry = await stage.score(parameters, item, at, start)
        return None if isinstance(entry, Failure) else entry.score.value

    items, turn = gate_items(spec, index), Turn(index + 1, spec.steps)
    # By batches everything is asked at once: waiting for a verdict would cost hours, not save calls.
    ahead = len(items) if "gate" in spec.batched else spec.lookahead
    stage = widened(stage, spec.batched, "gate")
    return await race(spec.method.gate, items, sizes, measure, ahead, stage.window, turn)
