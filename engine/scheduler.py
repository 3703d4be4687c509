"""The one module of the engine that starts tasks. It orders work and bounds what is open; it decides nothing else.

Everything runs inside a task group that lives in one call, so cancelling the caller leaves nothing behind (law L6).
Results reach their consumer in canonical order only (law L1): whatever finished early waits in a buffer, whose size
is bounded by the window. Nothing polls; nothing recurses over a graph.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import anyio

from semprop.engine.errors import SempropError, StorageError
from semprop.providers.errors import StopError

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = (StopError, StorageError)
"""Errors that end everything wherever they come up. Any other belongs to its item and waits for the item's turn, so
that what ran ahead cannot end a run that would have been decided before it (law L1)."""


class Start(Protocol):
    """Starts a task in the group that owns the caller."""

    def __call__(self, work: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> object: ...


@dataclass(slots=True)
class Place:
    """A start function that knows the place of the caller's item in its stream, so that requests can stand in line by
    it."""

    start: Start
    index: int

    def __call__(self, work: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> object:
        return self.start(work, *args)


def place_of(start: Start) -> int:
    """The place of the item that `start` was given for; 0 if it was given for none."""
    return start.index if isinstance(start, Place) else 0


@asynccontextmanager
async def group() -> AsyncIterator[Start]:
    """A task group as a start function. If tasks fail, the error that the caller can act on is raised bare, with the
    cause that it had: a stopped provider first, then the engine's own errors, then whatever came first."""
    leading: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks.start_soon
    except BaseExceptionGroup as failed:
        leading = _leading(failed)
    if leading is not None:
        # Raised out here, since inside of the handler it would lose its own cause and context to the group.
        raise leading


class Tasks:
    """A task group whose tasks are cheap, can be cancelled one by one, and keep their errors to themselves: for work
    that hands its result to those who wait. Leaving it waits for all of them."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start one."""
        self._group.create_task(work)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leading: BaseException | None = None
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as failed:
            leading = _leading(failed)
        # The error of the body goes on by itself.
        if leading is not None and leading is not error:
            raise leading


