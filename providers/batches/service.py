"""What a batch API is to whoever uses it: the seam between the two services and everything else. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import orjson

from semprop.providers.batches.notes import Draft
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.wire.classify import Reply

SKEW = 86_400.0
"""Seconds by which the clocks of a service and of this machine may differ: a day, since a machine that takes local time
for universal time is off by up to 14 hours. A batch that is not looked for is paid twice; one more that is costs a
call."""


class State(StrEnum):
    """Where a batch is. FAILED: none of its requests was taken."""

    RUNNING = "running"
    OVER = "over"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """A batch as its service shows it.

    Attributes:
        id: the service's name of it.
        state: where it is.
        word: the service's own word for that.
        done, total: requests.
        results: where results are, for its service.
        code, why: of a failed one.
    """

    id: str
    state: State
    word: str
    done: int = 0
    total: int = 0
    results: tuple[str, ...] = ()
    code: str = ""
    why: str = ""


class End(StrEnum):
    """How one request of a batch ended. Only ANSWERED has a reply, which may be an error."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELED = "canceled"


class Row(NamedTuple):
    """One line of results."""

    custom_id: str
    end: End
    reply: Reply | None


NOBODY = "(no row)"
"""The custom id of a line that is no row."""


def unread(data: bytes, batch: str) -> Row:
    """What a line of results is that cannot be read: one of nobody's if it is whole, since it would be the same the
    next time, too.

    Raises:
        RetryError: it has no end: it was cut (TRANSIENT).
    """
    if data.endswith(b"\n"):
        return Row(NOBODY, End.ANSWERED, None)
    raise RetryError(f"the results of {batch} end in a line that is none: {data[:200]!r}", ErrorClass.TRANSIENT)


def row(data: bytes, batch: str, read: Callable[[object, bytes], Row | None]) -> Row:
    """One line of results; `read` tells what a document of the service means, and None of one that is no row.

    Raises:
        RetryError: it was cut (TRANSIENT).
    """
    try:
        return read(orjson.loads(data), data) or unread(data, batch)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # Not JSON; or JSON that is too deep to be written again.
        return unread(data, batch)


class Found(NamedTuple):
    """What a search for a batch gave. `unsure`: one that may be it is not over yet, and cannot be told before;
    `is_none`: none can have been created."""

    status: Status | None
    unsure: bool = False
    is_none: bool = False


class Line(NamedTuple):
    """One request of a batch: its custom id and the body that a single request would have."""

    custom_id: str
    body: bytes


class Service(Protocol):
    """One service's batch API. Each method sends what it says and raises the `ProviderError` that a refusal is."""

    most_rows: int
    most_bytes: int

    async def upload(self, draft: Draft, lines: Sequence[Line]) -> str | None:
        """Hand the requests in, if that is a step of its own; the name of the file."""

    async def create(self, draft: Draft, lines: Sequence[Line]) -> Status:
        """Submit the batch."""

    async def find(self, draft: Draft, others: Collection[str]) -> Found:
        """Look for a batch of this draft among the service's own; `others` are names that are known to be of others."""

    async def discard(self, draft: Draft) -> None:
        """Remove files of this draft that no batch uses."""

    async def status(self, name: str) -> Status:
        """How a batch goes."""

    async def results(self, status: Status, take: Callable[[Row], None]) -> None:
        """Give every line of the results to `take`, in the order in which they come; see `row`."""

    async def cancel(self, name: str) -> Status:
        """Stop a batch: what was answered stays answered."""
