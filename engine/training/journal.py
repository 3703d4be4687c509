"""The journal: one SQLite file a run, written by one thread. Schema v1: intents, outcomes, positions, decisions.

Rows queue up; the thread commits whatever has queued while its last commit ran, at most 100 at a time, with
`synchronous=FULL` and no timer. An intent is durable before its request is sent, an outcome before it is used. Once
storage fails, every later write fails with the same error: nothing is lost silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shutil
import sqlite3
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import anyio
import orjson

from semprop.engine.errors import ReplayError, StorageError, UsageError
from semprop.engine.outcomes import Outcome, Position, document_of, outcome_of
from semprop.engine.training.ledger import is_usable

SCHEMA_VERSION = 1
FILE_NAME = "journal.sqlite"
GROUP = 100
RECENT = 4_096

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE requests (key TEXT PRIMARY KEY, role TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE intents (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE outcomes (key TEXT PRIMARY KEY, body BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE positions (position TEXT PRIMARY KEY, key TEXT NOT NULL, failure BLOB);
CREATE TABLE decisions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        body BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_kind ON decisions (kind, step, name);
"""


def packed(document: Any) -> bytes:
    """A document as the journal keeps it."""
    return zlib.compress(orjson.dumps(document), 1)


def unpacked(body: bytes) -> Any:
    """The inverse of `packed`."""
    return orjson.loads(zlib.decompress(body))


def position_text(position: Position) -> str:
    """A position as a primary key."""
    return orjson.dumps(astuple(position)).decode()


@dataclass(frozen=True, slots=True)
class _Row:
    statement: str
    values: tuple[Any, ...]
    waiter: asyncio.Future[None] | None = None


_REQUEST = "INSERT OR IGNORE INTO requests VALUES (?, ?, ?)"
_INTENT = "INSERT INTO intents (key, position, at) VALUES (?, ?, ?)"
_OUTCOME = "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?)"
_POSITION = "INSERT OR IGNORE INTO positions VALUES (?, ?, ?)"
_DECISION = "INSERT INTO decisions (step, kind, name, body) VALUES (?, ?, ?, ?)"
_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"


