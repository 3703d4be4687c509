"""The journal's index of outcomes by content key, in memory: on disk every random key would cost a page of its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np

FRESH = 1_024
"""Entries that are put away together: one by one takes four times as long."""

_PLACES = 0x1FFFFF
_SHIFTS = (0, 21, 42)


class Keys:
    """Which outcome has which key: a B-tree of 20 bytes an entry, and before it two megabytes of marks (a Bloom
    filter), since most keys that are looked for are new. The latest entries wait in a dictionary before both."""

    def __init__(self) -> None:
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._table.executescript("PRAGMA journal_mode=OFF; CREATE TABLE keys (hash INTEGER PRIMARY KEY, id INTEGER)")
        self._fresh: dict[int, int] = {}
        self._marks = bytearray(_PLACES + 1)

    def add(self, key: str, place: int) -> None:
        """The outcome at a place has this key; of several with one key, the first counts."""
        self._fresh.setdefault(hash(key), place)
        if len(self._fresh) >= FRESH:
            self._put_away()

    def extend(self, entries: Iterable[tuple[str, int]]) -> None:
        """Many at once."""
        for key, place in entries:
            self.add(key, place)

    def find(self, key: str) -> int | None:
        """The outcome that has this key, or another key of the same hash."""
        value, marks = hash(key), self._marks
        if marks[value & _PLACES] and marks[value >> 21 & _PLACES] and marks[value >> 42 & _PLACES]:
            row = self._table.execute("SELECT id FROM keys WHERE hash = ?", (value,)).fetchone()
            if row is not None:
                return int(row[0])
        return self._fresh.get(value)

    def close(self) -> None:
        """Let go of the memory."""
        self._table.close()

    def _put_away(self) -> None:
        hashes = np.fromiter(self._fresh, dtype=np.int64, count=len(self._fresh))
        marks = np.frombuffer(self._marks, dtype=np.uint8)
        for shift in _SHIFTS:
            marks[hashes >> shift & _PLACES] = 1
        self._table.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", self._fresh.items())
        self._fresh.clear()
