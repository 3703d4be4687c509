"""One writer a run: a lock file in its directory, held by the process that writes, with its name in it for people.

The system lets go of the lock with the process, however that ends, so no lock is ever stale; what a dead process left
in the file is recognised by the time at which it was started. Readers need no lock and take none.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from semprop.engine.errors import StorageError, UsageError

LOCK_FILE = "lock"

_ENDED = "Z"  # As Linux writes it: nobody has asked yet how the process ended.


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes a run, or did last.

    Attributes:
        pid, host: the process.
        born: when the process was started, as its system counts it; None where the system does not tell.
        since: seconds since 1970 when it took the lock.
    """

    pid: int
    host: str
    born: str | None
    since: float

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine, so that one can see whether it lives."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether the process is there; a number that was given to another process since does not count. Of another
        machine nothing can be seen: it is taken to live."""
        if not self.is_here:
            return True
        born = _born(self.pid)
        if born is not None or self.born is not None:
            return born is not None and born == self.born
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # It is there, and somebody else's.
            return True
        return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """A lock that is held. Closing it lets go."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def close(self) -> None:
        """Let go; a second time does nothing."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()


def hold(path: Path) -> Lock:
    """Take the lock of a directory; never waits.

    Raises:
        UsageError: another process holds it; the message says which.
        StorageError: the directory cannot be written.
    """
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write in {path}: {error.strerror}") from error
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if not _locked(file):
        other = holder(path)
        file.close()
        raise UsageError(
            f"{path} is being written by {'another process' if other is None else other}: wait until it has ended, or "
            "stop it; readers (semprop show) need not wait"
        )
    me = Holder(os.getpid(), socket.gethostname(), _born(os.getpid()), time.time())
    document = {"pid": me.pid, "host": me.host, "born": me.born, "since": me.since}
    try:
        file.truncate(0)
        file.write(orjson.dumps(document))
    except OSError as error:
        file.close()
        raise StorageError(f"cannot write in {path}: {error.strerror}") from error
    return Lock(file)


def holder(path: Path) -> Holder | None:
    """Who wrote itself into the lock file and has not let go in order; it may be dead (`lives`). None: nobody."""
    try:
        document: Any = orjson.loads((path / LOCK_FILE).read_bytes() or b"null")
    except (OSError, orjson.JSONDecodeError):
        return None
    match document:
        case {"pid": int(pid), "host": str(host), "born": str() | None as born, "since": float(since)}:
            return Holder(pid, host, born, since)
    return None


def is_running(path: Path) -> bool:
    """Whether a process writes this run now."""
    found = holder(path)
    return found is not None and found.lives


def _locked(file: BinaryIO) -> bool:
    """Whether the lock could be taken."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _born(pid: int) -> str | None:
    """When a living process was started: the boot and the ticks since, where the system tells (Linux); else None."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name of the program may hold spaces and brackets; the fields that are counted stand behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == _ENDED else f"{boot}:{fields[19]}"
