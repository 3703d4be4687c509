"""What of a journal is whole, row by row; and a new journal out of the rows that are. Blocking.

Every body carries a checksum, so a byte that flipped is found. A row that is gone costs what it says: a reply is asked
again when the run is resumed, a decision is taken again from the replies.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.journal import FILE_NAME, check_version
from semprop.engine.training.records import SCHEMA, SCHEMA_VERSION

TABLES = {"meta": ("name", "value"), "records": ("id", "body"), "decisions": ("id", "body")}
"""Table → its key and the column that holds a body."""

NEEDED = ("specification", "graph")
"""Facts without which nobody can say what a run is."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How many rows of each table are whole, and how many are damaged; `file` is what SQLite says of the file."""

    whole: dict[str, int]
    damaged: dict[str, int]
    file: str

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return self.file == "ok" and not any(self.damaged.values())


def verify(run: Path) -> Verified:
    """Look at every row of a run's journal.

    Raises:
        StorageError: there is no journal of this version, or nothing of it can be read.
    """
    check_version(run)
    whole, damaged = Counter[str](), Counter[str]()
    with _reading(run) as connection:
        for table in TABLES:
            for row in _rows(connection, table):
                (damaged if row is None else whole)[table] += 1
        try:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
    counts = [{table: found[table] for table in TABLES} for found in (whole, damaged)]
    return Verified(counts[0], counts[1], str(said))


def salvage(run: Path, into: Path) -> Verified:
    """Write the whole rows of a run's journal into a new directory, from where the run can be resumed.

    Raises:
        UsageError: the directory is there.
        StorageError: what says what the run is cannot be read, or the new journal cannot be written.
    """
    found = verify(run)
    if into.exists():
        raise UsageError(f"{into} is there: name a directory that is not there yet")
    try:
        into.mkdir(parents=True, mode=0o700)
        os.close(os.open(into / FILE_NAME, os.O_CREAT | os.O_WRONLY, 0o600))
        with _reading(run) as old, contextlib.closing(sqlite3.connect(into / FILE_NAME, isolation_level=None)) as new:
            new.execute("PRAGMA journal_mode=WAL")
            new.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={SCHEMA_VERSION}; {SCHEMA}")
            names: list[str] = []
            for table in TABLES:
                for row in _rows(old, table):
                    if row is not None:
                        new.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                        names += [row[0]] if table == "meta" else []
            missing = [name for name in NEEDED if name not in names]
            if missing:
                raise StorageError(f"the {' and the '.join(missing)} of {run} cannot be read: it cannot be resumed")
            new.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"cannot write a journal in {into}: {error}") from error
    return found


@contextlib.contextmanager
def _reading(run: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{run / FILE_NAME}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageError(f"{run / FILE_NAME} cannot be read: {error}") from error


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...] | None]:
    """Every row of a table, read on its own; None in place of one that is damaged."""
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    body = columns.index(TABLES[table][1])
    (last,) = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    for place in range(1, (last or 0) + 1):
        try:
            row = connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (place,)).fetchone()
            if row is None:
                continue
            if row[body] is not None:
                unpacked(row[body])
        except (sqlite3.Error, StorageError):
            yield None
            continue
        yield tuple(row)
