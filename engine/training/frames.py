"""The log beside a journal (SQLite's write-ahead log): which of its frames are read, and which are lost. Reads bytes.

SQLite reads the log up to the last commit before the first frame whose checksum is wrong, and says nothing of what lies
behind. A process that was killed leaves one such frame at the end, which nobody had been promised; frames of the same
log behind a wrong one are damage. Source of the form: sqlite.org/fileformat2.html, section 4.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

from semprop.engine.errors import StorageError
from semprop.engine.training.reading import FILE_NAME

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
"""Checksums are of little-endian words; one more: of big-endian ones."""

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Log:
    """What the log holds.

    Attributes:
        read: frames that SQLite reads; one is a page.
        cut: frames at the end that no commit completes: what was being written when the process was stopped.
        lost: frames behind a damaged one, and that one. They had been written whole, and are not read.
    """

    read: int = 0
    cut: int = 0
    lost: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether something that had been written is not read."""
        return self.lost > 0

    def document(self) -> dict[str, int]:
        """As JSON data."""
        return {"read": self.read, "cut": self.cut, "lost": self.lost}


def log_of(path: Path) -> Log:
    """Look at the log of the journal in a directory; nothing if there is none.

    Raises:
        StorageError: it is there and cannot be read.
    """
    file = path / f"{FILE_NAME}-wal"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return Log()
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}") from error
    return log_in(data)


def log_in(data: bytes) -> Log:
    """What a log of these bytes holds."""
    if len(data) < _HEADER.size:
        return Log()
    magic, _, page, _, *salts, first, second = _HEADER.unpack_from(data)
    size = _FRAME.size + page
    frames = (len(data) - _HEADER.size) // size if page else 0
    is_big = bool(magic & 1)
    if magic & ~1 != _MAGIC or _summed(data[:24], (0, 0), is_big) != (first, second):
        return Log(lost=frames)
    sums, read, whole = (first, second), 0, 0
    for number in range(frames):
        at = _HEADER.size + number * size
        _, commits, *own, first, second = _FRAME.unpack_from(data, at)
        if own != salts:
            break  # Of an earlier log, whose place this one took.
        sums = _summed(data[at : at + 8], sums, is_big)
        sums = _summed(data[at + _FRAME.size : at + size], sums, is_big)
        if sums != (first, second):
            return _broken(data, number, read, (salts, size))
        whole = number + 1
        read = whole if commits else read
    return Log(read, whole - read)


def _broken(data: bytes, number: int, read: int, form: tuple[list[int], int]) -> Log:
    """A frame is not whole: cut, if nothing of the same log comes behind it."""
    salts, size = form
    behind = 0
    for at in range(_HEADER.size + (number + 1) * size, len(data) - size + 1, size):
        if list(_FRAME.unpack_from(data, at)[2:4]) != salts:
            break
        behind += 1
    return Log(read, lost=number - read + 1 + behind) if behind else Log(read, cut=number - read + 1)


def _summed(data: bytes, sums: tuple[int, int], is_big: bool) -> tuple[int, int]:
    """SQLite's checksum of more bytes."""
    words = array("I", data)
    if is_big != (struct.pack("=I", 1) == struct.pack(">I", 1)):
        words.byteswap()
    one, two = sums
    pairs = iter(words)
    for word in pairs:
        one = one + word + two & _WORD
        two = two + next(pairs) + one & _WORD
    return one, two
