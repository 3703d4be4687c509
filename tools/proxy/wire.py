"""OpenAI's chat completions as a proxy speaks them: bodies read strictly, completions written. Pure.

What a `Request` cannot carry is refused by name and never dropped, so that no reply answers another question than
the one that was asked. Fields that only say who asks (`user`, `metadata`, …) stay here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from semprop.providers.base import Completion, JsonSchema
from semprop.tools.serving import chat
from semprop.tools.serving.chat import Asked, Unreadable

_CARRIED = (
    *("model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop"),
    *("response_format", "logprobs", "top_logprobs", "stream", "stream_options"),
)

_WHO_ASKS = ("user", "metadata", "safety_identifier", "prompt_cache_key")

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Values that ask for nothing beyond what is done anyway."""

_ROLES = ("system", "developer", "user", "assistant")


def read(body: bytes) -> Asked:
    """What a body asks for. The developer's role is the system's.

    Raises:
        Unreadable: it is no request, or it asks for something that no upstream here can be asked; names the field.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unreadable("the body is not a JSON object")
    for name, value in document.items():
        if name not in _CARRIED and name not in _WHO_ASKS and value is not None and value not in _NEUTRAL.get(name, ()):
            raise Unreadable(f"'{name}' is not carried by this proxy: leave it out", name)
    _check_messages(document.get("messages"))
    _check_choices(document)
    asked = chat.read("", body)
    sampling, request = asked.request.sampling, asked.request
    if document.get("logprobs") is True:
        sampling = replace(sampling, top_logprobs=sampling.top_logprobs or 0)
    # One spelling of a number, so that 0 and 0.0 are one request.
    sampling = replace(sampling, temperature=_float(sampling.temperature), top_p=_float(sampling.top_p))
    return replace(asked, request=replace(request, sampling=sampling, schema=_schema(document.get("response_format"))))


def whole(asked: Asked, completion: Completion, identity: str, created: int) -> bytes:
    """The body of a reply; `created` in seconds since 1970."""
    frame = {"id": identity, "object": "chat.completion", "created": created, "model": completion.model or asked.model}
    return orjson.dumps({**frame, "choices": [chat.choice(completion)], "usage": chat.usage(completion)})


def events(asked: Asked, completion: Completion, identity: str, created: int) -> bytes:
    """The same as server-sent events: role, the whole text, the end, the usage where it is wanted."""
    frame: dict[str, Any] = {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": created,
        "model": completion.model or asked.model,
    }
    if asked.usage_wanted:
        frame["usage"] = None

    def event(delta: Mapping[str, object], reason: str | None = None, logprobs: object = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return chat.event({**frame, "choices": [choice]})

    name = chat.spoken(completion)
    parts = [event({"role": "assistant", name: ""}), event({name: completion.text}, None, chat.logprobs(completion))]
    parts.append(event({}, chat.reason(completion)))
    if asked.usage_wanted:
        parts.append(chat.event({**frame, "choices": [], "usage": chat.usage(completion)}))
    return b"".join((*parts, chat.DONE))


def _check_messages(listed: object) -> None:
    """Refuse what a message of a `Request` does not hold: tools, names, audio. Anything else is left to the reader."""
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(item, dict):
            continue
        place = f"messages.[{index}]"
        if item.get("role") not in _ROLES:
            raise Unreadable(f"'{place}.role' must be one of {', '.join(_ROLES)}", f"{place}.role")
        for name, value in item.items():
            if name not in ("role", "content") and value is not None and value != []:
                raise Unreadable(f"'{place}.{name}' is not carried by this proxy: leave it out", f"{place}.{name}")
        content = item.get("content")
        parts = content if isinstance(content, list) else [{"type": "text"}]
        if content is None or not all(map(_is_carried, parts)):
            where = f"{place}.content"
            words = (
                "must be text or a list of parts of text and of pictures, whose detail is auto: nothing else is carried"
            )
            raise Unreadable(f"'{where}' {words}", where)


def _is_carried(part: object) -> bool:
    match part:
        case {"type": "text"}:
            return True
        case {"type": "image_url", "image_url": dict() as shown}:
            return bool(shown.get("detail", "auto") == "auto")
    return False


def _check_choices(document: Mapping[str, Any]) -> None:
    for name in ("logprobs", "stream"):
        if not isinstance(document.get(name), bool | None):
            raise Unreadable(f"'{name}' must be true or false", name)
    if document.get("top_logprobs") is not None and document.get("logprobs") is not True:
        raise Unreadable("'top_logprobs' needs 'logprobs': true", "top_logprobs")
    bounds = [document.get(name) for name in ("max_tokens", "max_completion_tokens")]
    if None not in bounds and bounds[0] != bounds[1]:
        raise Unreadable("'max_tokens' and 'max_completion_tokens' differ: send one of them", "max_tokens")


def _schema(response_format: object) -> JsonSchema | None:
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema, **more}} if not more.get(
            "description"
        ):
            name = more.get("name")
            return JsonSchema.of(name if isinstance(name, str) else "reply", schema)
    words = "'response_format' must be text, or json_schema with a name and a schema: nothing else is carried"
    raise Unreadable(words, "response_format")


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)
