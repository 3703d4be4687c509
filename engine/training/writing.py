"""The thread that writes a journal, and the rhythm in which rows are handed to it.

Rows gather in a batch while the batch before is being committed. Under load a batch gathers for longer, so that many
calls share what a commit costs: but not once it has enough, nor once nothing more is expected or comes. So what comes
in a burst is released in few commits, and the next burst needs no more. While little comes, rows are committed at the
end of the turn of the loop that noted them. Whoever waits is released when the commit is durable. Once storage fails,
everything fails with the same error: nothing is lost silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import sqlite3
import threading
from collections import deque
from typing import Any

from semprop.engine.errors import StorageError
from semprop.engine.training.groups import Head, folded
from semprop.engine.training.ledger import AT_ONCE, ONCE, SOON

GROUP = 256
"""Entries that one commit takes at most."""

PACE = 0.015
"""Seconds for which a batch gathers under load, for each unit of patience of whoever waits: half of it at the median. A
commit costs 0.2 to 0.4 ms of processor time, as much as writing the rows of thirty calls."""

BUSY, SPAN = 800.0, 0.5
"""Records a second, over about so many seconds, from which that is worth it: commits of few records, as fast as they
come, would take more than a fifth of a processor."""

ENOUGH = 128
"""Entries that are not held back any longer: more of them would make a commit cheaper by less than they would wait."""

QUIET = 0.004
"""Seconds without a new entry after which a commit is not put off any longer: all that is under way waits for it."""

Waiter = asyncio.Future[None]


class Batch:
    """What one commit writes.

    Attributes:
        first: the number of the first record.
        heads, bodies: of records, whose numbers follow one another.
        others: statements and their values: decisions and facts, which are rare.
        waiters: who waits until it is durable.
        count: entries.
        last: the number of the latest record that is durable with it.
        begun: when it was, on the loop's clock.
        due: when it is handed over at the latest.
    """

    __slots__ = ("begun", "bodies", "count", "due", "first", "heads", "last", "others", "waiters")

    def __init__(self, begun: float = 0.0, due: float = 0.0) -> None:
        self.begun, self.due = begun, due
        self.heads: list[Head] = []
        self.bodies: list[bytes | None] = []
        self.others: list[tuple[str, tuple[Any, ...]]] = []
        self.waiters: list[Waiter] = []
        self.count = self.first = self.last = 0


class Writer:
    """Commits batches in the order in which they were begun. Used from one event loop."""

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self._batches: deque[Batch] = deque()
        self._handed: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._turn: asyncio.Handle | None = None
        self._writing: Batch | None = None
        self._flow, self._counted = 0.0, loop.time()
        self.broken: StorageError | None = None
        self.durable = 0
        """The number of the latest record that is durable, as far as the loop has been told."""
        self._thread = threading.Thread(target=self._write, name="semprop-journal", daemon=True)
        self._thread.start()

    def batch(self) -> Batch:
        """The batch that takes the next entry, which the caller adds."""
        batches = self._batches
        if not batches or batches[-1].count >= GROUP:
            now = self._loop.time()
            is_busy = flow(self._flow, now - self._counted) >= BUSY
            batches.append(Batch(now, now + ONCE * PACE if is_busy else 0.0))
            # While a commit runs, its end looks for what comes next.
            if len(batches) > 1 and self._writing is None:
                self._soon()  # A full batch does not wait.
            elif self._turn is None and self._writing is None:
                self._next()
        elif batches[-1].count == ENOUGH and self._writing is None:
            self._soon()
        return batches[-1]

    def until(self, mark: int, patience: float = SOON) -> Waiter:
        """What is done once the record of this number is durable, which it is not yet. For one who awaits it.

        Args:
            patience: as `Ledger.reach` has it.
        """
        writing = self._writing
        if writing is not None and mark <= writing.last:
            return self._waiter(writing)
        batch = next(batch for batch in self._batches if mark <= batch.last)
        self._hasten(batch, patience)
        return self._waiter(batch)

    def all(self) -> Waiter:
        """What is done once everything that was added is durable."""
        batch = self.batch()
        self._hasten(batch, AT_ONCE)
        return self._waiter(batch)

    def _hasten(self, batch: Batch, patience: float) -> None:
        due = batch.begun + patience * PACE if patience else 0.0
        if due < batch.due:
            batch.due = due
            # A later time is looked at soon anyway.
            if not due and self._writing is None:
                self._soon()

    def _waiter(self, batch: Batch) -> Waiter:
        waiter: Waiter = self._loop.create_future()
        batch.waiters.append(waiter)
        return waiter

    def finish(self) -> None:
        """Hand over all that is left; the thread ends when it is written."""
        if self._turn is not None:
            self._turn.cancel()
        while self._batches:
            self._handed.put(self._batches.popleft())
        self._handed.put(None)

    def join(self) -> None:
        """Block until the thread has ended."""
        self._thread.join()

    # In the loop --------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Set when the open batch is handed over."""
        if self._loop.time() < self._batches[0].due:
            self._look_later()
        else:
            # At the end of this turn of the loop: what else it notes goes along.
            self._turn = self._loop.call_soon(self._hand_over)

    def _look_later(self) -> None:
        batch = self._batches[0]
        self._turn = self._loop.call_at(min(batch.due, self._loop.time() + QUIET), self._look, batch.count)

    def _look(self, seen: int) -> None:
        batch = self._batches[0]
        if batch.count == seen or self._loop.time() >= batch.due:
            self._hand_over()
        else:
            self._look_later()

    def _soon(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._turn = self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._turn = None
        if self._batches and self._writing is None:
            batch = self._batches.popleft()
            self._writing = batch
            now = self._loop.time()
            self._flow, self._counted = flow(self._flow, now - self._counted, batch.count), now
            self._handed.put(batch)

    def _written(self, batch: Batch) -> None:
        self._writing = None
        if self.broken is None and batch.last:
            self.durable = batch.last
        for waiter in batch.waiters:
            if waiter.done():
                continue
            if self.broken is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self.broken)
        if self._batches and (len(self._batches) > 1 or self._batches[0].count >= ENOUGH):
            self._soon()
        elif self._batches and self._turn is None:
            self._next()

    # In the thread ------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while (batch := self._handed.get()) is not None:
                self.broken = self.broken or commit(self._connection, batch)
                # A closed loop has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._written, batch)
        finally:
            self._connection.close()


def flow(before: float, seconds: float, came: int = 0) -> float:
    """Records a second, where so many came now and it was `before` so many seconds ago: their exponential average."""
    return before * math.exp(-seconds / SPAN) + came / SPAN


def commit(connection: sqlite3.Connection, batch: Batch) -> StorageError | None:
    """Make a batch durable; the error if that cannot be done, and then nothing of it is written."""
    try:
        # Here, off the event loop and mostly without its lock: a body of 10 kB takes 0.1 ms.
        group = (batch.first, *folded(batch.heads, batch.bodies)) if batch.heads else None
        if batch.others:
            connection.execute("BEGIN IMMEDIATE")
        if group is not None:
            connection.execute(_GROUP, group)
        for statement, row in batch.others:
            connection.execute(statement, row)
        if batch.others:
            connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 — a thread that died of it would let everybody wait for ever
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        return unwritable(error)
    return None


_GROUP = "INSERT INTO groups VALUES (?, ?, ?)"


def unwritable(error: Exception) -> StorageError:
    """What a caller can do about storage that fails."""
    return StorageError(f"the journal cannot be written ({error}): free space or check the disk, then run again")
