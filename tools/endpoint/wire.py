"""Wire formats as a server speaks them: bodies read, replies and streams written. Pure.

A `Wire` knows nothing of limits, latencies or faults. There is one for OpenAI's chat completions; another format is
another value in `WIRES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import orjson

from semprop.providers.base import (
    Choices,
    Completion,
    Constraint,
    JsonSchema,
    Message,
    Request,
    Role,
    Sampling,
    Stop,
    TokenLogprob,
)

BYTES_PER_TOKEN = 4
"""Tokens are UTF-8 bytes / 4, rounded up, as `simulated:` counts them."""


class Unreadable(Exception):
    """A body that is no request; holds the field at fault, if there is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for.

    Attributes:
        model: as the client named it.
        request: messages, sampling and constraint.
        fields: the names of the body's fields.
        stream: whether the reply is to come in events.
        usage_wanted: whether a stream is to end with its usage.
    """

    model: str
    request: Request
    fields: tuple[str, ...] = ()
    stream: bool = False
    usage_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What a reply says of itself: its number, and when it was made (seconds since 1970)."""

    number: int
    created: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed reply: what opens it, one piece for each token (empty where a character takes several), what closes
    it, and the mark of its end."""

    opening: bytes
    pieces: tuple[bytes, ...]
    closing: bytes
    done: bytes


class Wire(Protocol):
    """One format."""

    def takes(self, path: str) -> bool:
        """Whether a path is one of its own."""

    def read(self, path: str, body: bytes) -> Asked:
        """What a body asks for; raises `Unreadable`."""

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        """The body of a reply."""

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        """The same as events."""

    def error_event(self, document: Any) -> bytes:
        """An error in the middle of a stream; `document` is an error's body."""


_REASONS: Mapping[Stop, str] = {Stop.LENGTH: "length", Stop.FILTER: "content_filter"}

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
}


