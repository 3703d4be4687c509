"""A mock endpoint without its sockets: an attempt arrives, a script comes out. Decides everything, sends nothing.

Time is an argument: `now` in seconds since the start or the last reset, `wall` the time of day in seconds since 1970.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import NamedTuple

import orjson

from semprop.providers.base import Completion, Usage
from semprop.providers.simulated.model import input_tokens
from semprop.tools.endpoint import scripts
from semprop.tools.endpoint.answers import Answerer, answerer
from semprop.tools.endpoint.dialects import DIALECTS, as_told, limit_lines, wait_lines
from semprop.tools.endpoint.errors import error_answer
from semprop.tools.endpoint.faults import Sight, counts_tries, met
from semprop.tools.endpoint.latency import Pace, pace
from semprop.tools.endpoint.ledger import CLIENT_LEFT, Ledger, Row
from semprop.tools.endpoint.limits import Demand, Level, Limits, Places, Refused
from semprop.tools.endpoint.scripts import Script
from semprop.tools.endpoint.settings import Charge, Config, Counted, Fault, FaultKind, Limit, Told, WaitForm
from semprop.tools.endpoint.troubles import Kind, Trouble
from semprop.tools.endpoint.windows import DAY
from semprop.tools.endpoint.wire import Identity, Wire
from semprop.tools.serving import http1
from semprop.tools.serving.chat import Asked, Unreadable
from semprop.tools.serving.http1 import Lines

_TRIES_KEPT = 1_000_000
"""Requests whose attempts are counted, where a fault asks for it."""

_TROUBLES: dict[FaultKind, Kind] = {
    FaultKind.THROTTLE: Kind.RATE,
    FaultKind.DAILY: Kind.RATE,
    FaultKind.OVERLOADED: Kind.OVERLOADED,
    FaultKind.UNAVAILABLE: Kind.UNAVAILABLE,
    FaultKind.SERVER_ERROR: Kind.SERVER_ERROR,
    FaultKind.TIMEOUT: Kind.TIMEOUT,
    FaultKind.BILLING: Kind.BILLING,
    FaultKind.AUTH: Kind.AUTH,
    FaultKind.TOO_LARGE: Kind.TOO_LARGE,
    FaultKind.CONTEXT: Kind.CONTEXT,
    FaultKind.FILTER: Kind.FILTER,
}

_NOTHING_SENT = (FaultKind.RESET_BEFORE, FaultKind.HANG)
_USED_UP = Level(Limit(Counted.REQUESTS, 1000, DAY), most=1000, used=1000, reset=DAY)
"""The limit that the fault `daily` speaks of."""


class Arrival(NamedTuple):
    """An attempt whose last byte has been read. `caller` is the text that its limits `per = "key"` go by."""

    now: float
    path: str
    body: bytes
    caller: str = ""
    connection: int = 0


@dataclass(slots=True)
class Attempt:
    """An attempt under way: its ledger's row, what is sent, and what its output is charged to."""

    row: Row
    script: Script
    demand: Demand
    admitted: bool


class BatchedRow(NamedTuple):
    """A row of a batch whose end has come. `is_faulty`: the service fails on it; `is_computed`: the model was asked."""

    batch: str
    path: str
    body: bytes
    is_faulty: bool
    is_computed: bool


class BatchedAnswer(NamedTuple):
    """What a row is answered with; an empty body if it was not computed."""

    status: int
    body: bytes
    request: str


@dataclass(slots=True)
class _Told:
    """What stale headers tell: the levels of some time ago."""

    at: float
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """An attempt that is answered."""

    row: Row
    asked: Asked
    demand: Demand
    wire: Wire
    fault: Fault | None
    wall: float


