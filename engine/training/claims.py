"""Claims on keys, among processes: a lock on one byte of a file for each key. Linux; elsewhere every claim succeeds.

The locks belong to the open file (`F_OFD_SETLK`), so the system lets go of them with the process, and one thread's do
not end with another's. They keep processes apart, not the tasks of one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import sys
import threading
from pathlib import Path

import anyio

from semprop.engine.errors import StorageError

WAITING = 32
"""Threads that wait for claims at once; further ones stand in line."""


class Claims:
    """The claims of one process."""

    def __init__(self, file: Path) -> None:
        """
        Raises:
            StorageError: the file cannot be made.
        """
        try:
            self._file = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StorageError(f"cannot write {file}: {error.strerror}") from error
        self._waiting = anyio.CapacityLimiter(WAITING)
        self._closed = False

    def take_nowait(self, key: str) -> bool:
        """Claim a key if nobody else has."""
        return _lock(self._file, _byte(key), wait=False)

    async def take(self, key: str) -> None:
        """Claim a key, as soon as whoever has it lets go of it."""
        async with self._waiting:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            # A thread of our own, since nothing ends the wait of one but the lock: it must not keep the process alive.
            thread = threading.Thread(target=self._wait, args=(key, loop, future), name="semprop-claim", daemon=True)
            thread.start()
            await future

    def release(self, key: str) -> None:
        """Let go of a key."""
        if not self._closed:
            _unlock(self._file, _byte(key))

    def close(self) -> None:
        """Let go of all keys."""
        if not self._closed:
            self._closed = True
            # A thread that still waits keeps the file open for the system, and with it every lock.
            _unlock(self._file, 0, 0)
            os.close(self._file)

    def _wait(self, key: str, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        try:
            held = _lock(self._file, _byte(key), wait=True)
        except OSError:  # The file was closed: nobody waits any more.
            held = False
        try:
            loop.call_soon_threadsafe(self._granted, key, held, future)
        except RuntimeError:  # The loop is closed, so nobody waits.
            if held:
                self.release(key)

    def _granted(self, key: str, held: bool, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_result(None)
        elif held:
            self.release(key)


def _byte(key: str) -> int:
    """The byte that stands for a key. Two keys of one byte wait for each other, and nothing worse."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest(), "big")


def _lock(file: int, byte: int, wait: bool) -> bool:
    """Lock a byte; False if another process has it and this does not wait."""
    if sys.platform != "linux":
        return True
    import fcntl

    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, byte))
    except BlockingIOError:
        return False
    except PermissionError:  # What some systems say in its place.
        return False
    return True


def _unlock(file: int, byte: int, length: int = 1) -> None:
    """Unlock so many bytes; all from there on if 0."""
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, byte, length))


def _range(kind: int, byte: int, length: int = 1) -> bytes:
    """`struct flock`: type, whence, start, length, pid."""
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, byte, length, 0)
