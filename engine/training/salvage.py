"""What of a journal is whole, row by row; and a new journal out of the rows that are. Blocking.

Every body carries a checksum, so a byte that flipped is found. A row that is gone costs what it says: a reply is asked
again when the run is resumed, a decision is taken again from the replies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.forms import Form
from semprop.engine.training.frames import Log, log_of
from semprop.engine.training.groups import Entry, unfolded
from semprop.engine.training.reading import FILE_NAME, as_it_is, check_version

T = TypeVar("T")

RECORDS, GROUPS = "records", "groups"

NEEDED = ("specification", "graph")
"""Facts without which nobody can say what a run is."""

_SQLITE = b"SQLite format 3\0"
_HEAD = struct.Struct(">16sH6xII60xI")
"""Of a file: its name, bytes of a page, how often it was changed, its pages, and for which change that number holds."""

_GIVEN_UP = 10_000
"""So many numbers in a row without a row that can be read end the search, where the last number is not known."""


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
    with _whole_in_length(run) as place:
        return _verified(place, log_of(run), cut_short=place != run)


def _verified(run: Path, log: Log, cut_short: bool) -> Verified:
    form = check_version(run)
    whole, damaged = Counter[str](), Counter[str]()
    with as_it_is(run) as connection:
        for table in form.bodies:
            for into, row in _rows(connection, form, table):
                (damaged if row is None else whole)[into] += 1
        try:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
    if cut_short:
        said = f"it ends early; {said}"
    counts = [{table: found[table] for table in form.bodies if table != GROUPS} for found in (whole, damaged)]
    return Verified(counts[0], counts[1], str(said), log, form.version)


def salvage(run: Path, into: Path) -> Verified:
    """Write the whole rows of a run's journal into a new directory, in the same form, from where it can be resumed.

    Raises:
        UsageError: the directory is there.
        StorageError: what says what the run is cannot be read, or the new journal cannot be written.
    """
    found = verify(run)
    if into.exists():
        raise UsageError(f"{into} is there: name a directory that is not there yet")
    try:
        into.mkdir(parents=True, mode=0o700)
        with _whole_in_length(run) as place:
            _copied(place, into / FILE_NAME, check_version(place))
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(into, ignore_errors=True)  # It was made here, and half of it would look like a run.
        raise StorageError(f"cannot write a journal in {into}: {error}") from error
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return found


@contextlib.contextmanager
def _whole_in_length(run: Path) -> Iterator[Path]:
    """A directory with the journal, while the block runs: of a file that ends early a copy with nothing in place of
    the pages that are gone, since SQLite opens no such file."""
    missing = _missing(run / FILE_NAME)
    if not missing or _opens(run):
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="semprop-salvage-") as name:
        for file in (run / FILE_NAME, run / f"{FILE_NAME}-wal"):
            if file.exists():
                shutil.copyfile(file, Path(name) / file.name)
        copy = Path(name) / FILE_NAME
        os.truncate(copy, copy.stat().st_size + missing)
        yield Path(name)


def _opens(run: Path) -> bool:
    """Whether SQLite opens a file that is shorter than it says: the log may hold the pages, if folding it in failed."""
    try:
        with as_it_is(run) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except StorageError:
        return False
    return True


def _missing(file: Path) -> int:
    """How many bytes shorter a file is than its own first page says (sqlite.org/fileformat2.html, section 1.3)."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD.size)
            size = os.fstat(opened.fileno()).st_size
    except OSError:
        return 0  # Whoever opens it says why.
    if len(head) < _HEAD.size:
        return 0
    name, page, changed, pages, valid_for = _HEAD.unpack(head)
    if name != _SQLITE or changed != valid_for:
        return 0
    return int(max(0, pages * (65_536 if page == 1 else page) - size))


def _copied(run: Path, file: Path, form: Form) -> None:
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    with as_it_is(run) as old, contextlib.closing(sqlite3.connect(file, isolation_level=None)) as new:
        new.execute("PRAGMA journal_mode=WAL")
        new.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={form.version}; {form.schema}")
        names: list[str] = []
        for table in form.bodies:
            for into, row in _rows(old, form, table):
                if row is not None:
                    new.execute(f"INSERT INTO {into} VALUES ({', '.join('?' * len(row))})", row)
                    names += [row[0]] if table == "meta" else []
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise StorageError(f"the {' and the '.join(missing)} of {run} cannot be read: it cannot be resumed")
        new.execute("COMMIT")


def _rows(connection: sqlite3.Connection, form: Form, table: str) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Every row of a table, read on its own, and the table that it belongs into; None in place of one that is damaged.
    Groups are given as the rows that they stand for."""
    if table == GROUPS:
        for record in _grouped(connection):
            yield RECORDS, record
    else:
        for row in _plain(connection, form, table):
            yield table, row


def _grouped(connection: sqlite3.Connection) -> Iterator[Entry | None]:
    """The records of all groups; None in place of each that is damaged, or of a group of which nothing is known."""
    inside = 0

    def look(place: int) -> tuple[Entry, ...] | None:
        nonlocal inside
        if place <= inside:
            return ()  # A record of the group before.
        group = _group(connection, place)
        inside = place + len(group) - 1 if group else inside
        return group

    for group in _numbered(look, _last(connection, GROUPS)):
        if group is None:
            yield None
            continue
        for entry in group:
            yield entry if _is_whole(entry.body) else None


def _group(connection: sqlite3.Connection, place: int) -> tuple[Entry, ...] | None:
    """The records of the group that begins with this number; None if none does."""
    row = connection.execute("SELECT first, heads, bodies FROM groups WHERE first = ?", (place,)).fetchone()
    return None if row is None else tuple(unfolded(*row))


def _is_whole(body: bytes | None) -> bool:
    try:
        if body is not None:
            unpacked(body)
    except StorageError:
        return False
    return True


def _plain(connection: sqlite3.Connection, form: Form, table: str) -> Iterator[tuple[Any, ...] | None]:
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    held = form.bodies[table][1]
    look = partial(_row, connection, table, None if held is None else columns.index(held))
    yield from _numbered(look, _last(connection, table))


def _numbered(look: Callable[[int], T | None], last: int | None) -> Iterator[T | None]:
    """What `look` finds under the numbers up to the last one, if that is known; None in place of what is damaged."""
    if last is None:
        yield from _to_an_unknown_end(look)
        return
    for place in range(1, last + 1):
        try:
            row = look(place)
        except (sqlite3.Error, StorageError):
            yield None
            continue
        if row is not None:
            yield row


def _row(connection: sqlite3.Connection, table: str, body: int | None, place: int) -> tuple[Any, ...] | None:
    """The row of this number; None if there is none."""
    row = connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (place,)).fetchone()
    if row is not None and body is not None and row[body] is not None:
        unpacked(row[body])
    return None if row is None else tuple(row)


def _last(connection: sqlite3.Connection, table: str) -> int | None:
    """The number of a table's last row, 0 if it has none; None if the page that says so cannot be read."""
    try:
        (last,) = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    except sqlite3.Error:
        return None
    return int(last or 0)


def _to_an_unknown_end(look: Callable[[int], T | None]) -> Iterator[T | None]:
    """Rows up to where none can be read any more: numbers without a row are damaged ones, the rest counts as one."""
    missed = 0
    for place in count(1):
        try:
            row = look(place)
        except (sqlite3.Error, StorageError):
            row = None
        if row is not None:
            yield from [None] * missed
            yield row
        missed = missed + 1 if row is None else 0
        if missed > _GIVEN_UP:
            break
    yield None
