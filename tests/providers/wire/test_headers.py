"""What headers say about waiting and limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import LimitSeen
from semprop.providers.wire.headers import DIALECTS, dialect_of, duration, limits_seen, retry_after, wait_in_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1.0),
        ("1.5", 1.5),
        ("1s", 1.0),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("7m12s", 432.0),
        ("2m59.56s", 179.56),
        ("9m38.016s", 578.016),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("6 seconds", 6.0),
        ("26s", 26.0),
    ],
)
def test_durations_of_every_service_are_read(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e3", "nan", "inf", "5 apples", "s", "1x2s", "٣s"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_a_duration(text: str) -> None:
    seconds = duration(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        (
            {"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"},
            30.0,
        ),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_every_form_without_a_clock_of_ours(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


def test_the_wait_inside_a_sentence_is_found() -> None:
    assert wait_in_text("Please try again in 9m38.016s. Need more?") == pytest.approx(578.016)
    assert wait_in_text("Please retry after 6 seconds.") == 6.0
    assert wait_in_text("Please retry in 26.5s") == 26.5
    assert wait_in_text("try again in a while") is None


def test_groq_counts_requests_by_the_day_and_tokens_by_the_minute() -> None:
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "17997",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    assert limits_seen(headers, dialect_of("api.groq.com")) == (
        LimitSeen("requests/day", 14400, 14370, 179.56),
        LimitSeen("tokens/minute", 18000, 17997, 7.66),
    )
    assert limits_seen(headers, dialect_of("api.openai.com"))[0].dimension == "requests/minute"


def test_a_reset_as_an_instant_is_measured_against_the_replys_own_date() -> None:
    headers = {
        "date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "29000",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-22T10:00:12Z",
    }
    assert limits_seen(headers, "anthropic") == (LimitSeen("input_tokens/minute", 30000, 29000, 12.0),)


def test_headers_that_cannot_be_read_are_absent() -> None:
    headers = {"x-ratelimit-limit-tokens": "many", "x-ratelimit-reset-tokens": "later"}
    assert limits_seen(headers, "openai") == (LimitSeen("tokens/minute"),)
    assert limits_seen({}, "openai") == ()


def test_every_host_that_is_known_speaks_a_dialect_that_exists() -> None:
    for host in ("api.groq.com", "api.anthropic.com", "api.together.xyz", "localhost", "", "evilgroq.com"):
        assert dialect_of(host) in DIALECTS
    assert dialect_of("evilgroq.com") == "openai"
