"""What of a journal is whole, row by row; and a new journal out of the rows that are. Blocking.

Every body carries a checksum, so a byte that flipped is found. A row that is gone costs what it says: a reply is asked
again when the run is resumed, a decision is taken again from the replies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.forms import Form
from semprop.engine.training.frames import Log, log_of
from semprop.engine.training.reading import FILE_NAME, as_it_is, check_version

NEEDED = ("specification", "graph")
"""Facts without which nobody can say what a run is."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How many rows of each table are whole, and how many are damaged.

    Attributes:
        file: what SQLite says of the file.
        log: what lies beside it and is not folded into it yet.
        version: the schema version of the file.
    """

    whole: dict[str, int]
    damaged: dict[str, int]
    file: str
    log: Log
    version: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return self.file == "ok" and not self.log.is_damaged and not any(self.damaged.values())


def verify(run: Path) -> Verified:
    """Look at every row of a run's journal, in the form that it has.

    Raises:
        StorageError: there is no journal of a known version, or nothing of it can be read.
    """
    form, log = check_version(run), log_of(run)
    whole, damaged = Counter[str](), Counter[str]()
    with as_it_is(run) as connection:
        for table in form.bodies:
            for row in _rows(connection, form, table):
                (damaged if row is None else whole)[table] += 1
        try:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
    counts = [{table: found[table] for table in form.bodies} for found in (whole, damaged)]
    return Verified(counts[0], counts[1], str(said), log, form.version)


def salvage(run: Path, into: Path) -> Verified:
    """Write the whole rows of a run's journal into a new directory, in the same form, from where it can be resumed.

    Raises:
        UsageError: the directory is there.
        StorageError: what says what the run is cannot be read, or the new journal cannot be written.
    """
    found, form = verify(run), check_version(run)
    if into.exists():
        raise UsageError(f"{into} is there: name a directory that is not there yet")
    try:
        into.mkdir(parents=True, mode=0o700)
        _copied(run, into / FILE_NAME, form)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(into, ignore_errors=True)  # It was made here, and half of it would look like a run.
        raise StorageError(f"cannot write a journal in {into}: {error}") from error
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return found


def _copied(run: Path, file: Path, form: Form) -> None:
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    with as_it_is(run) as old, contextlib.closing(sqlite3.connect(file, isolation_level=None)) as new:
        new.execute("PRAGMA journal_mode=WAL")
        new.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={form.version}; {form.schema}")
        names: list[str] = []
        for table in form.bodies:
            for row in _rows(old, form, table):
                if row is not None:
                    new.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                    names += [row[0]] if table == "meta" else []
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise StorageError(f"the {' and the '.join(missing)} of {run} cannot be read: it cannot be resumed")
        new.execute("COMMIT")


def _rows(connection: sqlite3.Connection, form: Form, table: str) -> Iterator[tuple[Any, ...] | None]:
    """Every row of a table, read on its own; None in place of one that is damaged."""
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    held = form.bodies[table][1]
    body = None if held is None else columns.index(held)
    (last,) = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    for place in range(1, (last or 0) + 1):
        try:
            row = connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (place,)).fetchone()
            if row is None:
                continue
            if body is not None and row[body] is not None:
                unpacked(row[body])
        except (sqlite3.Error, StorageError):
            yield None
            continue
        yield tuple(row)
