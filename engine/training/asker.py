"""The asker: the seam's one implementation. Replay, store, single flight, in-flight bound, intent, call, outcome.

Nothing here decides anything about the run: it answers positions with outcomes, the same ones every time the same
outcomes are on record (law L1), and pays for equal requests once (law L2).
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio

from semprop.engine.dispatcher import Dispatcher, Job, Rank
from semprop.engine.errors import ContentError, NodeError, ReplayError, SempropError, StorageError
from semprop.engine.outcomes import Failure, FailureKind, Outcome, Position, Returned, failure_of
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.seam import FunctionCall, ModelCall
from semprop.engine.training.cache import Shared, shared_key
from semprop.engine.training.events import Announcer, CallDone
from semprop.engine.training.function_results import function_key, recordable
from semprop.engine.training.ledger import AT_ONCE, ONCE, SOON, Ledger, is_usable
from semprop.engine.training.patience import OPEN, phases
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Telemetry
from semprop.engine.training.waste import overtaken, spent_on
from semprop.providers.base import (
    Admission,
    Completion,
    Mixture,
    Provider,
    Quiescent,
    Request,
    Sent,
    content_key,
)
from semprop.providers.errors import ErrorClass, ItemError, StopError

HOPELESS = 12
"""So many failures of one provider or function, and no success yet: the run stops instead of going on in vain."""

PRIORITY = {"backward": 0, "update": 0, "gate": 1}
LAST = 2

PLACES = 1 << 20
"""More items than ever stand in one line, so that the place of an item and its level make one number."""


@dataclass(slots=True)
class _Flight:
    """A function's call under way, and what came of it; None if whoever made it was cancelled."""

    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome | None = None


@dataclass(slots=True)
class _Asking:
    """A request that stands in line, and the mark of its intent once that is noted."""

    ledger: Ledger
    position: Position
    key: str
    call: ModelCall
    provider: Provider
    rank: Rank
    mark: int | None = None

    def prepare(self) -> int:
        """Note the intent; gives the mark that must be durable before the request is sent."""
        if self.mark is None:
            self.mark = self.ledger.intend(self.position, self.key, self.call.role, self.call.request)
        return self.mark

    def forgo(self) -> None:
        """It is not sent any more: else a later sitting would count it as possibly charged."""
        if self.mark is not None:
            # Storage that fails is told to whoever waits for it; this must not hide why the request ends.
            with contextlib.suppress(StorageError):
                self.ledger.charge(self.position, self.key, 0, None, more=False)


def rank_of(phase: str, level: int, order: int) -> Rank:
    """Who goes first: what ends a step, then the gate, in its items' order; elsewhere whoever has the longest way to
    go, then the items' order."""
    if phase == "gate":
        return PRIORITY[phase], order % PLACES * PLACES + level
    return PRIORITY.get(phase, LAST), level * PLACES + order % PLACES


