"""A journal opened to be read: whatever its version, in the present form. Never writes to it.

A file of an older form is copied into a private one, which goes with the connection, and brought up to date there. A
file on a medium that cannot be written is read as it stands, if no log lies beside it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Iterator
from pathlib import Path

from semprop.engine.errors import StorageError
from semprop.engine.training.forms import FORMS, Form, form_of, steps_from
from semprop.engine.training.records import SCHEMA_VERSION

FILE_NAME = "journal.sqlite"

_NOT_ALLOWED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def check_version(path: Path) -> Form:
    """Make sure that a directory holds a journal of a known version; gives its form.

    Raises:
        StorageError: there is none, or it is of a version that is not known.
    """
    with contextlib.closing(_direct(path)) as connection:
        return _form(path, connection)


def opened(path: Path) -> sqlite3.Connection:
    """A connection to the journal in a directory, to read it in the present form.

    Raises:
        StorageError: there is none, it is of a version that is not known, or it cannot be read.
    """
    connection = _direct(path)
    try:
        form = _form(path, connection)
        if form.version == SCHEMA_VERSION:
            return connection
        copy = _present(path, connection)
    except BaseException:
        connection.close()
        raise
    connection.close()
    return copy


@contextlib.contextmanager
def as_it_is(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal in a directory in the form that it has, open while the block runs.

    Raises:
        StorageError: there is none, or it cannot be read.
    """
    try:
        with contextlib.closing(_direct(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


class Reader:
    """Opens the journal in a directory again and again; one of an older form is copied once, while nobody writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy: sqlite3.Connection | None = None
        self._seen: tuple[object, ...] = ()

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """A connection to read the present form, while the block runs.

        Raises:
            StorageError: the journal cannot be read.
        """
        try:
            with contextlib.closing(_direct(self._path)) as connection:
                form = _form(self._path, connection)
                yield connection if form.version == SCHEMA_VERSION else self._copied(connection, form)
        except sqlite3.Error as error:
            raise unreadable(self._path, error) from error

    def _copied(self, connection: sqlite3.Connection, form: Form) -> sqlite3.Connection:
        seen = (form.version, *map(_stamp, (self._path / FILE_NAME, self._path / f"{FILE_NAME}-wal")))
        if self._copy is None or seen != self._seen:
            self._copy, self._seen = _present(self._path, connection), seen
            weakref.finalize(self, self._copy.close)
        return self._copy


def unreadable(path: Path, error: sqlite3.Error) -> StorageError:
    """What a caller can do about a journal that cannot be read."""
    return StorageError(
        f"{path / FILE_NAME} cannot be read: {error}; semprop verify {path} says what of it is whole, and its "
        "--salvage NEWDIR keeps that"
    )


def _direct(path: Path) -> sqlite3.Connection:
    file = path / FILE_NAME
    if not file.is_file():
        raise StorageError(f"{path} holds no run: there is no {FILE_NAME} in it")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        if error.sqlite_errorcode & 0xFF not in _NOT_ALLOWED or _stamp(path / f"{FILE_NAME}-wal")[1]:
            raise unreadable(path, error) from error
        # To read a file with a log SQLite makes a file beside it. Where that is not allowed nobody writes, either.
        return sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise unreadable(path, error) from error
    return connection


def _form(path: Path, connection: sqlite3.Connection) -> Form:
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    form = form_of(version)
    if form is None:
        raise StorageError(
            f"{path / FILE_NAME} has schema {version}; this version of semprop reads {FORMS[0].version} to "
            f"{SCHEMA_VERSION}: read it with the version that wrote it"
        )
    return form


def _present(path: Path, connection: sqlite3.Connection) -> sqlite3.Connection:
    """A private copy, brought to the present form. It has no name, and is gone when it is closed."""
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        connection.backup(copy)
        # Of the copy: whoever goes on with the run may have brought the file up to date meanwhile.
        copy.executescript(f"BEGIN; {steps_from(_form(path, copy).version)} COMMIT")
    except BaseException as error:
        copy.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(path, error) from error
        raise
    return copy


def _stamp(file: Path) -> tuple[int, int]:
    """When a file was written last, and its size; zeros if there is none."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
