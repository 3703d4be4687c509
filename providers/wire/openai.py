"""The wire format of OpenAI's chat completions, which most endpoints speak.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure:
opens nothing, knows no key's value. What an endpoint refuses to be sent (`temperature`, `max_tokens`, …) is
found in its refusal, and the next value of the format leaves it out and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import orjson

from semprop.providers.base import Constraint, Message, Request, Stop, Text, Usage
from semprop.providers.errors import ErrorClass, ItemError, ProviderError
from semprop.providers.wire.classify import Origin, Reply, classify
from semprop.providers.wire.constraints import is_strict, name_of, schema_of, unwrapped
from semprop.providers.wire.framing import Framed, Said, stop_of, token_logprobs
from semprop.providers.wire.openai_stream import ChatFold
from semprop.providers.wire.reading import count, malformed, rewritten, text_parts

SURELY = 8_192
"""Bytes of a prompt from which on too few tokens mean that it was cut; short ones may be anything."""

_LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")

_STOPS: Mapping[str, Stop] = {
    "stop": Stop.END,
    "eos": Stop.END,
    "eos_token": Stop.END,
    "end_turn": Stop.END,
    "stop_sequence": Stop.END,
    "length": Stop.LENGTH,
    "max_tokens": Stop.LENGTH,
    "model_length": Stop.LENGTH,
    "content_filter": Stop.FILTER,
    "safety": Stop.FILTER,
    "recitation": Stop.FILTER,
    "refusal": Stop.REFUSAL,
}


@dataclass(frozen=True, slots=True)
class OpenAIFormat(Framed):
    """How one model at one endpoint is spoken to.

    Attributes:
        limit_field: the field that bounds the output tokens.
        renamed: whether `limit_field` is not the one that was tried first.
        key_header: the header that carries the key, alone or as a bearer token.
        names: fields that it calls otherwise, as (here, there).
        cut_above: bytes of a prompt for each token counted beyond which the endpoint must have cut it in silence.
    """

    SPOKEN = "an OpenAI-compatible chat endpoint"
    SCHEMA = "response_format"
    REQUEST_ID = "x-request-id"

    origin: Origin = Origin("openai", "OPENAI_API_KEY", dialect="openai")
    at: str = "/chat/completions"
    limit_field: str = "max_tokens"
    renamed: bool = False
    key_header: str = "Authorization"
    names: tuple[tuple[str, str], ...] = ()
    cut_above: float = math.inf

    @property
    def renamings(self) -> tuple[str, ...]:
        if not self.renamed or self.limit_field in self.dropped:
            return ()
        return (f"{_LIMIT_FIELDS[1 - _LIMIT_FIELDS.index(self.limit_field)]} sent as {self.limit_field}",)

    def headers(self, key: str) -> dict[str, str]:
        """The headers that carry the key, if there is one."""
        if not key:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header == "Authorization" else key}

    def encode_stream(self, request: Request) -> bytes:
        """The same body, answered in events that end with the usage."""
        options = {} if "stream_options" in self.dropped else {"stream_options": {"include_usage": True}}
        return orjson.dumps(self._checked(request) | {"stream": True} | options)

    def fold(self) -> ChatFold:
        """What the events are folded into."""
        return ChatFold()

    def document(self, request: Request) -> dict[str, Any]:
        turns = [{"role": message.role, "content": content_of(message)} for message in self.messages(request)]
        document: dict[str, Any] = {"model": self.model, "messages": turns}
        document.update(self._fields(request))
        for name in self.dropped:
            document.pop(name, None)
        for here, there in self.names:
            if here in document:
                document[there] = document.pop(here)
        if self.body != "{}":
            document.update(orjson.loads(self.body))
        return document

    def said(self, document: Mapping[str, Any], reply: Reply, request: Request) -> Said:
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            raise malformed(self.origin, self.SPOKEN, "it holds no choices")
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise self._refusal_inside(reply, choice)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise malformed(self.origin, self.SPOKEN, "its first choice holds no message")
        text, refusal = text_parts(message.get("content")), text_parts(message.get("refusal"))
        usage = _usage_of(document.get("usage"))
        if self.cut_above < math.inf:
            _check_whole(request, usage, self)
        reason, logprobs = choice.get("finish_reason"), choice.get("logprobs")
        reason = reason.lower() if isinstance(reason, str) else reason
        return Said(
            text=unwrapped(text or refusal, request.schema),
            stop=Stop.REFUSAL if refusal and not text else stop_of(reason, _STOPS),
            usage=usage,
            logprobs=token_logprobs(logprobs.get("content")) if isinstance(logprobs, dict) else (),
        )

    def optional(self, request: Request) -> tuple[str, ...]:
        names = (*(name for name, _ in self._fields(request)), "stream_options")
        sent = dict.fromkeys("logprobs" if name == "top_logprobs" else name for name in names)
        return tuple(name for name in sent if name not in self.dropped)

    def without(self, name: str) -> Self:
        """This format, doing without a refused field: the token bound gets its other name once, the rest is
        left out. The same value if that has been done already."""
        if name in self.dropped or (name in _LIMIT_FIELDS and name != self.limit_field):
            return self
        if name in _LIMIT_FIELDS and not self.renamed:
            other = _LIMIT_FIELDS[1 - _LIMIT_FIELDS.index(name)]
            return replace(self, limit_field=other, renamed=True)
        return replace(self, dropped=(*self.dropped, name))

    def _fields(self, request: Request) -> list[tuple[str, object]]:
        sampling = request.sampling
        fields: list[tuple[str, object]] = []
        if sampling.temperature is not None:
            fields.append(("temperature", sampling.temperature))
        if sampling.top_p is not None:
            fields.append(("top_p", sampling.top_p))
        if sampling.max_tokens is not None:
            fields.append((self.limit_field, sampling.max_tokens))
        if sampling.seed is not None:
            fields.append(("seed", sampling.seed))
        if sampling.stop:
            fields.append(("stop", sampling.stop))
        if sampling.top_logprobs is not None and "logprobs" not in self.dropped:
            fields += [("logprobs", True), ("top_logprobs", sampling.top_logprobs)]
        if request.schema is not None:
            fields.append(("response_format", _response_format(request.schema)))
        return fields

    def _refusal_inside(self, reply: Reply, choice: Mapping[str, object]) -> ProviderError:
        body = rewritten({"error": choice.get("error") or "the endpoint's model failed while it answered"})
        return classify(Reply(reply.status, reply.headers, body), self.origin)


def content_of(message: Message) -> str | list[dict[str, Any]]:
    """Text, or parts where there are pictures: each is an address that holds it."""
    if len(message.parts) == 1 and isinstance(message.parts[0], Text):
        return message.parts[0].text
    if not message.images:
        return message.text
    return [
        {"type": "text", "text": piece}
        if isinstance(piece, str)
        else {"type": "image_url", "image_url": {"url": piece.url}}
        for piece in message.pieces
    ]


@lru_cache(maxsize=256)
def _response_format(constraint: Constraint) -> Mapping[str, object]:
    schema = schema_of(constraint)
    return {
        "type": "json_schema",
        "json_schema": {"name": name_of(constraint), "schema": schema, "strict": is_strict(schema)},
    }


def _check_whole(request: Request, usage: Usage, wire: OpenAIFormat) -> None:
    size = sum(len(message.text.encode()) for message in request.messages)
    if usage.input and size >= SURELY and size > wire.cut_above * usage.input:
        raise ItemError(
            f"{wire.origin.identity} read {usage.input} tokens of a prompt of {size} bytes: it cut the prompt in "
            "silence; give the model a longer context (num_ctx), or shorten the prompt",
            ErrorClass.CONTEXT,
            status=200,
        )


_NOTHING: Mapping[str, object] = {}


def _usage_of(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else _NOTHING
    completion = completion if isinstance(completion, dict) else _NOTHING
    cached = prompt.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    return Usage(
        input=count(usage.get("prompt_tokens")),
        cached_read=count(cached),
        cache_write=count(prompt.get("cache_write_tokens")),
        output=count(usage.get("completion_tokens")),
        reasoning=count(completion.get("reasoning_tokens")),
    )
