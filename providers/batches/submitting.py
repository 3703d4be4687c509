"""One batch, from its intent to its results: what is noted before what is sent, and what is made of a lost answer.

Takes a load and a service; moves the load on. Each step is noted before the next is taken, so that after a kill at any
instant the notes tell what may be at the service. Every call that may be repeated is, with growing pauses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import structlog

from semprop.providers.base import Notes
from semprop.providers.batches.loads import Load, Results
from semprop.providers.batches.notes import Draft, Memory, drafts
from semprop.providers.batches.service import Found, Line, Service, State, Status
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.clock import Clock
from semprop.providers.errors import ErrorClass, ProviderError, RetryError, StopError

T = TypeVar("T")

FAILED = 12
"""So many failures in a row, and a service is taken to be out of reach: the run stops, and its batch goes on."""

_QUEUE_FULL = ("token_limit_exceeded",)
"""Why a batch is refused that would be taken later: too much of the account's is waiting."""

_GONE = (404, 410)
"""What a service says of results that it keeps no longer (or of those that it does not show yet)."""

_log = structlog.get_logger(__name__)


class Gate(Protocol):
    """What may stop sending, and is told what is on the wire (`semprop.providers.valve.Valve`)."""

    @property
    def is_shut(self) -> bool: ...

    async def hold(self) -> None: ...

    def opened(self) -> None: ...

    def closed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What is taken from outside: seconds, the time of day, names that nobody has."""

    clock: Clock
    wall: Callable[[], float]
    token: Callable[[], str]
    gate: Gate | None = None


class Submitter:
    """The way of batches to one service. `sent` counts them; `notes` are where they are noted."""

    def __init__(self, service: Service, identity: str, terms: BatchTerms, outside: Outside) -> None:
        self._service, self._identity = service, identity
        self._terms, self._outside = terms, outside
        self.notes: Notes = Memory()
        self.sent = 0

    async def draft(self, load: Load) -> list[Line]:
        """Note the intent; what is to be sent."""
        wanted = tuple(load.asked.values())
        keys = tuple(asked.key for asked in wanted)
        draft = Draft(self._outside.token(), self._identity, keys, self._outside.wall())
        place = await self.notes.note(draft.tag, draft.intent())
        load.draft, load.keys = replace(draft, place=place), dict.fromkeys(keys)
        return [Line(draft.custom_id(asked.key), asked.body) for asked in wanted]

    async def hand_in(self, load: Load, lines: Sequence[Line]) -> None:
        """Have the service take a batch; a call whose answer did not come is looked into before it is made again.

        Raises:
            StopError: the service refuses it, or is out of reach.
        """
        for tries in range(1, FAILED + 1):
            try:
                await self._created(load, lines)
                return
            except RetryError as error:
                if tries == FAILED:
                    raise self._out_of_reach(error) from error
                wait = max(error.retry_after or 0.0, self._terms.pause(tries - 1))
                _log.warning("batch_not_taken", provider=self._identity, why=str(error), again_in=round(wait, 1))
                await self._outside.clock.sleep(wait)
            if load.is_unsure:
                if await self.found(load):
                    return
                load.is_unsure = False
            elif load.draft is not None and load.draft.file is None:
                await self.discard(load)

    async def _created(self, load: Load, lines: Sequence[Line]) -> None:
        """Upload and create; note each step before the next."""
        draft = load.draft
        assert draft is not None, "the intent is noted"
        if draft.file is None:
            file = await self._service.upload(draft, lines)
            if file is not None:
                await self.note(load, "file", file)
                draft = load.draft = replace(draft, file=file)
        load.is_unsure = True
        try:
            status = await self._service.create(draft, lines)
        except ProviderError as error:
            # Refused, or never sent; anything else may have been taken.
            load.is_unsure = error.attempts != 0 and (error.status is None or error.status >= 500)
            raise
        self.sent += 1
        await self._is_at_service(load, status)

    async def _is_at_service(self, load: Load, status: Status) -> None:
        assert load.draft is not None, "the intent is noted"
        await self.note(load, "created", status.id)
        load.draft, load.status, load.is_unsure = replace(load.draft, batch=status.id), status, False
        _log.info("batch_sent", provider=self._identity, batch=status.id, requests=len(load.draft.keys))

    async def found(self, load: Load) -> bool:
        """Look for a batch that was perhaps created, again once the service has had time to list it."""
        draft, looks, waited = load.draft, 0, 0.0
        assert draft is not None, "the intent is noted"
        others: Collection[str] = [each.batch for each in drafts(self.notes.noted()).values() if each.batch]

        def look() -> Awaitable[Found]:
            return self._service.find(draft, others)

        while True:
            found = await self.patiently(look)
            if found.status is not None:
                await self._is_at_service(load, found.status)
                return True
            if found.is_none or (not found.unsure and waited >= self._terms.settle):
                return False
            pause = self._terms.pause(looks) if found.unsure else self._terms.settle - waited
            await self._outside.clock.sleep(pause)
            looks, waited = looks + 1, waited + pause

    async def wait(self, load: Load) -> None:
        """Return when the batch is over.

        Raises:
            RetryError: the service's queue was full.
            StopError: it takes no such batch, or is out of reach.
        """
        draft = load.draft
        assert draft is not None and draft.batch is not None, "it is at the service"
        name = draft.batch
        while True:
            status = load.status
            if status is None:
                status = load.status = await self._looked(name)
            if status.state is State.OVER:
                return
            if status.state is State.FAILED:
                break
            await self._outside.clock.sleep(self._terms.pause(load.looks))
            load.looks += 1
            load.status = await self._looked(name)
        load.is_over = True
        await self.note(load, "void")
        told = f"{self._identity} took no request of {load.name} ({status.code}: {status.why})"
        if status.code in _QUEUE_FULL:
            await self._outside.clock.sleep(self._terms.most)
            raise RetryError(f"{told}: too much of the account's waits already", ErrorClass.RATE, attempts=0)
        raise StopError(
            f"{told}: see whether the model has a batch API", ErrorClass.CONFIGURATION, attempts=0, status=400
        )

    async def _looked(self, name: str) -> Status:
        """How a batch goes; one that its service does not know is known to another account, or to nobody any more."""
        try:
            return await self.patiently(lambda: self._service.status(name))
        except StopError as error:
            if error.status not in _GONE:
                raise
            raise StopError(
                f"{self._identity} does not know batch {name}, which this run sent: resume the run with the key of the "
                f"account and project that it was sent with; if it is there no more, go on in a fork, which asks again "
                f"({error})",
                error.error_class,
                status=error.status,
                attempts=0,
            ) from error

    async def note(self, load: Load, event: str, name: str = "") -> None:
        """Make an event of a batch durable."""
        assert load.draft is not None, "the intent is noted"
        await self.notes.note(load.draft.tag, load.draft.said(event, name))

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call gives that may be made again and again.

        Raises:
            StopError: it failed too often in a row.
        """
        for tries in range(1, FAILED + 1):
            try:
                return await call()
            except RetryError as error:
                if tries == FAILED:
                    raise self._out_of_reach(error) from error
                await self._outside.clock.sleep(max(error.retry_after or 0.0, self._terms.pause(tries - 1)))
        raise AssertionError("every turn returns or raises")

    def _out_of_reach(self, error: RetryError) -> StopError:
        return StopError(
            f"{self._identity} failed {FAILED} times in a row on its batches; what it has taken goes on there, and is "
            f"found again when the run is resumed. The last said: {error}",
            error.error_class,
            status=error.status,
            attempts=0,
        )

    async def discard(self, load: Load) -> None:
        """Remove what was uploaded and is used by no batch."""
        draft = load.draft
        assert draft is not None, "the intent is noted"
        await self.patiently(partial(self._service.discard, draft))

    async def fetch(self, load: Load) -> Results:
        """The results of a batch that is over, whole; none where its service keeps them no longer.

        Raises:
            StopError: the service refuses, or is out of reach.
        """
        draft, status = load.draft, load.status
        assert draft is not None and status is not None, "it is over"

        async def fetched() -> Results:
            found = Results(draft)
            try:
                await self._service.results(status, found.take)
            except StopError as error:
                if error.status in _GONE:
                    raise RetryError(str(error), ErrorClass.TRANSIENT, status=error.status) from error
                raise
            return found

        try:
            return await self.patiently(fetched)
        except StopError as error:
            if error.status not in _GONE:
                raise
            # The batch is known, and what it held is gone for good: waited for, the run could never go on.
            _log.warning("batch_results_gone", provider=self._identity, batch=load.name, requests=len(draft.keys))
            return Results(draft)
