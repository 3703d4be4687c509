"""Groups: how records stand in a journal while it is written, all of a commit in one row. Pure, but for what it reads.

    records ─▶ folded ─▶ one row: heads (JSON: what each record is and where its body lies) · bodies, in a row

One row costs a third of what its records would cost in rows of their own (measured: 13 records of 3 kB, 23 µs against
15 µs a call). The view `entries` shows the records of both; whoever goes on with a journal puts them into rows first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from semprop.engine.errors import StorageError
from semprop.engine.training.bodies import checked, compressed, unpacked

NEAR = 8
"""Groups that whoever looks records up keeps: records are asked for in about the order in which they were written."""

Head = tuple[str, str | None, tuple[Any, ...] | None, str | None, float]
"""What a record is: kind, key, position, role, at."""


class Entry(NamedTuple):
    """A record, as a row of `entries`."""

    id: int
    kind: str
    key: str | None
    position: str | None
    role: str | None
    body: bytes | None
    at: float


def folded(heads: Sequence[Head], bodies: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    """The heads and bodies of records that follow one another, as columns of a group."""
    placed: list[tuple[Any, ...]] = []
    kept: list[bytes] = []
    start = 0
    for head, body in zip(heads, bodies, strict=True):
        if body is None:
            placed.append((*head, start, 0))
        else:
            packed = compressed(body)
            kept.append(packed)
            placed.append((*head, start, len(packed)))
            start += len(packed)
    return checked(orjson.dumps(placed)), b"".join(kept)


def unfolded(first: int, heads: bytes, bodies: bytes) -> Iterator[Entry]:
    """The records of a group, whose bodies are not looked at.

    Raises:
        StorageError: the heads are damaged.
    """
    for place, (kind, key, position, role, at, start, size) in enumerate(unpacked(heads), first):
        where = None if position is None else orjson.dumps(position).decode()
        yield Entry(place, kind, key, where, role, bodies[start : start + size] if size else None, at)


class Entries:
    """The records of a journal by their number."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._group = lru_cache(maxsize=NEAR)(self._read)

    def find(self, place: int) -> Entry | None:
        """The record of a number, if there is one.

        Raises:
            StorageError: what tells where it lies was damaged.
            sqlite3.Error: the journal cannot be read.
        """
        # Rows once more: whoever goes on with the run may have put the group into rows between the two looks.
        return self._in_rows(place) or self._in_groups(place) or self._in_rows(place)

    def _in_rows(self, place: int) -> Entry | None:
        query = "SELECT id, kind, key, position, role, body, at FROM records WHERE id = ?"
        row = self._connection.execute(query, (place,)).fetchone()
        return None if row is None else Entry(*row)

    def _in_groups(self, place: int) -> Entry | None:
        ((first,),) = self._connection.execute("SELECT max(first) FROM groups WHERE first <= ?", (place,)).fetchall()
        if first is None:
            return None
        group = self._group(first)
        return group[place - first] if place - first < len(group) else None

    def _read(self, first: int) -> tuple[Entry, ...]:
        query = "SELECT first, heads, bodies FROM groups WHERE first = ?"
        row = self._connection.execute(query, (first,)).fetchone()
        return () if row is None else tuple(unfolded(*row))


def put_into_rows(connection: sqlite3.Connection) -> None:
    """Turn all groups of a journal into rows, in one transaction.

    Raises:
        StorageError: a group is damaged; nothing was changed.
        sqlite3.Error: the journal cannot be written; nothing was changed.
    """
    groups = connection.execute("SELECT first, heads, bodies FROM groups ORDER BY first")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for group in groups:
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", unfolded(*group))
        connection.execute("DELETE FROM groups")
        connection.execute("COMMIT")
    except (sqlite3.Error, StorageError):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
