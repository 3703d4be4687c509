"""The journal: one SQLite file a run. Schema v4: records (intents, outcomes, links, texts) and decisions.

A ledger on disk, as `records` lays it out and `writing` writes it, with `synchronous=FULL`. An intent is durable before
its request is sent, an outcome before it is used. Once storage fails, every later write fails with the same error:
nothing is lost silently.

While a run is written for the first time no index is kept on disk: keys are random, so each of them would cost a page
of the log. Outcomes are found by key through an index in memory; what a replay looks up by position is indexed when
the journal is opened again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson

from semprop.engine.errors import ReplayError, StorageError, UsageError
from semprop.engine.outcomes import Outcome, Position, Returned, document_of, outcome_of
from semprop.engine.training.bodies import packed, unpacked
from semprop.engine.training.groups import Entries, Entry, put_into_rows
from semprop.engine.training.keys import Keys
from semprop.engine.training.ledger import SOON, is_usable
from semprop.engine.training.migrating import migrate
from semprop.engine.training.reading import FILE_NAME, opened
from semprop.engine.training.records import (
    ANSWERED,
    NOTED,
    REOPENED,
    SCHEMA,
    SCHEMA_VERSION,
    SETTLED,
    Kind,
    Texts,
    position_text,
    shortened,
)
from semprop.engine.training.writing import Writer, unwritable
from semprop.providers.base import Note, Request

RECENT = 4_096

_DECISION = "INSERT INTO decisions (step, kind, name, body) VALUES (?, ?, ?, ?)"
_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"

_INTENT, _OUTCOME, _FAULT, _LINK, _TEXT, _CHARGE, _NOTE = map(str, Kind)

PAGE = 16_384
"""Bytes of a page. Bodies have some 3 kB: with pages four times SQLite's own, writing them takes a third less time."""


