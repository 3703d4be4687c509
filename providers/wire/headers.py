"""What the headers of a reply say about waiting and about limits.

Takes header mappings (names in lower case, or a case-insensitive mapping) and texts; gives seconds and
`LimitSeen` values. The names that each service uses are data (`DIALECTS`); pure, and never raises for text
that it cannot read: an unreadable header is an absent one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from semprop.providers.base import LimitSeen

Headers = Mapping[str, str]

_UNIT = r"milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d"
_PIECE = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})(?![a-z])", re.IGNORECASE | re.ASCII)
_AFTER = re.compile(
    rf"(?:try again|retry)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*(?:{_UNIT})(?![a-z])\s*)+)", re.IGNORECASE | re.ASCII
)
_SECONDS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """The names of the three headers that tell of one dimension."""

    dimension: str
    limit: str
    remaining: str
    reset: str


def _rule(dimension: str, pattern: str) -> HeaderRule:
    limit, remaining, reset = (pattern.replace("*", word) for word in ("limit", "remaining", "reset"))
    return HeaderRule(dimension, limit, remaining, reset)


_TOKENS = _rule("tokens/minute", "x-ratelimit-*-tokens")

DIALECTS: Mapping[str, tuple[HeaderRule, ...]] = {
    "openai": (
        _rule("requests/minute", "x-ratelimit-*-requests"),
        _TOKENS,
        _rule("project_tokens/minute", "x-ratelimit-*-project-tokens"),
    ),
    # Groq's request headers count a day, its token headers a minute.
    "groq": (_rule("requests/day", "x-ratelimit-*-requests"), _TOKENS),
    "anthropic": (
        _rule("requests/minute", "anthropic-ratelimit-requests-*"),
        _rule("tokens/minute", "anthropic-ratelimit-tokens-*"),
        _rule("input_tokens/minute", "anthropic-ratelimit-input-tokens-*"),
        _rule("output_tokens/minute", "anthropic-ratelimit-output-tokens-*"),
    ),
    "together": (
        _rule("requests/second", "x-ratelimit-*"),
        _rule("tokens/second", "x-tokenlimit-*"),
    ),
}

_DIALECT_OF_HOST = {
    "groq.com": "groq",
    "anthropic.com": "anthropic",
    "together.xyz": "together",
    "together.ai": "together",
}


def dialect_of(host: str) -> str:
    """The header dialect that a host is known to speak; `openai` where nothing is known."""
    host = host.lower()
    for suffix, dialect in _DIALECT_OF_HOST.items():
        if host == suffix or host.endswith("." + suffix):
            return dialect
    return "openai"


@lru_cache(maxsize=1024)
def duration(text: str) -> float | None:
    """Seconds of `1.5`, `120ms`, `6m0s`, `2m59.56s` or `6 seconds`; None for anything else."""
    text = text.strip()
    number = _number(text)
    if number is not None:
        return number
    pieces = _PIECE.findall(text)
    if not pieces or _PIECE.sub("", text).strip(" ,"):
        return None
    return sum(float(amount) * _unit_seconds(unit) for amount, unit in pieces)


def wait_in_text(message: str) -> float | None:
    """Seconds of "Please try again in 9m38.016s" and "Please retry after 6 seconds" inside a sentence."""
    found = _AFTER.search(message)
    return duration(found.group(1)) if found else None


def retry_after(headers: Headers) -> float | None:
    """Seconds that the headers ask to wait: `retry-after-ms`, else `retry-after` (seconds or an HTTP date).

    A date is measured against the reply's own `date` header, so that no clock of ours enters.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000.0
    text = headers.get("retry-after", "")
    if not text:
        return None
    seconds = duration(text)
    return seconds if seconds is not None else _until(_http_date(text), headers)


def limits_seen(headers: Headers, dialect: str) -> tuple[LimitSeen, ...]:
    """The limits that a reply's headers tell of, in the dialect's order; `reset` in seconds from the reply."""
    seen = []
    for rule in DIALECTS[dialect]:
        limit, remaining = headers.get(rule.limit), headers.get(rule.remaining)
        if limit is None and remaining is None:
            continue
        reset = headers.get(rule.reset)
        seen.append(
            LimitSeen(
                rule.dimension,
                None if limit is None else _number(limit),
                None if remaining is None else _number(remaining),
                None if reset is None else _reset(reset, headers),
            )
        )
    return tuple(seen)


def _reset(text: str, headers: Headers) -> float | None:
    seconds = duration(text)
    if seconds is not None:
        return seconds
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return _until(instant, headers)


def _until(instant: datetime | None, headers: Headers) -> float | None:
    sent = _http_date(headers.get("date", ""))
    if instant is None or sent is None or instant.tzinfo is None or sent.tzinfo is None:
        return None
    return max(0.0, (instant - sent).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None


def _number(text: str) -> float | None:
    """A plain non-negative decimal; None for text, signs, exponents, infinities."""
    if text.isdecimal() and text.isascii() and len(text) <= 18:
        # Most are whole, and every reply has six of them.
        return float(text)
    text = text.strip().replace(",", "")
    if not re.fullmatch(r"\d{1,18}(?:\.\d{1,9})?", text, re.ASCII):
        return None
    return float(text)


def _unit_seconds(unit: str) -> float:
    unit = unit.lower()
    for prefix, seconds in _SECONDS.items():
        if unit == prefix or (len(prefix) > 1 and unit.startswith(prefix)):
            return seconds
    return _SECONDS[unit[0]]
