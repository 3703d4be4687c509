"""Every refusal that services are known to send, and what it means."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.errors import ErrorClass, ItemError, ProviderError, RetryError, StopError
from semprop.providers.wire.classify import Origin, Reply, classify, limit_named, read_detail, redacted

ORIGIN = Origin("openai:m@https://api.test/v1", "TEST_KEY")


@dataclass(frozen=True)
class Case:
    """A reply, and what must be read out of it."""

    name: str
    status: int
    body: Any
    expected: ErrorClass
    wait: float | None = None
    dimension: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def openai(message: str, kind: str | None = None, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def gemini(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def quota(identifier: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": identifier, "quotaValue": "250000"}],
    }


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}
GROQ_TPM = (
    "Rate limit reached for model `llama-3.1-8b-instant` in organization `org_x` service tier `on_demand` on tokens "
    "per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s. Need more tokens?"
)
GROQ_TPD = (
    "Rate limit reached for model `m` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. "
    "Please try again in 9m38.016s."
)
C = ErrorClass

CASES = [
    # OpenAI
    Case(
        "openai requests per minute",
        429,
        openai(
            "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1. "
            "Please try again in 20s.",
            "requests",
            "rate_limit_exceeded",
        ),
        C.RATE,
        20.0,
        "requests/minute",
    ),
    Case(
        "openai tokens per minute",
        429,
        openai(
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 14567, "
            "Requested 24754. Please try again in 18.642s.",
            "tokens",
            "rate_limit_exceeded",
        ),
        C.RATE,
        18.642,
        "tokens/minute",
    ),
    Case(
        "openai header longer than its text",
        429,
        openai("Please try again in 2s.", "tokens", "rate_limit_exceeded"),
        C.RATE,
        7.0,
        headers={"retry-after": "7"},
    ),
    Case("openai ramp", 429, openai("Slow down", "requests", "slow_down"), C.RATE),
    Case("openai flex", 429, openai("Resource Unavailable", None, "resource_unavailable"), C.RATE),
    Case(
        "openai no credit",
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        C.QUOTA,
        headers={"x-should-retry": "false"},
    ),
    Case("openai balance", 429, openai("No credit", "billing", "credit_balance_exhausted"), C.QUOTA),
    Case("openai project spend", 429, openai("Limit", None, "project_spend_limit_exceeded"), C.QUOTA),
    Case("openai organization spend", 429, openai("Limit", None, "organization_spend_limit_exceeded"), C.QUOTA),
    Case("openai organization usage", 429, openai("Limit", None, "organization_usage_limit_exceeded"), C.QUOTA),
    Case(
        "openai one request above the limit",
        429,
        openai(
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41234.",
            "tokens",
            "rate_limit_exceeded",
        ),
        C.TOO_LARGE_FOR_QUOTA,
        None,
        "tokens/minute",
        {"x-should-retry": "false"},
    ),
    Case(
        "openai context",
        400,
        openai(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        ),
        C.CONTEXT,
    ),
    Case("openai policy", 400, openai("Rejected", "invalid_request_error", "content_policy_violation"), C.FILTER),
    Case("openai prompt", 400, openai("Invalid prompt", "invalid_request_error", "invalid_prompt"), C.FILTER),
    Case(
        "openai wrong key",
        401,
        openai("Incorrect API key provided: sk-ab***yz.", "invalid_request_error", "invalid_api_key"),
        C.AUTH,
    ),
    Case(
        "openai region",
        403,
        openai("Country not supported", "request_forbidden", "unsupported_country_region_territory"),
        C.CONFIGURATION,
    ),
    Case(
        "openai no model",
        404,
        openai("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found"),
        C.CONFIGURATION,
    ),
    Case(
        "openai overloaded", 503, openai("Overloaded", "service_unavailable_error", "server_is_overloaded"), C.OVERLOAD
    ),
    Case("openai server error", 500, openai("The server had an error", "server_error"), C.TRANSIENT),
    Case("openai conflict", 409, openai("Conflict"), C.TRANSIENT),
    Case("openai request timeout", 408, openai("Timeout"), C.TRANSIENT),
    Case(
        "openai value",
        400,
        openai("Invalid 'temperature'", "invalid_request_error", None, "temperature"),
        C.BAD_REQUEST,
    ),
    # Azure
    Case(
        "azure rate",
        429,
        {
            "error": {
                "code": "429",
                "message": "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your "
                "current OpenAI S0 pricing tier. Please retry after 6 seconds.",
            }
        },
        C.RATE,
        6.0,
    ),
    Case(
        "azure milliseconds",
        429,
        {"error": {"code": "429", "message": "Rate limited."}},
        C.RATE,
        0.75,
        headers={"retry-after-ms": "750", "retry-after": "1"},
    ),
    Case(
        "azure gateway",
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 6 seconds."},
        C.RATE,
        6.0,
    ),
    Case(
        "azure filter",
        400,
        {
            "error": {
                "code": "content_filter",
                "param": "prompt",
                "status": 400,
                "message": "The response was filtered due to the prompt triggering the content management policy.",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        C.FILTER,
    ),
    Case(
        "azure deployment", 404, {"error": {"code": "DeploymentNotFound", "message": "No deployment."}}, C.CONFIGURATION
    ),
    # Anthropic
    Case(
        "anthropic input tokens",
        429,
        anthropic(
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: o, "
            "model: claude-sonnet-4). For details, see the documentation.",
        ),
        C.RATE,
        41.0,
        "input_tokens/minute",
        {"retry-after": "41"},
    ),
    Case(
        "anthropic of last year",
        429,
        anthropic(
            "rate_limit_error",
            "This request would exceed the rate limit for your organization (o) of 20,000 input tokens per minute.",
        ),
        C.RATE,
        None,
        "input_tokens/minute",
    ),
    Case(
        "anthropic through the compatible face",
        429,
        openai("Number of requests has exceeded", "invalid_request_error", "rate_limit_error"),
        C.RATE,
    ),
    Case("anthropic spend cap", 429, anthropic("enforced_spend_limit_reached", "Spend limit"), C.QUOTA),
    Case(
        "anthropic credit",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
        C.QUOTA,
    ),
    Case("anthropic billing", 402, anthropic("billing_error", "Billing"), C.QUOTA),
    Case("anthropic overloaded", 529, anthropic("overloaded_error", "Overloaded"), C.OVERLOAD),
    Case("anthropic api error", 500, anthropic("api_error", "Internal server error"), C.TRANSIENT),
    Case("anthropic timeout", 504, anthropic("timeout_error", "Timeout"), C.TRANSIENT),
    Case("anthropic too large", 413, anthropic("request_too_large", "Request exceeds the maximum size"), C.CONTEXT),
    Case(
        "anthropic too long",
        400,
        anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        C.CONTEXT,
    ),
    Case("anthropic key", 401, anthropic("authentication_error", "invalid x-api-key"), C.AUTH),
    # Gemini
    Case(
        "gemini tokens per minute",
        429,
        gemini(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            quota("GenerateContentInputTokensPerModelPerMinute-FreeTier"),
            RETRY_INFO,
        ),
        C.RATE,
        26.0,
        "input_tokens/minute",
    ),
    Case(
        "gemini per day in a list",
        429,
        [gemini(429, "RESOURCE_EXHAUSTED", "Quota", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"))],
        C.DAILY,
        None,
        "requests/day",
    ),
    Case("gemini without details", 429, gemini(429, "RESOURCE_EXHAUSTED", "Please retry in 3.5s."), C.RATE, 3.5),
    Case("gemini overloaded", 503, gemini(503, "UNAVAILABLE", "The model is overloaded."), C.OVERLOAD),
    Case("gemini deadline", 504, gemini(504, "DEADLINE_EXCEEDED", "Deadline"), C.TRANSIENT),
    Case("gemini internal", 500, gemini(500, "INTERNAL", "An internal error has occurred."), C.TRANSIENT),
    Case("gemini cancelled", 499, gemini(499, "CANCELLED", "Cancelled"), C.TRANSIENT),
    Case("gemini region", 400, gemini(400, "FAILED_PRECONDITION", "User location is not supported"), C.CONFIGURATION),
    Case(
        "gemini key",
        400,
        gemini(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
        C.AUTH,
    ),
    Case(
        "gemini context",
        400,
        gemini(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        C.CONTEXT,
    ),
    # Groq
    Case(
        "groq tokens per minute", 429, openai(GROQ_TPM, "tokens", "rate_limit_exceeded"), C.RATE, 4.77, "tokens/minute"
    ),
    Case("groq tokens per day", 429, openai(GROQ_TPD, "tokens", "rate_limit_exceeded"), C.DAILY, 578.016, "tokens/day"),
    Case(
        "groq one request above the limit",
        413,
        openai(
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 14368, please reduce",
            "tokens",
            "rate_limit_exceeded",
        ),
        C.TOO_LARGE_FOR_QUOTA,
        None,
        "tokens/minute",
    ),
    Case(
        "groq hopeless wait",
        429,
        openai(
            "Rate limit reached on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. "
            "Please try again in 50.59s.",
            "tokens",
            "rate_limit_exceeded",
        ),
        C.TOO_LARGE_FOR_QUOTA,
        50.59,
        "tokens/minute",
    ),
    # Captured in songquanpeng/one-api#1764.
    Case(
        "groq restricted",
        400,
        openai("Organization has been restricted.", "invalid_request_error", "organization_restricted"),
        C.AUTH,
    ),
    # OpenRouter
    Case("openrouter credits", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, C.QUOTA),
    Case(
        "openrouter upstream throttle",
        429,
        {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "rate-limited upstream"}}},
        C.RATE,
    ),
    Case(
        "openrouter moderation",
        403,
        {"error": {"code": 403, "message": "Input was flagged by moderation", "metadata": {"reasons": ["x"]}}},
        C.FILTER,
    ),
    Case("openrouter inside 200", 200, {"error": {"code": 502, "message": "Upstream error"}}, C.TRANSIENT),
    Case("openrouter throttle inside 200", 200, {"error": {"code": 429, "message": "Rate limited"}}, C.RATE),
    Case("openrouter error without a code inside 200", 200, {"error": {"message": "?"}}, C.TRANSIENT),
    # Self-hosted
    Case(
        "vllm context",
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        C.CONTEXT,
    ),
    Case("vllm queue", 503, openai("Queue is full", "QueueOverflowError"), C.OVERLOAD),
    Case(
        "vllm no model",
        404,
        {"object": "error", "message": "The model `x` does not exist.", "code": 404},
        C.CONFIGURATION,
    ),
    Case(
        "ollama queue",
        503,
        {"error": "server busy, please try again.  maximum pending requests exceeded"},
        C.OVERLOAD,
    ),
    Case("ollama no model", 404, openai("model 'x' not found", "api_error"), C.CONFIGURATION),
    Case(
        "llama.cpp loading",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        C.OVERLOAD,
    ),
    Case(
        "llama.cpp context",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5000,
                "n_ctx": 4096,
            }
        },
        C.CONTEXT,
    ),
    # LiteLLM's proxy, as it answered in `test_litellm_proxy.py`.
    Case("litellm key", 400, openai("No connected db.", "no_db_connection", None), C.AUTH),
    Case(
        "litellm model",
        400,
        openai("/chat/completions: Invalid model name passed in model=x.", "invalid_request_error", "400"),
        C.CONFIGURATION,
    ),
    # Others
    Case("bedrock throttle", 400, {"__type": "ThrottlingException", "message": "Too many requests"}, C.RATE),
    Case("moonshot overload", 429, openai("Engine overloaded", "engine_overloaded_error"), C.OVERLOAD),
    Case(
        "fastapi validation",
        422,
        {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
        C.BAD_REQUEST,
    ),
    Case("a gateway's page", 502, "<html><body>Bad Gateway</body></html>", C.TRANSIENT),
    Case("an empty 429", 429, "", C.RATE),
    Case("an unknown 4xx", 418, "teapot", C.BAD_REQUEST),
    Case("an unknown 5xx", 599, "?", C.TRANSIENT),
    Case("a redirect", 302, "", C.CONFIGURATION),
    Case("another 413", 413, "too big", C.CONTEXT),
]


def reply(case: Case) -> Reply:
    body = case.body.encode() if isinstance(case.body, str) else orjson.dumps(case.body)
    return Reply(case.status, case.headers, body)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_refusal_is_classed_with_its_wait_and_its_dimension(case: Case) -> None:
    error = classify(reply(case), ORIGIN, attempts=3)
    assert error.error_class is case.expected
    assert error.retry_after == (pytest.approx(case.wait) if case.wait is not None else None)
    assert error.dimension == case.dimension
    assert (error.status, error.attempts) == (case.status, 3)


def test_the_type_of_an_error_says_what_a_caller_can_do() -> None:
    kinds = {
        RetryError: (C.RATE, C.OVERLOAD, C.TRANSIENT, C.DAILY),
        StopError: (C.AUTH, C.QUOTA, C.CONFIGURATION),
        ItemError: (C.CONTEXT, C.FILTER, C.BAD_REQUEST, C.TOO_LARGE_FOR_QUOTA),
    }
    by_class = {error_class: kind for kind, classes in kinds.items() for error_class in classes}
    seen = {case.expected for case in CASES}
    assert seen == set(by_class), "every class that a reply can have occurs in the table"
    for case in CASES:
        assert type(classify(reply(case), ORIGIN)) is by_class[case.expected]


def test_a_named_limit_is_read_with_what_was_asked_for() -> None:
    named = limit_named(read_detail(orjson.dumps(openai(GROQ_TPM))))
    assert named is not None
    assert (named.dimension, named.limit, named.requested) == ("tokens/minute", 6000.0, 1443.0)


def test_a_message_says_who_refused_with_what_and_the_mend() -> None:
    message = str(classify(Reply(401, {}, orjson.dumps(openai("Wrong key", code="invalid_api_key"))), ORIGIN))
    assert message == (
        "openai:m@https://api.test/v1 refused (HTTP 401, invalid_api_key): Wrong key — "
        "set TEST_KEY to a key that may use this model"
    )


def test_a_long_page_is_quoted_in_part_only() -> None:
    assert len(str(classify(Reply(500, {}, b"<p>" + b"x" * 100_000), ORIGIN))) < 600


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_body_breaks_the_classifier(status: int, body: bytes) -> None:
    assert classify(Reply(status, {}, body), ORIGIN).status == status


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "details", "metadata", "loc", "violations"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(200, 599), json)
def test_no_document_breaks_the_classifier(status: int, document: Any) -> None:
    assert isinstance(classify(Reply(status, {}, orjson.dumps(document)), ORIGIN), ProviderError)


@given(st.text("abcXYZ019-_", min_size=8, max_size=40), st.integers(0, 2100))
def test_a_secret_is_gone_wherever_the_text_is_cut(secret: str, offset: int) -> None:
    origin = Origin("openai:m", "TEST_KEY", ("sk-" + secret,))
    body = orjson.dumps(openai("." * offset + "sk-" + secret))
    assert secret[:6] not in str(classify(Reply(401, {}, body), origin)).replace("TEST_KEY", "")
    assert redacted("a sk-" + secret + " b", origin.secrets) == "a [redacted] b"


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_a_picture_that_an_endpoint_repeats_is_not_shown(head):
    # OpenAI quotes the address that it could not read, which holds the picture itself.
    picture = base64.b64encode(bytes(range(256)) * 40).decode()
    words = f"Invalid value: '{head}{picture}'. Expected a picture."
    error = classify(Reply(400, {}, orjson.dumps({"error": {"message": words}})), Origin("openai:m"))
    assert picture[:50] not in str(error)
    assert "Invalid value: '[bytes]" in str(error)
