"""The journal: one SQLite file a run, written by one thread. Schema v2: intents, outcomes, links, decisions.

Rows queue up; the thread commits whatever has queued meanwhile, at most 100 rows at a time, with `synchronous=FULL`: at
once while little comes, every 10 ms while much does. An intent is durable before its request is sent, an outcome
before it is used. Once storage fails, every later write fails with the same error: nothing is lost silently.

While a run is written for the first time no index is kept on disk: keys are random, so each of them would cost a page
of the log. Outcomes are found by key through an index in memory; what a replay looks up by position is indexed when
the journal is opened again.
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
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
import orjson

from semprop.engine.errors import ReplayError, StorageError, UsageError
from semprop.engine.outcomes import Outcome, Position, document_of, outcome_of, request_document
from semprop.engine.training.bodies import compressed, packed, unpacked
from semprop.engine.training.keys import Keys
from semprop.engine.training.ledger import is_usable
from semprop.providers.base import Request

SCHEMA_VERSION = 2
FILE_NAME = "journal.sqlite"
GROUP = 100
RECENT = 4_096

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE intents (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, role TEXT NOT NULL,
                      request BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, usable INTEGER NOT NULL,
                       body BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE links (id INTEGER PRIMARY KEY, position TEXT NOT NULL, key TEXT NOT NULL);
CREATE TABLE decisions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        body BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_kind ON decisions (kind, step, name);
"""

_REOPENED = """
CREATE INDEX IF NOT EXISTS outcomes_by_position ON outcomes (position);
CREATE INDEX IF NOT EXISTS links_by_position ON links (position);
"""


def position_text(position: Position) -> str:
    """A position as a key."""
    at = position
    values = (at.step, at.phase, at.example, at.candidate, at.node, at.slot, at.sample, at.again)
    return orjson.dumps(values).decode()


_Row = tuple[str, tuple[Any, ...]]
"""The beginning of a statement and the values of a row; bytes are JSON text, to be compressed where that pays."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Rows that belong together, and who waits until they are durable."""

    rows: tuple[_Row, ...]
    waiter: asyncio.Future[None] | None = None


_INTENT = "INSERT INTO intents (key, position, role, request, at) VALUES "
_OUTCOME = "INSERT INTO outcomes (id, key, position, usable, body, at) VALUES "
_LINK = "INSERT INTO links (position, key) VALUES "
_DECISION = "INSERT INTO decisions (step, kind, name, body) VALUES "
_META = "INSERT OR REPLACE INTO meta VALUES "


BUSY, PACE = 8, 0.01
"""Once so many rows come at a time, commits are this many seconds apart: one costs as much as ten rows do."""

PAGE = 16_384
"""Bytes of a page. Bodies have some 3 kB: with pages four times SQLite's own, writing them takes a third less time."""


