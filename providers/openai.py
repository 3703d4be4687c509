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
from typing import Self

import orjson

from semprop.providers.base import (
    Completion,
    Constraint,
    LimitSeen,
    Request,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.classify import Origin, Reply, classify
from semprop.providers.constraints import STATED, is_strict, name_of, schema_of, schema_text, unwrapped
from semprop.providers.errors import ErrorClass, ItemError, ProviderError
from semprop.providers.headers import limits_seen
from semprop.providers.openai_stream import ChatFold
from semprop.providers.reading import count, malformed, read_object, text_parts
from semprop.providers.refusals import check_lacking, refused_field

SPOKEN = "an OpenAI-compatible chat endpoint"

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
class OpenAIFormat:
    """How one model at one endpoint is spoken to.

    Attributes:
        model: the model's name as the endpoint knows it.
        identity: who answers, for messages.
        key_env: the variable that holds the key, for messages.
        dialect: which headers tell of limits (`semprop.providers.headers.DIALECTS`).
        body: further fields of the body, as the text of one JSON object.
        limit_field: the field that bounds the output tokens.
        dropped: fields that are no longer sent, in the order in which they were refused.
        renamed: whether `limit_field` is not the one that was tried first.
        path: what stands behind the base address.
        key_header: the header that carries the key, alone or as a bearer token.
        lacks: fields of `Sampling` that this endpoint has no place for.
        names: fields that it calls otherwise, as (here, there).
        cut_above: bytes of a prompt for each token counted beyond which the endpoint must have cut it in silence.
    """

    model: str
    identity: str = "openai"
    key_env: str = "OPENAI_API_KEY"
    dialect: str = "openai"
    body: str = "{}"
    limit_field: str = "max_tokens"
    dropped: tuple[str, ...] = ()
    renamed: bool = False
    path: str = "/chat/completions"
    key_header: str = "Authorization"
    lacks: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    cut_above: float = math.inf

    @property
    def degraded(self) -> tuple[str, ...]:
        """What this endpoint refused and how it is done without, for people."""
        changes = [f"{other} sent as {self.limit_field}" for other in _LIMIT_FIELDS if self._is_renamed_from(other)]
        for name in self.dropped:
            how = ": the schema stands in the prompt" if name == "response_format" else ""
            changes.append(f"{name} not sent{how}")
        return tuple(changes)

    def headers(self, key: str) -> dict[str, str]:
        """The headers that carry the key, if there is one."""
        if not key:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header == "Authorization" else key}

    def encode(self, request: Request) -> bytes:
        """The body of one request. Equal requests give equal bytes.

        Raises:
            StopError: the request asks for what this endpoint has no place for (CONFIGURATION).
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
        """The same, answered in events that end with the usage."""
        options = {} if "stream_options" in self.dropped else {"stream_options": {"include_usage": True}}
        return orjson.dumps(self._document(request) | {"stream": True} | options)

    def fold(self) -> ChatFold:
        """What the events are folded into."""
        return ChatFold()

    def _document(self, request: Request) -> dict[str, object]:
        if self.lacks:
            check_lacking(request.sampling, self.lacks, self.origin, SPOKEN)
        document: dict[str, object] = {"model": self.model, "messages": self._messages(request)}
        document.update(self._fields(request))
        for name in self.dropped:
            document.pop(name, None)
        for here, there in self.names:
            if here in document:
                document[there] = document.pop(here)
        if self.body != "{}":
            document.update(orjson.loads(self.body))
        return document

    def decode(self, reply: Reply, request: Request) -> Completion:
        """What a reply of status 200 says.

        Raises:
            RetryError: the body is cut or is not what it should be (TRANSIENT).
            ProviderError: the body holds an error, classed as `classify` does.
            ItemError: the endpoint read less than the prompt, and did not say so (CONTEXT).
        """
        document = read_object(reply, self.origin, SPOKEN)
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            raise malformed(self.origin, SPOKEN, "it holds no choices")
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise self._refusal_inside(reply, choice)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise malformed(self.origin, SPOKEN, "its first choice holds no message")
        text, refusal = text_parts(message.get("content")), text_parts(message.get("refusal"))
        stop = Stop.REFUSAL if refusal and not text else _stop_of(choice.get("finish_reason"))
        model, identifier = document.get("model"), document.get("id")
        usage = _usage_of(document.get("usage"))
        if self.cut_above < math.inf:
            _check_whole(request, usage, self)
        return Completion(
            text=unwrapped(text or refusal, request.schema),
            stop=stop,
            usage=usage,
            model=model if isinstance(model, str) and model else self.model,
            request_id=reply.headers.get("x-request-id") or (identifier if isinstance(identifier, str) else None),
            logprobs=_logprobs_of(choice.get("logprobs")),
            limits=self.limits(reply),
        )

    def limits(self, reply: Reply) -> tuple[LimitSeen, ...]:
        """The limits that a reply's headers tell of."""
        return limits_seen(reply.headers, self.dialect)

    def refused_field(self, reply: Reply, request: Request) -> str | None:
        """The field that this reply refuses to be sent, if it is one that the request can do without.

        None for every other refusal: a value out of range, a prompt too long, a wrong key.
        """
        names = (*(name for name, _ in self._fields(request)), "stream_options")
        sent = dict.fromkeys("logprobs" if name == "top_logprobs" else name for name in names)
        return refused_field(reply, tuple(name for name in sent if name not in self.dropped))

    def without(self, name: str) -> Self:
        """This format, doing without a refused field: the token bound gets its other name once, the rest is
        left out. The same value if that has been done already."""
        if name in self.dropped or (name in _LIMIT_FIELDS and name != self.limit_field):
            return self
        if name in _LIMIT_FIELDS and not self.renamed:
            other = _LIMIT_FIELDS[1 - _LIMIT_FIELDS.index(name)]
            return replace(self, limit_field=other, renamed=True)
        return replace(self, dropped=(*self.dropped, name))

    def _is_renamed_from(self, other: str) -> bool:
        return self.renamed and other != self.limit_field and self.limit_field not in self.dropped

    def _messages(self, request: Request) -> list[dict[str, str]]:
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        if request.schema is not None and "response_format" in self.dropped and messages:
            last = messages[-1]
            stated = f"{last['content']}\n\n{STATED}{schema_text(request.schema)}"
            messages[-1] = {"role": last["role"], "content": stated}
        return messages

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

    @property
    def origin(self) -> Origin:
        """Who answers, for messages."""
        return Origin(self.identity, self.key_env)

    def _refusal_inside(self, reply: Reply, choice: Mapping[str, object]) -> ProviderError:
        body = orjson.dumps({"error": choice.get("error") or "the endpoint's model failed while it answered"})
        return classify(Reply(reply.status, reply.headers, body), self.origin)


