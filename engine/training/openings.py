"""How often test items were opened: one small table in the directory of runs, beside them, written by every opening.

A test is untouched once. What is recorded: which items (by a hash of their inputs), by whom, when. It outlives runs
that are removed. What it cannot see: openings in other directories, by other tools, or by a person who looked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semprop.engine.errors import StorageError
from semprop.engine.example import Example, normalised

FILE = "test-openings.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS openings (id INTEGER PRIMARY KEY, who TEXT NOT NULL, at REAL NOT NULL, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS items (item BLOB NOT NULL, opening INTEGER NOT NULL, PRIMARY KEY (item, opening))
WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Earlier openings that share an item with this one, and how many of this one's `n` items they saw."""

    times: int
    items: int
    n: int

    def document(self) -> dict[str, int]:
        """As JSON data, for the journal and the telemetry."""
        return {"reused": self.times, "items": self.items, "n": self.n}


def opened(directory: Path, who: str, items: Sequence[Example]) -> Reuse:
    """Record that these items are being opened, and say how often they were before.

    Raises:
        StorageError: the table cannot be read or written.
    """
    hashes = list(dict.fromkeys(_hash(item) for item in items))
    file = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TEMPORARY TABLE now (item BLOB PRIMARY KEY)")
            connection.executemany("INSERT INTO now VALUES (?)", [(item,) for item in hashes])
            times, seen = connection.execute(
                "SELECT count(DISTINCT opening), count(DISTINCT item) FROM items JOIN now USING (item)"
            ).fetchone()
            made = connection.execute(
                "INSERT INTO openings (who, at, n) VALUES (?, ?, ?)", (who, time.time(), len(items))
            )
            connection.execute("INSERT INTO items SELECT item, ? FROM now", (made.lastrowid,))
            connection.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{file} cannot be written ({error}): openings of the test are recorded there") from error
    return Reuse(times, seen, len(hashes))


def _hash(item: Example) -> bytes:
    return hashlib.blake2b(normalised(item).encode(), digest_size=12).digest()
