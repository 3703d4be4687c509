"""Cancelling at a suspension: counts how often the tasks of a run wait, and cancels the run at one of these times.

A run's tasks are told by their context, so that many runs can be counted in one event loop. The loop needs the task
factory of this module meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


@dataclass(slots=True)
class Suspensions:
    """Counts the suspensions of all tasks of a run, and calls `act` at one of them (0: never)."""

    at: int = 0
    act: Callable[[], object] = lambda: None
    count: int = 0
    acted: bool = False

    def arm(self, at: int, act: Callable[[], object]) -> None:
        """Count anew, and act at that suspension."""
        self.at, self.act, self.count, self.acted = at, act, 0, False

    def suspended(self) -> None:
        """A task of the run is about to wait."""
        self.count += 1
        if self.count == self.at:
            self.acted = True
            self.act()


_RUN: ContextVar[Suspensions | None] = ContextVar("run", default=None)


def task_factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """Tasks that a counted run starts belong to it, since they inherit its context."""
    run = _RUN.get()
    return asyncio.Task(work if run is None else _watched(work, run), loop=loop, **options)


async def counted(suspensions: Suspensions, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in a task of its own, whose suspensions are counted, and those of all tasks that it starts."""
    token = _RUN.set(suspensions)
    try:
        task = asyncio.get_running_loop().create_task(work())
    finally:
        _RUN.reset(token)
    return await task


async def _watched(work: Coroutine[Any, Any, Any], suspensions: Suspensions) -> Any:
    return await _Watched(work, suspensions)


@dataclass(slots=True)
class _Watched:
    work: Coroutine[Any, Any, Any]
    suspensions: Suspensions

    def __await__(self) -> Generator[Any, Any, Any]:
        work, suspended = self.work, self.suspensions.suspended
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                yielded = work.send(sent) if thrown is None else work.throw(thrown)
            except StopIteration as end:
                return end.value
            suspended()
            try:
                sent, thrown = (yield yielded), None
            except BaseException as error:  # noqa: BLE001 — handed on to the coroutine
                thrown = error


@dataclass(frozen=True, slots=True)
class Cut:
    """A cancellation at a suspension of the present task or of one that it started: of the task itself (`native`), or
    by a scope around the work."""

    suspensions: Suspensions
    at: int
    native: bool

    async def around(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What the work returns, or None if it was cancelled. `suspensions.acted` says whether it was to be."""
        return await (self._as_task(work) if self.native else self._in_scope(work))

    async def _in_scope(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        with anyio.CancelScope() as scope:
            self.suspensions.arm(self.at, scope.cancel)
            return await work()
        return None

    async def _as_task(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self.suspensions.arm(self.at, task.cancel)
        found: T | None = None
        try:
            found = await work()
            if task.cancelling():
                await asyncio.sleep(0)  # It came too late for the work, and must not meet what follows.
        except asyncio.CancelledError:
            task.uncancel()
        return found
