"""Looking after a cache of replies: what it holds, how it is made smaller, what of it is whole. Blocking."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from semprop.engine.errors import StorageError
from semprop.engine.training.cache import CACHE_FILE, opened, read, shrink, transaction

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR)
"""What SQLite says of a file that is damaged: no database, a malformed one, one without our tables, one that cannot be
read to its end."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a cache holds: replies, bytes of their bodies, and the days (since 1970) of the oldest and newest use."""

    replies: int
    bytes: int
    oldest: int | None
    newest: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: replies that are whole, and those that were damaged and are gone."""

    whole: int
    damaged: int
    rebuilt: bool


def held(connection: sqlite3.Connection) -> Held:
    """What a cache holds."""
    return Held(
        *connection.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0), min(day), max(day) FROM replies"
        ).fetchone()
    )


def prune(connection: sqlite3.Connection, *, before: int | None = None, size: int | None = None) -> int:
    """Delete replies that were last used before a day, and the least recently used beyond a size; gives how many went.
    Gives the room back to the disk."""
    with transaction(connection):
        gone = 0
        if before is not None:
            gone = connection.execute("DELETE FROM replies WHERE day < ?", (before,)).rowcount
        if size is not None:
            gone += shrink(connection, size)
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def verify(directory: Path) -> Checked:
    """Look at every reply of a cache, and drop what is damaged; a file that cannot be used is rebuilt from the replies
    that can still be read.

    Raises:
        StorageError: it cannot be read or written now (another process holds it, say), or it is of another version.
            Nothing was moved then.
    """
    whole: list[tuple[str, bytes, bytes, int]] = []
    file = directory / CACHE_FILE
    damaged, rebuilt = 0, False
    try:
        with contextlib.closing(opened(directory)) as connection:
            rebuilt = connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",)
            if not rebuilt:
                gone = [
                    (place,)
                    for place, body, digest in connection.execute("SELECT id, body, digest FROM replies")
                    if read(body, digest) is None
                ]
                with transaction(connection):
                    connection.executemany("DELETE FROM replies WHERE id = ?", gone)
                return Checked(held(connection).replies, len(gone), False)
    except (StorageError, sqlite3.Error) as error:
        if not _is_broken(error):
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"the cache in {directory} cannot be checked now ({error}): try again") from error
        rebuilt = True
    whole, damaged = _salvaged(file)
    try:
        for name in (CACHE_FILE, f"{CACHE_FILE}-wal", f"{CACHE_FILE}-shm"):
            if (directory / name).exists():
                (directory / name).replace(directory / f"{name}.broken")
    except OSError as error:
        raise StorageError(f"the cache in {directory} cannot be rebuilt: {error.strerror}") from error
    with contextlib.closing(opened(directory)) as connection, transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO replies (key, body, digest, day) VALUES (?, ?, ?, ?)", whole)
    return Checked(len(whole), damaged, rebuilt)


def _is_broken(error: Exception) -> bool:
    """Whether an error says that the file is damaged; one that is locked, or of another version, is not."""
    cause = error.__cause__ if isinstance(error, StorageError) else error
    # The lower byte of a code is what happened, the rest where.
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def _salvaged(file: Path) -> tuple[list[tuple[str, bytes, bytes, int]], int]:
    """The rows that can be read, each on its own, and how many of those that are named cannot."""
    whole: list[tuple[str, bytes, bytes, int]] = []
    lost = 0
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            last = connection.execute("SELECT max(id) FROM replies").fetchone()[0] or 0
            for place in range(1, last + 1):
                try:
                    query = "SELECT key, body, digest, day FROM replies WHERE id = ?"
                    row = connection.execute(query, (place,)).fetchone()
                except sqlite3.Error:
                    lost += 1
                    continue
                if row is not None and read(row[1], row[2]) is not None:
                    whole.append(row)
                elif row is not None:
                    lost += 1
    except sqlite3.Error:
        # Nothing more of it can be read, which the counts say.
        return whole, lost
    return whole, lost
