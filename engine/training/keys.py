"""The journal's index of outcomes by content key, in memory: on disk every random key would cost a page of its log."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

FRESH = 1_024
"""Entries that are put away together: one by one takes ten times as long."""

_PLACES = 0x1FFFFF
_SHIFTS = (0, 21, 42)

_Run = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Hashes in their order, and the place of each."""


class Keys:
    """Which outcome has which key: sorted runs of 16 bytes an entry, each more than twice as long as the next, and
    before them two megabytes of marks (a Bloom filter), since most keys that are looked for are new. The latest entries
    wait in a dictionary before both."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._fresh: dict[int, int] = {}
        self._marks = bytearray(_PLACES + 1)

    def add(self, key: str, place: int) -> None:
        """The outcome at a place has this key; of several with one key, the first counts."""
        self._fresh.setdefault(hash(key), place)
        if len(self._fresh) >= FRESH:
            self._put_away()

    def extend(self, entries: Iterable[tuple[str, int]]) -> None:
        """Many at once."""
        for key, place in entries:
            self.add(key, place)

    def find(self, key: str) -> int | None:
        """The outcome that has this key, or another key of the same hash."""
        value, marks = hash(key), self._marks
        if marks[value & _PLACES] and marks[value >> 21 & _PLACES] and marks[value >> 42 & _PLACES]:
            # The oldest first: it is the first that counts.
            for hashes, places in self._runs:
                at = int(hashes.searchsorted(value))
                if at < len(hashes) and hashes[at] == value:
                    return int(places[at])
        return self._fresh.get(value)

    def close(self) -> None:
        """Let go of the memory."""
        self._runs.clear()
        self._fresh.clear()

    def _put_away(self) -> None:
        count = len(self._fresh)
        hashes = np.fromiter(self._fresh, dtype=np.int64, count=count)
        places = np.fromiter(self._fresh.values(), dtype=np.int64, count=count)
        self._fresh.clear()
        marks = np.frombuffer(self._marks, dtype=np.uint8)
        for shift in _SHIFTS:
            marks[hashes >> shift & _PLACES] = 1
        run = _sorted(hashes, places)
        # Each entry is moved as often as its run doubles, so that an entry costs the logarithm of their number.
        while self._runs and len(self._runs[-1][0]) <= 2 * len(run[0]):
            older = self._runs.pop()
            run = _sorted(np.concatenate((older[0], run[0])), np.concatenate((older[1], run[1])))
        self._runs.append(run)


def _sorted(hashes: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> _Run:
    """In the order of the hashes; equal ones as they came."""
    order = np.argsort(hashes, kind="stable")
    return hashes[order], places[order]