class Asker:
    """Implements `semprop.engine.seam.Seam` for one run."""

    def __init__(
        self,
        spec: Specification,
        ledger: Ledger,
        telemetry: Telemetry,
        announce: Announcer,
        shared: Shared | None = None,
    ) -> None:
        self._shared = shared
        self._spec, self._ledger, self._telemetry, self._announce = spec, ledger, telemetry, announce
        providers = tuple(dict.fromkeys(spec.providers.values()))
        self._listening = tuple(provider for provider in providers if isinstance(provider, Quiescent))
        self._batched = phases(spec.batched)
        told = self._quiescent if self._listening else None
        # What nobody waits for stands in a line of its own: as much of it as makes a batch may be open.
        self._dispatcher = Dispatcher(spec.in_flight, None if self._batched else told)
        self._patient = Dispatcher(OPEN, told) if self._batched else self._dispatcher
        self._threads = anyio.CapacityLimiter(spec.in_flight)
        # A flow of its own for each run: those that share a limiter share it fairly.
        self._flow = f"{spec.task if spec.run is None else spec.run}#{id(self):x}"
        self._roles: dict[str, tuple[Provider, str]] = {}
        self._pinned: dict[str, None] = {}
        self._flights: dict[str, _Flight] = {}
        self._asked = 0
        self._failed: Counter[str] = Counter()
        self._worked: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Open it for models to be asked; requests live no longer than until it is left."""
        async with AsyncExitStack() as stack:
            for dispatcher in dict.fromkeys((self._dispatcher, self._patient)):
                await stack.enter_async_context(dispatcher)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, error, trace)

    def style(self, role: str) -> ReplyStyle:
        return ReplyStyle.JSON if self._spec.provider(role).capabilities.schema else ReplyStyle.TAGS

    async def ask_model(self, position: Position, call: ModelCall) -> Completion | Failure:
        provider, identity = self._roles.get(call.role) or self._provider(call.role)
        if call.role in self._pinned:
            identity = f"{identity}|{self._pin(position)}"
        ledger, key = self._ledger, content_key(identity, call.request)
        outcome = self._replayed(position, key) if ledger.replaying else None
        if outcome is not None:
            # Who answered in an earlier sitting is not hopeless now.
            self._worked[self._roles[call.role][1]] += is_usable(outcome)
        else:
            dispatcher, is_under_way = self._line(position.phase, key)
            # While an equal request is under way its outcome may be on record, and not yet durable.
            outcome = None if is_under_way else ledger.stored(key)
            is_shared = is_under_way or outcome is not None
            if outcome is None:
                rank = rank_of(position.phase, call.level, call.order)
                asking = _Asking(ledger, position, key, call, provider, rank)
                work = self._ask if self._shared is None else self._call_shared
                outcome = await dispatcher.result(key, rank, partial(work, asking), asking)
            if is_shared:
                await self._again(position, key, outcome)
        if call.unread is not None:
            self._telemetry.asked_again(key, position, call.role, call.unread, outcome)
        assert not isinstance(outcome, Returned), "a model's key never holds a function's result"
        return outcome

    def _line(self, phase: str, key: str) -> tuple[Dispatcher, bool]:
        """Where a request stands in line, and whether an equal one does or is being answered."""
        mine, other = self._dispatcher, self._patient
        if phase in self._batched:
            mine, other = other, mine
        if mine.shares(key):
            return mine, True
        return (other, True) if other is not mine and other.shares(key) else (mine, False)

    def _provider(self, role: str) -> tuple[Provider, str]:
        provider = self._spec.provider(role)
        known = self._roles[role] = provider, provider.identity
        if provider.capabilities.mixture == Mixture.PINNED:
            self._pinned[role] = None
        return known

    def _pin(self, position: Position) -> str:
        """What a pool of several models takes one of them by. A reply is of that model, so it is of that pin alone."""
        return f"{self._spec.seed}|{position.example}"

    def _quiescent(self) -> None:
        for provider in self._listening:
            provider.quiescent()

    async def ask_function(self, position: Position, call: FunctionCall) -> Returned | Failure:
        if call.pure:
            async with self._patient.busy():
                result = await self._run_function(call)
            pure = result if isinstance(result, Failure) else Returned(result)
            self._watch_function(call, pure)
            return pure
        key = function_key(position, call)
        outcome = self._replayed(position, key) if self._ledger.replaying else None
        if outcome is None:
            outcome = await self._once(position, key, partial(self._call_function, position, key, call))
        assert not isinstance(outcome, Completion), "a function's key never holds a completion"
        return outcome

    # One outcome for one key --------------------------------------------------------------------------------------

    def _replayed(self, position: Position, key: str) -> Outcome | None:
        recorded = self._ledger.recorded(position)
        if recorded is None:
            return None
        if recorded[0] != key:
            raise ReplayError(
                f"the journal holds another request at {position}: the specification, a prompt or a function has "
                "changed since; start a new run"
            )
        self._telemetry.again(position)
        return recorded[1]

    async def _once(self, position: Position, key: str, call: Any) -> Outcome:
        """The stored outcome, or that of an equal call under way, or a new one. A follower whose leader was
        cancelled leads in its place."""
        while (flight := self._flights.get(key)) is not None:
            await flight.done.wait()
            if flight.outcome is not None:
                return await self._again(position, key, flight.outcome)
        stored = self._ledger.stored(key)
        if stored is not None:
            return await self._again(position, key, stored)
        flight = self._flights[key] = _Flight()
        try:
            outcome: Outcome = await call()
            flight.outcome = outcome
            return outcome
        finally:
            del self._flights[key]
            flight.done.set()

    async def _again(self, position: Position, key: str, outcome: Outcome) -> Outcome:
        if is_usable(outcome):
            self._ledger.link(position, key)
        else:  # No store serves a provider failure, so a replay finds it only at its position.
            await self._ledger.settle(position, key, outcome)
        self._telemetry.again(position)
        return outcome

    # Models -------------------------------------------------------------------------------------------------------

    async def _call_shared(self, asking: _Asking, job: Job) -> Outcome:
        """The same where other runs may have asked already, or may be asking now."""
        assert self._shared is not None, "there is somebody to share with"
        position, key = asking.position, asking.key
        address = shared_key(key, asking.call.request, self._spec.seed)
        async with self._shared.claim(address) as found:
            if found is not None:
                job.keep()
                if not isinstance(found, Returned):
                    found = replace(found, attempts=0)  # This run sent nothing for it.
                await self._ledger.settle(position, key, found)
                self._telemetry.again(position)
                return found
            outcome = await self._ask(asking, job)
            if is_usable(outcome):
                await self._shared.keep(address, outcome)
            return outcome

    def _ask(self, asking: _Asking, job: Job) -> Coroutine[Any, Any, Outcome]:
        return self._call_held(asking, job) if self._listening else self._call_model(asking, job)

    async def _call_model(self, asking: _Asking, job: Job) -> Outcome:
        """The job of a request: in flight is what was sent and is not yet durable, so a kill loses no more."""
        ledger, telemetry = self._ledger, self._telemetry
        position, key, call, provider, rank = asking.position, asking.key, asking.call, asking.provider, asking.rank
        asked = call.request
        # What ends a step goes first in a limiter's queue, too; then the gate, then forward.
        sent = Sent(partial(self._further, position, key))
        patient = position.phase in self._batched
        admission = Admission(self._flow, rank[0], rank[1], node=position.node, sent=sent, patient=patient)
        if call.role in self._pinned:
            admission = admission._replace(pin=self._pin(position))
        request = Request(asked.messages, asked.sampling, asked.schema, asked.draw, asked.sample, admission)
        outcome: Completion | Failure | None = None
        mark = asking.prepare()
        if mark > ledger.durable:
            try:
                await ledger.reach(mark, SOON if self._asked else AT_ONCE)
            except BaseException:
                asking.forgo()
                raise
        telemetry.in_flight += 1
        try:
            self._asked += 1
            try:
                outcome = await (self._let_go(provider, request) if self._listening else provider.complete(request))
            except ItemError as error:
                outcome = failure_of(error)
            finally:
                self._asked -= 1
            job.keep()
            usd = telemetry.called(position, call.role, outcome, None if sent.spent is None else sent.lost)
            if sent.attempts and (sent.attempts > 1 or isinstance(outcome, Failure)):
                ledger.charge(position, key, sent.attempts, spent_on(sent), more=False)
            mark = ledger.answer(position, key, outcome)
            if mark > ledger.durable:
                # The intent of whoever has this place next is durable with this outcome, and waits for nothing more; no
                # more intents without an outcome are on record than there are places.
                has_next = self._shared is None and job.pass_on()
                await ledger.reach(mark, (ONCE if has_next else SOON) if self._asked else AT_ONCE)
        finally:
            telemetry.in_flight -= 1
            if outcome is None:
                self._unanswered(position, key, call.role, sent)
        if self._announce.observed:
            self._report(position, outcome, usd)
        self._watch(self._roles[call.role][1], outcome)
        return outcome

    async def _call_held(self, asking: _Asking, job: Job) -> Outcome:
        """The same where a provider gathers requests: nothing is quiescent but while it has this one."""
        self._patient.hold()
        try:
            return await self._call_model(asking, job)
        finally:
            self._patient.let_go()

    async def _let_go(self, provider: Provider, request: Request) -> Completion:
        self._patient.let_go()
        try:
            return await provider.complete(request)
        finally:
            self._patient.hold()

    async def _further(self, position: Position, key: str, sent: Sent, beside: Any) -> None:
        """A further attempt is about to be sent, which is durable before it is."""
        mark = self._ledger.charge(position, key, sent.attempts or 0, spent_on(sent, beside), more=True)
        if mark > self._ledger.durable:
            await self._ledger.reach(mark)

    def _unanswered(self, position: Position, key: str, role: str, sent: Sent) -> None:
        """A request ends without an outcome: it was cancelled, or the provider stopped."""
        if sent.answered:
            sent.lost = (*sent.lost, overtaken(sent))
        if sent.attempts != 0:
            self._telemetry.unanswered(position, sent.attempts or 1, role, sent.lost)
        if sent.attempts is not None:
            # Storage that fails is told to whoever waits for it; this must not hide why the request ends.
            with contextlib.suppress(StorageError):
                self._ledger.charge(position, key, sent.attempts, spent_on(sent), more=False)

    def _report(self, position: Position, outcome: Completion | Failure, usd: float | None) -> None:
        failed = isinstance(outcome, Failure)
        tokens = (None, None) if isinstance(outcome, Failure) else (outcome.usage.input, outcome.usage.output)
        self._announce(CallDone(position.phase, self._telemetry.in_flight, *tokens, usd, failed))

    def _watch(self, who: str, outcome: Outcome) -> None:
        """Stop a run that fails and never succeeds."""
        if not isinstance(outcome, Failure) or outcome.is_model_failure:
            self._worked[who] += 1
            return
        self._failed[who] += 1
        if self._failed[who] >= HOPELESS and not self._worked[who]:
            words = f"the first {HOPELESS} calls to {who} failed and none succeeded; the last said: {outcome.message}"
            if outcome.kind is FailureKind.FUNCTION:
                raise NodeError(words)
            raise StopError(words, ErrorClass.TRANSIENT)

    # Functions ----------------------------------------------------------------------------------------------------

    async def _call_function(self, position: Position, key: str, call: FunctionCall) -> Outcome:
        async with self._patient.busy():
            result = await self._run_function(call)
        outcome: Outcome = result if isinstance(result, Failure) else Returned(recordable(call, result))
        await self._ledger.settle(position, key, outcome)
        self._watch_function(call, outcome)
        return outcome

    def _watch_function(self, call: FunctionCall, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            self._telemetry.failures[str(outcome.kind)] += 1
        self._watch(f"the function {call.name!r}", outcome)

    async def _run_function(self, call: FunctionCall) -> Any:
        work = partial(call.call, **call.arguments)
        try:
            result = await anyio.to_thread.run_sync(work, limiter=self._threads) if call.blocking else work()
            return await result if inspect.isawaitable(result) else result
        except ContentError as error:
            return Failure(FailureKind.CONTENT, str(error) or f"{call.name} could not use its input")
        except (SempropError, StopError):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 — recorded: excludes the example, never a score
            return Failure(FailureKind.FUNCTION, f"{call.name} raised {type(error).__name__}: {error}")