class Endpoint:
    """The state of a mock endpoint between attempts.

    Raises (when made):
        StopError: the settings of `simulated:` are none (CONFIGURATION).
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.dialect = DIALECTS[config.headers.dialect]
        self._charge = config.charge or self.dialect.charge
        self._answer: Answerer = answerer(config.reply)
        self._date = (-1, "")
        self.reset()

    def reset(self) -> None:
        """As it was at the start: no attempts, empty windows. Attempts that are under way go on, uncounted."""
        config = self.config
        self.ledger = Ledger(config.ledger_rows)
        self._limits = Limits(config.limits, self._charge, config.changes, config.foreign, config.charge_refused)
        self._places = None if config.slots is None else Places(config.slots)
        self._tries: OrderedDict[str, int] | None = OrderedDict() if counts_tries(config.faults) else None
        self._stale: _Told | None = None

    def arrive(self, arrival: Arrival, wire: Wire, wall: float) -> Attempt:
        """Decide about an attempt, write it into the ledger, and charge it."""
        key = hashlib.blake2b(arrival.body, digest_size=16).hexdigest()
        row = self.ledger.open(key, arrival.now, arrival.connection)
        try:
            asked = wire.read(arrival.path, arrival.body)
        except Unreadable as error:
            trouble = Trouble(Kind.BAD_REQUEST, param=error.param, message=str(error))
            return self._refused(row, trouble, Demand("", "", 0, None), wall)
        row.model, row.input = asked.model, input_tokens(asked.request)
        row.images = sum(len(message.images) for message in asked.request.messages)
        fault = met(self.config.faults, Sight(row.seq, arrival.now, key, self._tried(key)), self.config.seed)
        if fault is not None:
            row.fault = fault.kind.value
        completion = self._answer(asked.request) if self._charge is Charge.ACTUAL else None
        demand = _demand(asked, arrival.caller, row.input, completion)
        if fault is not None and fault.kind.refuses:
            return self._refused(row, _trouble_of(fault), demand, wall, fault.delay)
        wrong = self._wrong(asked, row.input)
        if wrong is not None:
            return self._refused(row, wrong, demand, wall)
        refused = self._limits.admit(arrival.now, row.seq, demand)
        if refused is not None:
            return self._refused(row, _over(refused), demand, wall)
        return self._answered(_Case(row, asked, demand, wire, fault, wall), completion or self._answer(asked.request))

    def batched(self, batched: BatchedRow, wire: Wire, arrived: float, now: float, wall: float) -> BatchedAnswer:
        """Answer one row of a batch and write it into the ledger; limits, faults and latencies are not for it."""
        row = self.ledger.open(hashlib.blake2b(batched.body, digest_size=16).hexdigest(), arrived, 0)
        row.batch = batched.batch
        answer = self._batched(batched, wire, row, wall)
        self.ledger.close(row, now)
        return answer

    def _batched(self, batched: BatchedRow, wire: Wire, row: Row, wall: float) -> BatchedAnswer:
        trouble: Trouble | None = None
        try:
            asked = wire.read(batched.path, batched.body)
        except Unreadable as error:
            trouble = Trouble(Kind.BAD_REQUEST, param=error.param, message=str(error))
        else:
            row.model = asked.model
            if not batched.is_computed:
                row.fault = "not computed"
                return BatchedAnswer(0, b"", _name(row))
            row.input = input_tokens(asked.request)
            trouble = Trouble(Kind.SERVER_ERROR) if batched.is_faulty else self._wrong(asked, row.input)
        if trouble is not None:
            answer = error_answer(self.dialect, replace(trouble, model=row.model, request=_name(row)))
            row.status, row.fault = answer.status, trouble.kind.value
            return BatchedAnswer(answer.status, orjson.dumps(answer.document), _name(row))
        completion = self._counted(self._answer(asked.request))
        row.input, row.output = completion.usage.input or 0, completion.usage.output or 0
        row.status = 200
        return BatchedAnswer(200, wire.whole(asked, completion, Identity(row.seq, int(wall))), _name(row))

    def ended(self, attempt: Attempt, now: float, *, left: bool = False) -> None:
        """The script was played to its end, or the client left before it."""
        if left:
            attempt.row.status = CLIENT_LEFT
        if attempt.admitted:
            self._limits.produced(now, attempt.demand, attempt.row.output)
        self.ledger.close(attempt.row, now)

    def opening(self, attempt: Attempt, now: float, wall: float, keep_alive: Lines) -> bytes:
        """Status line and headers of a reply, which tell of limits as they are at this moment."""
        opening = attempt.script.opening
        assert opening is not None, "a script with parts has an opening"
        identifier = (self.dialect.identifier, _name(attempt.row))
        lines = (("date", self._dated(wall)), identifier, *opening.lines, *self._told(attempt, now, wall), *keep_alive)
        return http1.head(opening.status, lines, opening.length)

    def _answered(self, case: _Case, completion: Completion) -> Attempt:
        row, fault = case.row, case.fault
        completion = self._counted(completion)
        usage = completion.usage
        row.input, row.output = usage.input or 0, usage.output or 0
        speed = pace(self.config.latency, self.config.seed, row.key, row.input, row.output)
        wait = 0.0 if self._places is None else self._places.enter(row.arrived, speed.whole)
        if wait is None:
            return self._refused(row, Trouble(Kind.QUEUE_FULL, wait=speed.whole), case.demand, case.wall)
        script = self._written(case, completion, speed, wait)
        row.status = 200
        if fault is not None and fault.kind in _NOTHING_SENT:
            row.status, row.output = None, 0
        return Attempt(row, script, case.demand, admitted=True)

    def _written(self, case: _Case, completion: Completion, speed: Pace, wait: float) -> Script:
        row, asked, wire = case.row, case.asked, case.wire
        identity = Identity(row.seq, int(case.wall))
        error = b""
        if case.fault is not None:
            failed = error_answer(self.dialect, Trouble(Kind.SERVER_ERROR, asked.model, _name(row))).document
            error = wire.error_event(failed) if asked.stream else orjson.dumps(failed)
        if asked.stream:
            answer = scripts.streamed(wire.stream(asked, completion, identity), wait, speed, error)
        else:
            answer = scripts.whole(wire.whole(asked, completion, identity), wait + speed.whole, error)
        return scripts.plain(answer) if case.fault is None else scripts.faulty(answer, case.fault)

    def _refused(self, row: Row, trouble: Trouble, demand: Demand, wall: float, delay: float = 0.0) -> Attempt:
        trouble = replace(trouble, model=row.model, request=_name(row))
        answer = error_answer(self.dialect, trouble)
        lines = answer.lines
        if trouble.wait is not None and math.isfinite(trouble.wait):
            form = self.config.headers.retry_after
            lines += wait_lines(self.dialect.waits if form is WaitForm.DIALECT else form, trouble.wait, wall)
        row.status, row.output = answer.status, 0
        script = scripts.refusal(answer.status, lines, orjson.dumps(answer.document), delay)
        return Attempt(row, script, demand, admitted=False)

    def _wrong(self, asked: Asked, given: int) -> Trouble | None:
        """What the model cannot do, whatever its limits are."""
        refused = next((name for name in self.config.refuses if name in asked.fields), None)
        if refused is not None:
            return Trouble(Kind.UNSUPPORTED, param=refused)
        context = self.config.context
        if context is not None and given > context and not self.dialect.truncates:
            return Trouble(Kind.CONTEXT, requested=given, most=context)
        return None

    def _counted(self, completion: Completion) -> Completion:
        """The completion of a model that cuts long prompts without a word counts what it read."""
        usage, context = completion.usage, self.config.context
        if context is None or not self.dialect.truncates or (usage.input or 0) <= context:
            return completion
        return Completion(
            completion.text,
            completion.stop,
            Usage(input=context, output=usage.output),
            logprobs=completion.logprobs,
        )

    def _tried(self, key: str) -> int:
        tries = self._tries
        if tries is None:
            return 1
        tries[key] = count = tries.get(key, 0) + 1
        if len(tries) > _TRIES_KEPT:
            tries.popitem(last=False)
        return count

    def _told(self, attempt: Attempt, now: float, wall: float) -> Lines:
        settings = self.config.headers
        if settings.told is Told.NONE or not self.dialect.rules or not self.config.limits:
            return ()
        if settings.told is Told.STALE and self._stale is not None and now - self._stale.at < settings.age:
            levels = self._stale.levels
        else:
            levels = self._limits.levels(now, attempt.row.seq, attempt.demand)
            self._stale = _Told(now, levels)
        return limit_lines(self.dialect, as_told(settings, levels), wall)

    def _dated(self, wall: float) -> str:
        second = int(wall)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def _name(row: Row) -> str:
    return f"req_{row.seq:08d}"


def _demand(asked: Asked, caller: str, given: int, completion: Completion | None) -> Demand:
    output = 0 if completion is None else completion.usage.output or 0
    return Demand(asked.model, caller, given, asked.request.sampling.max_tokens, output)


def _over(refused: Refused) -> Trouble:
    """The trouble of a limit that is used up, or that could never hold the request."""
    if math.isfinite(refused.wait):
        return Trouble(Kind.RATE, level=refused.level, requested=refused.requested, wait=refused.wait)
    return Trouble(Kind.TOO_LARGE, level=refused.level, requested=refused.requested)


def _trouble_of(fault: Fault) -> Trouble:
    level = _USED_UP if fault.kind is FaultKind.DAILY else None
    return Trouble(_TROUBLES[fault.kind], level=level, requested=1 if level else 9999, wait=fault.retry_after)
