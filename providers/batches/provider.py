"""The batches of one endpoint: requests are gathered until nothing more can come, then sent and waited for together.

No task of its own: one of those that wait does the work for all, and hands it on if it is cancelled. So cancelling
leaves nothing behind here, and the batch at the service goes on; whoever asks the same again is joined to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import structlog

from semprop.providers.base import Completion, Note, Notes, Request
from semprop.providers.batches.calls import Calls
from semprop.providers.batches.loads import Asked, Load, judged, words
from semprop.providers.batches.notes import Draft, Memory, drafts, pending
from semprop.providers.batches.service import Line, Row, Service, Status
from semprop.providers.batches.submitting import Outside, Submitter
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.clock import Handle
from semprop.providers.errors import ErrorClass, ProviderError, RetryError
from semprop.providers.http import WireFormat

_SPARE = 200
"""Bytes of a line beside its request."""

_FEWEST = 16
"""Requests of a batch, down to which batches get smaller where the account's queue takes none."""

_log = structlog.get_logger(__name__)


class Batches:
    """Asks by batches. Used from one event loop."""

    def __init__(
        self, service: Service, calls: Calls, wire: WireFormat, identity: str, terms: BatchTerms, outside: Outside
    ) -> None:
        """
        Args:
            service: the batch API.
            calls: what it is called through, to be closed.
            wire: how single requests are written and read.
            identity: who answers, as content keys have it.
        """
        self._service, self._calls, self._wire, self._identity = service, calls, wire, identity
        self._terms, self._outside = terms, outside
        self._submitter = Submitter(service, identity, terms, outside)
        self._most = min(service.most_rows, terms.rows or service.most_rows)
        self._gathering = Load()
        self._loads: list[Load] = []
        self._asked: dict[str, Asked] = {}
        self._timer: Handle | None = None
        self._answered = self._failed = self._odd = 0

    def __repr__(self) -> str:
        return f"Batches({self._identity}, gathered={len(self._gathering.asked)}, loads={len(self._loads)})"

    def keep(self, notes: Notes) -> None:
        """Note in these what must outlive a kill, and go on with what is noted there already."""
        self._submitter.notes = notes
        known = [draft for draft in drafts(notes.noted()).values() if draft.who == self._identity]
        self._loads = [
            Load(draft=draft, keys=dict.fromkeys(keys), is_due=True, is_unsure=draft.batch is None)
            for draft, keys in pending(known, notes.settled() if known else {})
        ]

    def quiescent(self) -> None:
        """Nothing more will come until something is answered: what is gathered may go."""
        if self._gathering.asked:
            self._later()

    async def complete(self, request: Request, key: str) -> Completion:
        """The reply to one request, out of a batch.

        Raises:
            RetryError: it may be asked in a further batch.
            ProviderError: it may not.
        """
        asked = self._joined(request, key)
        asked.waiting += 1
        try:
            while asked.outcome is None:
                load = asked.load
                if load.is_due and not load.is_driven:
                    load.is_driven = True
                    try:
                        await self._driven(load)
                    finally:
                        load.is_driven = False
                else:
                    await asked.signal.wait()
                    asked.signal.clear()
            return asked.given()
        finally:
            asked.waiting -= 1
            self._left(asked)

    @property
    def is_waiting(self) -> bool:
        """Whether there is a batch whose results are not all used."""
        return bool(self._loads)

    def holds(self, key: str) -> bool:
        """Whether a batch was, or is, to answer this request."""
        return any(key in load.keys for load in self._loads if not load.is_over)

    def drafts(self, notes: Iterable[Note]) -> list[Draft]:
        """The batches that were noted and may be at the service, in their order."""
        return [draft for draft in drafts(notes).values() if draft.who == self._identity and not draft.is_void]

    async def status(self, name: str) -> Status:
        """How a batch goes, by the service's name of it."""
        return await self._service.status(name)

    async def cancel(self, name: str) -> Status:
        """Stop a batch; what was answered stays answered, and is charged."""
        return await self._service.cancel(name)

    async def close(self) -> None:
        """Let go of the session; batches at the service go on."""
        if self._timer is not None:
            self._timer.cancel()
        unused = sum(len(load.arrived) for load in self._loads)
        if unused:
            _log.info("batch_rows_unused", provider=self._identity, rows=unused)
        self._timer, self._gathering, self._loads, self._asked = None, Load(), [], {}
        self._submitter.notes = Memory()
        await self._calls.close()

    def statistics(self) -> Mapping[str, object]:
        """Batches sent, rows answered and failed, lines of nobody's or that came twice, and what is waited for."""
        counts = {
            "sent": self._submitter.sent,
            "answered": self._answered,
            "failed": self._failed,
            "odd_lines": self._odd,
        }
        return {"batches": {**counts, "gathered": len(self._gathering.asked), "waits": words(self._loads)}}

    # Gathering ----------------------------------------------------------------------------------------------------

    def _joined(self, request: Request, key: str) -> Asked:
        """The request among those that are gathered, or in the batch that holds it already."""
        known = self._asked.get(key)
        if known is not None and known.outcome is None:
            return known
        load = next((load for load in self._loads if not load.is_over and key in load.keys), None)
        asked = self._asked[key] = Asked(key, request, self._wire, load or self._gathering)
        if load is None:
            self._gathered(asked)
        elif key in load.arrived:
            self._end(asked, self._judged(asked, load.arrived.pop(key), load))
            del load.keys[key]
        else:
            load.asked[key] = asked
        return asked

    def _gathered(self, asked: Asked) -> None:
        load, service = self._gathering, self._service
        most = self._most
        size = len(asked.body) + _SPARE
        if load.asked and (len(load.asked) >= most or load.size + size > service.most_bytes):
            self._go()
            load = self._gathering
        load.asked[asked.key], asked.load = asked, load
        load.size += size
        if len(load.asked) >= most:
            self._go()
        elif self._timer is not None:
            self._later()

    def _left(self, asked: Asked) -> None:
        """Somebody waits no more: what nobody waits for is not sent, and the work goes to another."""
        load = asked.load
        if not asked.waiting:
            self._forget(asked)
            if load.asked.get(asked.key) is asked:
                del load.asked[asked.key]
                load.size -= len(asked.body) + _SPARE
        load.wake()

    def _later(self) -> None:
        """Send when nothing more has come for a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._outside.clock.call_later(self._terms.gather, self._go)

    def _go(self) -> None:
        """What is gathered is to be sent; gather anew."""
        if self._timer is not None:
            self._timer.cancel()
        load, self._timer, self._gathering = self._gathering, None, Load()
        if load.asked:
            load.is_due = True
            self._loads.append(load)
            load.wake()

    # One batch, done by one of those that wait --------------------------------------------------------------------

    async def _driven(self, load: Load) -> None:
        try:
            if not await self._submitted(load):
                return
            await self._submitter.wait(load)
            with self._on_wire():
                await self._collected(load)
        except ProviderError as error:
            error.attempts = 0  # A call for all of them was refused: none of them was asked by it.
            load.fail(error)
            if load.is_over and error.error_class is ErrorClass.RATE:
                self._too_much(load, error)
            self._later()
            # A batch that runs is found again by whoever asks the next time; what was never sent is over.
            if not load.is_over and (load.draft is None or (load.draft.batch is None and not load.is_unsure)):
                load.is_over = True
                if load.draft is not None:
                    await self._submitter.note(load, "void")
            self._forget_over()

    def _too_much(self, load: Load, error: ProviderError) -> None:
        """The account's queue took none of it. Where none of ours stands there, it may be too small for the whole: the
        next batches are half as large."""
        assert load.draft is not None, "it was sent"
        if not any(other.draft and other.draft.batch for other in self._loads if other is not load):
            self._most = max(min(_FEWEST, self._most), min(self._most, len(load.draft.keys) // 2))
        _log.warning("batch_queue_full", provider=self._identity, why=str(error), rows_at_most=self._most)

    async def _submitted(self, load: Load) -> bool:
        """Have it at the service; False if it is not, and its requests were gathered anew."""
        gate = self._outside.gate
        if gate is not None and gate.is_shut and (load.draft is None or load.draft.batch is None):
            await gate.hold()
        if load.draft is not None and load.draft.batch is not None:
            return True
        with self._on_wire():
            if load.draft is None:
                lines = await self._submitter.draft(load)
                await self._submitter.hand_in(load, lines)
                return True
            if load.is_unsure and await self._submitter.found(load):
                return True
            load.is_unsure = False
            draft = load.draft
            # A file that is noted may have been removed before a kill: what is sent is uploaded anew.
            await self._submitter.discard(load)
            load.draft = replace(draft, file=None)
            if any(key not in load.asked for key in draft.keys):
                # Not all of it is wanted, or here to be sent: what is wanted goes into another batch.
                await self._submitter.note(load, "void")
                self._gathered_again(load)
                return False
            await self._submitter.hand_in(
                load, [Line(draft.custom_id(key), load.asked[key].body) for key in draft.keys]
            )
        return True

    async def _collected(self, load: Load) -> None:
        """Fetch the results, and give each request its own."""
        found = await self._submitter.fetch(load)
        self._odd += len(found.foreign) + len(found.repeated)
        for what, names in (("batch_rows_of_nobody", found.foreign), ("batch_rows_twice", found.repeated)):
            if names:
                _log.warning(what, provider=self._identity, batch=load.name, rows=len(names), first=names[0])
        unread: dict[str, None] = {}
        load.contradicted = found.contradicted
        for key in load.keys:
            asked, row = load.asked.pop(key, None), found.rows.get(key)
            if asked is None:
                load.arrived[key] = row
                unread[key] = None
            else:
                self._end(asked, self._judged(asked, row, load))
        load.keys = unread
        load.is_over = not unread
        self._later()  # What failed comes again, and nobody will say that it is all there is.
        load.is_due = False
        self._forget_over()

    def _judged(self, asked: Asked, row: Row | None, load: Load) -> Completion | ProviderError:
        """What a line of results is for a request; a field that the model refuses is not sent again."""
        outcome = judged(asked, row, load, self._calls.origin)
        if isinstance(outcome, ProviderError) and row is not None and row.reply is not None:
            name = asked.wire.refused_field(row.reply, asked.request)
            if name is not None and (changed := asked.wire.without(name)) != asked.wire:
                self._wire = changed
                return RetryError(f"{outcome}; it is asked without {name}", ErrorClass.TRANSIENT, status=400)
        return outcome

    def _end(self, asked: Asked, outcome: Completion | ProviderError) -> None:
        """A request has its end."""
        self._answered += isinstance(outcome, Completion)
        self._failed += isinstance(outcome, ProviderError)
        self._forget(asked)
        asked.end(outcome)

    def _forget(self, asked: Asked) -> None:
        if self._asked.get(asked.key) is asked:
            del self._asked[asked.key]

    def _gathered_again(self, load: Load) -> None:
        """Nothing of it was submitted: its requests go into the next batch."""
        waiting, load.asked, load.is_over = load.asked, {}, True
        self._forget_over()
        for asked in waiting.values():
            self._gathered(asked)
            asked.signal.set()
        self._later()

    def _forget_over(self) -> None:
        self._loads = [load for load in self._loads if not load.is_over]

    @contextmanager
    def _on_wire(self) -> Iterator[None]:
        """While inside, a stop gives what is under way its time."""
        gate = self._outside.gate
        if gate is None:
            yield
            return
        gate.opened()
        try:
            yield
        finally:
            gate.closed()