class Journal:
    """A ledger on disk. Use `create` or `reopen`; close it in the loop that uses it."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, replaying: bool) -> None:
        self._path, self._loop, self._replaying = path, loop, replaying
        self._queue: deque[_Entry] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._idle = self._waking = False
        self._broken: StorageError | None = None
        self._closed = False
        self._recent: OrderedDict[str, Outcome] = OrderedDict()
        self._keys = Keys()
        self._last = 0
        try:
            self._writer = _opened(path, replaying)
            self._reader = sqlite3.connect(f"file:{path / FILE_NAME}?mode=ro", uri=True)
            if replaying:
                self._keys.extend(self._reader.execute("SELECT key, id FROM outcomes WHERE usable ORDER BY id"))
                (self._last,) = self._reader.execute("SELECT coalesce(max(id), 0) FROM outcomes").fetchone()
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

    @property
    def replaying(self) -> bool:
        return self._replaying

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        if not self._replaying:
            return None
        place = position_text(position)
        row = self._row("SELECT key, body FROM outcomes WHERE position = ? ORDER BY id LIMIT 1", (place,))
        if row is not None:
            return row[0], outcome_of(unpacked(row[1]))
        row = self._row("SELECT key FROM links WHERE position = ? ORDER BY id LIMIT 1", (place,))
        outcome = None if row is None else self.stored(row[0])
        return None if outcome is None else (row[0], outcome)

    def decided(self, step: int) -> bool:
        if not self._replaying:
            return False
        query = "SELECT 1 FROM decisions WHERE kind = 'verdict' AND step = ?"
        return self._row(query, (step,)) is not None

    def stored(self, key: str) -> Outcome | None:
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        place = self._keys.find(key)
        row = None if place is None else self._row("SELECT body FROM outcomes WHERE id = ? AND key = ?", (place, key))
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

    async def intend(self, position: Position, key: str, role: str, request: Request) -> None:
        body = orjson.dumps(request_document(request))
        await self._durable((_INTENT, (key, position_text(position), role, body, time.time())))

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        usable = is_usable(outcome)
        body = orjson.dumps(document_of(outcome))
        self._last += 1
        place = self._last
        await self._durable((_OUTCOME, (place, key, position_text(position), usable, body, time.time())))
        if usable:
            self._keys.add(key, place)
            self._remember(key, outcome)

    def link(self, position: Position, key: str) -> None:
        self._put(_Entry(((_LINK, (position_text(position), key)),)))

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
        self._put(_Entry(((_DECISION, (step, kind, name, orjson.dumps(body))),)))

    def describe(self, name: str, value: Any) -> None:
        """Note a fact about the whole run, such as its status."""
        self._put(_Entry(((_META, (name, orjson.dumps(value))),)))

    async def flush(self) -> None:
        await self._durable()

    async def close(self) -> None:
        """Write what is queued and let go of the file. A second close does nothing.

        Raises:
            StorageError: something that was noted could not be written.
        """
        if self._closed:
            return
        self._closed = True
        self._wake.put(True)
        # The writer goes last: so it is the one that folds the log into the file.
        self._reader.close()
        self._keys.close()
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join)
        finally:
            # An asyncio cancellation goes through that shield; then the loop waits for the last commit itself.
            self._thread.join()
        if self._broken is not None:
            raise self._broken

    def _put(self, entry: _Entry) -> None:
        if self._broken is not None:
            raise self._broken
        if self._closed:
            raise StorageError(f"the journal in {self._path} is closed: nothing more can be noted")
        self._queue.append(entry)
        if self._idle and not self._waking:
            # At the end of this turn of the loop: what else it notes goes along.
            self._waking = True
            self._loop.call_soon(self._rouse)

    def _rouse(self) -> None:
        self._waking = False
        self._wake.put(True)

    async def _durable(self, *rows: _Row) -> None:
        waiter = self._loop.create_future()
        self._put(_Entry(rows, waiter))
        await waiter

    # The writer thread ------------------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while entries := self._next_group():
                began = time.monotonic()
                self._broken = self._broken or _commit(self._writer, entries)
                waiters = [entry.waiter for entry in entries if entry.waiter is not None]
                if not waiters:
                    continue
                # A closed loop has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._released, waiters, self._broken)
                    if len(self._queue) < GROUP and not self._closed:
                        self._wake.get()  # What those who waited note next goes into one commit, not into many.
                if len(entries) >= BUSY and len(self._queue) < GROUP and not self._closed:
                    time.sleep(max(0.0, PACE - (time.monotonic() - began)))
        finally:
            self._writer.close()

    def _released(self, waiters: Sequence[asyncio.Future[None]], error: StorageError | None) -> None:
        _release(waiters, error)
        self._loop.call_soon(self._wake.put, True)  # After all of them have run.

    def _next_group(self) -> list[_Entry]:
        """What has queued up, at least one entry; nothing once the journal is closed and all is written."""
        while not self._queue:
            if self._closed:
                return []
            self._idle = True
            if not self._queue and not self._closed:  # Looked at again: it may have come before anybody saw the flag.
                self._wake.get()
            self._idle = False
        return [self._queue.popleft() for _ in range(min(len(self._queue), GROUP))]


def _commit(connection: sqlite3.Connection, entries: Sequence[_Entry]) -> StorageError | None:
    by_statement: dict[str, list[tuple[Any, ...]]] = {}
    for entry in entries:
        for statement, values in entry.rows:
            # Here, off the event loop and without its lock: a body of 10 kB takes 0.1 ms.
            kept = tuple([compressed(value) if type(value) is bytes else value for value in values])
            by_statement.setdefault(statement, []).append(kept)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in by_statement.items():
            # One statement for all rows: between two of them the event loop's thread would be made to wait.
            places = ", ".join([_places(len(rows[0]))] * len(rows))
            connection.execute(statement + places, list(chain.from_iterable(rows)))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        return _unwritable(error)
    return None


def _places(count: int) -> str:
    return f"({', '.join('?' * count)})"


def _unwritable(error: sqlite3.Error) -> StorageError:
    return StorageError(f"the journal cannot be written ({error}): free space or check the disk, then run again")


def _opened(path: Path, again: bool) -> sqlite3.Connection:
    """The writer's connection, made here and used by its thread alone."""
    connection = sqlite3.connect(path / FILE_NAME, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA synchronous=FULL")
    if again:
        connection.executescript(_REOPENED)
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
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute("PRAGMA journal_mode=WAL")
            # One transaction: a kill in the middle leaves no journal, and it is one wait for the disk.
            connection.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={SCHEMA_VERSION}; {_SCHEMA}")
            for name, value in meta.items():
                connection.execute(_META + _places(2), (name, packed(value)))
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
