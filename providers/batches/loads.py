"""Requests on their way through a batch, and what a line of results means for one of them. Decides; sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from semprop.providers.base import Completion, Request
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.service import End, Row, Status
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, RetryError
from semprop.providers.http import WireFormat
from semprop.providers.wire.classify import Origin, classify


class Asked:
    """One request, and who waits for it. `outcome` is its end."""

    __slots__ = ("body", "key", "load", "outcome", "request", "signal", "waiting", "wire")

    def __init__(self, key: str, request: Request, wire: WireFormat, load: Load) -> None:
        self.key, self.request, self.wire, self.load = key, request, wire, load
        self.body = wire.encode(request)
        self.waiting = 0
        self.outcome: Completion | ProviderError | None = None
        self.signal = asyncio.Event()

    def end(self, outcome: Completion | ProviderError) -> None:
        """Let go whoever waits."""
        self.outcome = outcome
        self.signal.set()

    def given(self) -> Completion:
        """The reply; raises the failure."""
        assert self.outcome is not None, "it has ended"
        if isinstance(self.outcome, ProviderError):
            raise copied(self.outcome)
        return self.outcome


@dataclass(slots=True, eq=False)
class Load:
    """What one batch carries.

    Attributes:
        asked: requests that are to be sent, or wait for results.
        arrived: results of requests that nobody waited for; None: none came.
        draft: what is noted of it; None: nothing, it is being gathered.
        keys: of the draft, those that nothing is on record of.
        is_due: it is to be sent, or waited for, by the first that waits for one of its requests.
        is_driven: somebody does that.
        is_unsure: it may have been created, and the service's answer never came.
        is_over: nothing more will come of it.
        contradicted: of those that arrived, which two lines differ about.
        looks: at its status so far.
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    arrived: dict[str, Row | None] = field(default_factory=dict)
    contradicted: dict[str, None] = field(default_factory=dict)
    draft: Draft | None = None
    keys: dict[str, None] = field(default_factory=dict)
    status: Status | None = None
    size: int = 0
    looks: int = 0
    is_due: bool = False
    is_driven: bool = False
    is_unsure: bool = False
    is_over: bool = False

    def wake(self) -> None:
        """Give the work to one who waits."""
        if self.is_due and not self.is_driven and not self.is_over:
            for asked in self.asked.values():
                if asked.waiting:
                    asked.signal.set()
                    return

    def fail(self, error: ProviderError) -> None:
        """End every request with this error."""
        failed, self.asked = self.asked, {}
        for asked in failed.values():
            asked.end(error)

    @property
    def name(self) -> str:
        """What people may look for at the service."""
        draft = self.draft
        return "a batch" if draft is None else f"batch {draft.batch or draft.tag}"


class Results:
    """The lines of one batch's results, joined by custom id, in whatever order they come."""

    def __init__(self, draft: Draft) -> None:
        self._expected = {draft.custom_id(key): key for key in draft.keys}
        self.rows: dict[str, Row] = {}
        self.foreign: list[str] = []
        self.repeated: list[str] = []
        self.contradicted: dict[str, None] = {}

    def take(self, row: Row) -> None:
        """Add a line."""
        key = self._expected.get(row.custom_id)
        if key is None:
            self.foreign.append(row.custom_id)
        elif key not in self.rows:
            self.rows[key] = row
        else:
            self.repeated.append(row.custom_id)
            if self.rows[key] != row:
                self.contradicted[key] = None


def judged(asked: Asked, row: Row | None, load: Load, origin: Origin) -> Completion | ProviderError:
    """What a line of results is for a request; None: there is no line.

    A `RetryError` is a request that may be in a later batch. Those that a service did not reach in time, or that were
    cancelled, are documented not to be charged: `attempts` is 0 for them.
    """
    name = load.name
    if asked.key in load.contradicted:
        return ProviderFailure(
            f"two different results came for one custom id of {name}: neither is believed", ErrorClass.TRANSIENT
        )
    end = row.end if row is not None else _ends().get("" if load.status is None else load.status.word)
    if end is End.EXPIRED:
        return RetryError(f"{name} expired before this request was reached", ErrorClass.TRANSIENT, attempts=0)
    if end is End.CANCELED:
        return RetryError(f"{name} was cancelled before this request was reached", ErrorClass.TRANSIENT, attempts=0)
    if row is None or row.reply is None:
        return RetryError(f"{name} ended without a result for this request", ErrorClass.TRANSIENT)
    try:
        if row.reply.status == 200:
            completion = asked.wire.decode(row.reply, asked.request)
            return replace(completion, usage=replace(completion.usage, batch=True))
        return classify(row.reply, origin)
    except ProviderError as error:
        return error


def _ends() -> Mapping[str, End]:
    """How requests without a line ended, by the word for their whole batch."""
    return {"expired": End.EXPIRED, "cancelled": End.CANCELED}


def copied(error: ProviderError) -> ProviderError:
    """The same error for one more request: raising one object twice mixes tracebacks and counters."""
    return type(error)(
        str(error),
        error.error_class,
        status=error.status,
        retry_after=error.retry_after,
        dimension=error.dimension,
        attempts=error.attempts,
        limits=error.limits,
    )


def words(loads: Iterable[Load]) -> str | None:
    """What batches are waited for, for people; None if none is."""
    told = []
    for load in loads:
        if load.is_over or load.draft is None or not load.is_due:
            continue
        if load.status is not None and load.draft.batch is not None:
            told.append(f"{load.name}: {load.status.done:,} of {load.status.total:,} done")
        else:
            told.append(f"{load.name}: {len(load.draft.keys):,} requests, being sent")
    return " · ".join(told) or None
