"""Headers and error bodies of every dialect, read back by the provider's own readers."""

from __future__ import annotations

import orjson
import pytest

from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass
from semprop.providers.wire.classify import Origin, Reply, classify, limit_named, read_detail
from semprop.providers.wire.headers import limits_seen, retry_after
from semprop.tools.endpoint.dialects import DIALECTS, as_told, duration, limit_lines, wait_lines
from semprop.tools.endpoint.errors import error_answer
from semprop.tools.endpoint.limits import Level
from semprop.tools.endpoint.settings import Counted, HeaderSettings, Limit, Told, WaitForm
from semprop.tools.endpoint.troubles import Kind, Trouble
from semprop.tools.endpoint.windows import DAY

WALL = 1_770_000_000.25
DATE = {"date": "Mon, 02 Feb 2026 02:40:00 GMT"}


def level(of, most, used, reset=12.5, seconds=60.0):
    return Level(Limit(of, most, seconds), most, used, reset)


LEVELS = (
    level(Counted.REQUESTS, 600, 100),
    level(Counted.REQUESTS, 10, 3, 0.4, seconds=1.0),
    level(Counted.REQUESTS, 14_400, 400, 3725.0, seconds=DAY),
    level(Counted.TOKENS, 90_000, 1_700),
    level(Counted.INPUT, 50_000, 20_400),
    level(Counted.OUTPUT, 8_000, 100),
)


def told(dialect, levels=LEVELS):
    return {**DATE, **dict(limit_lines(DIALECTS[dialect], levels, WALL))}


@pytest.mark.parametrize(
    ("dialect", "reader", "expected"),
    [
        (
            "openai",
            "openai",
            (LimitSeen("requests/minute", 600, 500, 12.5), LimitSeen("tokens/minute", 90_000, 88_300, 12.5)),
        ),
        (
            "azure",
            "openai",
            (LimitSeen("requests/minute", None, 500), LimitSeen("tokens/minute", None, 88_300)),
        ),
        (
            "groq",
            "groq",
            (LimitSeen("requests/day", 14_400, 14_000, 3725.0), LimitSeen("tokens/minute", 90_000, 88_300, 12.5)),
        ),
        (
            "mistral",
            "openai",
            (LimitSeen("requests/minute", 600, 500), LimitSeen("tokens/minute", 90_000, 88_300)),
        ),
        ("together", "together", (LimitSeen("requests/second", 10, 7, 1.0),)),
        (
            "anthropic",
            "anthropic",
            (
                LimitSeen("requests/minute", 600, 500, 13.0),
                LimitSeen("tokens/minute", 90_000, 88_000, 13.0),
                LimitSeen("input_tokens/minute", 50_000, 30_000, 13.0),
                LimitSeen("output_tokens/minute", 8_000, 8_000, 13.0),
            ),
        ),
        *((name, "openai", ()) for name in ("gemini", "vllm", "ollama", "llamacpp", "none")),
    ],
)
def test_headers_of_a_dialect_are_read_back_as_the_state_that_they_tell(dialect, reader, expected):
    assert limits_seen(told(dialect), reader) == expected


def test_of_two_limits_of_one_kind_the_tighter_one_is_told():
    levels = (level(Counted.REQUESTS, 600, 0), level(Counted.REQUESTS, 100, 90))
    assert limits_seen(told("openai", levels), "openai")[0].remaining == 10


def test_wrong_headers_tell_more_than_there_is_and_none_tell_nothing():
    settings = HeaderSettings(told=Told.WRONG, factor=10.0)
    seen = limits_seen(told("openai", as_told(settings, LEVELS)), "openai")
    assert (seen[0].limit, seen[0].remaining) == (6000, 5000)
    assert as_told(HeaderSettings(told=Told.NONE), LEVELS) == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.1201, "121ms"),
        (1.0, "1s"),
        (7.66, "7.66s"),
        (179.56, "2m59.56s"),
        (360.0, "6m0s"),
        (3602.5, "1h0m2.5s"),
    ],
)
def test_durations_are_written_as_services_write_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("form", "wait"),
    [(WaitForm.SECONDS, 7.0), (WaitForm.MILLISECONDS, 6.201), (WaitForm.DATE, 7.0), (WaitForm.NONE, None)],
)
def test_every_form_of_retry_after_is_read_back_and_never_too_short(form, wait):
    assert retry_after({**DATE, **dict(wait_lines(form, 6.2001, WALL))}) == wait


