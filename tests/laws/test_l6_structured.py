"""L6: whatever ends a run, and wherever, nothing is left of it but a valid journal."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from laws import arithmetic as world

from semprop.engine import (
    Function,
    Graph,
    Model,
    Parameter,
    ReplyFormat,
    Specification,
    Splits,
    Status,
    Trainer,
    optimize,
)
from semprop.engine.training.journal import Journal
from semprop.engine.training.reading import FILE_NAME
from semprop.providers import Scripted
from semprop.providers.base import Completion, Request, content_key
from semprop.providers.errors import ErrorClass, StopError


def others() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "semprop-journal"]


def nothing_is_left(scripted: Scripted) -> None:
    assert not others()
    assert not writers()
    assert (scripted.entered, scripted.in_flight) == (0, 0)


# Break and exceptions ------------------------------------------------------------------------------------------------


async def test_nothing_runs_between_steps() -> None:
    scripted = world.provider(latency=1)
    async with Trainer(world.specification(scripted)) as trainer:
        async for _ in trainer:
            assert not others()
            sent = len(scripted.requests)
            for _ in range(50):
                await checkpoint()
            assert len(scripted.requests) == sent
    nothing_is_left(scripted)


async def test_a_break_leaves_nothing(tmp_path: Path) -> None:
    scripted = world.provider(latency=1)
    async with Trainer(world.specification(scripted, run=tmp_path / "run")) as trainer:
        async for _ in trainer:
            break
    nothing_is_left(scripted)
    assert intact(tmp_path / "run")


async def test_after_a_break_the_report_can_still_be_asked_for() -> None:
    scripted = world.provider()
    async with Trainer(world.specification(scripted)) as trainer:
        async for _ in trainer:
            break
        result = await trainer.report()
    assert len(result.steps) == 1


async def test_an_exception_of_the_consumer_propagates_bare_and_leaves_nothing(tmp_path: Path) -> None:
    scripted = world.provider(latency=1)
    with pytest.raises(ZeroDivisionError):
        async with Trainer(world.specification(scripted, run=tmp_path / "run")) as trainer:
            async for _ in trainer:
                _ = 1 // 0
    nothing_is_left(scripted)
    assert intact(tmp_path / "run")


async def test_a_stopped_provider_is_raised_bare_and_leaves_nothing(tmp_path: Path) -> None:
    def script(request: Request) -> Any:
        return StopError("the key was refused", ErrorClass.AUTH) if len(scripted.requests) > 9 else world.lucky(request)

    scripted = world.provider(script, latency=1)
    with pytest.raises(StopError, match="key was refused"):
        await optimize(world.specification(scripted, in_flight=8, run=tmp_path / "run"))
    nothing_is_left(scripted)
    assert intact(tmp_path / "run")


# Inside somebody else's loop -----------------------------------------------------------------------------------------


async def test_a_run_lives_inside_of_its_callers_task_group_and_scope() -> None:
    scripted = world.provider(latency=1)
    other = Scripted(world.lucky, latency=world.shuffled_latency(2), clock=scripted.clock)
    results = []

    async def run(spec: Specification) -> None:
        results.append(await optimize(spec))

    async with anyio.create_task_group() as outer:
        outer.start_soon(run, world.specification(scripted))
        outer.start_soon(run, world.specification(other))
    assert results[0].result_document() == results[1].result_document()
    nothing_is_left(scripted)


async def test_a_trainer_survives_a_scope_that_its_caller_opens_around_single_steps() -> None:
    scripted = world.provider()
    async with Trainer(world.specification(scripted)) as trainer:
        with anyio.move_on_after(60) as first:
            await anext(trainer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(checkpoint)
            await anext(trainer)
        assert not first.cancelled_caught
        assert len(trainer.steps) == 2
    nothing_is_left(scripted)


async def test_a_step_that_was_cancelled_can_be_taken_again() -> None:
    calm = world.provider()
    async with Trainer(world.specification(calm)) as trainer:
        wanted = [step async for step in trainer]

    scripted = Scripted(world.lucky, latency=lambda request: 1.0, clock=calm.clock)
    async with Trainer(world.specification(scripted)) as trainer:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(trainer)
        assert scope.cancelled_caught
        assert not others()
        assert [step async for step in trainer] == wanted


def test_importing_the_engine_does_nothing(tmp_path: Path) -> None:
    program = """
import asyncio, logging, sys, threading, os
before = set(os.listdir("."))
opened = []
sys.addaudithook(lambda name, args: opened.append(args) if name == "open" and "w" in str(args[1]) else None)
sys.addaudithook(lambda name, args: opened.append(name) if name.startswith("socket.") else None)
import semprop.engine, semprop.providers
assert not logging.root.handlers and not logging.getLogger("semprop").handlers
assert threading.active_count() == 1
assert asyncio._get_running_loop() is None
assert asyncio.get_event_loop_policy()._local._loop is None
assert type(asyncio.get_event_loop_policy()).__module__.startswith("asyncio")
assert set(os.listdir(".")) == before and not [entry for entry in opened if ".pyc" not in str(entry)], opened
import structlog
assert not structlog.is_configured()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Cancellation at every await -----------------------------------------------------------------------------------------


