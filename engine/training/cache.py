"""Replies that runs share: one SQLite file in a directory, used by several processes at once.

A cache saves money and decides nothing: a reply that is found is written into the run's own journal before it is used,
so a run never needs the cache again. It keeps replies and model failures, never provider failures; of each the digest
too, so what was damaged is not served. What cannot be read or written is said once, and the run goes on without it.

While a request is under way its key is claimed, so that an equal request of another process waits for the reply in
place of paying for it again. A claim is a lock on a byte of a file: the system lets go of it with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
import structlog

from semprop.engine.errors import ReplayError, StorageError
from semprop.engine.outcomes import Outcome, document_of, outcome_of
from semprop.engine.training.bodies import packed, unpacked
from semprop.engine.training.claims import Claims
from semprop.engine.training.places import check_local
from semprop.providers.base import Request

CACHE_FILE = "replies.sqlite"
CLAIM_FILE = "claims"
OPENING_FILE = "opening"
SIZE = 2_000_000_000
"""Bytes of bodies that a cache holds unless told otherwise."""

FULL = 0.9
"""Share of its bound to which a cache that is full is emptied."""

VERSION = 1
DAY = 86_400
_BUSY = 60.0

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS replies (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
                                    digest BLOB NOT NULL, day INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS replies_by_day ON replies (day, id);
CREATE TABLE IF NOT EXISTS held (bytes INTEGER NOT NULL);
INSERT INTO held SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM held);
CREATE TRIGGER IF NOT EXISTS more AFTER INSERT ON replies BEGIN
  UPDATE held SET bytes = bytes + length(new.body);
END;
CREATE TRIGGER IF NOT EXISTS less AFTER DELETE ON replies BEGIN
  UPDATE held SET bytes = bytes - length(old.body);
END;
PRAGMA user_version={VERSION};
COMMIT;
"""

log = structlog.get_logger("semprop")


class Shared(Protocol):
    """Where a request may be answered from before it is sent, besides the run's own journal."""

    def claim(self, key: str) -> contextlib.AbstractAsyncContextManager[Outcome | None]:
        """While inside, nobody else asks for this key; gives the outcome, if it is there already."""

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Keep a usable outcome for others. Never raises: whoever asked has it in any case."""


def shared_key(key: str, request: Request, seed: int) -> str:
    """A content key as runs share it. A random reply is a draw of one run, so that runs of several seeds stay
    independent of each other: it is shared among runs of one seed only."""
    return key if request.sampling.is_greedy else f"{key}:{seed}"


def key_in(shared: str, seed: int) -> str | None:
    """The content key that a shared key is in a run of this seed; None if it is none there."""
    key, _, drawn = shared.partition(":")
    return key if drawn in ("", str(seed)) else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An outcome to be written, and who waits until it is."""

    key: str
    outcome: Outcome
    waiter: asyncio.Future[None]


