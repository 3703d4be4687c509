"""What every wire format reads alike in replies: one JSON object in a body or an event, counts, parts of text. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.wire.classify import Origin, Reply, classify
from semprop.providers.wire.sse import Event


def read_object(reply: Reply, origin: Origin, spoken: str) -> dict[str, Any]:
    """The JSON object in the body of a reply of status 200.

    Args:
        origin: who answered, for messages.
        spoken: what kind of endpoint was expected, for messages.

    Raises:
        RetryError: the body is cut, or is no JSON object (TRANSIENT).
        ProviderError: it holds an error, classed as `classify` does.
    """
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise malformed(origin, spoken, "it is not whole JSON") from error
    if not isinstance(document, dict):
        raise malformed(origin, spoken, "it is not a JSON object")
    if document.get("error"):
        raise classify(reply, origin)
    return document


def document_of(event: Event) -> dict[str, Any] | None:
    """The JSON object in one event of a stream; None for anything else."""
    try:
        document = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def rewritten(document: object) -> bytes:
    """What was read out of a body or an event, as JSON again; empty, which no reader takes for a reply, where it nests
    deeper than can be written (254 levels, where 1,024 can be read)."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return b""


def malformed(origin: Origin, spoken: str, what: str) -> RetryError:
    """The fault of a successful reply that cannot be used."""
    return RetryError(
        f"{origin.identity} answered with a body that cannot be used: {what}. It is asked again; if it stays, "
        f"check that the base address is that of {spoken}",
        ErrorClass.TRANSIENT,
        status=200,
    )


MOST = 10**12
"""Tokens, or requests, that nobody has had in one reply: sums of larger numbers would not fit where they are kept."""


def count(value: object) -> int | None:
    """A count of tokens; None for anything else."""
    # Not isinstance: true and false are integers too.
    return value if type(value) is int and 0 <= value <= MOST else None


def text_parts(content: object, kind: str = "text") -> str:
    """The text of a message whose content is text or a list of typed parts; other parts are left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == kind]
    return "".join(text for text in texts if isinstance(text, str))
