"""The nouns of a model call, and the protocols that a stack of providers is folded from.

Takes nothing and does nothing: frozen data and seams. `engine` imports this module, `errors` and `clock`
of this package and no other; this package imports nothing of `engine`.

A *request* is logical, an *attempt* is what goes on the wire (retries included), a *call* is a request that
no store could serve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import orjson

from semprop.providers.messages import Image as Image
from semprop.providers.messages import Message as Message
from semprop.providers.messages import Part as Part
from semprop.providers.messages import Role as Role
from semprop.providers.messages import Text as Text


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `None` means: the endpoint's own default, the field is not sent.

    `max_tokens` counts output tokens; `top_logprobs` asks for that many alternatives at each output token.
    """

    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether equal requests are one measurement (temperature 0), so that they may share a reply."""
        return self.temperature == 0.0


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The reply must be one JSON object of this schema. `document` is the schema as canonical JSON text."""

    name: str
    document: str

    @classmethod
    def of(cls, name: str, schema: Mapping[str, object]) -> JsonSchema:
        """From a schema as Python data; the order of keys is kept, since models answer in that order."""
        return cls(name, orjson.dumps(schema).decode())


@dataclass(frozen=True, slots=True)
class Choices:
    """The reply must be exactly one of these texts (constrained decoding)."""

    options: tuple[str, ...]


Constraint = JsonSchema | Choices


class Lost(NamedTuple):
    """An attempt that gave no reply of use: whether we cancelled it (or would have, had its answer not come in that
    moment), and what it may have cost, as a budget counts it."""

    cancelled: bool
    calls: int
    input: int
    output: int
    picodollars: int


class Sent:
    """What of one request went on the wire so far, for whoever cancels it and must still account for it.

    Attributes:
        attempts: how many; None: nobody counted, as where a provider is not a `Stack`.
        again: awaited before a further attempt is sent, so that it can be put on record; with this, and with what those
            attempts may cost that are under way beside it.
        spent: what the attempts that ended may have cost, as a budget counts it (`budget.Amount`); None: nobody
            counted.
        under_way: what those may cost that are on the wire, or about to be; None: nobody counted.
        answered: whether one of them was answered, so that a further answer is that of a hedge that came too late.
        lost: those of them that failed, were cancelled or came too late, in the order in which they ended, as far as
            somebody counted.
    """

    __slots__ = ("again", "answered", "attempts", "lost", "spent", "under_way")

    def __init__(self, again: Callable[[Sent, Any], Awaitable[None]] | None = None) -> None:
        self.attempts: int | None = None
        self.again = again
        self.spent: Any = None
        self.under_way: Any = None
        self.answered = False
        self.lost: tuple[Lost, ...] = ()


class Admission(NamedTuple):
    """What orders and bounds a request in a queue. Never a part of a content key.

    Lower `priority` goes first; at one priority flows (runs, say) share by `weight`; inside a flow lower `sequence`
    goes first, then whoever came first. `deadline` and `arrived` are in seconds on the stack's clock; `arrived` is when
    a request that is asked again first came, so that it keeps its place. `node` names what asks, for estimates of
    length only. `sent` is counted up by a `Stack` as attempts go out. `pin` is what a pool of several models takes one
    of them by (equal pins, the same model); `way` is what a pool notes of the request, and nobody else reads.
    `patient`: nobody waits for the answer, which may take hours (a batch). `key` is its content key as whoever asks has
    it, where layers inside note attempts by it: they may see more of it filled in.
    """

    flow: str = ""
    priority: int = 0
    sequence: int = 0
    deadline: float | None = None
    node: str = ""
    weight: float = 1.0
    arrived: float | None = None
    sent: Sent | None = None
    pin: str = ""
    way: Any = None
    patient: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One logical question to a model.

    `draw` names who draws (node and example) and `sample` the how-manieth measurement it is: both enter the
    content key when the request is not greedy, so that twins do not share a random reply (law L2).
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: Constraint | None = None
    draw: str = ""
    sample: int = 0
    admission: Admission = field(default=Admission(), compare=False)

    def with_sampling(self, **changes: object) -> Request:
        """This request with some sampling fields replaced."""
        return replace(self, sampling=replace(self.sampling, **changes))  # type: ignore[arg-type]


