"""The dispatcher: who of those that ask goes next, and who may share an answer. Bounds how many calls run at once.

Calls stand in line by rank. Those with one key share one run (single flight), which outlives any of them and ends with
the last. Takes work to be done, gives its results; knows nothing of what it does.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from semprop.engine.errors import RunError
from semprop.engine.scheduler import Tasks

Rank = tuple[int, int]
"""Who goes first: lower numbers, compared from the left; then whoever came first."""

_SETTLED = 8
"""Turns of the loop in which nothing was asked, after which what is under way is taken to be all there can be: a reply
reaches whoever asks next within fewer."""


class Early(Protocol):
    """What can be done for a job before its turn."""

    def prepare(self) -> object:
        """It is next: the place that it will have is about to be free. An error is that of whoever passes it on."""

    def forgo(self) -> None:
        """It will not be done after all: nobody waits for it any more."""


Work = Callable[["Job"], Coroutine[Any, Any, Any]]
"""What a job does."""


class Job:
    """One run of a piece of work that several tasks may wait for."""

    __slots__ = ("_line", "early", "following", "is_kept", "is_over", "key", "task", "waiting", "work")

    def __init__(self, key: str, work: Work, early: Early | None, line: list[tuple[Rank, int, Job]]) -> None:
        self.key, self.work, self.early, self._line = key, work, early, line
        self.waiting: list[asyncio.Future[Any]] = []
        self.task: asyncio.Task[None] | None = None
        self.following: tuple[Rank, int, Job] | None = None
        self.is_kept = self.is_over = False

    def keep(self) -> None:
        """From here on it is worth finishing even if nobody waits: what came is paid for."""
        self.is_kept = True

    def pass_on(self) -> bool:
        """It is all but over: the first in line takes its place then, and may prepare for it now. Whether there is
        one."""
        line = self._line
        while line and line[0][2].is_over:
            heapq.heappop(line)
        if line and self.following is None:
            early = line[0][2].early
            if early is not None:
                early.prepare()
            self.following = heapq.heappop(line)
        return self.following is not None


class Dispatcher:
    """Runs jobs, at most `limit` at once, the lowest rank first. Enter it for as long as jobs may be waited for;
    leaving it waits until none is left.

    Args:
        limit: jobs at once.
        quiescent: called when no further job can begin until one that runs has ended.
    """

    def __init__(self, limit: int, quiescent: Callable[[], None] | None = None) -> None:
        self._limit, self._quiescent = limit, quiescent
        self._jobs: dict[str, Job] = {}
        self._line: list[tuple[Rank, int, Job]] = []
        self._came = self._running = self._held = 0
        self._watching = False
        self._releasing: list[asyncio.Future[None]] = []
        self._released: list[asyncio.Future[None]] = []
        self._tasks: Tasks | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # Asking for it at each call is a system call each time.

    def __repr__(self) -> str:
        return f"Dispatcher({self._running} of {self._limit} running, {len(self._line)} in line)"

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RunError("this dispatcher is open already: use one for each run")
        self._loop = asyncio.get_running_loop()
        self._tasks = await Tasks().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it was entered"
        await tasks.__aexit__(kind, error, trace)

    def shares(self, key: str) -> bool:
        """Whether a call with this key is under way or in line."""
        return key in self._jobs

    async def result(self, key: str, rank: Rank, work: Work, early: Early | None = None) -> Any:
        """What `work` returns or raises, when its turn has come; or what an equal call gives that came before. `early`
        is told when its turn is next.

        If the caller is cancelled and nobody else waits for it, the call is cancelled or leaves the line; one that was
        marked to be kept goes on.

        Raises:
            RunError: the dispatcher is not open, or a call was cancelled from outside.
        """
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = Job(key, work, early, self._line)
            self._came += 1
            if self._running < self._limit:
                self._launch(job)
            else:
                heapq.heappush(self._line, (rank, self._came, job))
            if self._quiescent is not None:
                self._watch()
        assert self._loop is not None, "it was entered"
        future = self._loop.create_future()
        job.waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if not job.is_over:
                job.waiting.remove(future)
                if not job.waiting and not job.is_kept:
                    self._over(job)
                    if job.task is not None:
                        job.task.cancel()
                    elif job.early is not None:
                        job.early.forgo()
            raise

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """While inside, something that is no job may still lead to one: nothing is quiescent."""
        self.hold()
        try:
            yield
        finally:
            self.let_go()

    def hold(self) -> None:
        """From now on nothing is quiescent, until as many have let go as hold."""
        self._held += 1

    def let_go(self) -> None:
        """One holds no longer."""
        self._held -= 1
        if self._quiescent is not None:
            self._watch()

    def _launch(self, job: Job) -> None:
        if self._tasks is None:
            del self._jobs[job.key]
            raise RunError("nothing can be asked: the dispatcher is not open (use `async with`)")
        self._running += 1
        self._tasks.start(self._run(job))

    async def _run(self, job: Job | None) -> None:
        """One job after the other, while there is one in line."""
        me = asyncio.current_task()
        following: tuple[Rank, int, Job] | None = None
        try:
            while job is not None:
                if not job.is_over:
                    job.task = me
                    try:
                        result = await job.work(job)
                    except asyncio.CancelledError:
                        cut = RunError("a request was cancelled from outside while somebody waited for it")
                        self._over(job, error=cut)
                        raise
                    except Exception as error:  # noqa: BLE001 — raised by those who wait
                        self._over(job, error=error)
                    else:
                        self._over(job, result)
                    finally:
                        following = job.following
                    if self._quiescent is not None:
                        self._watch()
                if following is not None:
                    await self._seen()
                elif self._line:
                    following = heapq.heappop(self._line)
                job, following = (None, None) if following is None else (following[2], None)
        finally:
            self._running -= 1
            if following is not None:
                heapq.heappush(self._line, following)
            if self._line and self._tasks is not None:  # This task was cancelled with its job; the line goes on.
                self._launch(heapq.heappop(self._line)[2])

    def _seen(self) -> asyncio.Future[None]:
        """What is done once whoever waited for an outcome has seen it, and may want nothing more: a request that could
        go out at once would be paid for after it is decided that it is not needed. One for all that end together."""
        assert self._loop is not None, "it was entered"
        future: asyncio.Future[None] = self._loop.create_future()
        if not self._releasing and not self._released:
            self._loop.call_soon(self._turn, _SETTLED)
        self._releasing.append(future)
        return future

    def _turn(self, turns: int) -> None:
        assert self._loop is not None, "it was entered"
        if turns == _SETTLED:
            self._releasing, self._released = [], self._releasing
        if turns:
            self._loop.call_soon(self._turn, turns - 1)
            return
        for future in self._released:
            if not future.done():
                future.set_result(None)
        self._released = []
        if self._releasing:
            self._loop.call_soon(self._turn, _SETTLED)

    def _over(self, job: Job, result: Any = None, error: Exception | None = None) -> None:
        if job.is_over:
            return
        job.is_over = True
        del self._jobs[job.key]
        for future in job.waiting:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _watch(self) -> None:
        """After a change: see whether it was the last for now."""
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._look, self._mark(), _SETTLED)

    def _mark(self) -> tuple[int, int, int]:
        return self._came, self._running, self._held

    def _look(self, before: tuple[int, int, int], turns: int) -> None:
        now = self._mark()
        if self._quiescent is None or not self._running:
            self._watching = False
        elif now != before or turns:
            asyncio.get_running_loop().call_soon(self._look, now, turns - 1 if now == before else _SETTLED)
        else:
            self._watching = False
            if not self._held:
                self._quiescent()
