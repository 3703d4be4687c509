"""Error bodies of the services that have a wire format of their own: Anthropic and Gemini. Pure.

Shapes follow the services' documentation and captures in public reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from semprop.tools.endpoint.settings import Counted
from semprop.tools.endpoint.troubles import ORGANIZATION, ErrorAnswer, Kind, Trouble, per_minute
from semprop.tools.endpoint.windows import DAY
from semprop.tools.serving.http1 import Lines

_ANTHROPIC: Mapping[Kind, tuple[int, str, str]] = {
    Kind.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    Kind.UNAVAILABLE: (503, "overloaded_error", "Overloaded"),
    Kind.QUEUE_FULL: (529, "overloaded_error", "Overloaded"),
    Kind.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Kind.TIMEOUT: (504, "timeout_error", "Request timed out"),
    Kind.AUTH: (401, "authentication_error", "invalid x-api-key"),
    Kind.FILTER: (400, "invalid_request_error", "Output blocked by content filtering policy"),
    Kind.BILLING: (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits.",
    ),
}

_WHOSE: Mapping[Counted, str] = {
    Counted.REQUESTS: "requests",
    Counted.TOKENS: "tokens",
    Counted.INPUT: "input tokens",
    Counted.OUTPUT: "output tokens",
}


def anthropic(trouble: Trouble) -> ErrorAnswer:
    """Anthropic: every kind has an error of its own."""
    match trouble.kind:
        case Kind.RATE | Kind.TOO_LARGE:
            retry = (("x-should-retry", "false"),) if trouble.kind is Kind.TOO_LARGE else ()
            return _anthropic_error(429, "rate_limit_error", _anthropic_sentence(trouble), trouble, retry)
        case Kind.CONTEXT:
            words = f"prompt is too long: {trouble.requested:.0f} tokens > {trouble.most} maximum"
            return _anthropic_error(400, "invalid_request_error", words, trouble)
        case Kind.UNSUPPORTED:
            words = f"{trouble.param}: Extra inputs are not permitted"
            return _anthropic_error(400, "invalid_request_error", words, trouble)
        case Kind.BAD_REQUEST:
            words = f"{trouble.param}: {trouble.message}" if trouble.param else trouble.message
            return _anthropic_error(400, "invalid_request_error", words, trouble)
        case Kind.NO_MODEL:
            return _anthropic_error(404, "not_found_error", f"model: {trouble.model}", trouble)
    status, kind, words = _ANTHROPIC[trouble.kind]
    return _anthropic_error(status, kind, words, trouble)


def _anthropic_sentence(trouble: Trouble) -> str:
    level = trouble.level
    if level is None:
        return "This request would exceed your organization's rate limit. Please try again later."
    period = "day" if level.limit.seconds >= DAY else "minute"
    return (
        f"This request would exceed your organization's rate limit of {level.most * per_minute(level):,.0f} "
        f"{_WHOSE[level.limit.of]} per {period} (org: {ORGANIZATION}, model: {trouble.model}). Please reduce the "
        "prompt length or the maximum tokens requested, or try again later."
    )


def _anthropic_error(status: int, kind: str, message: str, trouble: Trouble, lines: Lines = ()) -> ErrorAnswer:
    document = {"type": "error", "error": {"type": kind, "message": message}, "request_id": trouble.request}
    return ErrorAnswer(status, document, lines)


_GEMINI: Mapping[Kind, tuple[int, str, str]] = {
    Kind.OVERLOADED: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    Kind.UNAVAILABLE: (503, "UNAVAILABLE", "The service is currently unavailable."),
    Kind.QUEUE_FULL: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    Kind.SERVER_ERROR: (500, "INTERNAL", "An internal error has occurred. Please retry or report."),
    Kind.TIMEOUT: (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    Kind.BILLING: (400, "FAILED_PRECONDITION", "The free tier is not available: please enable billing."),
    Kind.NO_MODEL: (404, "NOT_FOUND", "The model is not found for this API version."),
}


def gemini(trouble: Trouble) -> ErrorAnswer | None:
    """Gemini; None: as OpenAI."""
    match trouble.kind:
        case Kind.RATE | Kind.TOO_LARGE:
            return _gemini_rate(trouble)
        case Kind.AUTH:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            return _gemini_error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)
        case Kind.CONTEXT:
            words = (
                f"The input token count ({trouble.requested:.0f}) exceeds the maximum number of tokens allowed "
                f"({trouble.most})."
            )
            return _gemini_error(400, "INVALID_ARGUMENT", words)
        case Kind.UNSUPPORTED:
            words = f'Invalid JSON payload received. Unknown name "{trouble.param}": Cannot find field.'
            return _gemini_error(400, "INVALID_ARGUMENT", words)
        case Kind.BAD_REQUEST:
            return _gemini_error(400, "INVALID_ARGUMENT", trouble.message)
    if trouble.kind not in _GEMINI:
        return None
    return _gemini_error(*_GEMINI[trouble.kind])


def _gemini_rate(trouble: Trouble) -> ErrorAnswer:
    level = trouble.level
    details: list[dict[str, Any]] = []
    if level is not None:
        per = "Day" if level.limit.seconds >= DAY else "Minute"
        requests = level.limit.of is Counted.REQUESTS
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_"
            + ("free_tier_requests" if requests else "free_tier_input_token_count"),
            "quotaId": f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier"
            if requests
            else f"GenerateContentInputTokensPerModelPer{per}-FreeTier",
            "quotaDimensions": {"location": "global", "model": trouble.model},
            "quotaValue": f"{level.most * per_minute(level):.0f}",
        }
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
    if trouble.wait is not None and math.isfinite(trouble.wait):
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{math.ceil(trouble.wait)}s"}
        details.append(retry)
    words = "You exceeded your current quota, please check your plan and billing details."
    return _gemini_error(429, "RESOURCE_EXHAUSTED", words, *details)


def _gemini_error(status: int, word: str, message: str, *details: dict[str, Any]) -> ErrorAnswer:
    error: dict[str, Any] = {"code": status, "message": message, "status": word}
    return ErrorAnswer(status, {"error": {**error, "details": list(details)} if details else error})