class Journal:
    """A ledger on disk. Use `create` or `reopen`; close it in the loop that uses it."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, replaying: bool) -> None:
        self._path, self._loop, self._replaying = path, loop, replaying
        self._queue: queue.SimpleQueue[_Row | None] = queue.SimpleQueue()
        self._broken: StorageError | None = None
        self._closed = False
        self._recent: OrderedDict[str, Outcome] = OrderedDict()
        try:
            self._reader = sqlite3.connect(f"file:{path / FILE_NAME}?mode=ro", uri=True)
            self._writer = _opened(path)
        except sqlite3.Error as error:
            raise _unwritable(error) from error
        self._thread = threading.Thread(target=self._write, name="semprop-journal", daemon=True)
        self._thread.start()

    @classmethod
    async def create(cls, path: Path, meta: dict[str, Any]) -> Journal:
        """Start the journal of a new run in a directory that is made for it, readable by its owner only.

        Raises:
            UsageError: the directory exists.
            StorageError: it cannot be made or written.
        """
        # Not in a thread: an asyncio cancellation would leave it there, still writing after the run is over.
        _create(path, meta)
        return cls(path, asyncio.get_running_loop(), replaying=False)

    @classmethod
    async def reopen(cls, path: Path) -> Journal:
        """Go on with a journal: requests at recorded positions are answered from it.

        Raises:
            StorageError: there is no journal of this version.
        """
        await anyio.to_thread.run_sync(check_version, path)
        return cls(path, asyncio.get_running_loop(), replaying=True)

    # Reads ------------------------------------------------------------------------------------------------------

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        if not self._replaying:
            return None
        row = self._row("SELECT key, failure FROM positions WHERE position = ?", (position_text(position),))
        if row is None:
            return None
        key, failure = row
        outcome = self.stored(key) if failure is None else outcome_of(unpacked(failure))
        return None if outcome is None else (key, outcome)

    def decided(self, step: int) -> bool:
        if not self._replaying:
            return False
        query = "SELECT 1 FROM decisions WHERE kind = 'verdict' AND step = ?"
        return self._row(query, (step,)) is not None

    def stored(self, key: str) -> Outcome | None:
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        row = self._row("SELECT body FROM outcomes WHERE key = ?", (key,))
        return None if row is None else self._remember(key, outcome_of(unpacked(row[0])))

    def _row(self, query: str, values: tuple[Any, ...]) -> Any:
        try:
            return self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._path} cannot be read: {error}") from error

    def _remember(self, key: str, outcome: Outcome) -> Outcome:
        self._recent[key] = outcome
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return outcome

    # Writes -----------------------------------------------------------------------------------------------------

    async def intend(self, position: Position, key: str, role: str, request: dict[str, Any]) -> None:
        self._put(_REQUEST, (key, role, packed(request)))
        await self._durable(_INTENT, (key, position_text(position), time.time()))

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        body, text = packed(document_of(outcome)), position_text(position)
        if not is_usable(outcome):
            await self._durable(_POSITION, (text, key, body))
            return
        self._put(_POSITION, (text, key, None))
        await self._durable(_OUTCOME, (key, body, time.time()))
        self._remember(key, outcome)

    def link(self, position: Position, key: str) -> None:
        self._put(_POSITION, (position_text(position), key, None))

    def decide(self, step: int, kind: str, name: str, body: dict[str, Any]) -> None:
        if self._replaying:
            query = "SELECT body FROM decisions WHERE kind = ? AND step = ? AND name = ?"
            row = self._row(query, (kind, step, name))
            if row is not None:
                if orjson.dumps(unpacked(row[0])) != orjson.dumps(body):
                    raise ReplayError(
                        f"the replay decided otherwise than the journal: {kind} of step {step} ({name or 'whole step'})"
                    )
                return
        self._put(_DECISION, (step, kind, name, packed(body)))

    def describe(self, name: str, value: Any) -> None:
        """Note a fact about the whole run, such as its status."""
        self._put(_META, (name, packed(value)))

    async def flush(self) -> None:
        await self._durable("SELECT 1", ())

    async def close(self) -> None:
        """Write what is queued and let go of the file. A second close does nothing.

        Raises:
            StorageError: something that was noted could not be written.
        """
        if self._closed:
            return
        self._closed = True
        # The writer goes last: so it is the one that folds the log into the file.
        self._reader.close()
        self._queue.put(None)
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join)
        finally:
            # An asyncio cancellation goes through that shield; then the loop waits for the last commit itself.
            self._thread.join()
        if self._broken is not None:
            raise self._broken

    def _put(self, statement: str, values: tuple[Any, ...], waiter: asyncio.Future[None] | None = None) -> None:
        if self._broken is not None:
            raise self._broken
        if self._closed:
            raise StorageError(f"the journal in {self._path} is closed: nothing more can be noted")
        self._queue.put(_Row(statement, values, waiter))

    async def _durable(self, statement: str, values: tuple[Any, ...]) -> None:
        waiter = self._loop.create_future()
        self._put(statement, values, waiter)
        await waiter

    # The writer thread ------------------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while (rows := self._next_group()) is not None:
                self._broken = self._broken or _commit(self._writer, rows)
                waiters = [row.waiter for row in rows if row.waiter is not None]
                if waiters:
                    # A closed loop has nobody left who waits.
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(_release, waiters, self._broken)
        finally:
            self._writer.close()

    def _next_group(self) -> list[_Row] | None:
        first = self._queue.get()
        if first is None:
            return None
        rows = [first]
        while len(rows) < GROUP:
            try:
                row = self._queue.get_nowait()
            except queue.Empty:
                break
            if row is None:
                self._queue.put(None)
                break
            rows.append(row)
        return rows


def _commit(connection: sqlite3.Connection, rows: Sequence[_Row]) -> StorageError | None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for row in rows:
            connection.execute(row.statement, row.values)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        return _unwritable(error)
    return None


def _unwritable(error: sqlite3.Error) -> StorageError:
    return StorageError(f"the journal cannot be written ({error}): free space or check the disk, then run again")


def _opened(path: Path) -> sqlite3.Connection:
    """The writer's connection, made here and used by its thread alone."""
    connection = sqlite3.connect(path / FILE_NAME, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _release(waiters: Sequence[asyncio.Future[None]], error: StorageError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


def _create(path: Path, meta: dict[str, Any]) -> None:
    if path.exists():
        raise UsageError(f"the run directory {path} exists: name another one with --run, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the run directory {path}: {error.strerror}") from error
    try:
        os.close(os.open(path / FILE_NAME, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(path / FILE_NAME, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # One transaction: a kill in the middle leaves no journal, and it is one wait for the disk.
            connection.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={SCHEMA_VERSION}; {_SCHEMA}")
            for name, value in meta.items():
                connection.execute(_META, (name, packed(value)))
            connection.execute("COMMIT")
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(path, ignore_errors=True)  # It was made here, and half a journal is of no use.
        raise StorageError(f"cannot write a journal in {path}: {error}") from error


def check_version(path: Path) -> None:
    """Make sure that a directory holds a journal of this version.

    Raises:
        StorageError: there is none, or it is of another version.
    """
    file = path / FILE_NAME
    if not file.is_file():
        raise StorageError(f"{path} holds no run: there is no {FILE_NAME} in it")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"{file} cannot be read: {error}") from error
    if version != SCHEMA_VERSION:
        raise StorageError(f"{file} has schema {version}; this version of semprop reads {SCHEMA_VERSION}")
