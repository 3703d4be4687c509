"""The journal's index of outcomes by content key, in memory: on disk every random key would cost a page of its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

FRESH = 1_024
"""Entries that are put into the table together: one by one takes four times as long."""


class Keys:
    """Which outcome has which key: a B-tree of 20 bytes an entry, the latest entries in a dictionary before it, and two
    megabytes of marks (a Bloom filter) before both, since most keys that are looked for are new."""

    def __init__(self) -> None:
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._table.executescript("PRAGMA journal_mode=OFF; CREATE TABLE keys (hash INTEGER PRIMARY KEY, id INTEGER)")
        self._fresh: dict[int, int] = {}
        self._marks = bytearray(1 << 21)

    def add(self, key: str, place: int) -> None:
        """The outcome at a place has this key; of several with one key, the first counts."""
        value, marks = hash(key), self._marks
        marks[value & 0x1FFFFF] = marks[value >> 21 & 0x1FFFFF] = marks[value >> 42 & 0x1FFFFF] = 1
        self._fresh.setdefault(value, place)
        if len(self._fresh) >= FRESH:
            self._table.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", self._fresh.items())
            self._fresh.clear()

    def extend(self, entries: Iterable[tuple[str, int]]) -> None:
        """Many at once."""
        for key, place in entries:
            self.add(key, place)

    def find(self, key: str) -> int | None:
        """The outcome that has this key, or another key of the same hash."""
        value, marks = hash(key), self._marks
        if not (marks[value & 0x1FFFFF] and marks[value >> 21 & 0x1FFFFF] and marks[value >> 42 & 0x1FFFFF]):
            return None
        row = self._table.execute("SELECT id FROM keys WHERE hash = ?", (value,)).fetchone()
        return self._fresh.get(value) if row is None else int(row[0])

    def close(self) -> None:
        """Let go of the memory."""
        self._table.close()
