"""True sliding windows: how much was counted within the last so many seconds, exactly. Pure; time is an argument.

What is counted at time t counts until t + seconds, to the instant. Times must not go back.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

MINUTE = 60.0
DAY = 86_400.0

DAY_GRAIN = 0.1
"""Seconds that a window of a day lumps together, so that it holds at most 864,000 entries whatever the rate."""


class Entry(NamedTuple):
    """An amount, and the time at which it stops counting."""

    leaves: float
    amount: float


class Window:
    """One sliding window.

    Args:
        seconds: its length.
        grain: amounts counted within so many seconds leave together, at most that much late. 0 keeps all apart.
    """

    __slots__ = ("_entries", "_grain", "_seconds", "_total")

    def __init__(self, seconds: float, grain: float = 0.0) -> None:
        self._seconds = seconds
        self._grain = grain
        self._entries: deque[Entry] = deque()
        self._total = 0.0

    def __repr__(self) -> str:
        return f"Window({self._seconds:g} s, total={self._total:g}, entries={len(self._entries)})"

    def __len__(self) -> int:
        """Entries kept, for memory's sake."""
        return len(self._entries)

    def add(self, now: float, amount: float) -> None:
        """Count an amount from now on."""
        leaves = now + self._seconds
        if self._grain:
            leaves = math.ceil(leaves / self._grain) * self._grain
        entries = self._entries
        if entries and entries[-1].leaves >= leaves:
            entries[-1] = Entry(entries[-1].leaves, entries[-1].amount + amount)
        else:
            entries.append(Entry(leaves, amount))
        self._total += amount

    def used(self, now: float) -> float:
        """What counts now."""
        entries = self._entries
        while entries and entries[0].leaves <= now:
            self._total -= entries.popleft().amount
        if not entries:
            # Whatever rounding left behind.
            self._total = 0.0
        return self._total

    def wait(self, now: float, target: float) -> float:
        """Seconds until no more than `target` counts, if nothing is added; infinite for a target below 0."""
        left = self.used(now)
        if left <= target:
            return 0.0
        if target < 0:
            return math.inf
        for entry in self._entries:
            left -= entry.amount
            if left <= target:
                return entry.leaves - now
        return self._entries[-1].leaves - now

    def reset(self, now: float) -> float:
        """Seconds until nothing counts any more, if nothing is added."""
        return self._entries[-1].leaves - now if self.used(now) > 0 else 0.0
