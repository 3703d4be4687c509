"""Who is next: priority with ageing, fairness between flows, first come first served inside a flow.

Takes waiters and times; gives the one whose turn it is. Pure but for its own order: knows nothing of limits, and so
never lets a small request pass a large one that is at the head.

Between flows: start-time fair queueing, which is self-clocked (Goyal, Vin and Cheng 1996): a flow's next request starts
at max(virtual time, finish of its last one), finish = start + size / weight, and the smallest start is served.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from enum import Enum


class State(Enum):
    """Where a waiter stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    GONE = "gone"


class Waiter:
    """One request in the queue.

    Attributes:
        flow, weight, priority, sequence: as in `Admission`.
        arrived: seconds on the limiter's clock when it first asked, before any retry.
        returns: whether this is a retry, which stands before whoever came at the same instant.
        size: of what it costs, in seconds of quota.
    """

    __slots__ = ("arrived", "flow", "priority", "returns", "sequence", "size", "state", "weight")

    def __init__(self, flow: str, weight: float, priority: int, sequence: int, arrived: float, size: float) -> None:
        self.returns = False
        self.flow = flow
        self.weight = weight
        self.priority = priority
        self.sequence = sequence
        self.arrived = arrived
        self.size = size
        self.state = State.WAITING


class _Flow:
    """The waiters of one flow at one priority, in their order, and the time on its level at which its last finished."""

    __slots__ = ("finish", "queued", "start", "waiters")

    def __init__(self) -> None:
        self.waiters: list[tuple[int, float, int, Waiter]] = []
        self.finish = 0.0
        self.start = 0.0
        self.queued = False


class _Level:
    """The flows of one priority, by start tag."""

    __slots__ = ("flows", "heap", "virtual")

    def __init__(self) -> None:
        self.flows: dict[str, _Flow] = {}
        self.heap: list[tuple[float, int, str]] = []
        self.virtual = 0.0

    def head(self) -> Waiter | None:
        while self.heap:
            flow = self.flows[self.heap[0][2]]
            while flow.waiters and flow.waiters[0][3].state is not State.WAITING:
                heapq.heappop(flow.waiters)
            if flow.waiters:
                return flow.waiters[0][3]
            heapq.heappop(self.heap)
            flow.queued = False
        # Nothing waits here, so all flows stand equal, and none needs to be remembered.
        self.flows.clear()
        self.virtual = 0.0
        return None


class FairQueue:
    """The waiters of one lane."""

    def __init__(self, ageing: float, turns: int = 4) -> None:
        """
        Args:
            ageing: seconds of waiting that make up for one step of priority.
            turns: of so many grants one goes to the oldest that has aged enough, so that neither old nor urgent
                requests can starve the other.
        """
        self._ageing = ageing
        self._turns = turns
        self._levels: dict[int, _Level] = {}
        self._order: list[int] = []
        self._oldest: list[tuple[float, int, Waiter]] = []
        self._number = 0
        self._served = 0
        self.waiting = 0

    def push(self, waiter: Waiter) -> None:
        """Join the queue."""
        self._number += 1
        number = -self._number if waiter.returns else self._number
        self.waiting += 1
        level = self._levels.get(waiter.priority)
        if level is None:
            if len(self._levels) > 64:
                self._levels = {rank: kept for rank, kept in self._levels.items() if kept.heap}
            level = self._levels[waiter.priority] = _Level()
            self._order = sorted(self._levels)
        flow = level.flows.get(waiter.flow)
        if flow is None:
            flow = level.flows[waiter.flow] = _Flow()
        heapq.heappush(flow.waiters, (waiter.sequence, waiter.arrived, number, waiter))
        if not flow.queued:
            self._enter(level, flow, waiter.flow)
        heapq.heappush(self._oldest, (waiter.arrived, number, waiter))
        if len(self._oldest) > 2 * self.waiting + 64:
            self._oldest = [entry for entry in self._oldest if entry[2].state is State.WAITING]
            heapq.heapify(self._oldest)

    def head(self, now: float) -> Waiter | None:
        """Whose turn it is; None if nobody waits."""
        if not self.waiting:
            return None
        first: Waiter | None = None
        for priority in self._order:
            first = self._levels[priority].head()
            if first is not None:
                break
        if first is None or len(self._order) == 1 or self._served % self._turns != self._turns - 1:
            return first
        oldest = self._eldest()
        if oldest is None:
            return first
        above = oldest.priority - first.priority
        return oldest if above > 0 and now - oldest.arrived >= self._ageing * above else first

    def grant(self, waiter: Waiter) -> None:
        """`waiter`, which was the head, is served."""
        waiter.state = State.GRANTED
        self.waiting -= 1
        self._served += 1
        level = self._levels[waiter.priority]
        flow = level.flows[waiter.flow]
        if flow.queued and level.heap[0][2] == waiter.flow:
            heapq.heappop(level.heap)
            flow.queued = False
            level.virtual = max(level.virtual, flow.start)
            flow.finish = flow.start + waiter.size / waiter.weight
            while flow.waiters and flow.waiters[0][3].state is not State.WAITING:
                heapq.heappop(flow.waiters)
            if flow.waiters:
                self._enter(level, flow, waiter.flow)
        else:
            # It was served for its age, out of its flow's turn; its flow pays all the same.
            flow.finish += waiter.size / waiter.weight
        self._tidy(level)

    def drop(self, waiter: Waiter) -> None:
        """`waiter` gives up waiting."""
        waiter.state = State.GONE
        self.waiting -= 1

    def __iter__(self) -> Iterator[Waiter]:
        """All who wait, oldest first."""
        return (entry[2] for entry in sorted(self._oldest, key=_age) if entry[2].state is State.WAITING)

    def oldest_arrival(self) -> float:
        """When the oldest waiter first asked; infinite if nobody waits."""
        oldest = self._eldest()
        return math.inf if oldest is None else oldest.arrived

    def _eldest(self) -> Waiter | None:
        while self._oldest and self._oldest[0][2].state is not State.WAITING:
            heapq.heappop(self._oldest)
        return self._oldest[0][2] if self._oldest else None

    def _enter(self, level: _Level, flow: _Flow, name: str) -> None:
        self._number += 1
        flow.start = max(flow.finish, level.virtual)
        flow.queued = True
        heapq.heappush(level.heap, (flow.start, self._number, name))

    def _tidy(self, level: _Level) -> None:
        """Forget flows that have nothing to pay off, now and then."""
        if len(level.flows) > 64 and len(level.flows) > 4 * len(level.heap):
            level.flows = {
                name: flow for name, flow in level.flows.items() if flow.queued or flow.finish > level.virtual
            }


def _age(entry: tuple[float, int, Waiter]) -> tuple[float, int]:
    return entry[:2]
