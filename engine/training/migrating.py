"""A journal of an older form is brought to the present one, before it is written on. Blocking; whoever holds the lock.

The original is copied first, whole, beside it; then one transaction brings the file up to date. A kill at any instant
leaves the one or the other: the copy has its name once it is on disk, and the file is what it was until the commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import structlog

from semprop.engine.errors import StorageError
from semprop.engine.training.forms import Form, steps_from
from semprop.engine.training.reading import FILE_NAME, check_version
from semprop.engine.training.records import SCHEMA_VERSION

log = structlog.get_logger("semprop")


def kept_name(version: int) -> str:
    """The file beside a journal that holds it as it was."""
    return f"journal.schema-{version}.sqlite"


def migrate(path: Path) -> Path | None:
    """Bring the journal in a directory to the present form; gives the file that holds the original, None if it has it.

    Raises:
        StorageError: there is no journal of a known version, or it cannot be written; it is then as it was.
    """
    form = check_version(path)
    if form.version == SCHEMA_VERSION:
        return None
    kept = path / kept_name(form.version)
    try:
        with contextlib.closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
            _keep(connection, kept)
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(script_from(form))
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"the journal in {path} cannot be brought from schema {form.version} to {SCHEMA_VERSION} ({error}), and is "
            "as it was: free space or check the disk, then run again"
        ) from error
    log.info("journal_migrated", run=str(path), before=form.version, now=SCHEMA_VERSION, original=str(kept))
    return kept


def script_from(form: Form) -> str:
    """One transaction that brings a file of a form to the present one."""
    return f"BEGIN IMMEDIATE; {steps_from(form.version)} COMMIT"


def _keep(connection: sqlite3.Connection, kept: Path) -> None:
    """Copy a journal, with all that its log holds, into one file, which has its name once it is on disk."""
    made = kept.with_name(f".{kept.name}.part")
    made.unlink(missing_ok=True)
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # One file, without a log beside it.
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.replace(kept)
