"""The wire format of OpenAI's responses.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure. Nothing
is stored at the service (`store` is false). What the format has no place for (`seed`, `stop`) is refused, never left
out in silence. Source: the service's own reference of `POST /v1/responses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semprop.providers.base import Message, Request, Stop, Usage
from semprop.providers.wire.classify import Origin, Reply, classify
from semprop.providers.wire.constraints import is_strict, name_of, schema_of, unwrapped, with_own
from semprop.providers.wire.framing import Framed, Said, stop_of, token_logprobs
from semprop.providers.wire.reading import count, document_of, malformed, rewritten, text_parts
from semprop.providers.wire.sse import Event

_REASONS: Mapping[str, Stop] = {"max_output_tokens": Stop.LENGTH, "content_filter": Stop.FILTER}

_OPTIONAL = ("temperature", "top_p", "top_logprobs", "include", "text")


@dataclass(frozen=True, slots=True)
class ResponsesFormat(Framed):
    """How one model is spoken to."""

    SPOKEN = "OpenAI's responses"
    SCHEMA = "text"
    REQUEST_ID = "x-request-id"

    origin: Origin = Origin("openai-responses", "OPENAI_API_KEY", dialect="openai")
    at: str = "/responses"
    lacks: tuple[str, ...] = ("seed", "stop")

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key, if there is one."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def fold(self) -> ResponseFold:
        """What the events are folded into."""
        return ResponseFold()

    def said(self, document: Mapping[str, Any], reply: Reply, request: Request) -> Said:
        if document.get("status") == "failed":
            error = document.get("error") or {"message": "the response failed, and nothing was said of why"}
            raise classify(reply._replace(body=rewritten({"error": error})), self.origin)
        output = document.get("output")
        if not isinstance(output, list):
            raise malformed(self.origin, self.SPOKEN, "it holds no output")
        parts = _parts(output)
        text, refusal = text_parts(parts, "output_text"), _refusal_of(parts)
        return Said(
            text=unwrapped(text or refusal, request.schema),
            stop=Stop.REFUSAL if refusal and not text else _stop_of(document),
            usage=_usage_of(document.get("usage")),
            logprobs=tuple(token for part in parts for token in token_logprobs(part.get("logprobs"))),
        )

    def optional(self, request: Request) -> tuple[str, ...]:
        fields = self.document(request)
        return tuple(name for name in _OPTIONAL if name in fields)

    def document(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        turns = [{"role": message.role, "content": _content(message)} for message in self.messages(request)]
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


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    return [
        {"type": "input_text", "text": piece}
        if isinstance(piece, str)
        else {"type": "input_image", "image_url": piece.url}
        for piece in message.pieces
    ]


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
    return Stop.OTHER if reason is None else stop_of(reason, _REASONS)


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


class ResponseFold:
    """A streamed response → the body of the same response (`folds.Fold`). The last event holds it
    whole; the ones before only show that it comes."""

    __slots__ = ("_body", "_failed")

    def __init__(self) -> None:
        self._body = b""
        self._failed: bytes | None = None

    def add(self, event: Event) -> bool:
        document = document_of(event)
        if document is None:
            self._failed = b""
            return False
        match document:
            case {
                "type": "response.completed" | "response.incomplete" | "response.failed",
                "response": dict() as whole,
            }:
                self._body = rewritten(whole)
            case {"error": dict()}:
                self._failed = event.data
            case {"type": "error"}:
                said = {name: value for name, value in document.items() if name != "type"}
                self._failed = rewritten({"error": said})
            case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": str(piece)}:
                return bool(piece)
        return False

    def body(self) -> bytes:
        return self._body if self._failed is None else self._failed
