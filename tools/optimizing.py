"""`semprop optimize` and `semprop evaluate`: prepare, run under signals with progress, show what came of it.

A run that is stopped or fails keeps what was recorded, and says where; a run that recorded nothing leaves no directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from semprop.bench.evaluate import Evaluation, evaluate
from semprop.bench.projection import parts
from semprop.engine.errors import StorageError, UsageError
from semprop.engine.training.cache import ReplyCache
from semprop.engine.training.events import Observer
from semprop.engine.training.forking import Forked, chained
from semprop.engine.training.ledger import is_usable
from semprop.engine.training.openings import opened
from semprop.engine.training.report import Result, Status
from semprop.engine.training.runs import Run
from semprop.engine.training.sittings import changes, check
from semprop.engine.training.specification import DEFAULT_ROLES, Specification
from semprop.engine.training.trainer import Trainer
from semprop.providers.base import Ready
from semprop.tools import logs, render
from semprop.tools.budgets import spent_before
from semprop.tools.collecting import collecting_less
from semprop.tools.connecting import check_batches, waiting
from semprop.tools.exits import Ended, ExitCode, Problem, document_of, exhausted, interrupted, problem_of
from semprop.tools.interruption import Patience, listening
from semprop.tools.preparing import RUNS, Order, Prepared, Surrounding, holds_run, prepare, run_directory, run_in
from semprop.tools.progress import Bar, Lines, Progress, Silent, tally_of, why_of
from semprop.tools.projecting import beside, project
from semprop.tools.screen import Screen

T = TypeVar("T")


def run_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run the command's asynchronous part, on uvloop where there is one."""
    with collecting_less():
        return anyio.run(work, backend_options={"use_uvloop": sys.platform != "win32"})


# optimize -------------------------------------------------------------------------------------------------------------


def optimize(order: Order, around: Surrounding, screen: Screen) -> Ended:
    """Run a task to its end, a signal or an error; go on with the run if its directory holds one."""
    if order.dry_run:
        prepared = prepare(order, around, screen.say)
        announce(prepared, screen)
        return project(prepared, screen)
    if order.fork is not None:
        return fork(order, around, screen)
    if order.run is not None and holds_run(order.run):
        return resume(order, around, screen)
    prepared = prepare(order, around, screen.say)
    check_ready(prepared.specification)
    run = order.run or run_directory(prepared.specification.task, around)
    return _carried_out(
        _in_directory(prepared, run), Sitting(patience_of(order, around, screen), order.max_seconds), screen
    )


def check_ready(spec: Specification) -> None:
    """Make sure, before the first call is paid, that every provider that a new run may ask can be asked.

    Raises:
        StopError: a key is missing (AUTH).
    """
    for role in dict.fromkeys(part.role for part in parts(spec) if part.most):
        provider = spec.provider(role)
        if isinstance(provider, Ready):
            provider.ready()


def resume(order: Order, around: Surrounding, screen: Screen) -> Ended:
    """Go on with the run in `order.run`, if that is what is ordered; of a finished one, show the result.

    Raises:
        SpecificationError: the journal holds another run; the message names every field.
    """
    assert order.run is not None, "there is something to resume"
    run = run_in(order.run)
    begun = None if order.start is not None else run.initial
    prepared = _in_directory(prepare(order, around, screen.say, begun), order.run)
    if not run.is_finished:
        check_batches(run, order.batched)
        screen.say(f"resuming a run that is {run.status}: what is recorded is not asked again")
        return _carried_out(prepared, Sitting(patience_of(order, around, screen), order.max_seconds, run), screen)
    check(run, prepared.specification)
    screen.say(f"this run is finished: nothing is asked; this is its result ({run.path})")
    document: dict[str, Any] = run.meta("result")
    screen.show(*render.result(document))
    return Ended(document)


def fork(order: Order, around: Surrounding, screen: Screen) -> Ended:
    """Start another run in `order.fork`: what it asks as `order.run` did is answered from there, and not paid again.

    Raises:
        UsageError: there is no run, or the new directory holds something.
    """
    if order.run is None or order.fork is None:
        raise UsageError("a fork needs a run: name its directory with --run")
    run = run_in(order.run)
    if count := waiting(run):
        screen.say(
            f"{count} requests of {run.path} stand in a batch, and a fork does not know their results: what it asks of "
            "them is paid once more, unless that run is resumed first"
        )
    begun = None if order.start is not None else run.initial
    prepared = _in_directory(prepare(order, around, screen.say, begun), order.fork)
    found = changes(run, prepared.specification)
    screen.say(f"a fork of {run.path}: {'; '.join(map(str, found)) or 'nothing differs'}")
    sitting = Sitting(patience_of(order, around, screen), order.max_seconds, forked=run)
    return _carried_out(prepared, sitting, screen)