RATE = Trouble(Kind.RATE, "m", "req_1", level(Counted.TOKENS, 30_000, 29_000), 2_000, 6.2)
DAILY = Trouble(Kind.RATE, "m", "req_1", level(Counted.REQUESTS, 1_000, 1_000, seconds=DAY), 1, 3_600.0)
LARGE = Trouble(Kind.TOO_LARGE, "m", "req_1", level(Counted.TOKENS, 30_000, 0), 40_000)

CLASSES = {
    Kind.OVERLOADED: ErrorClass.OVERLOAD,
    Kind.UNAVAILABLE: ErrorClass.OVERLOAD,
    Kind.QUEUE_FULL: ErrorClass.OVERLOAD,
    Kind.SERVER_ERROR: ErrorClass.TRANSIENT,
    Kind.TIMEOUT: ErrorClass.TRANSIENT,
    Kind.BILLING: ErrorClass.QUOTA,
    Kind.AUTH: ErrorClass.AUTH,
    Kind.CONTEXT: ErrorClass.CONTEXT,
    Kind.FILTER: ErrorClass.FILTER,
    Kind.BAD_REQUEST: ErrorClass.BAD_REQUEST,
    Kind.UNSUPPORTED: ErrorClass.BAD_REQUEST,
    Kind.NO_MODEL: ErrorClass.CONFIGURATION,
}

EXCEPTIONS = {
    # Nothing in a 400 of Gemini for a missing bill but its word.
    ("gemini", Kind.BILLING): ErrorClass.CONFIGURATION,
}


def refusal(dialect, trouble):
    answer = error_answer(DIALECTS[dialect], trouble)
    lines = answer.lines
    if trouble.wait is not None:
        lines += wait_lines(DIALECTS[dialect].waits, trouble.wait, WALL)
    return Reply(answer.status, {**DATE, **dict(lines)}, orjson.dumps(answer.document))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_body_is_classed_as_what_it_is(dialect, kind):
    trouble = Trouble(kind, "m", "req_1", requested=9_000, param="temperature", message="it must be text")
    error = classify(refusal(dialect, trouble), Origin("mock"))
    if dialect == "anthropic" and kind is Kind.FILTER:
        # A bad request with words of its own; either class finishes the request.
        assert error.error_class in (ErrorClass.BAD_REQUEST, ErrorClass.FILTER)
        return
    assert error.error_class is EXCEPTIONS.get((dialect, kind), CLASSES[kind])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_rate_limit_is_classed_as_one_with_a_wait_that_is_long_enough(dialect):
    error = classify(refusal(dialect, RATE), Origin("mock"))
    assert error.error_class is ErrorClass.RATE
    silent = dialect in ("vllm", "ollama", "llamacpp")
    # With no header the sentence of OpenAI still tells it.
    assert error.retry_after is None if silent and dialect != "llamacpp" else 6.2 <= (error.retry_after or 0) <= 7.0


@pytest.mark.parametrize(
    ("dialect", "dimension"),
    [
        ("openai", "tokens/minute"),
        ("groq", "tokens/minute"),
        ("none", "tokens/minute"),
        ("anthropic", "tokens/minute"),
        ("gemini", "input_tokens/minute"),
        ("azure", None),
        ("mistral", None),
    ],
)
def test_a_rate_limit_names_its_dimension_where_the_service_does(dialect, dimension):
    assert classify(refusal(dialect, RATE), Origin("mock")).dimension == dimension


@pytest.mark.parametrize("dialect", ["openai", "groq", "none", "anthropic", "gemini", "llamacpp"])
def test_a_daily_limit_is_told_from_a_minute_s(dialect):
    assert classify(refusal(dialect, DAILY), Origin("mock")).error_class is ErrorClass.DAILY


@pytest.mark.parametrize("dialect", ["openai", "azure", "groq", "none", "anthropic"])
def test_a_request_above_the_whole_limit_can_be_told(dialect):
    assert classify(refusal(dialect, LARGE), Origin("mock")).error_class is ErrorClass.TOO_LARGE_FOR_QUOTA


def test_a_limit_of_ten_seconds_is_told_as_the_minute_that_it_enforces():
    trouble = Trouble(Kind.RATE, "m", "r", level(Counted.REQUESTS, 100, 100, seconds=10.0), 1, 3.0)
    named = limit_named(read_detail(refusal("openai", trouble).body))
    assert named is not None and (named.dimension, named.limit) == ("requests/minute", 600)
