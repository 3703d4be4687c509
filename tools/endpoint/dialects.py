"""How each service tells of its limits in headers: names and forms as data. Pure.

Takes levels of limits, gives header lines. A service tells of some of its limits only: what no rule of its dialect
names is enforced and not told (windows of 1 and 10 seconds, say). Error bodies stand in `troubles`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate
from enum import Enum

from semprop.tools.endpoint.limits import Level
from semprop.tools.endpoint.settings import Charge, Counted, HeaderSettings, Told, WaitForm
from semprop.tools.endpoint.windows import DAY, MINUTE
from semprop.tools.serving.http1 import Lines


class Reset(Enum):
    """How the time until a limit is whole again is written: `6m0s` and `120ms`, plain seconds, or an RFC 3339 time."""

    DURATION = "duration"
    SECONDS = "seconds"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Rule:
    """The three headers that tell of one limit; an empty name is not sent. What remains is rounded to `rounding`."""

    of: Counted
    seconds: float
    limit: str
    remaining: str
    reset: str
    rounding: int = 1


def _rule(of: Counted, pattern: str, seconds: float = MINUTE, rounding: int = 1) -> Rule:
    limit, remaining, reset = (pattern.replace("*", word) for word in ("limit", "remaining", "reset"))
    return Rule(of, seconds, limit, remaining, reset, rounding)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One service's habits.

    Attributes:
        rules: the limits that its headers tell of.
        reset: how times are written in them.
        waits: the headers of a refusal that can be waited for.
        charge: what attempts cost.
        identifier: the header that names a request.
        shape: the shape of its error bodies (`semprop.tools.endpoint.troubles`).
        truncates: whether a prompt that is too long is cut without a word.
    """

    rules: tuple[Rule, ...] = ()
    reset: Reset = Reset.DURATION
    waits: WaitForm = WaitForm.SECONDS
    charge: Charge = Charge.ACTUAL
    identifier: str = "x-request-id"
    shape: str = "openai"
    truncates: bool = False


_REQUESTS = _rule(Counted.REQUESTS, "x-ratelimit-*-requests")
_TOKENS = _rule(Counted.TOKENS, "x-ratelimit-*-tokens")

DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect((_REQUESTS, _TOKENS), waits=WaitForm.MILLISECONDS, charge=Charge.LARGEST),
    "azure": Dialect(
        tuple(replace(rule, limit="", reset="") for rule in (_REQUESTS, _TOKENS)),
        waits=WaitForm.MILLISECONDS,
        charge=Charge.SUM,
        identifier="apim-request-id",
        shape="azure",
    ),
    "anthropic": Dialect(
        (
            _rule(Counted.REQUESTS, "anthropic-ratelimit-requests-*"),
            _rule(Counted.TOKENS, "anthropic-ratelimit-tokens-*", rounding=1000),
            _rule(Counted.INPUT, "anthropic-ratelimit-input-tokens-*", rounding=1000),
            _rule(Counted.OUTPUT, "anthropic-ratelimit-output-tokens-*", rounding=1000),
        ),
        reset=Reset.INSTANT,
        charge=Charge.PRODUCED,
        identifier="request-id",
        shape="anthropic",
    ),
    # Nothing in headers; refusals name the quota and the wait in their bodies.
    "gemini": Dialect(waits=WaitForm.NONE, shape="gemini"),
    # Request headers count a day, token headers a minute.
    "groq": Dialect((_rule(Counted.REQUESTS, "x-ratelimit-*-requests", DAY), _TOKENS), shape="groq"),
    "mistral": Dialect(tuple(replace(rule, reset="") for rule in (_REQUESTS, _TOKENS)), shape="mistral"),
    "together": Dialect(
        (_rule(Counted.REQUESTS, "x-ratelimit-*", 1.0), _rule(Counted.TOKENS, "x-tokenlimit-*", 1.0)),
        reset=Reset.SECONDS,
    ),
    "vllm": Dialect(waits=WaitForm.NONE, shape="vllm"),
    "ollama": Dialect(waits=WaitForm.NONE, shape="ollama", truncates=True),
    "llamacpp": Dialect(waits=WaitForm.NONE, shape="llamacpp"),
    # OpenAI's bodies, and not a word of limits in headers.
    "none": Dialect(waits=WaitForm.NONE),
}


def limit_lines(dialect: Dialect, levels: Sequence[Level], wall: float) -> Lines:
    """The headers that tell of the levels; `wall` is the time of day in seconds since 1970. Of several limits that one
    rule fits, the one with the smallest share left is told."""
    lines: list[tuple[str, str]] = []
    for rule in dialect.rules:
        fitting = [level for level in levels if level.limit.of is rule.of and level.limit.seconds == rule.seconds]
        if not fitting:
            continue
        level = min(fitting, key=_share_left)
        if rule.limit:
            lines.append((rule.limit, str(int(level.most))))
        lines.append((rule.remaining, str(int(round(level.remaining / rule.rounding) * rule.rounding))))
        if rule.reset:
            lines.append((rule.reset, _reset(dialect.reset, level.reset, wall)))
    return tuple(lines)


def wait_lines(form: WaitForm, wait: float, wall: float) -> Lines:
    """The headers that ask to wait so many seconds; rounded up, so that a wait is never too short."""
    seconds = math.ceil(wait)
    match form:
        case WaitForm.SECONDS:
            return (("retry-after", str(seconds)),)
        case WaitForm.MILLISECONDS:
            return (("retry-after", str(seconds)), ("retry-after-ms", str(math.ceil(wait * 1000))))
        case WaitForm.DATE:
            # From the second that the `date` header names: that one is rounded down.
            return (("retry-after", formatdate(math.ceil(wall + wait), usegmt=True)),)
        case _:
            return ()


def as_told(settings: HeaderSettings, levels: Sequence[Level]) -> tuple[Level, ...]:
    """The levels as headers tell them, where those are wrong on purpose."""
    match settings.told:
        case Told.NONE:
            return ()
        case Told.WRONG:
            factor = settings.factor
            return tuple(replace(level, most=level.most * factor, used=level.used * factor) for level in levels)
        case _:
            return tuple(levels)


def duration(seconds: float) -> str:
    """Seconds as `120ms`, `1s`, `7.66s`, `6m0s` or `1h0m2.5s`, rounded up to a millisecond."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{last}"
    return f"{minutes}m{last}" if minutes else last


def _share_left(level: Level) -> float:
    return level.remaining / level.most


def _reset(form: Reset, seconds: float, wall: float) -> str:
    match form:
        case Reset.DURATION:
            return duration(seconds)
        case Reset.SECONDS:
            return f"{math.ceil(seconds)}"
        case Reset.INSTANT:
            instant = datetime.fromtimestamp(math.ceil(wall + seconds), UTC)
            return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
