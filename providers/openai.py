"""The wire format of OpenAI's chat completions, which most endpoints speak.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure:
opens nothing, knows no key's value. What an endpoint refuses to be sent (`temperature`, `max_tokens`, …) is
found in its refusal, and the next value of the format leaves it out and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import orjson

from semprop.providers.base import (
    Choices,
    Completion,
    Constraint,
    JsonSchema,
    LimitSeen,
    Request,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.classify import Detail, Origin, Reply, classify, read_detail
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, RetryError
from semprop.providers.headers import limits_seen

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

_REFUSES = re.compile(
    r"unsupported|not (?:be )?supported|n't support|not support|unrecogni[sz]ed|unknown|unexpected|unavailable|"
    r"not (?:currently )?available|not permitted|not allowed|enabled only|no longer accept|only the default",
    re.IGNORECASE,
)
_REFUSING_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_REFUSING_STATUSES = (400, 403, 404, 422, 501)

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "response_format": ("response_format", "response format", "json_schema", "structured output"),
    "logprobs": ("logprobs", "top_logprobs"),
}

STATED = "Answer with one JSON value that this JSON schema describes, and with nothing else:\n"
"""Stands before a schema that had to go into the prompt, because the endpoint takes no `response_format`."""


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
    """

    model: str
    identity: str = "openai"
    key_env: str = "OPENAI_API_KEY"
    dialect: str = "openai"
    body: str = "{}"
    limit_field: str = "max_tokens"
    dropped: tuple[str, ...] = ()
    renamed: bool = False

    @property
    def path(self) -> str:
        """What stands behind the base address."""
        return "/chat/completions"

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
        return {"Authorization": f"Bearer {key}"} if key else {}

    def encode(self, request: Request) -> bytes:
        """The body of one request. Equal requests give equal bytes."""
        document: dict[str, object] = {"model": self.model, "messages": self._messages(request)}
        document.update(self._fields(request))
        for name in self.dropped:
            document.pop(name, None)
        if self.body != "{}":
            document.update(orjson.loads(self.body))
        return orjson.dumps(document)

    def decode(self, reply: Reply, request: Request) -> Completion:
        """What a reply of status 200 says.

        Raises:
            RetryError: the body is cut or is not what it should be (TRANSIENT).
            ProviderError: the body holds an error, classed as `classify` does.
        """
        document = self._document(reply)
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            raise self._malformed("it holds no choices")
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise self._refusal_inside(reply, choice)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise self._malformed("its first choice holds no message")
        text, refusal = _text_of(message.get("content")), _text_of(message.get("refusal"))
        stop = Stop.REFUSAL if refusal and not text else _stop_of(choice.get("finish_reason"))
        model, identifier = document.get("model"), document.get("id")
        return Completion(
            text=_unwrapped(text or refusal, request.schema),
            stop=stop,
            usage=_usage_of(document.get("usage")),
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
        if reply.status not in _REFUSING_STATUSES:
            return None
        detail = read_detail(reply.body)
        sent = dict.fromkeys(
            "logprobs" if name == "top_logprobs" else name
            for name, _ in self._fields(request)
            if name not in self.dropped
        )
        if not _is_about_a_field(reply, detail):
            return None
        named = detail.param.split(".")[0]
        named = "logprobs" if named == "top_logprobs" else named
        return named if named in sent else _first_named(detail.message, tuple(sent))

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
            stated = f"{last['content']}\n\n{STATED}{_schema_text(request.schema)}"
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

    def _document(self, reply: Reply) -> dict[str, object]:
        try:
            document = orjson.loads(reply.body)
        except orjson.JSONDecodeError as error:
            raise self._malformed("it is not whole JSON") from error
        if not isinstance(document, dict):
            raise self._malformed("it is not a JSON object")
        if document.get("error"):
            raise classify(reply, self.origin)
        return document

    @property
    def origin(self) -> Origin:
        """Who answers, for messages."""
        return Origin(self.identity, self.key_env)

    def _refusal_inside(self, reply: Reply, choice: Mapping[str, object]) -> ProviderError:
        body = orjson.dumps({"error": choice.get("error") or "the endpoint's model failed while it answered"})
        return classify(Reply(reply.status, reply.headers, body), self.origin)

    def _malformed(self, what: str) -> RetryError:
        return RetryError(
            f"{self.identity} answered with a body that cannot be used: {what}. It is asked again; if it stays, "
            "check that the base address is that of an OpenAI-compatible chat endpoint",
            ErrorClass.TRANSIENT,
            status=200,
        )


def _is_about_a_field(reply: Reply, detail: Detail) -> bool:
    if any(code in _REFUSING_CODES for code in detail.codes):
        return True
    refusal = classify(reply, Origin(""))
    about_content = isinstance(refusal, ItemError) and refusal.error_class is not ErrorClass.BAD_REQUEST
    return not about_content and _REFUSES.search(detail.message) is not None


def _first_named(message: str, sent: tuple[str, ...]) -> str | None:
    """The field of those sent whose name stands first in the message."""
    places = []
    for name in sent:
        for spelling in _SPELLINGS.get(name, (name,)):
            found = re.search(rf"(?<![\w.]){re.escape(spelling)}", message, re.IGNORECASE)
            # `stop` is also an everyday word: as a field it stands in quotes.
            if found and (name != "stop" or re.search(r"['\"`]stop['\"`]", message)):
                places.append((found.start(), name))
    return min(places)[1] if places else None


@lru_cache(maxsize=256)
def _response_format(constraint: Constraint) -> Mapping[str, object]:
    name = constraint.name if isinstance(constraint, JsonSchema) else "choice"
    schema = orjson.loads(_schema_text(constraint))
    return {
        "type": "json_schema",
        "json_schema": {
            "name": re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "reply",
            "schema": schema,
            "strict": _is_strict(schema),
        },
    }


def _schema_text(constraint: Constraint) -> str:
    if isinstance(constraint, JsonSchema):
        return constraint.document
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": constraint.options}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return orjson.dumps(schema).decode()


def _is_strict(schema: object) -> bool:
    """Whether strict mode would take the schema: every object closed and all of its properties required."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            properties = part.get("properties")
            if part.get("type") == "object" or properties is not None:
                named = list(properties) if isinstance(properties, dict) else []
                if part.get("additionalProperties") is not False or sorted(part.get("required", [])) != sorted(named):
                    return False
            waiting += [value for value in part.values() if isinstance(value, dict | list)]
    return True


def _unwrapped(text: str, constraint: Constraint | None) -> str:
    """The chosen text out of `{"answer": …}`; any other text stays as it is, for the reader to judge."""
    if not isinstance(constraint, Choices) or not text.lstrip().startswith("{"):
        return text
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    answer = document.get("answer") if isinstance(document, dict) else None
    return answer if isinstance(answer, str) and answer in constraint.options else text


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _stop_of(reason: object) -> Stop:
    if reason is None:
        return Stop.END
    return _STOPS.get(reason.lower(), Stop.OTHER) if isinstance(reason, str) else Stop.OTHER


_NOTHING: Mapping[str, object] = {}


def _usage_of(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else _NOTHING
    completion = completion if isinstance(completion, dict) else _NOTHING
    cached = prompt.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    return Usage(
        input=_count(usage.get("prompt_tokens")),
        cached_read=_count(cached),
        cache_write=_count(prompt.get("cache_write_tokens")),
        output=_count(usage.get("completion_tokens")),
        reasoning=_count(completion.get("reasoning_tokens")),
    )


def _count(value: object) -> int | None:
    # Not isinstance: true and false are integers too.
    return value if type(value) is int and value >= 0 else None


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
