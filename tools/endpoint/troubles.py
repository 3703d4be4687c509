"""Why a mock endpoint refuses an attempt, whatever words it has for it: data, and the error as it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from semprop.tools.endpoint.limits import Level
from semprop.tools.endpoint.settings import Counted
from semprop.tools.endpoint.windows import MINUTE
from semprop.tools.serving.http1 import Lines

ORGANIZATION = "org-mock"
"""Whose limits the words of errors speak of."""


class Kind(StrEnum):
    """Why an attempt is refused."""

    RATE = "rate"
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    QUEUE_FULL = "queue_full"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    BILLING = "billing"
    AUTH = "auth"
    CONTEXT = "context"
    FILTER = "filter"
    BAD_REQUEST = "bad_request"
    UNSUPPORTED = "unsupported"
    NO_MODEL = "no_model"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One refusal.

    Attributes:
        kind: why.
        model: as the request named it.
        request: the request's identifier.
        level: the limit that is used up, if it is one.
        requested: what was asked of it; for CONTEXT the tokens of the prompt.
        wait: seconds until the same request can succeed.
        most: for CONTEXT the tokens that the model takes.
        param, message: for BAD_REQUEST and UNSUPPORTED, the field and what is wrong with it.
    """

    kind: Kind
    model: str = ""
    request: str = ""
    level: Level | None = None
    requested: float = 1
    wait: float | None = None
    most: int = 8192
    param: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as it is sent; `document` is its body as JSON data."""

    status: int
    document: Any
    lines: Lines = ()


def counted_kind(trouble: Trouble) -> str:
    """The type of OpenAI's errors: what is counted."""
    return "requests" if trouble.level is None or trouble.level.limit.of is Counted.REQUESTS else "tokens"


def per_minute(level: Level) -> float:
    """What a level's numbers are multiplied with: a limit of 1 or 10 seconds is told as the minute's it enforces."""
    return 1.0 if level.limit.seconds >= MINUTE else MINUTE / level.limit.seconds
