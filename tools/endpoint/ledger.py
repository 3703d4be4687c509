"""The ledger of a mock endpoint: every attempt that reached it, refused, reset and cut ones included.

Takes rows as they happen, gives JSON lines. Finished rows are kept as bytes, so that a long run costs about 400 bytes
an attempt; with a bound the oldest finished rows are dropped, and the totals still count them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

CLIENT_LEFT = 499
"""The status of an attempt whose client went away before it was answered."""

_LINES_AT_ONCE = 1000


@dataclass(slots=True)
class Row:
    """One attempt.

    Attributes:
        seq: its number, from 1.
        key: the hash of its body; equal bodies have equal keys.
        arrived, answered: seconds since the start, the first when its last byte was read, the second when the last byte
            of the reply was handed to the system, or when it was cut.
        status: what was answered; 499 if the client left, None if nothing was or will be.
        input, output: tokens, as its usage says or would have said.
        images: pictures that it shows.
        fault: the fault that it met; None if there was none.
        connection: the number of its connection, from 1; 0 for a row of a batch.
        batch: the batch that it is a row of.
    """

    seq: int
    key: str
    model: str
    arrived: float
    connection: int
    answered: float | None = None
    status: int | None = None
    input: int = 0
    output: int = 0
    fault: str | None = None
    batch: str | None = None
    images: int = 0


@dataclass(slots=True)
class Totals:
    """Counts over all finished attempts, whether their rows are kept or not."""

    attempts: int = 0
    input: int = 0
    output: int = 0
    images: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Rows by number. `most` bounds the finished rows that are kept; None keeps all."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: dict[int, Row] = {}
        self._finished: OrderedDict[int, bytes] = OrderedDict()
        self._last = 0
        self.totals = Totals()

    def open(self, key: str, at: float, connection: int) -> Row:
        """A row for an attempt that has arrived."""
        self._last += 1
        row = self._open[self._last] = Row(self._last, key, "", at, connection)
        return row

    def close(self, row: Row, at: float) -> None:
        """The attempt is over. Closing it again, or one of before a reset, does nothing."""
        if self._open.get(row.seq) is not row:
            return
        row.answered = at
        del self._open[row.seq]
        # The sum is a copy of exactly its size: what orjson gives keeps a page of room behind it.
        self._finished[row.seq] = orjson.dumps(row) + b"\n"
        if self._most is not None and len(self._finished) > self._most:
            self._finished.popitem(last=False)
        totals = self.totals
        totals.attempts += 1
        totals.input += row.input
        totals.output += row.output
        totals.images += row.images
        totals.statuses[str(row.status)] += 1
        if row.fault is not None:
            totals.faults[row.fault] += 1

    def lines(self, since: int = 0) -> Iterator[bytes]:
        """JSON lines of the rows after number `since`, in their order, many at a time. Attempts that are under way have
        `answered` null."""
        oldest = min((*self._open, *self._finished), default=1) if self._most is not None else 1
        first, last = max(since + 1, oldest), self._last + 1
        for begin in range(first, last, _LINES_AT_ONCE):
            rows = [self._line(seq) for seq in range(begin, min(begin + _LINES_AT_ONCE, last))]
            yield b"".join(rows)

    def summary(self) -> Mapping[str, object]:
        """Counts: attempts that arrived, that are under way, and the totals of the finished ones."""
        totals = self.totals
        return {
            "attempts": self._last,
            "in_flight": len(self._open),
            "finished": totals.attempts,
            "input": totals.input,
            "output": totals.output,
            "images": totals.images,
            "statuses": dict(totals.statuses),
            "faults": dict(totals.faults),
        }

    def _line(self, seq: int) -> bytes:
        finished = self._finished.get(seq)
        if finished is not None:
            return finished
        row = self._open.get(seq)
        return b"" if row is None else orjson.dumps(row) + b"\n"
