"""What a refusal means: from an HTTP reply to the error that a caller can act on.

Takes (status, headers, body) and gives a `ProviderError`; pure. Decides by status first, then by the body's
codes, then by its types, then by its text (services disagree about types more than about codes). Never
evaluates a body, never raises on a strange one: what cannot be read is decided by its status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass, ProviderError, classified
from semprop.providers.wire.headers import Headers, duration, limits_seen, retry_after, wait_in_text
from semprop.providers.wire.named_limits import LimitNamed, limit_in_text, limit_of_quota

SHOWN = 400
"""Characters of an endpoint's own words that a message of ours quotes."""

READ = 2_000
"""Characters of an endpoint's text that patterns are tried on."""


class Reply(NamedTuple):
    """What came back over HTTP. Header names are in lower case, or the mapping ignores case."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Detail:
    """What an error body says, whatever its shape.

    `codes` are machine words, the most telling first (code, status word, inner codes, type); `param` is the
    request field that it names; `number` a status inside the body; `quotas` are quota identifiers,
    `quota_values` their limits.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    param: str = ""
    number: int | None = None
    quotas: tuple[str, ...] = ()
    quota_values: tuple[float | None, ...] = ()
    retry_delay: float | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Who refused: the provider's identity and the variable of its key, for the message, what to hide, and the
    dialect of its headers on limits (empty: they are not read)."""

    identity: str
    key_env: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    dialect: str = ""


_BYTES = re.compile(r"(?:data:[\w/+.-]{0,80};base64,)?[A-Za-z0-9+/_-]{100,}={0,2}")
"""What a request held that is not for people: a picture, by its address or bare."""

_CODES: Mapping[str, ErrorClass] = {
    "insufficient_quota": ErrorClass.QUOTA,
    "credit_balance_exhausted": ErrorClass.QUOTA,
    "organization_spend_limit_exceeded": ErrorClass.QUOTA,
    "project_spend_limit_exceeded": ErrorClass.QUOTA,
    "organization_usage_limit_exceeded": ErrorClass.QUOTA,
    "enforced_spend_limit_reached": ErrorClass.QUOTA,
    "billing_error": ErrorClass.QUOTA,
    "billing_hard_limit_reached": ErrorClass.QUOTA,
    "billing_not_active": ErrorClass.QUOTA,
    "content_filter": ErrorClass.FILTER,
    "content_policy_violation": ErrorClass.FILTER,
    "responsibleaipolicyviolation": ErrorClass.FILTER,
    "invalid_prompt": ErrorClass.FILTER,
    "moderation_blocked": ErrorClass.FILTER,
    "server_is_overloaded": ErrorClass.OVERLOAD,
    "service_unavailable_error": ErrorClass.OVERLOAD,
    "overloaded_error": ErrorClass.OVERLOAD,
    "engine_overloaded_error": ErrorClass.OVERLOAD,
    "unavailable_error": ErrorClass.OVERLOAD,
    "unavailable": ErrorClass.OVERLOAD,
    "queueoverflowerror": ErrorClass.OVERLOAD,
    "rate_limit_exceeded": ErrorClass.RATE,
    "rate_limit_error": ErrorClass.RATE,
    "resource_exhausted": ErrorClass.RATE,
    "slow_down": ErrorClass.RATE,
    "throttlingexception": ErrorClass.RATE,
    "servicequotaexceededexception": ErrorClass.RATE,
    "context_length_exceeded": ErrorClass.CONTEXT,
    "exceed_context_size_error": ErrorClass.CONTEXT,
    "string_above_max_length": ErrorClass.CONTEXT,
    "request_too_large": ErrorClass.CONTEXT,
    "invalid_api_key": ErrorClass.AUTH,
    "api_key_invalid": ErrorClass.AUTH,
    "authentication_error": ErrorClass.AUTH,
    "permission_error": ErrorClass.AUTH,
    # LiteLLM's proxy, of a key that is not its own where no database holds others.
    "no_db_connection": ErrorClass.AUTH,
    "organization_restricted": ErrorClass.AUTH,
    "model_not_found": ErrorClass.CONFIGURATION,
    "model_not_available": ErrorClass.CONFIGURATION,
    "invalid_model": ErrorClass.CONFIGURATION,
    "deploymentnotfound": ErrorClass.CONFIGURATION,
    "failed_precondition": ErrorClass.CONFIGURATION,
    "unsupported_country_region_territory": ErrorClass.CONFIGURATION,
}

_ORDER = (
    ErrorClass.QUOTA,
    ErrorClass.FILTER,
    ErrorClass.OVERLOAD,
    ErrorClass.RATE,
    ErrorClass.CONTEXT,
    ErrorClass.AUTH,
    ErrorClass.CONFIGURATION,
)

_STATUS: Mapping[int, ErrorClass] = {
    401: ErrorClass.AUTH,
    402: ErrorClass.QUOTA,
    403: ErrorClass.AUTH,
    404: ErrorClass.CONFIGURATION,
    405: ErrorClass.CONFIGURATION,
    408: ErrorClass.TRANSIENT,
    409: ErrorClass.TRANSIENT,
    412: ErrorClass.CONFIGURATION,
    413: ErrorClass.CONTEXT,
    425: ErrorClass.TRANSIENT,
    429: ErrorClass.RATE,
    499: ErrorClass.TRANSIENT,
    503: ErrorClass.OVERLOAD,
    529: ErrorClass.OVERLOAD,
}

_TEXTS: tuple[tuple[re.Pattern[str], ErrorClass], ...] = (
    (
        re.compile(r"credit balance is too low|spend(?:ing)? limit|specified api usage limits", re.I),
        ErrorClass.QUOTA,
    ),
    (
        re.compile(
            r"flagged by|content management policy|requires moderation|content exists risk|content filtering policy",
            re.I,
        ),
        ErrorClass.FILTER,
    ),
    (
        re.compile(
            r"maximum context length|context (?:window|length|size)|prompt is too long|"
            r"exceeds the maximum number of tokens|input is too long|tokens \+ `?max_new_tokens`? must be",
            re.I,
        ),
        ErrorClass.CONTEXT,
    ),
    (re.compile(r"api key not valid|(?:incorrect|invalid) api key", re.I), ErrorClass.AUTH),
    (re.compile(r"^model not exist$|invalid model name", re.I), ErrorClass.CONFIGURATION),
)

_READ_FOR_TEXT = (200, 400, 403, 412, 413, 422, 429, 500)

_MENDS: Mapping[ErrorClass, str] = {
    ErrorClass.TOO_LARGE_FOR_QUOTA: "one request is larger than the account's limit: shorten it or raise the limit",
    ErrorClass.CONTEXT: "the prompt is longer than the model's context: shorten it or choose another model",
    ErrorClass.FILTER: "the content was refused by the service's filter",
    ErrorClass.BAD_REQUEST: "the request does not fit this endpoint: see its own words",
    ErrorClass.QUOTA: "the account has no credit left: add credit or raise its spend limit, then run again",
    ErrorClass.CONFIGURATION: "check the model's name and the base address of the provider",
    ErrorClass.DAILY: "a daily limit is used up: go on when it resets, or use another account",
}


def classify(reply: Reply, origin: Origin, attempts: int = 1) -> ProviderError:
    """The error that a refusing reply is. Give a reply of status 200 only if its body holds an error.

    The message holds who refused, its status and code, at most 400 characters of its own words with the
    origin's secrets removed, and the mend; `attempts` is copied into the error.
    """
    # Before the text is cut anywhere, so that no half of a secret is left.
    detail = read_detail(without(reply.body, origin.secrets))
    status = effective_status(reply.status, detail)
    limit = limit_named(detail)
    error_class = _decide(status, reply.headers, detail, limit)
    waits = [seconds for seconds in (retry_after(reply.headers), _body_wait(detail)) if seconds is not None]
    return classified(
        _message(reply.status, detail, error_class, origin),
        error_class,
        status=reply.status,
        retry_after=max(waits, default=None),
        dimension=limit.dimension if limit else None,
        attempts=attempts,
        limits=_limits(reply, origin, limit),
    )


def _limits(reply: Reply, origin: Origin, named: LimitNamed | None) -> tuple[LimitSeen, ...]:
    """What headers and body tell of limits. The body comes last: it is about this request."""
    seen = limits_seen(reply.headers, origin.dialect) if origin.dialect else ()
    if named is None or named.limit is None:
        return seen
    return (*(limit for limit in seen if limit.dimension != named.dimension), named.seen)


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """The text without any of the secrets."""
    for secret in secrets:
        text = text.replace(secret, "[redacted]")
    return text


def without(body: bytes, secrets: tuple[str, ...]) -> bytes:
    """The bytes without any of the secrets."""
    for secret in secrets:
        body = body.replace(secret.encode(), b"[redacted]")
    return body


def effective_status(status: int, detail: Detail) -> int:
    """The status to decide by: the body's own where a successful reply carries an error, then 500."""
    if status >= 300:
        return status
    return detail.number if detail.number is not None and detail.number >= 300 else 500


