"""The journal's index of outcomes by content key, in memory: on disk every random key would cost a page of its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


class Keys:
    """Which outcome has which key: a B-tree in memory, of 20 bytes an entry."""

    def __init__(self) -> None:
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._table.executescript("PRAGMA journal_mode=OFF; CREATE TABLE keys (hash INTEGER PRIMARY KEY, id INTEGER)")

    def add(self, entries: Iterable[tuple[str, int]]) -> None:
        """(key, id of its outcome); of several with one key, the first counts."""
        self._table.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", ((hash(key), id) for key, id in entries))

    def find(self, key: str) -> int | None:
        """The outcome that has this key, or another key of the same hash."""
        row = self._table.execute("SELECT id FROM keys WHERE hash = ?", (hash(key),)).fetchone()
        return None if row is None else int(row[0])

    def close(self) -> None:
        self._table.close()
