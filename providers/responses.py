"""The wire format of OpenAI's responses.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure. Nothing
is stored at the service (`store` is false). What the format has no place for (`seed`, `stop`) is refused, never left
out in silence. Source: the service's own reference of `POST /v1/responses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson

from semprop.providers.base import Completion, Request, Stop, TokenLogprob, Usage
from semprop.providers.classify import Origin, Reply, classify
from semprop.providers.constraints import STATED, is_strict, name_of, schema_of, schema_text, unwrapped, with_own
from semprop.providers.headers import limits_seen
from semprop.providers.reading import count, malformed, read_object, text_parts
from semprop.providers.refusals import check_lacking, refused_field
from semprop.providers.sse import Event

SPOKEN = "OpenAI's responses"

LACKS = ("seed", "stop")
"""Fields of `Sampling` that the format has no place for."""

_REASONS: Mapping[str, Stop] = {"max_output_tokens": Stop.LENGTH, "content_filter": Stop.FILTER}

_OPTIONAL = ("temperature", "top_p", "top_logprobs", "include", "text")


@dataclass(frozen=True, slots=True)
class ResponsesFormat:
    """How one model is spoken to.

    Attributes:
        model: its name as the endpoint knows it.
        origin: who answers, for messages.
        body: further fields of the body, as the text of one JSON object.
        dropped: fields that are no longer sent, in the order in which they were refused.
        path: what stands behind the base address.
    """

    model: str
    origin: Origin = Origin("openai-responses", "OPENAI_API_KEY", dialect="openai")
    body: str = "{}"
    dropped: tuple[str, ...] = ()
    path: str = "/responses"

    @property
    def dialect(self) -> str:
        """Which headers tell of limits."""
        return self.origin.dialect

    @property
    def degraded(self) -> tuple[str, ...]:
        """What this endpoint refused and how it is done without, for people."""
        how = {"text": ": the schema stands in the prompt"}
        return tuple(f"{name} not sent{how.get(name, '')}" for name in self.dropped)

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key, if there is one."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def encode(self, request: Request) -> bytes:
        """The body of one request. Equal requests give equal bytes.

        Raises:
            StopError: the request asks for what the format has no place for (CONFIGURATION).
        """
        return orjson.dumps(self._document(request))

    @property
    def stream_path(self) -> str:
        """The same for replies in events: what is to come stands in the body."""
        return self.path

    @property
    def stream_query(self) -> tuple[tuple[str, str], ...]:
        """Nothing: it stands in the body."""
        return ()

    def encode_stream(self, request: Request) -> bytes:
        """The same, answered in events."""
        return orjson.dumps(self._document(request) | {"stream": True})

    def fold(self) -> ResponseFold:
        """What the events are folded into."""
        return ResponseFold()

    def decode(self, reply: Reply, request: Request) -> Completion:
        """What a reply of status 200 says.

        Raises:
            RetryError: the body is cut or is not what it should be (TRANSIENT).
            ProviderError: the body holds an error, or a response that failed; classed as `classify` does.
        """
        document = read_object(reply, self.origin, SPOKEN)
        if document.get("status") == "failed":
            error = document.get("error") or {"message": "the response failed, and nothing was said of why"}
            raise classify(replace(reply, body=orjson.dumps({"error": error})), self.origin)
        output = document.get("output")
        if not isinstance(output, list):
            raise malformed(self.origin, SPOKEN, "it holds no output")
        parts = _parts(output)
        text, refusal = text_parts(parts, "output_text"), _refusal_of(parts)
        model, identifier = document.get("model"), document.get("id")
        return Completion(
            text=unwrapped(text or refusal, request.schema),
            stop=Stop.REFUSAL if refusal and not text else _stop_of(document),
            usage=_usage_of(document.get("usage")),
            model=model if isinstance(model, str) and model else self.model,
            request_id=reply.headers.get("x-request-id") or (identifier if isinstance(identifier, str) else None),
            logprobs=_logprobs_of(parts),
            limits=limits_seen(reply.headers, self.dialect),
        )

    def refused_field(self, reply: Reply, request: Request) -> str | None:
        """The field that this reply refuses to be sent, if it is one that the request can do without."""
        fields = self._document(request)
        return refused_field(reply, tuple(name for name in _OPTIONAL if name in fields))

    def without(self, name: str) -> Self:
        """This format, doing without a refused field. The same value if that has been done already."""
        return self if name in self.dropped else replace(self, dropped=(*self.dropped, name))

    def _document(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        check_lacking(request.sampling, LACKS, self.origin, SPOKEN)
        turns = [{"role": message.role, "content": message.text} for message in request.messages]
        if request.schema is not None and "text" in self.dropped and turns:
            turns[-1]["content"] += f"\n\n{STATED}{schema_text(request.schema)}"
        fields: list[tuple[str, object]] = [
            ("temperature", sampling.temperature),
            ("top_p", sampling.top_p),
            ("max_output_tokens", sampling.max_tokens),
        ]
        if sampling.top_logprobs is not None and "include" not in self.dropped:
            fields += [("include", ["message.output_text.logprobs"]), ("top_logprobs", sampling.top_logprobs)]
        if request.schema is not None:
            schema = schema_of(request.schema)
            form = {"type": "json_schema", "name": name_of(request.schema), "schema": schema}
            fields.append(("text", {"format": form | {"strict": is_strict(schema)}}))
        document: dict[str, Any] = {"model": self.model, "input": turns, "store": False}
        document |= {name: value for name, value in fields if value is not None and name not in self.dropped}
        return with_own(document, self.body, "text")


def _parts(output: Sequence[object]) -> list[dict[str, Any]]:
    """The parts of every message in the output; reasoning and calls of tools are none."""
    messages = [item for item in output if isinstance(item, dict) and item.get("type") == "message"]
    contents = [message["content"] for message in messages if isinstance(message.get("content"), list)]
    return [part for content in contents for part in content if isinstance(part, dict)]


def _refusal_of(parts: Sequence[Mapping[str, Any]]) -> str:
    said = (part.get("refusal") for part in parts if part.get("type") == "refusal")
    return "".join(text for text in said if isinstance(text, str))


def _stop_of(document: Mapping[str, Any]) -> Stop:
    if document.get("status") == "completed":
        return Stop.END
    details = document.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return _REASONS.get(reason, Stop.OTHER) if isinstance(reason, str) else Stop.OTHER


def _usage_of(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    given, written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        input=count(usage.get("input_tokens")),
        cached_read=count(given.get("cached_tokens")) if isinstance(given, dict) else None,
        output=count(usage.get("output_tokens")),
        reasoning=count(written.get("reasoning_tokens")) if isinstance(written, dict) else None,
    )


def _logprobs_of(parts: Sequence[Mapping[str, Any]]) -> tuple[TokenLogprob, ...]:
    listed = [item for part in parts if isinstance(part.get("logprobs"), list) for item in part["logprobs"]]
    tokens = []
    for item in listed:
        pair = _pair(item)
        if pair is not None:
            others = item.get("top_logprobs")
            pairs = map(_pair, others) if isinstance(others, list) else ()
            tokens.append(TokenLogprob(*pair, tuple(other for other in pairs if other is not None)))
    return tuple(tokens)


def _pair(item: object) -> tuple[str, float] | None:
    match item:
        case {"token": str(token), "logprob": int() | float() as logprob}:
            return token, float(logprob)
    return None


class ResponseFold:
    """A streamed response → the body of the same response (`semprop.providers.folds.Fold`). The last event holds it
    whole; the ones before only show that it comes."""

    __slots__ = ("_body", "_failed")

    def __init__(self) -> None:
        self._body = b""
        self._failed: bytes | None = None

    def add(self, event: Event) -> bool:
        try:
            document = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            self._failed = b""
            return False
        match document:
            case {
                "type": "response.completed" | "response.incomplete" | "response.failed",
                "response": dict() as whole,
            }:
                self._body = orjson.dumps(whole)
            case {"type": "error", **rest}:
                error = rest.get("error")
                self._failed = orjson.dumps({"error": error if isinstance(error, dict) else rest})
            case {"error": dict()}:
                self._failed = event.data
            case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": str(piece)}:
                return bool(piece)
        return False

    def body(self) -> bytes:
        return self._body if self._failed is None else self._failed