@lru_cache(maxsize=256)
def _response_format(constraint: Constraint) -> Mapping[str, object]:
    schema = schema_of(constraint)
    return {
        "type": "json_schema",
        "json_schema": {"name": name_of(constraint), "schema": schema, "strict": is_strict(schema)},
    }


def _stop_of(reason: object) -> Stop:
    if reason is None:
        return Stop.END
    return _STOPS.get(reason.lower(), Stop.OTHER) if isinstance(reason, str) else Stop.OTHER


def _check_whole(request: Request, usage: Usage, wire: OpenAIFormat) -> None:
    size = sum(len(message.text.encode()) for message in request.messages)
    if usage.input and size >= SURELY and size > wire.cut_above * usage.input:
        raise ItemError(
            f"{wire.identity} read {usage.input} tokens of a prompt of {size} bytes: it cut the prompt in silence; "
            "give the model a longer context (num_ctx), or shorten the prompt",
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


def _logprobs_of(logprobs: object) -> tuple[TokenLogprob, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return ()
    tokens = [(_pair(item), item) for item in content if isinstance(item, dict)]
    return tuple(TokenLogprob(pair[0], pair[1], _alternatives(item)) for pair, item in tokens if pair is not None)


def _alternatives(item: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    listed = item.get("top_logprobs")
    pairs = [_pair(other) for other in listed if isinstance(other, dict)] if isinstance(listed, list) else []
    return tuple(pair for pair in pairs if pair is not None)


def _pair(item: Mapping[str, object]) -> tuple[str, float] | None:
    token, logprob = item.get("token"), item.get("logprob")
    if isinstance(token, str) and isinstance(logprob, int | float):
        return token, float(logprob)
    return None