def _in_directory(prepared: Prepared, run: Path) -> Prepared:
    return replace(prepared, specification=replace(prepared.specification, run=run))


@dataclass(frozen=True, slots=True)
class Sitting:
    """How a run is carried on: how it is stopped, how many seconds it may take in all, what there is of it,
    and which run it is a fork of."""

    patience: Patience
    seconds: float | None = None
    begun: Run | None = None
    forked: Run | None = None


def _carried_out(prepared: Prepared, sitting: Sitting, screen: Screen) -> Ended:
    run = prepared.specification.run
    assert run is not None, "a run of the command has a directory"
    announce(prepared, screen)
    made = [parent for parent in run.absolute().parents if not parent.exists()]
    try:
        result, problem = run_loop(partial(_optimize, prepared, sitting, screen))
    except BaseException:
        _drop_empty(made)
        raise
    document = result.document()
    if problem is not None:
        document = document_of(problem, document)
    screen.show(*render.result(document))
    if problem is None:
        screen.show(beside(prepared, document["telemetry"]))
        screen.show(f"run: {run}  (semprop show {run}; semprop export {run} DIR)")
    return Ended(document, problem)


async def _optimize(prepared: Prepared, sitting: Sitting, screen: Screen) -> tuple[Result, Problem | None]:
    spec, run = prepared.specification, prepared.specification.run
    progress = progress_of(spec, screen, steps=spec.steps, sides=2)
    again = sitting.begun is not None
    sources: list[Forked | ReplyCache] = [*_caches(prepared)]
    if sitting.forked is not None:
        sources.insert(0, Forked(sitting.forked))
    observers: list[Observer] = [progress, logs.decided, *prepared.observers]
    trainer = Trainer(spec, observers=observers, price=prepared.price, resume=again, shared=chained(sources))
    opened = False
    try:
        async with (
            AsyncExitStack() as stack,
            listening(prepared.valve, sitting.patience) as interruption,
            trainer,
        ):
            if sitting.seconds is not None:
                interruption.give(max(0.0, sitting.seconds - trainer.seconds))
            if sitting.begun is not None:
                # Once the run is ours: whoever wrote it until now may have spent more since it was looked at.
                prepared.valve.purse.spent += spent_before(sitting.begun, prepared.price)
            for source in sources:
                await stack.enter_async_context(source)
            opened = True
            with progress, interruption.scope:
                async for _ in trainer:
                    pass
                result = await trainer.report()
                return result, _unmeasured(result)
            if (spent := interruption.spent) is not None and interruption.number is None:
                trainer.end(Status.BUDGET)
                return trainer.partial(Status.BUDGET), exhausted(spent, _kept(run))
            return trainer.partial(Status.INTERRUPTED), interrupted(interruption.number or 0, _kept(run))
    except Exception as error:
        # Any error ends the run; what was recorded before it is the caller's, and the error becomes the exit code.
        if not opened:
            raise
        if not again and not isinstance(error, StorageError) and not _recorded(run):
            _remove(run)
            raise
        problem = problem_of(error)
        return trainer.partial(Status.FAILED), replace(problem, message=f"{problem.message}. {_kept(run)}")


def _unmeasured(result: Result) -> Problem | None:
    """A run in which no held-out example could be scored has no result, whatever else it did."""
    if result.held_out is not None or not result.specification.splits.test:
        return None
    told = f"no held-out example could be scored: a provider failed on all of them. {_kept(result.run)}"
    return Problem("ProviderFailure", told, ExitCode.PROVIDER)


def _kept(run: Path | None) -> str:
    count = 0 if run is None else waiting(Run(run))
    batches = f"; {count} requests are in batches that go on there (semprop batches {run} --cancel stops them)"
    return (
        f"What was recorded is in {run}, with the best accepted parameters so far: semprop show {run}; "
        f"semprop export {run} DIR; semprop resume {run} goes on with it{batches if count else ''}"
    )


def _recorded(run: Path | None) -> bool:
    """Whether a run has anything that somebody may want: an answer, or a decision."""
    if run is None:
        return False
    found = Run(run)
    answers = (entry.outcome for entry in found.exchanges() if entry.outcome is not None)
    return bool(found.decisions("selection")) or any(map(is_usable, answers))


def _remove(run: Path | None) -> None:
    if run is not None:
        shutil.rmtree(run, ignore_errors=True)


def _drop_empty(parents: list[Path]) -> None:
    """Take back directories that were made for a run, if nothing is in them; innermost first."""
    for parent in parents:
        with contextlib.suppress(OSError):
            parent.rmdir()