def _leading(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The most useful leaf of a group; leaves stand in the order in which tasks failed."""
    leaves: list[BaseException] = []
    stack: list[BaseException] = [failed]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(reversed(error.exceptions))
        else:
            leaves.append(error)
    for kind in (StopError, SempropError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


async def in_order(
    items: Iterable[T],
    work: Callable[[T, Start], Awaitable[R]],
    consume: Callable[[T, R], bool],
    window: int,
) -> None:
    """Run `work` on the items, at most `window` beyond the consumed prefix, and consume results in item order.

    `consume` returns whether that is enough; then everything that ran ahead is cancelled and never consumed.
    Items are taken from their iterator only as the window moves, so a stream may be endless. An error of an item is
    raised in its turn, and nothing new is opened meanwhile.
    """
    if window < 1:
        raise ValueError(f"window is {window}; at least one item must be open")
    await _Stream(iter(items), work, consume, window).run()


class _Stream:
    """The state of one `in_order` call."""

    def __init__(
        self,
        source: Iterator[Any],
        work: Callable[[Any, Start], Awaitable[Any]],
        consume: Callable[[Any, Any], bool],
        window: int,
    ) -> None:
        self._source = enumerate(source)
        self._work, self._consume, self._window = work, consume, window
        self._finished: dict[int, Callable[[], bool]] = {}
        self._opened = self._consumed = self._returning = 0
        self._idle: list[asyncio.Future[tuple[int, Any] | None]] = []
        self._enough = self._failed = self._exhausted = False

    async def run(self) -> None:
        with anyio.CancelScope() as self._scope:
            async with group() as self._start:
                self._open()

    def _open(self) -> None:
        """Find a task for each item that the window lets in and no task is about to take."""
        while self._opened + self._returning - self._consumed < self._window:
            entry = self._next()
            if entry is None:
                return
            idle = self._idle.pop() if self._idle else None
            if idle is None or idle.done():  # Done: it was cancelled.
                self._start(self._each, entry)
            else:
                idle.set_result(entry)

    def _next(self) -> tuple[int, Any] | None:
        if self._opened - self._consumed >= self._window or self._failed:
            return None
        entry = next(self._source, None)
        if entry is not None:
            self._opened += 1
            return entry
        self._exhausted = True
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        return None

    async def _later(self) -> tuple[int, Any] | None:
        """The item that the window will let in for a task that found none: some other task has the item that all wait
        for, and will move it. None if there are no more items."""
        if self._exhausted:
            return None
        idle: asyncio.Future[tuple[int, Any] | None] = asyncio.get_running_loop().create_future()
        self._idle.append(idle)
        return await idle

    async def _each(self, entry: tuple[int, Any] | None) -> None:
        """One item after the other, as long as there are any: a task costs more than an item."""
        while entry is not None:
            index, item = entry
            try:
                result = await self._work(item, Place(self._start, index))
                self._finished[index] = partial(self._consume, item, result)
            except AT_ONCE:
                raise
            except Exception as error:  # noqa: BLE001 — raised again in its turn
                self._failed = True
                self._finished[index] = partial(_raise, error)
            while not self._enough and self._consumed in self._finished:
                self._enough = self._finished.pop(self._consumed)()
                self._consumed += 1
            if self._enough:
                self._scope.cancel()
                return
            self._returning += 1
            try:
                # Work that never waits must not keep the loop from everybody else.
                await asyncio.sleep(0)
            finally:
                self._returning -= 1
            entry = self._next()
            self._open()
            if entry is None:
                entry = await self._later()


def _raise(error: Exception) -> bool:
    raise error


async def together(plans: Sequence[Callable[[], Awaitable[R]]], start: Start | None = None) -> tuple[R, ...]:
    """Run all at once; their results in the order given.

    Args:
        plans: what to run.
        start: starts a task in a group of the caller's; without it, one is opened. With it, all plans end before the
            first error, by their order, is raised; those that end everything are raised where they are.
    """
    if len(plans) == 1:
        return (await plans[0](),)
    if start is not None:
        return await _beside(plans, start)
    results: dict[int, R] = {}

    async def one(index: int, plan: Callable[[], Awaitable[R]]) -> None:
        results[index] = await plan()

    async with group() as begin:
        for index, plan in enumerate(plans):
            begin(one, index, plan)
    return tuple(results[index] for index in range(len(plans)))


async def _beside(plans: Sequence[Callable[[], Awaitable[R]]], start: Start) -> tuple[R, ...]:
    """The first plan in this task, the others beside it."""
    results: dict[int, R] = {}
    errors: dict[int, Exception] = {}
    left = len(plans)
    done = anyio.Event()

    async def one(index: int, plan: Callable[[], Awaitable[R]]) -> None:
        nonlocal left
        try:
            results[index] = await plan()
        except AT_ONCE:
            raise
        except Exception as error:  # noqa: BLE001 — raised again below
            errors[index] = error
        left -= 1
        if not left:
            done.set()

    for index, plan in enumerate(plans[1:], 1):
        start(one, index, plan)
    if plans:
        await one(0, plans[0])
        await done.wait()
    if errors:
        raise errors[min(errors)]
    return tuple(results[index] for index in range(len(plans)))


def walk(
    waiting: Sequence[int],
    successors: Sequence[Sequence[int]],
    run: Callable[[int], Awaitable[None]],
    start: Start,
) -> Coroutine[Any, Any, None]:
    """Run the vertices of a DAG, each as soon as its predecessors are done.

    Args:
        waiting: for each vertex, how many predecessors it has (an edge counts as often as it stands in `successors`).
        successors: for each vertex, those that wait for it.
        run: does one vertex.
        start: starts a task; used only where the DAG widens. A chain runs in the calling task.

    Errors of `run` are raised here, in whichever task it ran; those that end everything are raised where they are.
    """
    return _Walk(waiting, successors, run, start).whole()


class _Walk:
    """The state of one `walk` call."""

    __slots__ = ("_done", "_failed", "_left", "_run", "_start", "_successors", "_waiting")

    def __init__(
        self,
        waiting: Sequence[int],
        successors: Sequence[Sequence[int]],
        run: Callable[[int], Awaitable[None]],
        start: Start,
    ) -> None:
        self._waiting, self._successors, self._run, self._start = list(waiting), successors, run, start
        self._left = len(self._waiting)
        self._done: anyio.Event | None = None  # Made where the DAG widens: most never do.
        self._failed: list[Exception] = []

    async def whole(self) -> None:
        roots = [vertex for vertex, count in enumerate(self._waiting) if not count]
        for root in roots[1:]:
            self._widen(root)
        if roots:
            await self._follow(roots[0])
            if self._done is not None:
                await self._done.wait()
        if self._failed:
            raise self._failed[0]

    async def _follow(self, vertex: int) -> None:
        following: int | None = vertex
        while following is not None:
            await self._run(following)
            following = self._released(following)
        if not self._left and self._done is not None:
            self._done.set()

    def _released(self, vertex: int) -> int | None:
        """Of those that waited for a vertex, the one to go on with here; the others begin beside it."""
        self._left -= 1
        following: int | None = None
        for successor in self._successors[vertex]:
            self._waiting[successor] -= 1
            if self._waiting[successor]:
                continue
            if following is None:
                following = successor
            else:
                self._widen(successor)
        return following

    def _widen(self, vertex: int) -> None:
        if self._done is None:
            self._done = anyio.Event()
        self._start(self._aside, vertex)

    async def _aside(self, vertex: int) -> None:
        try:
            await self._follow(vertex)
        except AT_ONCE:
            raise
        except Exception as error:  # noqa: BLE001 — raised again by the task that called
            self._failed.append(error)
            assert self._done is not None, "a side task is one because the DAG widened"
            self._done.set()
