"""What went wrong, as OpenAI's clients read it: status, body and headers. Pure.

Trouble with an upstream's key, bill or settings is told to the operator and not to clients: they read that there is
some, and that asking again is of no use. No text of an upstream about its keys passes here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from semprop.engine.errors import StorageError
from semprop.providers.budget import BudgetSpent
from semprop.providers.errors import ErrorClass, ProviderError
from semprop.providers.wire.refusals import NoPlace
from semprop.tools.serving.http1 import Lines

JSON: Lines = (("content-type", "application/json"),)
_IN_VAIN: Lines = (("x-should-retry", "false"),)
"""Read by OpenAI's own clients."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply to a client."""

    status: int
    body: bytes
    lines: Lines = JSON


class _Shape(NamedTuple):
    status: int
    kind: str
    code: str | None
    words: str = ""
    """Stands in place of the upstream's own words."""


_OPERATOR = "whoever runs the proxy finds the reason in its log"

_SHAPES: Mapping[ErrorClass, _Shape] = {
    ErrorClass.RATE: _Shape(429, "requests", "rate_limit_exceeded"),
    ErrorClass.DAILY: _Shape(429, "requests", "rate_limit_exceeded"),
    ErrorClass.TOO_LARGE_FOR_QUOTA: _Shape(413, "tokens", "rate_limit_exceeded"),
    ErrorClass.OVERLOAD: _Shape(503, "server_error", "service_unavailable"),
    ErrorClass.TRANSIENT: _Shape(502, "server_error", "upstream_unavailable"),
    ErrorClass.CONTEXT: _Shape(400, "invalid_request_error", "context_length_exceeded"),
    ErrorClass.FILTER: _Shape(400, "invalid_request_error", "content_filter"),
    ErrorClass.REFUSAL: _Shape(400, "invalid_request_error", "content_filter"),
    ErrorClass.BAD_REQUEST: _Shape(400, "invalid_request_error", None),
    ErrorClass.QUOTA: _Shape(
        429, "insufficient_quota", "insufficient_quota", f"the proxy's account at this upstream is used up: {_OPERATOR}"
    ),
    ErrorClass.AUTH: _Shape(
        502, "server_error", "upstream_authentication", f"this upstream refuses the proxy's key: {_OPERATOR}"
    ),
    ErrorClass.CONFIGURATION: _Shape(
        502, "server_error", "upstream_configuration", f"this upstream cannot be used as it is set up: {_OPERATOR}"
    ),
}

_PARAMS: Mapping[ErrorClass, str] = {ErrorClass.CONTEXT: "messages", ErrorClass.FILTER: "messages"}


def refusal(
    status: int, message: str, kind: str, code: str | None = None, param: str | None = None, lines: Lines = ()
) -> Answer:
    """An error in OpenAI's shape."""
    document = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Answer(status, orjson.dumps(document), (*JSON, *lines))


def invalid(message: str, param: str | None = None, code: str = "unsupported_parameter") -> Answer:
    """A request that cannot be read, or cannot be carried."""
    return refusal(400, message, "invalid_request_error", None if param is None else code, param)


def answer_of(error: Exception) -> Answer:
    """The reply that an error is; anything but a `ProviderError` is a fault of the proxy, and shows nothing of it."""
    if isinstance(error, BudgetSpent):
        # A status that no client asks again after.
        return refusal(402, str(error), "insufficient_quota", "insufficient_quota", lines=_IN_VAIN)
    if isinstance(error, StorageError):
        words = f"the proxy cannot write its journal, so it sends nothing: {_OPERATOR}"
        return refusal(503, words, "server_error", "journal_failed", lines=_IN_VAIN)
    if not isinstance(error, ProviderError):
        return refusal(500, f"the proxy failed: {_OPERATOR}", "server_error", "internal_error")
    if isinstance(error, NoPlace):
        return refusal(400, str(error), "invalid_request_error", "unsupported_parameter", lines=_IN_VAIN)
    shape = _SHAPES[error.error_class]
    lines: Lines = ()
    if error.retry_after is not None and math.isfinite(error.retry_after):
        lines += (("retry-after", str(max(1, math.ceil(error.retry_after)))),)
    if shape.words or error.error_class is ErrorClass.TOO_LARGE_FOR_QUOTA:
        lines += _IN_VAIN
    return refusal(
        shape.status, shape.words or str(error), shape.kind, shape.code, _PARAMS.get(error.error_class), lines
    )
