"""What a mock endpoint is told to be: frozen data and the words for it. Does nothing.

All times are seconds since the endpoint was started or reset; attempts count from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from semprop.tools.endpoint.windows import MINUTE


class Counted(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT = "input_tokens"
    OUTPUT = "output_tokens"


class Shared(StrEnum):
    """Who shares a limit: everybody, the requests of one model, or those with one key."""

    ENDPOINT = "endpoint"
    MODEL = "model"
    KEY = "key"


class Charge(StrEnum):
    """What an attempt costs, and when.

    LARGEST: max(max_tokens, estimated input) at arrival, as OpenAI. SUM: input + max_tokens at arrival, as Azure.
    PRODUCED: input at arrival, output when it has been produced, as Anthropic. ACTUAL: input and output, as the usage
    will tell them, at arrival: the one under which usage and limit can be compared exactly.
    """

    LARGEST = "largest"
    SUM = "sum"
    PRODUCED = "produced"
    ACTUAL = "actual"


class Told(StrEnum):
    """How true the headers are."""

    TRUE = "true"
    NONE = "none"
    WRONG = "wrong"
    STALE = "stale"


class WaitForm(StrEnum):
    """How a refusal says for how long: `retry-after` in whole seconds, `retry-after-ms` beside it, `retry-after` as an
    HTTP date, or no header. DIALECT: as the dialect does."""

    DIALECT = "dialect"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    DATE = "date"
    NONE = "none"


class FaultKind(StrEnum):
    """What goes wrong. The first group refuses: decided before the limits, charged to none of them. The second
    happens to attempts that were admitted and charged."""

    THROTTLE = "throttle"
    DAILY = "daily"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    BILLING = "billing"
    AUTH = "auth"
    TOO_LARGE = "too_large"
    CONTEXT = "context"
    FILTER = "filter"

    RESET_BEFORE = "reset_before_headers"
    RESET_AFTER = "reset_after_headers"
    HALF_JSON = "half_json"
    SLOW = "slow"
    HANG = "hang"
    ERROR_AFTER_200 = "error_after_200"
    NO_DONE = "no_done"
    GARBAGE = "garbage"
    HUGE = "huge"
    CLOSE = "close"

    @property
    def refuses(self) -> bool:
        """Whether the attempt is answered with an error in place of being admitted."""
        return self not in _ADMITTED


_ADMITTED = (
    *(FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER, FaultKind.HALF_JSON, FaultKind.SLOW, FaultKind.HANG),
    *(FaultKind.ERROR_AFTER_200, FaultKind.NO_DONE, FaultKind.GARBAGE, FaultKind.HUGE, FaultKind.CLOSE),
)


class Draw(StrEnum):
    """What a share is drawn by: each attempt anew, or the request, so that its retries have the same fate."""

    ATTEMPT = "attempt"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` within any `seconds`, for models that match one of the patterns (none: all models)."""

    of: Counted
    most: float
    seconds: float = MINUTE
    per: Shared = Shared.ENDPOINT
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class When:
    """Which attempts something happens to: all that satisfy every condition.

    Attributes:
        begin, end: seconds, from and up to but not including.
        first_attempt, last_attempt: attempts, both included.
        every: only each attempt with this divisor.
        share: this share of attempts, drawn by `draw`.
        tries: only the first so many attempts of one request (one body); None: all of them.
    """

    begin: float = 0.0
    end: float = math.inf
    first_attempt: int = 1
    last_attempt: float = math.inf
    every: int = 1
    share: float = 1.0
    draw: Draw = Draw.ATTEMPT
    tries: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. `delay` is the wait before it shows, `retry_after` what a refusal asks to wait,
    `rate` bytes a second (slow), `size` bytes of a reply (huge); all times in seconds."""

    kind: FaultKind
    when: When = When()
    retry_after: float | None = None
    delay: float = 0.0
    rate: float = 100.0
    size: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """Limits are multiplied by a factor while `begin`, `end` and the attempts' bounds of `when` hold."""

    factor: float
    of: Counted | None = None
    when: When = When()


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else's traffic on the same limits: evenly spaced requests that take their quota whether or not there is
    room, so that what is left is known. `rate` is in requests a second."""

    rate: float
    input: int = 0
    output: int = 0
    model: str = ""
    begin: float = 0.0
    end: float = math.inf


@dataclass(frozen=True, slots=True)
class Distribution:
    """Seconds: `median` always, or log-normal around it with `sigma` (standard deviation of the logarithm)."""

    median: float = 0.0
    sigma: float = 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds to the first token (`first` + input tokens × `per_input_token`), then a `gap` before each other one."""

    first: Distribution = Distribution()
    gap: Distribution = Distribution()
    per_input_token: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How batches go.

    Attributes:
        seconds: how long one takes.
        answer: seconds before each page of the batch APIs is answered.
        listed: seconds after which a new batch stands in listings.
        errored, expired, missing: shares of the rows that fail, are not reached in time, and of which no word comes.
        duplicated, foreign: shares of result lines that come twice, and of lines of nobody's that are put in.
    """

    seconds: Distribution = Distribution()
    answer: float = 0.0
    listed: float = 0.0
    errored: float = 0.0
    expired: float = 0.0
    missing: float = 0.0
    duplicated: float = 0.0
    foreign: float = 0.0


@dataclass(frozen=True, slots=True)
class Slots:
    """Requests computed at once, and how many more may wait for their turn, as servers without quotas have."""

    parallel: int
    queue: float = math.inf


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """Which headers tell of limits, and how true they are.

    Attributes:
        dialect: a name in `semprop.tools.endpoint.dialects.DIALECTS`.
        told: WRONG multiplies limits and what remains by `factor`; STALE tells what was true up to `age` seconds ago.
        retry_after: in place of the dialect's own form.
    """

    dialect: str = "openai"
    told: Told = Told.TRUE
    factor: float = 10.0
    age: float = 5.0
    retry_after: WaitForm = WaitForm.DIALECT


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """What is answered: `text`, or, if it is None, what `simulated:` with these settings answers."""

    text: str | None = None
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole mock endpoint.

    Attributes:
        seed: of every random draw.
        charge: what attempts cost; None: as the dialect does.
        charge_refused: whether a request that a limit refused counts as a request, as some services do.
        context: tokens of input that the model takes; None: any.
        refuses: fields of a body that are refused as unsupported.
        ledger_rows: how many finished attempts the ledger keeps (totals are kept of all); None: every one.
        largest: bytes of a request's body.
    """

    seed: int = 0
    reply: ReplySettings = ReplySettings()
    latency: Latency = Latency()
    headers: HeaderSettings = HeaderSettings()
    limits: tuple[Limit, ...] = ()
    charge: Charge | None = None
    charge_refused: bool = False
    changes: tuple[Change, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    faults: tuple[Fault, ...] = ()
    slots: Slots | None = None
    batch: BatchSettings = BatchSettings()
    context: int | None = None
    refuses: tuple[str, ...] = ()
    ledger_rows: int | None = None
    largest: int = 64 * 1024 * 1024
