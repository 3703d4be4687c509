"""What all wire formats do alike: bytes out of a document, fields that are no longer sent, a reply opened. Pure.

A format says what is its own: the document of a request, what its reply says, how a stream is folded, and the header of
the key. It stays one frozen value: doing without a refused field gives another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import orjson

from semprop.providers.base import Completion, Message, Request, Stop, Text, TokenLogprob, Usage
from semprop.providers.wire.classify import Origin, Reply
from semprop.providers.wire.constraints import STATED, schema_text
from semprop.providers.wire.headers import limits_seen
from semprop.providers.wire.reading import read_object
from semprop.providers.wire.refusals import PICTURES, check_lacking, check_seen, refused_field


class Said(NamedTuple):
    """What is told in each format's own way: the answer, why it ended, what it took, and how likely it was."""

    text: str
    stop: Stop
    usage: Usage
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Framed(ABC):
    """How one model is spoken to, as far as all formats do it alike (`semprop.providers.http.WireFormat`).

    Attributes:
        model: its name as the endpoint knows it.
        origin: who answers, for messages, and which headers tell of limits.
        body: further fields of the body, as the text of one JSON object.
        dropped: fields that are no longer sent, in the order in which they were refused.
        at: where requests go, behind the base address.
        lacks: fields of `Sampling` that there is no place for: asked for, they are refused.
        sees: forms of pictures that there is a place for; any other is refused.
    """

    SPOKEN: ClassVar[str]
    """What the format is called, for messages."""
    INSTEAD: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Field → what is done instead of sending it, for people."""
    SCHEMA: ClassVar[str]
    """The field that asks for a schema; where it is refused, the schema goes into the prompt."""
    REQUEST_ID: ClassVar[str]
    """The header that names a reply."""
    NAMES: ClassVar[tuple[str, str]] = ("id", "model")
    """The fields of a reply that name it, and the model that gave it."""

    model: str
    origin: Origin
    body: str = "{}"
    dropped: tuple[str, ...] = ()
    at: str = ""
    lacks: tuple[str, ...] = ()
    sees: tuple[str, ...] = PICTURES

    @property
    def path(self) -> str:
        """What stands behind the base address."""
        return self.at

    @property
    def stream_path(self) -> str:
        """The same for replies in events: as a rule, what is to come stands in the body."""
        return self.path

    @property
    def stream_query(self) -> tuple[tuple[str, str], ...]:
        """As a rule nothing: it stands in the body."""
        return ()

    @property
    def dialect(self) -> str:
        """Which headers tell of limits (`semprop.providers.wire.headers.DIALECTS`)."""
        return self.origin.dialect

    @property
    def degraded(self) -> tuple[str, ...]:
        """What this endpoint refused and how it is done without, for people."""
        return (*self.renamings, *(f"{name} not sent{self._instead(name)}" for name in self.dropped))

    @property
    def renamings(self) -> tuple[str, ...]:
        """What is sent under another name than at first, for people."""
        return ()

    def encode(self, request: Request) -> bytes:
        """The body of one request. Equal requests give equal bytes.

        Raises:
            StopError: the request asks for what the format has no place for (CONFIGURATION).
        """
        return orjson.dumps(self._checked(request))

    def encode_stream(self, request: Request) -> bytes:
        """The same, answered in events."""
        return orjson.dumps(self._checked(request) | {"stream": True})

    def decode(self, reply: Reply, request: Request) -> Completion:
        """What a reply of status 200 says.

        Raises:
            RetryError: the body is cut or is not what it should be (TRANSIENT).
            ProviderError: the body holds an error, classed as `classify` does.
            ItemError: the endpoint read less than the prompt, and did not say so (CONTEXT).
        """
        document = read_object(reply, self.origin, self.SPOKEN)
        said = self.said(document, reply, request)
        identifier, model = document.get(self.NAMES[0]), document.get(self.NAMES[1])
        return Completion(
            text=said.text,
            stop=said.stop,
            usage=said.usage,
            model=model if isinstance(model, str) and model else self.model,
            request_id=reply.headers.get(self.REQUEST_ID) or (identifier if isinstance(identifier, str) else None),
            logprobs=said.logprobs,
            limits=limits_seen(reply.headers, self.dialect),
        )

    def refused_field(self, reply: Reply, request: Request) -> str | None:
        """The field that this reply refuses to be sent, if it is one that the request can do without.

        None for every other refusal: a value out of range, a prompt too long, a wrong key.
        """
        return refused_field(reply, self.optional(request))

    def without(self, name: str) -> Self:
        """This format, doing without a refused field. The same value if that has been done already."""
        return self if name in self.dropped else replace(self, dropped=(*self.dropped, name))

    @abstractmethod
    def document(self, request: Request) -> dict[str, Any]:
        """The body of one request, as data."""

    @abstractmethod
    def said(self, document: Mapping[str, Any], reply: Reply, request: Request) -> Said:
        """What the document of a reply says; raises as `decode` does."""

    @abstractmethod
    def optional(self, request: Request) -> tuple[str, ...]:
        """The fields that are sent for a request, and could be left out."""

    def messages(self, request: Request) -> tuple[Message, ...]:
        """The turns to be sent: the last one states the schema where the endpoint takes none of its own."""
        if request.schema is None or self.SCHEMA not in self.dropped or not request.messages:
            return request.messages
        *before, last = request.messages
        stated = Text(f"\n\n{STATED}{schema_text(request.schema)}")
        return (*before, Message(last.role, (*last.parts, stated)))

    def _checked(self, request: Request) -> dict[str, Any]:
        if self.lacks:
            check_lacking(request.sampling, self.lacks, self.origin, self.SPOKEN)
        for message in request.messages:
            images = message.images
            if images:
                # A picture is shown by the user: no format has a place for one in what the system says.
                sees = self.sees if message.role == "user" else ()
                check_seen(images, sees, self.origin, self.SPOKEN)
        return self.document(request)

    def _instead(self, name: str) -> str:
        how = "the schema stands in the prompt" if name == self.SCHEMA else self.INSTEAD.get(name)
        return f": {how}" if how else ""


def stop_of(reason: object, stops: Mapping[str, Stop]) -> Stop:
    """Why the model stopped, by a format's own table; a reply that gives no reason ended by itself."""
    if reason is None:
        return Stop.END
    return stops.get(reason, Stop.OTHER) if isinstance(reason, str) else Stop.OTHER


def token_logprobs(listed: object, others: str = "top_logprobs") -> tuple[TokenLogprob, ...]:
    """Tokens with their log probabilities, out of a list in OpenAI's form; what is not in it is left out.

    Args:
        others: the field of a token that lists its alternatives.
    """
    found = []
    for item in listed if isinstance(listed, list) else ():
        pair = logprob_pair(item)
        if pair is not None:
            found.append(TokenLogprob(*pair, logprob_pairs(item.get(others))))
    return tuple(found)


def logprob_pairs(listed: object, field: str = "logprob") -> tuple[tuple[str, float], ...]:
    """(token, log probability) of every item that holds both."""
    pairs = [logprob_pair(item, field) for item in listed] if isinstance(listed, list) else []
    return tuple(pair for pair in pairs if pair is not None)


def logprob_pair(item: object, field: str = "logprob") -> tuple[str, float] | None:
    """(token, log probability) of one item; None if it does not hold both."""
    token, logprob = (item.get("token"), item.get(field)) if isinstance(item, dict) else (None, None)
    return (token, float(logprob)) if isinstance(token, str) and isinstance(logprob, int | float) else None
