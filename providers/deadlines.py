"""One deadline for each call, at the price of a dictionary entry.

Takes the seconds that a call may take; gives context managers. What `asyncio.timeout` costs a call is a timer of its
own; all calls of one endpoint have the same time, so they end in the order in which they began and one timer, for the
oldest, serves all of them. Starts no task.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from semprop.providers.clock import SLEPT


class Deadlines:
    """The deadlines of the calls of one endpoint, on one event loop."""

    def __init__(self, seconds: float) -> None:
        """Must be made inside the event loop whose calls it bounds; `seconds` is what each of them may take."""
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        # In the order of their deadlines, which is the order of their beginnings.
        self._running: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Deadlines({self.seconds:g} s, running={len(self._running)})"

    def deadline(self) -> Deadline:
        """Bounds what stands in its `with` block, in the task that runs it.

        Raises (at the end of the block):
            TimeoutError: the time was over before the block; the task goes on.
        """
        return Deadline(self)

    def close(self) -> None:
        """Take the timer back, unless calls still run."""
        if self._timer is not None and not self._running:
            self._timer.cancel()
            self._timer = None

    def _begun(self, deadline: Deadline) -> float:
        at = self._loop.time() + self.seconds
        self._running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._rung)
        return at

    def _ended(self, deadline: Deadline) -> None:
        self._running.pop(deadline, None)

    def _rung(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = now - next(iter(self._running)).at if self._running else 0.0
        if late > SLEPT:
            # This process slept, and replies that came meanwhile were not read yet: all calls have their time anew.
            # Else all of them would be asked again at once.
            for deadline in self._running:
                deadline.at = now + self.seconds
        over = []
        for deadline in self._running:
            if deadline.at > now:
                self._timer = self._loop.call_at(deadline.at, self._rung)
                break
            over.append(deadline)
        for deadline in over:
            del self._running[deadline]
            deadline.expire()


class Deadline:
    """The deadline of one call. The same rules as `asyncio.timeout`: a cancellation from elsewhere always wins."""

    __slots__ = ("_all", "_cancelling", "_expired", "_task", "at")

    def __init__(self, deadlines: Deadlines) -> None:
        self._all = deadlines
        self._expired = False

    def __enter__(self) -> Self:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline bounds a task, and none is running")
        self._task = task
        self._cancelling = task.cancelling()
        self.at = self._all._begun(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all._ended(self)
        if (
            self._expired
            and self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error

    def expire(self) -> None:
        """The time is over: interrupt the task where it waits."""
        self._expired = True
        self._task.cancel()