# evaluate -------------------------------------------------------------------------------------------------------------


def evaluate_task(order: Order, around: Surrounding, screen: Screen) -> Ended:
    """Score one set of parameters on the test split."""
    prepared = prepare(order, around, screen.say)
    announce(prepared, screen)
    patience = patience_of(order, around, screen)
    evaluation, problem = run_loop(partial(_evaluate, prepared, patience, order.max_seconds, screen))
    if evaluation is None:
        assert problem is not None, "without an evaluation there is a reason"
        return Ended(document_of(problem), problem)
    opening = opened(_runs_of(order), f"evaluate {prepared.specification.task}", prepared.specification.splits.test)
    document = evaluation.document()
    document["telemetry"]["test"] = opening.document()
    screen.show(*render.evaluation(document), *render.openings(document["telemetry"]))
    return Ended(document)


def _runs_of(order: Order) -> Path:
    """The directory of runs that an evaluation's opening of the test belongs to: that of the run it takes its
    parameters from, else the usual one."""
    is_run = order.start is not None and holds_run(order.start)
    return order.start.parent if is_run and order.start is not None else RUNS


async def _evaluate(
    prepared: Prepared, patience: Patience, seconds: float | None, screen: Screen
) -> tuple[Evaluation | None, Problem | None]:
    progress = progress_of(prepared.specification, screen, steps=0, sides=1)
    async with AsyncExitStack() as stack, listening(prepared.valve, patience, seconds) as interruption:
        caches = [await stack.enter_async_context(cache) for cache in _caches(prepared)]
        with progress, interruption.scope:
            found = await evaluate(
                prepared.specification,
                observers=[progress, *prepared.observers],
                price=prepared.price,
                shared=chained(caches),
            )
            return found, None
        told = "an evaluation keeps nothing; start it again"
        if (spent := interruption.spent) is not None and interruption.number is None:
            return None, exhausted(spent, told)
        return None, interrupted(interruption.number or 0, told)


# both -----------------------------------------------------------------------------------------------------------------


def announce(prepared: Prepared, screen: Screen) -> None:
    """Say what is about to run, where the task's defaults were taken too."""
    spec = prepared.specification
    splits = spec.splits
    screen.say(f"task: {spec.task} ({prepared.task.description})")
    screen.say(f"providers: {_providers(prepared.roles)}")
    if spec.is_simulated:
        screen.say(render.SIMULATED)
    screen.say(f"examples: train {len(splits.train)}, gate {len(splits.gate)}, test {len(splits.test)}")
    if spec.run is not None:
        per = "the whole minibatch" if spec.examples_per_gradient is None else f"{spec.examples_per_gradient} wrong"
        screen.say(
            f"method: {spec.method.name}, gate {spec.method.gate.name}, {spec.steps} steps, "
            f"minibatch {spec.minibatch}, {per} a gradient, {spec.candidates} candidates, seed {spec.seed}, "
            f"up to {spec.in_flight} in flight"
        )
        screen.say(f"run: {spec.run}")


def _providers(roles: Mapping[str, str]) -> str:
    if not roles:
        return "none, since no model is asked"
    if len(set(roles.values())) == 1:
        return roles["forward"]
    return ", ".join(f"{role} {roles[role]}" for role in DEFAULT_ROLES)


def progress_of(spec: Specification, screen: Screen, *, steps: int, sides: int) -> Progress:
    """Made in the event loop of the run, in which it looks at what the providers wait for."""
    now, later = time.monotonic, asyncio.get_running_loop().call_later
    tally = tally_of(spec, steps=steps, sides=sides, now=now())
    why = why_of(spec.providers.values())
    if screen.notes.is_terminal:
        return Bar(tally, screen.notes, now, why, later)
    return Silent() if screen.json else Lines(tally, screen.say, now, why, later)


def _caches(prepared: Prepared) -> list[ReplyCache]:
    return [] if prepared.cache is None else [prepared.cache]


def patience_of(order: Order, around: Surrounding, screen: Screen) -> Patience:
    """How a command is stopped; says so at the first signal."""

    def on_first() -> None:
        screen.warn(
            f"stopping: nothing more is sent, and what is under way has {order.grace:g} s to come back; once more to "
            "stop at once"
        )

    return Patience(on_first, leave, around.providers.clock, order.grace)


def leave(number: int) -> None:
    """The second signal: no waiting, no clean-up; the journal is valid at every instant."""
    sys.stderr.write("\x1b[?25h" if sys.stderr.isatty() else "")
    sys.stderr.flush()
    os._exit(128 + number)