class ReplyCache:
    """A cache, open while its block runs."""

    def __init__(self, directory: Path, size: int = SIZE, now: Any = time.time) -> None:
        """
        Args:
            directory: made when it is opened, readable by its owner only.
            size: bytes of bodies that are kept at most; the least recently used go first.
            now: seconds since 1970.
        """
        self.directory, self.size = directory, size
        self._now = now
        # One for each thread: the loop reads, and a thread commits.
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._claims: Claims | None = None
        self._queue: list[_Entry] = []
        self._used: dict[str, None] = {}
        self._writing = False
        self.hits = self.kept = self.waited = 0

    def __repr__(self) -> str:
        return f"ReplyCache({str(self.directory)!r}, hits={self.hits}, kept={self.kept})"

    async def __aenter__(self) -> Self:
        try:
            self._writer = await anyio.to_thread.run_sync(opened, self.directory)
            self._reader = await anyio.to_thread.run_sync(opened, self.directory)
            self._claims = Claims(self.directory / CLAIM_FILE)
        except StorageError as error:
            self._fail(error)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def find(self, key: str) -> Outcome | None:
        """The outcome of a key. Never raises."""
        if self._reader is None:
            return None
        try:
            row = self._reader.execute("SELECT body, digest, day FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return None
        outcome = None if row is None else read(row[0], row[1])
        if outcome is not None:
            self.hits += 1
            if row[2] != self._today():
                self._used[key] = None
        elif row is not None:
            log.warning("cache_damaged", key=key, mend=f"semprop cache verify --cache {self.directory}")
        return outcome

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[Outcome | None]:
        """While inside, no other process asks for this key; gives the outcome, if it is there already."""
        found, claims = self.find(key), self._claims
        if found is not None or claims is None:
            yield found
            return
        if not claims.take_nowait(key):
            self.waited += 1
            await claims.take(key)
        try:
            yield self.find(key)
        finally:
            claims.release(key)

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome for others; when this returns they can see it."""
        if self._writer is None:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Entry(key, outcome, future))
        if not self._writing:
            # Whoever comes first writes for all that come meanwhile.
            self._writing = True
            try:
                while self._queue:
                    await self._write()
            finally:
                self._writing = False
                self._done(self._queue)
        await future

    async def _write(self) -> None:
        group, self._queue = self._queue, []
        used, self._used = self._used, {}
        try:
            if self._writer is not None:
                rows = [(entry.key, entry.outcome) for entry in group]
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(_insert, self._writer, rows, tuple(used), self._today(), self.size)
                self.kept += len(group)
        except sqlite3.Error as error:
            self._fail(error)
        finally:
            self._done(group)

    def _done(self, group: list[_Entry]) -> None:
        for entry in group:
            if not entry.waiter.done():
                entry.waiter.set_result(None)

    def _today(self) -> int:
        return int(self._now() // DAY)

    def _fail(self, error: Exception) -> None:
        """Go on without it."""
        log.warning("cache_failed", directory=str(self.directory), reason=str(error))
        self._close()

    def _close(self) -> None:
        connections, self._reader, self._writer = (self._reader, self._writer), None, None
        claims, self._claims = self._claims, None
        for connection in connections:
            if connection is not None:
                connection.close()
        if claims is not None:
            claims.close()


def opened(directory: Path) -> sqlite3.Connection:
    """A connection to the cache in a directory, which is made if it is not there.

    Raises:
        StorageError: it cannot be made, read or written, or is of another version.
    """
    check_local(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(directory / CACHE_FILE, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            directory / CACHE_FILE, isolation_level=None, check_same_thread=False, timeout=_BUSY
        )
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"the cache in {directory} cannot be opened ({error}): name another with --cache") from error
    try:
        with _alone(directory):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise StorageError(f"the cache in {directory} has version {version}; this semprop reads {VERSION}")
            if version == 0:
                connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        told = f"the cache in {directory} cannot be used ({error}): semprop cache verify --cache {directory} mends it"
        raise StorageError(told) from error
    except StorageError:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """While inside, no other process makes or opens the cache of this directory: where several do at once, SQLite says
    that a new one is locked, and does not wait."""
    file = os.open(directory / OPENING_FILE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _insert(
    connection: sqlite3.Connection, rows: list[tuple[str, Outcome]], used: tuple[str, ...], today: int, size: int
) -> None:
    entries = [(key, body, _digest(body), today) for key, body in ((key, _body(outcome)) for key, outcome in rows)]
    with transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO replies (key, body, digest, day) VALUES (?, ?, ?, ?)", entries)
        connection.executemany("UPDATE replies SET day = ? WHERE key = ?", [(today, key) for key in used])
        (bytes_held,) = connection.execute("SELECT bytes FROM held").fetchone()
        if bytes_held > size:
            shrink(connection, int(FULL * size))


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def shrink(connection: sqlite3.Connection, size: int) -> int:
    """Delete the least recently used replies until so many bytes are left; gives how many went."""
    gone = 0
    while True:
        (left,) = connection.execute("SELECT bytes FROM held").fetchone()
        if left <= size:
            return gone
        oldest = connection.execute("SELECT id, length(body) FROM replies ORDER BY day, id LIMIT 256").fetchall()
        if not oldest:
            return gone
        enough = []
        for place, length in oldest:
            enough.append((place,))
            left -= length
            if left <= size:
                break
        connection.executemany("DELETE FROM replies WHERE id = ?", enough)
        gone += len(enough)


def _body(outcome: Outcome) -> bytes:
    return packed(document_of(outcome))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).digest()


def read(body: bytes, digest: bytes) -> Outcome | None:
    """The outcome in a row; None if the row was damaged."""
    if _digest(body) != digest:
        return None
    try:
        return outcome_of(unpacked(body))
    except (ReplayError, StorageError, ValueError):
        return None