class OpenAIChat:
    """OpenAI's chat completions, at any path that ends in `/chat/completions`."""

    def takes(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def read(self, path: str, body: bytes) -> Asked:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Unreadable(f"We could not parse the JSON body of your request: {error}") from error
        if not isinstance(document, dict):
            raise Unreadable("The body of your request is not a JSON object.")
        model = document.get("model")
        # Azure names the deployment in the path.
        if not isinstance(model, str) and "/deployments/" in path:
            model = path.split("/deployments/")[1].split("/")[0]
        if not isinstance(model, str) or not model:
            raise Unreadable("you must provide a model parameter", "model")
        if document.get("n") not in (None, 1):
            raise Unreadable("'n' must be 1: this endpoint gives one choice.", "n")
        options = document.get("stream_options")
        return Asked(
            model=model,
            request=Request(_messages(document.get("messages")), _sampling(document), _constraint(document)),
            fields=tuple(document),
            stream=document.get("stream") is True,
            usage_wanted=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        choice: dict[str, Any] = {"index": 0, "message": _message(completion), "finish_reason": _reason(completion)}
        choice["logprobs"] = _logprobs(completion)
        return orjson.dumps(
            {
                "id": f"chatcmpl-{identity.number}",
                "object": "chat.completion",
                "created": identity.created,
                "model": asked.model,
                "choices": [choice],
                "usage": _usage(completion),
                "system_fingerprint": "fp_mock",
            }
        )

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        frame: dict[str, Any] = {
            "id": f"chatcmpl-{identity.number}",
            "object": "chat.completion.chunk",
            "created": identity.created,
            "model": asked.model,
        }
        if asked.usage_wanted:
            frame["usage"] = None

        def event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
            return _event({**frame, "choices": [choice]})

        field = "refusal" if completion.stop is Stop.REFUSAL else "content"
        probabilities = {} if not completion.logprobs else {"logprobs": _logprobs(completion)}
        closing = event({}, _reason(completion), **probabilities)
        if asked.usage_wanted:
            closing += _event({**frame, "choices": [], "usage": _usage(completion)})
        return Stream(
            opening=event({"role": "assistant", field: ""}),
            pieces=tuple(event({field: piece}) if piece else b"" for piece in pieces(completion.text)),
            closing=closing,
            done=b"data: [DONE]\n\n",
        )

    def error_event(self, document: Any) -> bytes:
        return _event(document)


WIRES: tuple[Wire, ...] = (OpenAIChat(),)


def tokens(text: str) -> int:
    """The length of a text in tokens (`BYTES_PER_TOKEN`)."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def pieces(text: str) -> tuple[str, ...]:
    """A text cut into its tokens. No character is cut: one that crosses a border goes to the piece before it."""
    data = text.encode()
    if len(data) == len(text):
        return tuple(text[at : at + BYTES_PER_TOKEN] for at in range(0, len(text), BYTES_PER_TOKEN))
    borders = [0]
    for at in range(BYTES_PER_TOKEN, len(data), BYTES_PER_TOKEN):
        border = max(at, borders[-1])
        while border < len(data) and data[border] & 0xC0 == 0x80:
            border += 1
        borders.append(border)
    borders.append(len(data))
    return tuple(data[begin:end].decode() for begin, end in pairwise(borders))


def _event(document: Any) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _messages(listed: object) -> tuple[Message, ...]:
    if not isinstance(listed, list) or not listed:
        raise Unreadable("'messages' must be a list that is not empty.", "messages")
    messages = []
    for index, item in enumerate(listed):
        place = f"messages.[{index}]"
        role = _ROLES.get(item.get("role", "")) if isinstance(item, dict) else None
        if role is None:
            raise Unreadable(f"'{place}' needs a role: system, user or assistant.", f"{place}.role")
        messages.append(Message.of(role, _text(item.get("content"), f"{place}.content")))
    return tuple(messages)


def _text(content: object, place: str) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Unreadable(f"'{place}' must be text or a list of text parts.", place)
    return "".join(text for text in texts if isinstance(text, str))


def _sampling(document: Mapping[str, Any]) -> Sampling:
    stop = document.get("stop")
    stops = (stop,) if isinstance(stop, str) else stop or ()
    if not isinstance(stops, list | tuple) or not all(isinstance(each, str) for each in stops):
        raise Unreadable("'stop' must be a text or a list of texts.", "stop")
    most = _number(document, "max_completion_tokens", int)
    if most is None:
        most = _number(document, "max_tokens", int)
    if most is not None and most < 1:
        raise Unreadable("'max_tokens' must be at least 1.", "max_tokens")
    return Sampling(
        temperature=_number(document, "temperature", int | float),
        top_p=_number(document, "top_p", int | float),
        max_tokens=most,
        seed=_number(document, "seed", int),
        stop=tuple(stops),
        top_logprobs=_number(document, "top_logprobs", int) if document.get("logprobs") is True else None,
    )


def _number(document: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Unreadable(f"'{name}' is not of the right type.", name)
    return value


def _constraint(document: Mapping[str, Any]) -> Constraint | None:
    match document.get("response_format"):
        case None | {"type": "text" | "json_object"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema, **more}}:
            options = _options(schema)
            name = more.get("name")
            return Choices(options) if options else JsonSchema.of(name if isinstance(name, str) else "reply", schema)
    raise Unreadable("'response_format' must be a text, json_object or json_schema format.", "response_format")


def _options(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of a schema that asks for one of them and nothing else, as our own client writes it."""
    match schema:
        case {"properties": {"answer": {"type": "string", "enum": [*options]}, **others}} if not others:
            return tuple(options) if all(isinstance(option, str) for option in options) else ()
    return ()


def _message(completion: Completion) -> dict[str, Any]:
    refused = completion.stop is Stop.REFUSAL
    text, refusal = (None, completion.text) if refused else (completion.text, None)
    return {"role": "assistant", "content": text, "refusal": refusal}


def _reason(completion: Completion) -> str:
    return _REASONS.get(completion.stop, "stop")


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    given, output = usage.input or 0, usage.output or 0
    return {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": given + output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_read or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
    }


def _logprobs(completion: Completion) -> dict[str, Any] | None:
    if not completion.logprobs:
        return None
    return {"content": [_token(token) for token in completion.logprobs], "refusal": None}


def _token(token: TokenLogprob) -> dict[str, Any]:
    others = [{"token": text, "logprob": value, "bytes": list(text.encode())} for text, value in token.alternatives]
    return {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": list(token.token.encode()),
        "top_logprobs": others,
    }