@dataclass
class Suspensions:
    """Counts every suspension of every task, and calls `act` at the one that was chosen."""

    at: int
    act: Callable[[], object] = lambda: None
    count: int = 0
    acted: bool = False

    def factory(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(self._watched(work), loop=loop, **options)

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Counted(work, self)

    def suspended(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.acted = True
            self.act()


@dataclass
class _Counted:
    work: Coroutine[Any, Any, Any]
    suspensions: Suspensions

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self.work.send(None)  # noqa: E731 — replaced in the loop
        while True:
            try:
                yielded = step()
            except StopIteration as end:
                return end.value
            self.suspensions.suspended()
            try:
                value = yield yielded
                step = lambda sent=value: self.work.send(sent)  # noqa: E731
            except BaseException as error:  # noqa: BLE001 — handed on to the coroutine
                step = lambda thrown=error: self.work.throw(thrown)  # noqa: E731


@dataclass
class Ended:
    """What was left when the run was over."""

    suspensions: Suspensions
    completed: list[str]
    cancelled: bool = False
    left: list[object] = field(default_factory=list)
    document: object = None


class Noted(Scripted):
    """Notes the keys of the calls that were completed."""

    def __init__(self, script: Any, completed: list[str], latency: float) -> None:
        super().__init__(script, latency=lambda request: latency * (1 + world.digest(request) % 3))
        self.completed = completed

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        self.completed.append(content_key(self.identity, request))
        return completion


SMALL = Graph(
    inputs=("question",),
    parameters=[Parameter("hint_told", "Work out a step."), Parameter("solve_told", "Solve the problem.")],
    nodes=[
        Function("numbers", world.numbers_of, ("question",)),
        Model("hint", "hint_told", ("question", "numbers")),
        Model("answer", "solve_told", ("question", "hint"), reply=ReplyFormat.TAGGED),
    ],
    output="answer",
)


def small(scripted: Scripted, run: Path | None) -> Specification:
    """Every pass of a run, in as few calls as possible where each of them is written to a disk."""
    few = 1 if run else 3
    splits = Splits(world.examples(1, few), world.examples(20, few), world.examples(40, few))
    return world.specification(
        scripted,
        graph=SMALL if run else world.GRAPH,
        splits=splits,
        steps=1,
        minibatch=few,
        examples_per_gradient=few,
        candidates=1,
        in_flight=4,
        run=run,
    )


def interrupted(at: int, how: str, run: Path | None, *, resume: bool = False) -> Ended:
    """One run, cancelled at its `at`-th suspension (0: never), as a task or by a scope around it."""
    suspensions, completed = Suspensions(at), []
    ended = Ended(suspensions, completed)
    scripted = Noted(world.honest, completed, 0.0 if run else 1.0)

    async def by_scope() -> None:
        with anyio.CancelScope() as scope:
            suspensions.act = scope.cancel
            ended.document = (await optimize(small(scripted, run), resume=resume)).result_document()
        ended.cancelled = scope.cancelled_caught

    async def as_task() -> None:
        task = asyncio.current_task()
        assert task is not None
        suspensions.act = task.cancel
        try:
            ended.document = (await optimize(small(scripted, run), resume=resume)).result_document()
        except asyncio.CancelledError:
            ended.cancelled = True
            task.uncancel()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(suspensions.factory)
        await asyncio.get_running_loop().create_task(by_scope() if how == "scope" else as_task())
        asyncio.get_running_loop().set_task_factory(None)
        ended.left = [*others(), *writers(), *[None] * scripted.entered, *[None] * scripted.in_flight]

    asyncio.run(main())
    return ended


def intact(run: Path) -> bool:
    """Whether the journal can be read, and no write of it is half."""
    connection = sqlite3.connect(run / FILE_NAME)
    try:
        return list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
    finally:
        connection.close()


@pytest.mark.parametrize("how", ["scope", "task"])
def test_cancelling_at_any_await_propagates_and_leaves_nothing(how: str) -> None:
    whole = interrupted(0, how, None)
    assert whole.document is not None and not whole.left
    at = 0
    while True:
        at += 1
        ended = interrupted(at, how, None)
        assert not ended.left, f"at suspension {at}"
        if not ended.suspensions.acted:
            break
        assert ended.cancelled or ended.document == whole.document, f"at suspension {at}"
    assert at > 60, "the run must have many awaits for this to mean anything"
    assert ended.document == whole.document


@pytest.mark.parametrize("how", ["scope", "task"])
def test_cancelling_at_any_await_leaves_a_journal_from_which_the_run_is_finished(how: str, tmp_path: Path) -> None:
    whole = interrupted(0, how, tmp_path / "whole")
    at, resumed = 0, 0
    while True:
        at += 1
        run = tmp_path / str(at)
        ended = interrupted(at, how, run)
        assert not ended.left, f"at suspension {at}"
        assert ended.cancelled or ended.document == whole.document, f"at suspension {at}"
        if not ended.suspensions.acted:
            break
        if not run.exists():
            assert not ended.completed
            continue
        assert intact(run), f"at suspension {at}"
        again = interrupted(0, how, run, resume=True)
        assert again.document == whole.document, f"at suspension {at}"
        assert not set(again.completed) & set(ended.completed), f"paid twice after suspension {at}"
        assert len(set(again.completed)) == len(again.completed)
        resumed += bool(ended.completed)
    assert resumed > 40
    gc.collect()  # what a cancelled run did not close would warn here


async def test_a_cancelled_run_is_told_from_one_that_was_left(tmp_path: Path) -> None:
    scripted = world.provider(latency=1)
    with anyio.CancelScope() as scope:
        async with Trainer(world.specification(scripted, run=tmp_path / "run")) as trainer:
            async for _ in trainer:
                scope.cancel()
                await checkpoint()
    assert scope.cancelled_caught
    journal = await Journal.reopen(tmp_path / "run")
    await journal.close()
    nothing_is_left(scripted)
    assert trainer.partial(Status.INTERRUPTED).steps
