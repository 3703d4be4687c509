"""Limits from files, headers and bodies, through the whole stack."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.limits.limiter import Limiter
from semprop.providers.specification import Specification, load
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.wire.classify import Origin, Reply, classify

NOTHING = Surroundings(environment={})


def refusal(body: object, headers: dict[str, str] | None = None, dialect: str = "openai") -> tuple[LimitSeen, ...]:
    reply = Reply(429, headers or {}, orjson.dumps(body))
    return classify(reply, Origin("openai:m", dialect=dialect)).limits


def said(message: str) -> dict[str, object]:
    return {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}


def test_a_sentence_tells_of_the_limit_and_of_what_is_left() -> None:
    message = "on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s."
    assert refusal(said(message)) == (LimitSeen("tokens/minute", 6000.0, 966.0),)


def test_a_day_is_told_as_a_day() -> None:
    message = "on requests per day (RPD): Limit 14400, Used 14400, Requested 1"
    assert refusal(said(message)) == (LimitSeen("requests/day", 14400.0, 0.0),)


def test_a_quota_value_of_gemini_is_the_limit_and_all_of_it_is_used() -> None:
    violation = {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"}
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota", "details": details}}
    assert refusal(body) == (LimitSeen("input_tokens/minute", 250_000.0, 0.0),)


def test_the_body_is_believed_before_the_headers_of_the_same_refusal() -> None:
    headers = {"x-ratelimit-limit-tokens": "9000", "x-ratelimit-limit-requests": "50"}
    message = "(TPM): Limit 6000, Used 6000, Requested 10"
    assert refusal(said(message), headers) == (
        LimitSeen("requests/minute", 50.0),
        LimitSeen("tokens/minute", 6000.0, 0.0),
    )
    assert refusal(said(message), headers, dialect="") == (LimitSeen("tokens/minute", 6000.0, 0.0),)


def test_a_refusal_that_names_no_limit_tells_of_none() -> None:
    assert refusal(said("slow down")) == ()


FILE = """
[provider.fast]
spec = "openai:fast@https://h.test/v1"
account = "team"
group = "family"
profile = "azure"
in_flight = 7
[provider.fast.limits]
"requests/minute" = 500
"tokens/minute" = 200000
[provider.fast.account_limits]
"tokens/day" = 1e6

[provider.twin]
spec = "openai:twin@https://h.test/v1"
account = "team"
group = "family"
"""


def written(folder: Path, text: str) -> dict[str, Specification]:
    file = folder / "p.toml"
    file.write_text(text)
    return load(file)


def test_limits_of_a_file_bind_the_account_and_the_group(tmp_path: Path) -> None:
    shown = connect("fast", named=written(tmp_path, FILE), surroundings=NOTHING).statistics()["limits"]
    assert isinstance(shown, dict)
    assert list(shown["team/family"]["dimensions"]) == ["requests/minute", "tokens/minute"]
    assert list(shown["team"]["dimensions"]) == ["tokens/day"]
    assert shown["team/family"]["in_flight_limit"] == 7


def test_providers_that_get_one_limiter_share_their_groups_limits(tmp_path: Path) -> None:
    named, limiter = written(tmp_path, FILE), Limiter()
    connect("fast", named=named, surroundings=NOTHING, limiter=limiter)
    twin = connect("twin", named=named, surroundings=NOTHING, limiter=limiter)
    shown = twin.statistics()["limits"]
    assert isinstance(shown, dict)
    assert list(shown) == ["team/family", "team"]
    assert connect("twin", named=named, surroundings=NOTHING).statistics()["limits"] != shown


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('limits = {"moons/minute" = 5}', "there is no limit 'moons/minute'"),
        ('limits = {"requests/minute" = 0}', "'requests/minute' must be a number above 0"),
        ('limits = {"requests/minute" = "many"}', "must be a number"),
        ('profile = "acme"', "'profile' must be one of unknown, openai"),
        ("account = 3", "'account' must be a text"),
    ],
)
def test_limits_that_cannot_be_read_are_refused_with_their_place(tmp_path: Path, line: str, fault: str) -> None:
    with pytest.raises(StopError, match=fault) as caught:
        written(tmp_path, f'[provider.mine]\nspec = "openai:m"\n{line}\n')
    assert caught.value.error_class is ErrorClass.CONFIGURATION


def test_limits_change_no_identity(tmp_path: Path) -> None:
    named = written(tmp_path, FILE)
    assert connect("fast", named=named, surroundings=NOTHING).identity == "openai:fast@https://h.test/v1"
