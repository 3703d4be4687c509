"""The one module of the engine that starts tasks. It orders work and bounds what is open; it decides nothing else.

Everything runs inside a task group that lives in one call, so cancelling the caller leaves nothing behind (law L6).
Results reach their consumer in canonical order only (law L1): whatever finished early waits in a buffer, whose size
is bounded by the window. Nothing polls; nothing recurses over a graph.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

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
        self._opened = self._consumed = 0
        self._enough = self._failed = False

    async def run(self) -> None:
        with anyio.CancelScope() as self._scope:
            async with group() as self._start:
                self._open()

    def _open(self) -> None:
        while self._opened - self._consumed < self._window and not self._failed:
            entry = next(self._source, None)
            if entry is None:
                return
            self._opened += 1
            self._start(self._one, *entry)

    async def _one(self, index: int, item: Any) -> None:
        try:
            self._finished[index] = partial(self._consume, item, await self._work(item, self._start))
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
        else:
            self._open()


def _raise(error: Exception) -> bool:
    raise error


async def together(plans: Sequence[Callable[[], Awaitable[R]]]) -> tuple[R, ...]:
    """Run all at once; their results in the order given."""
    if len(plans) == 1:
        return (await plans[0](),)
    results: dict[int, R] = {}

    async def one(index: int, plan: Callable[[], Awaitable[R]]) -> None:
        results[index] = await plan()

    async with group() as start:
        for index, plan in enumerate(plans):
            start(one, index, plan)
    return tuple(results[index] for index in range(len(plans)))


async def walk(
    waiting: Sequence[int],
    successors: Sequence[Sequence[int]],
    run: Callable[[int], Awaitable[None]],
    start: Start,
) -> None:
    """Run the vertices of a DAG, each as soon as its predecessors are done.

    Args:
        waiting: for each vertex, how many predecessors it has (an edge counts as often as it stands in `successors`).
        successors: for each vertex, those that wait for it.
        run: does one vertex.
        start: starts a task; used only where the DAG widens. A chain runs in the calling task.

    Errors of `run` are raised here, in whichever task it ran; those that end everything are raised where they are.
    """
    counts = list(waiting)
    left = len(counts)
    done = anyio.Event()
    failed: list[Exception] = []

    async def follow(vertex: int) -> None:
        nonlocal left
        while True:
            await run(vertex)
            left -= 1
            released = []
            for successor in successors[vertex]:
                counts[successor] -= 1
                if not counts[successor]:
                    released.append(successor)
            if not released:
                break
            vertex = released[0]
            for other in released[1:]:
                start(aside, other)
        if not left:
            done.set()

    async def aside(vertex: int) -> None:
        try:
            await follow(vertex)
        except AT_ONCE:
            raise
        except Exception as error:  # noqa: BLE001 — raised again by the task that called
            failed.append(error)
            done.set()

    roots = [vertex for vertex, count in enumerate(counts) if not count]
    for root in roots[1:]:
        start(aside, root)
    if roots:
        await follow(roots[0])
        await done.wait()
    if failed:
        raise failed[0]
