"""Bodies of the services that have a wire format of their own, as servers read them: Anthropic's messages, Gemini's
generateContent, OpenAI's responses. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from semprop.providers.base import Choices, Constraint, JsonSchema, Message, Part, Request, Role, Sampling, Text
from semprop.tools.serving.chat import Asked, Unreadable, number, options_of, picture, picture_at


def document_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        Unreadable: it is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(document, dict):
        raise Unreadable("The body of your request is not a JSON object.")
    return document


def constraint_of(schema: Mapping[str, Any], name: object) -> Constraint:
    """The constraint that a schema is: a choice if it is one as our own client writes it."""
    options = options_of(schema)
    return Choices(options) if options else JsonSchema.of(name if isinstance(name, str) else "reply", schema)


# Anthropic -----------------------------------------------------------------------------------------------------------

_TURNS: Mapping[str, Role] = {"user": "user", "assistant": "assistant"}


def messages(body: bytes) -> Asked:
    """What a body of Anthropic's messages asks for.

    Raises:
        Unreadable: it is none; names the field.
    """
    document = document_of(body)
    model = _named(document.get("model"))
    if "max_tokens" not in document:
        raise Unreadable("Field required", "max_tokens")
    most = number(document, "max_tokens", int)
    if most is None or most < 1:
        raise Unreadable("Input should be greater than or equal to 1", "max_tokens")
    listed = document.get("messages")
    if not isinstance(listed, list) or not listed:
        raise Unreadable("at least one message is required", "messages")
    turns = [_turn(item, index) for index, item in enumerate(listed)]
    if turns[0].role != "user":
        raise Unreadable('first message must use the "user" role', "messages.0.role")
    system = _only_text(_blocks(document.get("system"), "system"), "system")
    request = Request(
        (*([Message.of("system", system)] if system else []), *turns),
        Sampling(
            temperature=number(document, "temperature", int | float),
            top_p=number(document, "top_p", int | float),
            max_tokens=most,
            stop=tuple(_texts(document.get("stop_sequences"), "stop_sequences")),
        ),
        _tool(document),
    )
    return Asked(model, request, tuple(document), document.get("stream") is True, usage_wanted=True)


def _turn(item: object, index: int) -> Message:
    role = _TURNS.get(str(item.get("role"))) if isinstance(item, dict) else None
    if role is None or not isinstance(item, dict):
        raise Unreadable("Input should be 'user' or 'assistant'", f"messages.{index}.role")
    return Message(role, _blocks(item.get("content"), f"messages.{index}.content"))


def _blocks(content: object, place: str) -> tuple[Part, ...]:
    """Text, or a list of blocks of text and of pictures, as Anthropic's messages and OpenAI's responses write them."""
    if content is None or isinstance(content, str):
        return (Text(content or ""),)
    blocks = content if isinstance(content, list) else [None]
    return tuple(_block(block, f"{place}.{index}") for index, block in enumerate(blocks)) or (Text(""),)


def _block(block: object, place: str) -> Part:
    match block:
        case {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}:
            return picture(media_type, data, f"{place}.source")
        case {"type": "input_image", "image_url": str(url)}:
            return picture_at(url, f"{place}.image_url")
        case {"text": str(text)}:
            return Text(text)
    raise Unreadable("only blocks of text, and of pictures that they hold themselves, are understood here", place)


def _only_text(parts: tuple[Part, ...], place: str) -> str:
    """What a system says.

    Raises:
        Unreadable: there is a picture in it.
    """
    if any(not isinstance(part, Text) for part in parts):
        raise Unreadable("only text is understood here", place)
    return "".join(part.text for part in parts if isinstance(part, Text))


def _tool(document: Mapping[str, Any]) -> Constraint | None:
    """The schema of the tool that must be used."""
    match document.get("tools"), document.get("tool_choice"):
        case None, None:
            return None
        case [{"name": str(name), "input_schema": dict() as schema}], {"type": "tool", "name": str(chosen)}:
            if name == chosen:
                return constraint_of(schema, name)
    raise Unreadable("one tool that must be used is understood here, and no other use of tools", "tools")


# Gemini --------------------------------------------------------------------------------------------------------------

_PARTIES: Mapping[str, Role] = {"user": "user", "model": "assistant"}


def generate(path: str, body: bytes) -> Asked:
    """What a body of Gemini's generateContent asks for; the model's name and the stream stand in the path.

    Raises:
        Unreadable: it is none; names the field.
    """
    document = document_of(body)
    model, _, verb = path.rpartition("/models/")[2].partition(":")
    listed = document.get("contents")
    if not isinstance(listed, list) or not listed:
        raise Unreadable("contents is not specified", "contents")
    turns = []
    for index, item in enumerate(listed):
        role = _PARTIES.get(str(item.get("role", "user"))) if isinstance(item, dict) else None
        if role is None or not isinstance(item, dict):
            raise Unreadable("Please use a valid role: user, model.", f"contents[{index}].role")
        turns.append(Message(role, _parts(item, f"contents[{index}].parts")))
    instruction = document.get("systemInstruction", document.get("system_instruction"))
    place = "systemInstruction.parts"
    system = _only_text(_parts(instruction, place), place) if instruction is not None else ""
    config = document.get("generationConfig", document.get("generation_config", {}))
    if not isinstance(config, dict):
        raise Unreadable("Invalid value", "generationConfig")
    request = Request(
        (*([Message.of("system", system)] if system else []), *turns),
        Sampling(
            temperature=number(config, "temperature", int | float),
            top_p=number(config, "topP", int | float),
            max_tokens=number(config, "maxOutputTokens", int),
            seed=number(config, "seed", int),
            stop=tuple(_texts(config.get("stopSequences"), "stopSequences")),
            top_logprobs=number(config, "logprobs", int) if config.get("responseLogprobs") is True else None,
        ),
        _response_schema(config),
    )
    fields = (*document, *config)
    return Asked(model or "unknown", request, fields, verb == "streamGenerateContent", usage_wanted=True)


_ADDRESSED = str.maketrans("-_", "+/")


def _parts(item: object, place: str) -> tuple[Part, ...]:
    parts = item.get("parts") if isinstance(item, dict) else None
    listed = parts if isinstance(parts, list) else [parts]
    return tuple(_part(part, f"{place}[{index}]") for index, part in enumerate(listed)) or (Text(""),)


def _part(part: object, place: str) -> Part:
    match part:
        case {"inlineData": dict() as inside} | {"inline_data": dict() as inside}:
            # The JSON of protocol buffers takes each field in either spelling; the service's own client mixes them.
            kind, data = inside.get("mimeType", inside.get("mime_type")), inside.get("data")
            # And bytes in either alphabet of base64, padded or not: it writes the one for addresses.
            plain = data.translate(_ADDRESSED).rstrip("=") if isinstance(data, str) else ""
            return picture(kind, plain + "=" * (-len(plain) % 4), f"{place}.inlineData")
        case {"text": str(text)}:
            return Text(text)
    raise Unreadable("only parts of text and pictures that they hold themselves are understood here", place)


def _response_schema(config: Mapping[str, Any]) -> Constraint | None:
    match config:
        case {"responseMimeType": "text/x.enum", "responseSchema": {"enum": [*options]}}:
            return Choices(tuple(_texts(options, "responseSchema.enum")))
        case {"responseJsonSchema": dict() as schema} | {"responseSchema": dict() as schema}:
            return constraint_of(schema, "reply")
    return None


# OpenAI's responses --------------------------------------------------------------------------------------------------


def responses(body: bytes) -> Asked:
    """What a body of OpenAI's responses asks for.

    Raises:
        Unreadable: it is none; names the field.
    """
    document = document_of(body)
    given = document.get("input")
    listed = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed:
        raise Unreadable("Missing required parameter: 'input'.", "input")
    turns = [_input(item, index) for index, item in enumerate(listed)]
    instructions = document.get("instructions")
    if isinstance(instructions, str) and instructions:
        turns.insert(0, Message.of("system", instructions))
    wanted = document.get("include")
    asked = isinstance(wanted, list) and "message.output_text.logprobs" in wanted
    request = Request(
        tuple(turns),
        Sampling(
            temperature=number(document, "temperature", int | float),
            top_p=number(document, "top_p", int | float),
            max_tokens=number(document, "max_output_tokens", int),
            top_logprobs=number(document, "top_logprobs", int) if asked else None,
        ),
        _format(document),
    )
    return Asked(
        _named(document.get("model")), request, tuple(document), document.get("stream") is True, usage_wanted=True
    )


_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", **_TURNS}


def _input(item: object, index: int) -> Message:
    role = _ROLES.get(str(item.get("role"))) if isinstance(item, dict) else None
    if role is None or not isinstance(item, dict):
        raise Unreadable(f"Invalid value: 'input[{index}].role'.", f"input[{index}].role")
    return Message(role, _blocks(item.get("content"), f"input[{index}].content"))


def _format(document: Mapping[str, Any]) -> Constraint | None:
    match document.get("text"):
        case None | {"format": {"type": "text" | "json_object"}}:
            return None
        case {"format": {"type": "json_schema", "schema": dict() as schema, **more}}:
            return constraint_of(schema, more.get("name"))
        case dict() as other if "format" not in other:
            return None
    raise Unreadable("Invalid value: 'text.format'.", "text.format")


# Shared --------------------------------------------------------------------------------------------------------------


def _named(model: object) -> str:
    if not isinstance(model, str) or not model:
        raise Unreadable("Field required", "model")
    return model


def _texts(listed: object, place: str) -> list[str]:
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise Unreadable("Input should be a list of texts", place)
    return listed
