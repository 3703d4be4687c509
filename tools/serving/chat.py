"""OpenAI's chat completions as servers speak them: bodies read, the parts of replies written. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from semprop.providers.base import (
    Choices,
    Completion,
    Constraint,
    Image,
    JsonSchema,
    Message,
    Part,
    Request,
    Role,
    Sampling,
    Stop,
    Text,
    TokenLogprob,
)


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


_REASONS: Mapping[Stop, str] = {Stop.LENGTH: "length", Stop.FILTER: "content_filter"}

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
}


def read(path: str, body: bytes) -> Asked:
    """What a body asks for; `path` may name the model, too.

    Raises:
        Unreadable: it is no request; names the field.
    """
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


def choice(completion: Completion) -> dict[str, Any]:
    """The one choice of a whole reply."""
    refused = completion.stop is Stop.REFUSAL
    text, refusal = (None, completion.text) if refused else (completion.text, None)
    return {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": refusal},
        "finish_reason": reason(completion),
        "logprobs": logprobs(completion),
    }


def spoken(completion: Completion) -> str:
    """The field of a message that holds the text: `content`, or `refusal`."""
    return "refusal" if completion.stop is Stop.REFUSAL else "content"


def reason(completion: Completion) -> str:
    """Why it ended."""
    return _REASONS.get(completion.stop, "stop")


def usage(completion: Completion) -> dict[str, Any] | None:
    """Its tokens; None where nobody counted them."""
    counted = completion.usage
    if counted.input is None and counted.output is None:
        return None
    given, output = counted.input or 0, counted.output or 0
    return {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": given + output,
        "prompt_tokens_details": {"cached_tokens": counted.cached_read or 0},
        "completion_tokens_details": {"reasoning_tokens": counted.reasoning or 0},
    }


def logprobs(completion: Completion) -> dict[str, Any] | None:
    """The log probabilities of its tokens; None where there are none."""
    if not completion.logprobs:
        return None
    return {"content": [_token(token) for token in completion.logprobs], "refusal": None}


def event(document: Any) -> bytes:
    """A document as a server-sent event."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


DONE = b"data: [DONE]\n\n"
"""The mark of a stream's end."""


def _messages(listed: object) -> tuple[Message, ...]:
    if not isinstance(listed, list) or not listed:
        raise Unreadable("'messages' must be a list that is not empty.", "messages")
    messages = []
    for index, item in enumerate(listed):
        place = f"messages.[{index}]"
        role = _ROLES.get(item.get("role", "")) if isinstance(item, dict) else None
        if role is None:
            raise Unreadable(f"'{place}' needs a role: system, user or assistant.", f"{place}.role")
        messages.append(Message(role, _content(item.get("content"), f"{place}.content")))
    return tuple(messages)


def _content(content: object, place: str) -> tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return (Text(content or ""),)
    parts = content if isinstance(content, list) else [None]
    return tuple(_part(part, f"{place}.[{index}]") for index, part in enumerate(parts)) or (Text(""),)


def _part(part: object, place: str) -> Part:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return picture_at(url, f"{place}.image_url")
        case {"text": str(text)}:
            return Text(text)
    raise Unreadable(f"'{place}' must be a part of text, or a picture in a data: address.", place)


def picture_at(url: str, place: str) -> Image:
    """The picture that an address of the form `data:image/…;base64,…` holds.

    Raises:
        Unreadable: it holds none; nothing is fetched from elsewhere.
    """
    head, comma, data = url.partition(",")
    media_type, encoded = head.removeprefix("data:"), head.endswith(";base64")
    if not head.startswith("data:image/") or not comma or not encoded:
        raise Unreadable(f"'{place}' must hold the picture itself, as data:image/png;base64,…", place)
    return picture(media_type.removesuffix(";base64"), data, place)


def picture(media_type: object, data: object, place: str) -> Image:
    """A picture out of its form and its bytes in base64.

    Raises:
        Unreadable: they are none.
    """
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError:
        content = b""
    if not content or not isinstance(media_type, str) or not media_type.startswith("image/"):
        raise Unreadable(f"'{place}' holds no picture in base64.", place)
    return Image(media_type, content)


def _sampling(document: Mapping[str, Any]) -> Sampling:
    stop = document.get("stop")
    stops = (stop,) if isinstance(stop, str) else stop or ()
    if not isinstance(stops, list | tuple) or not all(isinstance(each, str) for each in stops):
        raise Unreadable("'stop' must be a text or a list of texts.", "stop")
    most = number(document, "max_completion_tokens", int)
    if most is None:
        most = number(document, "max_tokens", int)
    if most is not None and most < 1:
        raise Unreadable("'max_tokens' must be at least 1.", "max_tokens")
    return Sampling(
        temperature=number(document, "temperature", int | float),
        top_p=number(document, "top_p", int | float),
        max_tokens=most,
        seed=number(document, "seed", int),
        stop=tuple(stops),
        top_logprobs=number(document, "top_logprobs", int) if document.get("logprobs") is True else None,
    )


def number(document: Mapping[str, Any], name: str, kind: Any) -> Any:
    """A field that is a number of this kind; None if it is not there.

    Raises:
        Unreadable: it is something else.
    """
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
            _check_depth(schema)
            options = options_of(schema)
            name = more.get("name")
            return Choices(options) if options else JsonSchema.of(name if isinstance(name, str) else "reply", schema)
    raise Unreadable("'response_format' must be a text, json_object or json_schema format.", "response_format")


_AROUND = 16
"""Levels that stand around a schema in the body of a request, at the most."""


def _check_depth(schema: object) -> None:
    """Refuse what can be read and not written again: a body nests in 254 levels at the most."""
    for _ in range(_AROUND):
        schema = [schema]
    try:
        orjson.dumps(schema)
    except orjson.JSONEncodeError as error:
        raise Unreadable("'response_format' holds a schema that nests too deep.", "response_format") from error


def options_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of a schema that asks for one of them and nothing else, as our own client writes it."""
    match schema:
        case {"properties": {"answer": {"type": "string", "enum": [*options]}, **others}} if not others:
            return tuple(options) if all(isinstance(option, str) for option in options) else ()
    return ()


def _token(token: TokenLogprob) -> dict[str, Any]:
    others = [_one(text, value) for text, value in token.alternatives]
    return _one(token.token, token.logprob) | {"top_logprobs": others}


def _one(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode(errors="replace"))}