class Journal:
    """A ledger on disk. Use `create` or `reopen`; close it in the loop that uses it."""

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, replaying: bool, stamp: Callable[[], float] | None = None
    ) -> None:
        self._path, self._loop, self._replaying = path, loop, replaying
        self.stamp = stamp or stamping()
        self._closed = False
        self._recent: OrderedDict[str, Outcome] = OrderedDict()
        self._keys = Keys()
        self._texts = Texts()
        self._last = 0
        try:
            connection = _to_write(path, replaying)
            self._reader = opened(path)
            if replaying:
                self._keys.extend(self._reader.execute("SELECT key, id FROM outcomes WHERE usable ORDER BY id"))
                (self._last,) = self._reader.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
            self._entries = Entries(self._reader)
        except sqlite3.Error as error:
            raise unwritable(error) from error
        self._writer = Writer(connection, loop)

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
        """Go on with a journal: requests at recorded positions are answered from it. One of an older form is brought
        to the present one; its original is kept beside it.

        Raises:
            StorageError: there is no journal of a known version, or it cannot be written.
        """
        await anyio.to_thread.run_sync(migrate, path)
        return cls(path, asyncio.get_running_loop(), replaying=True)

    # Reads ------------------------------------------------------------------------------------------------------

    @property
    def replaying(self) -> bool:
        return self._replaying

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        if not self._replaying:
            return None
        row = self._row(ANSWERED, (position_text(position),))
        if row is None:
            return None
        _, key, body = row
        outcome = self.stored(key) if body is None else outcome_of(unpacked(body))
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
        place = self._keys.find(key)
        entry = None if place is None else self._entry(place)
        if entry is None or entry.key != key or entry.body is None:
            return None
        return self._remember(key, outcome_of(unpacked(entry.body)))

    def _entry(self, place: int) -> Entry | None:
        try:
            return self._entries.find(place)
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._path} cannot be read: {error}") from error

    def _row(self, query: str, values: tuple[Any, ...]) -> Any:
        try:
            return self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._path} cannot be read: {error}") from error

    def _rows(self, query: str) -> list[Any]:
        try:
            return self._reader.execute(query).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._path} cannot be read: {error}") from error

    def _remember(self, key: str, outcome: Outcome) -> Outcome:
        self._recent[key] = outcome
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return outcome

    # Writes -----------------------------------------------------------------------------------------------------

    @property
    def durable(self) -> int:
        return self._writer.durable

    @property
    def last(self) -> int:
        """The number of the latest record that was noted."""
        return self._last

    def intend(self, position: Position, key: str, role: str, request: Request) -> int:
        # The texts first: they are durable no later than the request that names them.
        body = orjson.dumps(shortened(request, self._place))
        return self._record(_INTENT, key, position, role, body)

    async def reach(self, mark: int, patience: float = SOON) -> None:
        if mark > self._writer.durable:
            self._check()
            await self._writer.until(mark, patience)

    def charge(self, position: Position, key: str, attempts: int, spent: Mapping[str, float] | None, more: bool) -> int:
        body = orjson.dumps({"attempts": attempts, "spent": None if spent is None else dict(spent), "open": more})
        return self._record(_CHARGE, key, position, None, body)

    def answer(self, position: Position, key: str, outcome: Outcome) -> int:
        body, usable = orjson.dumps(document_of(outcome)), is_usable(outcome)
        place = self._record(_OUTCOME if usable else _FAULT, key, position, None, body)
        if not isinstance(outcome, Returned):
            self._texts.add(outcome.text, place)
        if usable:
            # Whatever an equal request makes of it is durable no sooner than it.
            self._keys.add(key, place)
            self._remember(key, outcome)
        return place

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        await self.reach(self.answer(position, key, outcome))

    def link(self, position: Position, key: str) -> None:
        self._record(_LINK, key, position, None, None)

    async def note(self, name: str, document: Mapping[str, Any]) -> int:
        """Make a provider's note durable; gives its place (`semprop.providers.base.Notes`)."""
        place = self._record(_NOTE, name, None, None, orjson.dumps(document))
        await self.reach(place)
        return place

    def noted(self) -> tuple[Note, ...]:
        """What providers noted, in all sittings."""
        return tuple(Note(place, unpacked(body)) for place, body in self._rows(NOTED))

    def settled(self) -> dict[str, int]:
        """Content key → the place of the latest outcome or failure of that request."""
        return dict(self._rows(SETTLED))

    def _place(self, text: str) -> int:
        place = self._texts.place(text)
        if place is None:
            place = self._record(_TEXT, None, None, None, orjson.dumps(text))
            self._texts.add(text, place)
        return place

    def _record(
        self,
        kind: str,
        key: str | None,
        position: Position | None,
        role: str | None,
        body: bytes | None,
    ) -> int:
        """Queue a record; gives its number."""
        self._check()
        batch = self._writer.batch()
        self._last = place = self._last + 1
        if not batch.heads:
            batch.first = place
        batch.heads.append((kind, key, position and tuple(position), role, self.stamp()))
        batch.bodies.append(body)
        batch.last = place
        batch.count += 1
        return place

    def _other(self, statement: str, values: tuple[Any, ...]) -> None:
        self._check()
        batch = self._writer.batch()
        batch.others.append((statement, values))
        batch.count += 1

    def _check(self) -> None:
        if self._writer.broken is not None:
            raise self._writer.broken
        if self._closed:
            raise StorageError(f"the journal in {self._path} is closed: nothing more can be noted")

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
        self._other(_DECISION, (step, kind, name, packed(body)))

    def describe(self, name: str, value: Any) -> None:
        """Note a fact about the whole run, such as its status."""
        self._other(_META, (name, packed(value)))

    async def flush(self) -> None:
        self._check()
        await self._writer.all()

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
        self._keys.close()
        self._writer.finish()
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._writer.join)
        finally:
            # An asyncio cancellation goes through that shield; then the loop waits for the last commit itself.
            self._writer.join()
        if self._writer.broken is not None:
            raise self._writer.broken


def stamping(
    wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Seconds since 1970, as the machine's clock has them now, and from then on by a clock that nobody sets: what was
    noted one after the other has times in that order, and their differences are right."""
    since = wall() - monotonic()
    return lambda: since + monotonic()


def _to_write(path: Path, again: bool) -> sqlite3.Connection:
    """The writer's connection, made here and used by its thread alone."""
    connection = sqlite3.connect(path / FILE_NAME, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        if again:
            put_into_rows(connection)
            connection.executescript(REOPENED)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path, meta: dict[str, Any]) -> None:
    if path.exists():
        raise UsageError(f"the run directory {path} exists: name another one with --run, or remove it")
    # Under another name first: whoever is killed here leaves no directory that looks like a run and is none.
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the run directory {path}: {error.strerror}") from error
    try:
        os.close(os.open(made / FILE_NAME, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(made / FILE_NAME, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute("PRAGMA journal_mode=WAL")
            # One transaction: a kill in the middle leaves no journal, and it is one wait for the disk.
            connection.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version={SCHEMA_VERSION}; {SCHEMA}")
            for name, value in meta.items():
                connection.execute(_META, (name, packed(value)))
            connection.execute("COMMIT")
        finally:
            connection.close()
        made.rename(path)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(made, ignore_errors=True)  # It was made here, and half a journal is of no use.
        raise StorageError(f"cannot write a journal in {path}: {error}") from error