def limit_named(detail: Detail) -> LimitNamed | None:
    """The limit that the error names, from its sentence or its quota identifiers."""
    return limit_in_text(detail.message[:READ]) or limit_of_quota(detail.quotas, detail.quota_values)


def read_detail(body: bytes) -> Detail:
    """What an error body says. Reads the shapes of OpenAI, Azure, Anthropic, Gemini (also in a list), vLLM,
    Ollama, llama.cpp, OpenRouter, Mistral, FastAPI and Bedrock; other text becomes the message."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Detail(message=_plain_text(body))
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return Detail(message=_plain_text(body))
    inner = document.get("error")
    if isinstance(inner, str):
        return Detail(message=inner[:READ], codes=_words(document))
    source = inner if isinstance(inner, dict) else document
    parts = _validation_parts(source)
    message = _first_text(source, "message", "Message", "msg", "detail") or "; ".join(text for text, _ in parts)
    details = [item for item in _listed(source.get("details")) if isinstance(item, dict)]
    metadata = source.get("metadata")
    upstream = _first_text(metadata, "raw") if isinstance(metadata, dict) else ""
    return Detail(
        message=f"{message} {upstream}".strip()[:READ],
        codes=(*_words(source), *(word for item in details for word in _words(item))),
        param=_first_text(source, "param") or next((name for _, name in parts if name), ""),
        number=_integer(source.get("code")) or _integer(source.get("statusCode")),
        quotas=tuple(quota for quota, _ in _quotas(details)),
        quota_values=tuple(value for _, value in _quotas(details)),
        retry_delay=next(filter(None, (duration(_first_text(item, "retryDelay")) for item in details)), None),
    )


def _decide(status: int, headers: Headers, detail: Detail, limit: LimitNamed | None) -> ErrorClass:
    by_code = _by_code(detail.codes)
    by_text = _by_text(status, detail.message)
    if by_code is ErrorClass.QUOTA or by_text is ErrorClass.QUOTA or status == 402:
        return ErrorClass.QUOTA
    if by_code is ErrorClass.FILTER or by_text is ErrorClass.FILTER:
        return ErrorClass.FILTER
    if by_code is ErrorClass.OVERLOAD:
        return ErrorClass.OVERLOAD
    if status == 429 or by_code is ErrorClass.RATE:
        return _throttle(status, headers, detail, limit)
    if by_text is ErrorClass.CONTEXT or by_code is ErrorClass.CONTEXT:
        return ErrorClass.CONTEXT
    named = by_code or by_text
    if 400 <= status < 500 and named is not None:
        return named
    if status in _STATUS:
        return _STATUS[status]
    if status < 400:
        return ErrorClass.CONFIGURATION
    return ErrorClass.BAD_REQUEST if status < 500 else ErrorClass.TRANSIENT


def _throttle(status: int, headers: Headers, detail: Detail, limit: LimitNamed | None) -> ErrorClass:
    too_large = limit is not None and None not in (limit.limit, limit.requested)
    if too_large and limit and (limit.requested or 0.0) > (limit.limit or 0.0):
        return ErrorClass.TOO_LARGE_FOR_QUOTA
    if status == 413 or headers.get("x-should-retry") == "false":
        return ErrorClass.TOO_LARGE_FOR_QUOTA
    if detail.message.lower().startswith("request too large"):
        return ErrorClass.TOO_LARGE_FOR_QUOTA
    daily = limit is not None and limit.dimension.endswith("/day")
    return ErrorClass.DAILY if daily or any("PerDay" in quota for quota in detail.quotas) else ErrorClass.RATE


def _by_code(codes: tuple[str, ...]) -> ErrorClass | None:
    classes = [_CODES[code.lower()] for code in codes if code.lower() in _CODES]
    return min(classes, key=_ORDER.index, default=None)


def _by_text(status: int, message: str) -> ErrorClass | None:
    if status not in _READ_FOR_TEXT:
        return None
    return next((error_class for pattern, error_class in _TEXTS if pattern.search(message)), None)


def _body_wait(detail: Detail) -> float | None:
    return detail.retry_delay if detail.retry_delay is not None else wait_in_text(detail.message)


def _message(status: int, detail: Detail, error_class: ErrorClass, origin: Origin) -> str:
    code = f", {detail.codes[0]}" if detail.codes else ""
    words = _BYTES.sub("[bytes]", redacted(" ".join(detail.message.split()), origin.secrets))
    if len(words) > SHOWN:
        words = words[:SHOWN] + "…"
    mend = _MENDS.get(error_class, "")
    if error_class is ErrorClass.AUTH:
        mend = f"set {origin.key_env} to a key that may use this model" if origin.key_env else "give a valid key"
    said = f": {words}" if words else ""
    return f"{origin.identity} refused (HTTP {status}{code}){said}" + (f" — {mend}" if mend else "")


def _words(source: Mapping[str, object]) -> tuple[str, ...]:
    words = [source.get("code"), source.get("status"), source.get("reason"), source.get("__type")]
    inner = source.get("innererror")
    if isinstance(inner, dict):
        words.append(inner.get("code"))
    words.append(source.get("type"))
    return tuple(word[:80] for word in words if isinstance(word, str) and word and not word.isdecimal())


def _validation_parts(source: Mapping[str, object]) -> list[tuple[str, str]]:
    """(text, field) of a list of validation errors, which stands in `detail` or in `message.detail`."""
    message = source.get("message")
    listed = _listed(message.get("detail") if isinstance(message, dict) else source.get("detail"))
    parts = []
    for item in listed:
        if isinstance(item, dict):
            place = _listed(item.get("loc"))
            name = place[-1] if place and isinstance(place[-1], str) else ""
            parts.append((f"{name}: {_first_text(item, 'msg')} ({_first_text(item, 'type')})", name))
    return parts


def _quotas(details: list[dict[str, object]]) -> Iterator[tuple[str, float | None]]:
    for item in details:
        for violation in _listed(item.get("violations")):
            if isinstance(violation, dict) and isinstance(violation.get("quotaId"), str):
                value = str(violation.get("quotaValue", ""))
                yield violation["quotaId"], float(value) if re.fullmatch(r"\d{1,15}", value, re.ASCII) else None


def _first_text(source: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = source.get(name)
        if isinstance(value, str) and value:
            return value[:READ]
    return ""


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _integer(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{3}", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plain_text(body: bytes) -> str:
    return re.sub(r"<[^<>]{0,400}>", " ", body[: 2 * READ].decode(errors="replace")).strip()[:READ]