class Stop(StrEnum):
    """Why the model stopped, the same words for every provider."""

    END = "end"
    LENGTH = "length"
    FILTER = "filter"
    REFUSAL = "refusal"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them; `None` where it did not say. `input` includes `cached_read`.

    `member` is who of a pool counted them, since members differ in what they take for a token; empty outside of pools.
    `batch`: they were used in a batch, which has prices of its own.
    """

    input: int | None = None
    cached_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    member: str = ""
    batch: bool = False


class Mixture(StrEnum):
    """How many models answer in a provider's name. ONE; PINNED: one of several, always the same one for equal pins
    (`Admission.pin`); ANY: several, whichever has room."""

    ONE = ""
    PINNED = "pinned"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """An output token, its natural log probability, and the alternatives at that place (token, log p)."""

    token: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LimitSeen:
    """A limit that a reply told of: a dimension such as `requests/minute`, its size, what is left of it, and
    the seconds until it is whole again."""

    dimension: str
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the send to the first token, and the gaps between later chunks. Streaming only."""

    first_token: float
    gaps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. `attempts` counts what was sent on the wire for it: this one, those that failed before it,
    and one that it overtook (a hedge)."""

    text: str
    stop: Stop = Stop.END
    usage: Usage = Usage()
    model: str = ""
    request_id: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    limits: tuple[LimitSeen, ...] = ()
    timing: Timing | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider promises, before its first call; prompts are rendered for it, so it never changes.

    `schema`: JSON-schema output can be asked for; where it cannot, prompts ask for tags. `choices`: output
    can be constrained to given texts. `simulated`: no language model answers, and reports must say so. `images`: its
    format has a place for pictures (whether the model sees is the model's). `mixture`: of how many models the replies
    are.
    """

    schema: bool = True
    choices: bool = False
    logprobs: bool = False
    simulated: bool = False
    images: bool = False
    mixture: Mixture = Mixture.ONE


@runtime_checkable
class Provider(Protocol):
    """An LLM client. An asynchronous context manager that may be entered more than once; it closes when the
    last one leaves, and opens its session at the first call."""

    @property
    def identity(self) -> str:
        """What answers: kind, model and endpoint. A part of every content key; never holds a key or secret."""

    @property
    def model(self) -> str:
        """The model's name as the endpoint knows it (for prices and reports)."""

    @property
    def capabilities(self) -> Capabilities:
        """What may be asked for; constant."""

    async def complete(self, request: Request) -> Completion:
        """Answer one request.

        Raises:
            ItemError: this request cannot be answered; others may be (`semprop.providers.errors`).
            StopError: no request will be answered until somebody mends the key, the bill or the settings.
        """

    def statistics(self) -> Mapping[str, object]:
        """Counters and states for people: attempts, degradations, limits. Never a part of a decision."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


@runtime_checkable
class Quiescent(Protocol):
    """What a provider may have besides: it is told when nothing more will be asked of it until a request that it
    holds is answered, so one that gathers requests (a batch) need not wait for others."""

    def quiescent(self) -> None:
        """Everything that can be asked now has been asked."""


@runtime_checkable
class Ready(Protocol):
    """What a provider may have besides: it can tell before it is asked that it cannot be asked."""

    def ready(self) -> None:
        """Look for what every request needs; sends nothing.

        Raises:
            StopError: there is no key, or none that can be sent (AUTH).
        """


class Note(NamedTuple):
    """What a provider noted for itself, as JSON data, and its place among all that is on record."""

    place: int
    document: Mapping[str, Any]


class Notes(Protocol):
    """Where a provider notes what must outlive a kill; beside it stands what came of requests."""

    def noted(self) -> Sequence[Note]:
        """All notes, of earlier sittings too, in their order."""

    def settled(self) -> Mapping[str, int]:
        """Content key → the place of the latest outcome or failure of that request."""

    async def note(self, name: str, document: Mapping[str, Any]) -> int:
        """Note something; returns its place once it is durable.

        Raises:
            Exception: it could not be written; what it announces must not be done.
        """


@runtime_checkable
class Noting(Protocol):
    """What a provider may have besides: it notes what must outlive a kill, if it is told where."""

    def keep(self, notes: Notes) -> None:
        """From now on note in these, and go on with what is noted there already."""


def content_key(identity: str, request: Request) -> str:
    """The address of a reply: equal keys may share one. 32 hexadecimal digits.

    It covers who answers, messages, sampling and constraint, and for random draws who draws and which sample.
    Admission, keys, timeouts and addresses of proxies are not in it.
    """
    sampling = request.sampling
    document = (
        identity,
        [(message.role, _content_document(message)) for message in request.messages],
        (
            sampling.temperature,
            sampling.top_p,
            sampling.max_tokens,
            sampling.seed,
            sampling.stop,
            sampling.top_logprobs,
        ),
        _constraint_document(request.schema),
        "" if sampling.is_greedy else request.draw,
        request.sample,
    )
    return hashlib.blake2b(orjson.dumps(document), digest_size=16).hexdigest()


def _content_document(message: Message) -> tuple[object, ...]:
    """What a message says, however it is cut into parts; a picture by all of its digest."""
    texts = [part.text for part in message.parts if type(part) is Text]
    if len(texts) == len(message.parts):
        return ("".join(texts),)
    return tuple([piece if isinstance(piece, str) else (piece.media_type, piece.digest) for piece in message.pieces])


def _constraint_document(schema: Constraint | None) -> object:
    match schema:
        case None:
            return None
        case JsonSchema(name, document):
            return ("schema", name, document)
        case Choices(options):
            return ("choices", options)
