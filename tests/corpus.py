"""What services answer, kind by kind: replies as their references show them, refusals as they document them or as
people have captured them in public reports. Each entry says where it is from.

`REPLIES` has the body of one reply and the events of the same one; `REFUSALS` has, for every kind, an entry for every
class of error, or says why there is none. `test_matrix.py` sends each through the real transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from semprop.providers.base import LimitSeen, Usage
from semprop.providers.errors import ErrorClass

C = ErrorClass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, and what must be read out of it.

    Attributes:
        source: the page, or the public report, that shows it.
        wait: seconds that it asks to wait.
        dimension: of the limit that was hit.
        limits: what it tells of limits, in headers and body.
    """

    source: str
    status: int
    body: Any
    wait: float | None = None
    dimension: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[LimitSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One reply, whole and in events: its text is `fine`, and `usage` what is counted."""

    source: str
    body: Any
    events: tuple[Any, ...]
    usage: Usage


NONE_TOLD = "the service documents none"
"""Why a cell is empty."""

UNSEEN = "no documented and no captured reply was found"

LOCAL = "a server of one's own: there is no account behind it"

Cell = Refusal | str


# Where entries are from ----------------------------------------------------------------------------------------------

OPENAI = "https://platform.openai.com/docs/guides/error-codes"
OPENAI_LIMITS = "https://platform.openai.com/docs/guides/rate-limits"
AZURE = "https://learn.microsoft.com/azure/ai-services/openai/quotas-limits"
AZURE_FILTER = "https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter"
ANTHROPIC = "https://docs.claude.com/en/api/errors"
ANTHROPIC_LIMITS = "https://docs.claude.com/en/api/rate-limits"
GEMINI = "https://ai.google.dev/gemini-api/docs/troubleshooting"
GEMINI_LIMITS = "https://github.com/google-gemini/gemini-cli/issues/14811"
VLLM = "https://github.com/vllm-project/vllm/issues/18826"
OLLAMA = "https://github.com/ollama/ollama/blob/main/docs/api.md"
LLAMACPP = "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"
LMSTUDIO = "https://lmstudio.ai/docs/app/api/endpoints/openai"
OPENROUTER = "https://openrouter.ai/docs/api-reference/errors"
GROQ = "https://console.groq.com/docs/errors"
GROQ_LIMITS = "https://console.groq.com/docs/rate-limits"
TOGETHER = "https://docs.together.ai/docs/error-codes"
TOGETHER_LIMITS = "https://docs.together.ai/docs/rate-limits"
MISTRAL = "https://docs.mistral.ai/api/"
MISTRAL_LIMITS = "https://github.com/cline/cline/issues/9085"
DEEPSEEK = "https://api-docs.deepseek.com/quick_start/error_codes"
FIREWORKS = "https://docs.fireworks.ai/guides/inference-error-codes"


# Refusals ------------------------------------------------------------------------------------------------------------


def said(message: str, kind: str | None = None, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def claude(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def google(code: int, status: str, message: str, *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def quota(identifier: str, value: int) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count",
                "quotaId": identifier,
                "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
                "quotaValue": str(value),
            }
        ],
    }


def delay(text: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}


TPM = "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 14567, "
CHAT_LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
}
_OPENAI: Mapping[ErrorClass, Cell] = {
    C.RATE: Refusal(
        OPENAI_LIMITS,
        429,
        said(f"{TPM}Requested 24754. Please try again in 18.642s.", "tokens", "rate_limit_exceeded"),
        18.642,
        "tokens/minute",
        CHAT_LIMITS,
        (
            LimitSeen("requests/minute", 500.0, 499.0, 0.12),
            LimitSeen("tokens/minute", 30000.0, 15433.0),
        ),
    ),
    C.OVERLOAD: Refusal(
        OPENAI,
        503,
        said(
            "The engine is currently overloaded, please try again later",
            "service_unavailable_error",
            "server_is_overloaded",
        ),
    ),
    C.TRANSIENT: Refusal(
        OPENAI, 500, said("The server had an error while processing your request. Sorry about that!", "server_error")
    ),
    C.DAILY: Refusal(
        OPENAI_LIMITS,
        429,
        said(
            "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try "
            "again in 7m12s.",
            "requests",
            "rate_limit_exceeded",
        ),
        432.0,
        "requests/day",
        limits=(LimitSeen("requests/day", 200.0, 0.0),),
    ),
    C.TOO_LARGE_FOR_QUOTA: Refusal(
        OPENAI_LIMITS,
        429,
        said(
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41234.",
            "tokens",
            "rate_limit_exceeded",
        ),
        None,
        "tokens/minute",
        {"x-should-retry": "false"},
        (LimitSeen("tokens/minute", 30000.0),),
    ),
    C.CONTEXT: Refusal(
        OPENAI,
        400,
        said(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        ),
    ),
    C.FILTER: Refusal(
        OPENAI,
        400,
        said(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            "invalid_request_error",
            "invalid_prompt",
        ),
    ),
    C.BAD_REQUEST: Refusal(
        OPENAI,
        400,
        said(
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3.0 instead.",
            "invalid_request_error",
            "decimal_above_max_value",
            "temperature",
        ),
    ),
    C.QUOTA: Refusal(
        OPENAI,
        429,
        said(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    C.AUTH: Refusal(
        OPENAI, 401, said("Incorrect API key provided: sk-ab***yz.", "invalid_request_error", "invalid_api_key")
    ),
    C.CONFIGURATION: Refusal(
        OPENAI,
        404,
        said(
            "The model `gpt-9` does not exist or you do not have access to it.",
            "invalid_request_error",
            "model_not_found",
        ),
    ),
}

_AZURE_RATE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token "
    "rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."
)

REFUSALS: Mapping[str, Mapping[ErrorClass, Cell]] = {
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "azure": {
        **_OPENAI,
        C.RATE: Refusal(
            AZURE,
            429,
            said(_AZURE_RATE, None, "429"),
            6.0,
            headers={"retry-after": "6", "retry-after-ms": "6000"},
        ),
        C.DAILY: NONE_TOLD,
        C.FILTER: Refusal(
            AZURE_FILTER,
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
                    "management policy. Please modify your prompt and retry.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {
                        "code": "ResponsibleAIPolicyViolation",
                        "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
                    },
                }
            },
        ),
        C.QUOTA: NONE_TOLD,
        C.AUTH: Refusal(
            AZURE,
            401,
            {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, or expired."},
        ),
        C.CONFIGURATION: Refusal(
            AZURE,
            404,
            said("The API deployment for this resource does not exist.", None, "DeploymentNotFound"),
        ),
    },
    "anthropic": {
        C.RATE: Refusal(
            ANTHROPIC_LIMITS,
            429,
            claude(
                "rate_limit_error",
                "This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: o, "
                "model: claude-sonnet-4-5).",
            ),
            41.0,
            "input_tokens/minute",
            {
                "retry-after": "41",
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
            },
            (LimitSeen("requests/minute", 50.0, 49.0), LimitSeen("input_tokens/minute", 30000.0)),
        ),
        C.OVERLOAD: Refusal(ANTHROPIC, 529, claude("overloaded_error", "Overloaded")),
        C.TRANSIENT: Refusal(ANTHROPIC, 500, claude("api_error", "Internal server error")),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: Refusal(
            ANTHROPIC, 400, claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
        ),
        C.FILTER: Refusal(
            "https://github.com/anthropics/claude-code/issues/58367",
            400,
            claude("invalid_request_error", "Output blocked by content filtering policy"),
        ),
        C.BAD_REQUEST: Refusal(
            ANTHROPIC,
            400,
            claude("invalid_request_error", "max_tokens: 90000 > 64000, which is the maximum allowed number of output"),
        ),
        C.QUOTA: Refusal(
            ANTHROPIC,
            400,
            claude(
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
            ),
        ),
        C.AUTH: Refusal(ANTHROPIC, 401, claude("authentication_error", "invalid x-api-key")),
        C.CONFIGURATION: Refusal(ANTHROPIC, 404, claude("not_found_error", "model: claude-9")),
    },
    "gemini": {
        C.RATE: Refusal(
            GEMINI_LIMITS,
            429,
            google(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                quota("GenerateContentInputTokensPerModelPerMinute-FreeTier", 250000),
                delay("26s"),
            ),
            26.0,
            "input_tokens/minute",
            limits=(LimitSeen("input_tokens/minute", 250000.0, 0.0),),
        ),
        C.OVERLOAD: Refusal(
            GEMINI, 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        ),
        C.TRANSIENT: Refusal(GEMINI, 500, google(500, "INTERNAL", "An internal error has occurred.")),
        C.DAILY: Refusal(
            GEMINI_LIMITS,
            429,
            google(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota.",
                quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", 250),
            ),
            None,
            "requests/day",
            limits=(LimitSeen("requests/day", 250.0, 0.0),),
        ),
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: Refusal(
            GEMINI,
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ),
        ),
        C.FILTER: "a blocked prompt is a reply of status 200: see the reasons to stop",
        C.BAD_REQUEST: Refusal(
            GEMINI, 400, google(400, "INVALID_ARGUMENT", "Invalid value at 'contents' (type.googleapis.com/Content)")
        ),
        C.QUOTA: NONE_TOLD,
        C.AUTH: Refusal(
            GEMINI,
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
            ),
        ),
        C.CONFIGURATION: Refusal(
            GEMINI, 404, google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta")
        ),
    },
    "vllm": {
        C.RATE: LOCAL,
        C.OVERLOAD: Refusal(VLLM, 503, said("The server's queue is full.", "QueueOverflowError", None)),
        C.TRANSIENT: Refusal(
            VLLM,
            500,
            {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}},
        ),
        C.DAILY: LOCAL,
        C.TOO_LARGE_FOR_QUOTA: LOCAL,
        C.CONTEXT: Refusal(
            "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/openai/serving_engine.py",
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 4096 tokens. However, your request has 5000 "
                    "input tokens. Please reduce the length of the input messages.",
                    "type": "BadRequestError",
                    "param": None,
                    "code": 400,
                }
            },
        ),
        C.FILTER: LOCAL,
        C.BAD_REQUEST: Refusal(
            "https://github.com/vllm-project/vllm/blob/main/vllm/sampling_params.py",
            400,
            {"error": {"message": "top_p must be in (0, 1], got 2.0.", "type": "BadRequestError", "code": 400}},
        ),
        C.QUOTA: LOCAL,
        C.AUTH: Refusal(
            "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/openai/api_server.py",
            401,
            {"error": "Unauthorized"},
        ),
        C.CONFIGURATION: Refusal(
            "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/openai/serving_models.py",
            404,
            {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}},
        ),
    },
    "ollama": {
        C.RATE: LOCAL,
        C.OVERLOAD: Refusal(
            "https://github.com/ollama/ollama/blob/main/docs/faq.mdx",
            503,
            said("server busy, please try again.  maximum pending requests exceeded", "api_error"),
        ),
        C.TRANSIENT: Refusal(OLLAMA, 500, said("llama runner process has terminated: signal: killed", "api_error")),
        C.DAILY: LOCAL,
        C.TOO_LARGE_FOR_QUOTA: LOCAL,
        C.CONTEXT: Refusal(OLLAMA, 400, said("the input length exceeds the context length", "invalid_request_error")),
        C.FILTER: LOCAL,
        C.BAD_REQUEST: Refusal(OLLAMA, 400, said("invalid temperature: must be a number", "invalid_request_error")),
        C.QUOTA: LOCAL,
        C.AUTH: LOCAL,
        C.CONFIGURATION: Refusal(OLLAMA, 404, said('model "x" not found, try pulling it first', "not_found_error")),
    },
    "llamacpp": {
        C.RATE: LOCAL,
        C.OVERLOAD: Refusal(
            LLAMACPP, 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
        ),
        C.TRANSIENT: Refusal(
            LLAMACPP, 500, {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
        ),
        C.DAILY: LOCAL,
        C.TOO_LARGE_FOR_QUOTA: LOCAL,
        C.CONTEXT: Refusal(
            LLAMACPP,
            400,
            {
                "error": {
                    "code": 400,
                    "message": "the request exceeds the available context size. try increasing the context size",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 5000,
                    "n_ctx": 4096,
                }
            },
        ),
        C.FILTER: LOCAL,
        C.BAD_REQUEST: Refusal(
            LLAMACPP,
            400,
            {"error": {"code": 400, "message": "Failed to parse grammar", "type": "invalid_request_error"}},
        ),
        C.QUOTA: LOCAL,
        C.AUTH: Refusal(
            LLAMACPP, 401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}
        ),
        C.CONFIGURATION: Refusal(
            LLAMACPP, 404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
        ),
    },
    "lmstudio": {
        C.RATE: LOCAL,
        C.OVERLOAD: NONE_TOLD,
        C.TRANSIENT: Refusal(
            "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/1620",
            500,
            {"error": "The model crashed without additional information"},
        ),
        C.DAILY: LOCAL,
        C.TOO_LARGE_FOR_QUOTA: LOCAL,
        C.CONTEXT: Refusal(
            "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/237",
            400,
            {
                "error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
                "loaded with context length of only 4096 tokens, which is not enough."
            },
        ),
        C.FILTER: LOCAL,
        C.BAD_REQUEST: Refusal(LMSTUDIO, 400, {"error": "'messages' field is required"}),
        C.QUOTA: LOCAL,
        C.AUTH: LOCAL,
        C.CONFIGURATION: Refusal(
            LMSTUDIO, 404, said('Model "x" not found.', "invalid_request_error", "model_not_found", "model")
        ),
    },
    "openrouter": {
        C.RATE: Refusal(
            OPENROUTER,
            429,
            {
                "error": {
                    "code": 429,
                    "message": "Provider returned error",
                    "metadata": {"raw": "x is temporarily rate-limited upstream.", "provider_name": "Y"},
                }
            },
        ),
        C.OVERLOAD: Refusal(
            OPENROUTER,
            503,
            {"error": {"code": 503, "message": "No available model provider meets your routing requirements"}},
        ),
        C.TRANSIENT: Refusal(OPENROUTER, 502, {"error": {"code": 502, "message": "Your chosen model is down"}}),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: Refusal(
            "https://github.com/OpenHands/OpenHands/issues/9937",
            400,
            {
                "error": {
                    "code": 400,
                    "message": "This endpoint's maximum context length is 131072 tokens. However, you requested about "
                    "138956 tokens (7884 of text input, 131072 in the output).",
                }
            },
        ),
        C.FILTER: Refusal(
            OPENROUTER,
            403,
            {
                "error": {
                    "code": 403,
                    "message": "Your chosen model requires moderation and your input was flagged",
                    "metadata": {"reasons": ["violence"], "flagged_input": "…"},
                }
            },
        ),
        C.BAD_REQUEST: Refusal(OPENROUTER, 400, {"error": {"code": 400, "message": "temperature: too large"}}),
        C.QUOTA: Refusal(
            OPENROUTER,
            402,
            {"error": {"code": 402, "message": "Insufficient credits. Add more using https://openrouter.ai/credits"}},
        ),
        C.AUTH: Refusal(OPENROUTER, 401, {"error": {"code": 401, "message": "No auth credentials found"}}),
        C.CONFIGURATION: Refusal(OPENROUTER, 404, {"error": {"code": 404, "message": "No endpoints found for x."}}),
    },
    "groq": {
        C.RATE: Refusal(
            "https://github.com/elizaOS/eliza/issues/4040",
            429,
            said(
                "Rate limit reached for model `llama-3.1-8b-instant` in organization `org_x` service tier `on_demand` "
                "on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s.",
                "tokens",
                "rate_limit_exceeded",
            ),
            4.77,
            "tokens/minute",
            {"x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-requests": "14370"},
            (LimitSeen("requests/day", 14400.0, 14370.0), LimitSeen("tokens/minute", 6000.0, 966.0)),
        ),
        C.OVERLOAD: Refusal(GROQ, 503, said("Service Unavailable", "service_unavailable_error")),
        C.TRANSIENT: Refusal(GROQ, 500, said("Internal Server Error", "internal_server_error")),
        C.DAILY: Refusal(
            "https://github.com/continuedev/continue/issues/10920",
            429,
            said(
                "Rate limit reached for model `m` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. "
                "Please try again in 9m38.016s.",
                "tokens",
                "rate_limit_exceeded",
            ),
            578.016,
            "tokens/day",
            limits=(LimitSeen("tokens/day", 100000.0, 2950.0),),
        ),
        C.TOO_LARGE_FOR_QUOTA: Refusal(
            "https://github.com/assafelovic/gpt-researcher/issues/985",
            413,
            said(
                "Request too large for model `m` in organization `org_x` on tokens per minute (TPM): Limit 6000, "
                "Requested 14368, please reduce your message size and try again.",
                "tokens",
                "rate_limit_exceeded",
            ),
            None,
            "tokens/minute",
            limits=(LimitSeen("tokens/minute", 6000.0),),
        ),
        C.CONTEXT: Refusal(
            GROQ,
            400,
            said(
                "Please reduce the length of the messages or completion.",
                "invalid_request_error",
                "context_length_exceeded",
                "messages",
            ),
        ),
        C.FILTER: NONE_TOLD,
        C.BAD_REQUEST: Refusal(
            GROQ, 400, said("'temperature' : number must be at most 2", "invalid_request_error", None, "temperature")
        ),
        C.QUOTA: UNSEEN,
        C.AUTH: Refusal(GROQ, 401, said("Invalid API Key", "invalid_request_error", "invalid_api_key")),
        C.CONFIGURATION: Refusal(
            GROQ,
            404,
            said("The model `x` does not exist or you do not have access.", "invalid_request_error", "model_not_found"),
        ),
    },
    "together": {
        C.RATE: Refusal(
            TOGETHER_LIMITS,
            429,
            said("You have reached the rate limit specific to this model.", "dynamic_request_limited"),
        ),
        C.OVERLOAD: Refusal(TOGETHER, 503, said("The server is overloaded, please retry", "service_unavailable")),
        C.TRANSIENT: Refusal(TOGETHER, 500, said("Internal server error", "server_error")),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        # Status 403 by the documentation, the sentence by the report.
        C.CONTEXT: Refusal(
            "https://github.com/stanford-crfm/helm/pull/2079",
            403,
            said(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2019 `inputs` "
                "tokens and 30 `max_new_tokens`",
                "invalid_request_error",
            ),
        ),
        C.FILTER: NONE_TOLD,
        C.BAD_REQUEST: Refusal(TOGETHER, 400, said("Input validation error", "invalid_request_error")),
        C.QUOTA: Refusal(TOGETHER, 402, said("Credit limit exceeded, please add credits", "credit_limit")),
        C.AUTH: Refusal(TOGETHER, 401, said("Invalid API key provided.", "invalid_request_error", "invalid_api_key")),
        C.CONFIGURATION: Refusal(
            TOGETHER, 404, said("Unable to access model x.", "invalid_request_error", "model_not_available")
        ),
    },
    "mistral": {
        C.RATE: Refusal(
            MISTRAL_LIMITS,
            429,
            {
                "object": "error",
                "message": "Rate limit exceeded",
                "type": "rate_limited",
                "param": None,
                "code": "1300",
            },
        ),
        C.OVERLOAD: Refusal(
            MISTRAL, 503, {"object": "error", "message": "Service unavailable.", "type": "internal_server_error"}
        ),
        C.TRANSIENT: Refusal(
            MISTRAL, 500, {"object": "error", "message": "Internal error", "type": "internal_server_error"}
        ),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: UNSEEN,
        C.FILTER: NONE_TOLD,
        C.BAD_REQUEST: Refusal(
            MISTRAL,
            422,
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "less_than_equal",
                            "loc": ["body", "temperature"],
                            "msg": "Input should be less than or equal to 1.5",
                        }
                    ]
                },
                "type": "invalid_request_error",
            },
        ),
        C.QUOTA: NONE_TOLD,
        C.AUTH: Refusal(MISTRAL, 401, {"detail": "Unauthorized"}),
        C.CONFIGURATION: Refusal(
            MISTRAL,
            400,
            {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
        ),
    },
    "deepseek": {
        C.RATE: Refusal(DEEPSEEK, 429, said("Rate limit reached", "rate_limit_error")),
        C.OVERLOAD: Refusal(DEEPSEEK, 503, said("Server overloaded", "service_unavailable_error")),
        C.TRANSIENT: Refusal(DEEPSEEK, 500, said("Server error", "server_error")),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: Refusal(
            "https://github.com/evalstate/fast-agent/issues/621",
            400,
            said(
                "This model's maximum context length is 131072 tokens. However, you requested 131134 tokens.",
                "invalid_request_error",
                "invalid_request_error",
            ),
        ),
        C.FILTER: Refusal(
            "https://github.com/666ghj/BettaFish/issues/108",
            400,
            said("Content Exists Risk", "invalid_request_error", "invalid_request_error"),
        ),
        C.BAD_REQUEST: Refusal(
            DEEPSEEK, 422, said("Failed to deserialize the JSON body into the target type", "invalid_request_error")
        ),
        C.QUOTA: Refusal(DEEPSEEK, 402, said("Insufficient Balance", "unknown_error", "invalid_request_error")),
        C.AUTH: Refusal(
            DEEPSEEK,
            401,
            said("Authentication Fails, Your api key: ****x is invalid", "authentication_error"),
        ),
        C.CONFIGURATION: Refusal(DEEPSEEK, 400, said("Model Not Exist", "invalid_request_error")),
    },
    "fireworks": {
        C.RATE: Refusal(FIREWORKS, 429, said("Request didn't generate first token before the given deadline")),
        C.OVERLOAD: Refusal(FIREWORKS, 503, said("Service overloaded", "error", "SERVICE_UNAVAILABLE")),
        C.TRANSIENT: Refusal(FIREWORKS, 500, said("Internal error", "error", "INTERNAL")),
        C.DAILY: NONE_TOLD,
        C.TOO_LARGE_FOR_QUOTA: NONE_TOLD,
        C.CONTEXT: Refusal(FIREWORKS, 413, said("Input data exceeds the allowed size limit.", "error")),
        C.FILTER: NONE_TOLD,
        C.BAD_REQUEST: Refusal(FIREWORKS, 400, said("Input should be less than or equal to 2", "error")),
        C.QUOTA: Refusal(
            "https://github.com/pollinations/pollinations/issues/12136",
            412,
            said(
                "Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past "
                "invoices.",
                "error",
                "PRECONDITION_FAILED",
            ),
        ),
        C.AUTH: Refusal(FIREWORKS, 401, said("The API key you provided is invalid.", "error", "UNAUTHORIZED")),
        C.CONFIGURATION: Refusal(
            FIREWORKS, 404, said("Model not found, inaccessible, and/or not deployed", "error", "NOT_FOUND")
        ),
    },
}


# Replies -------------------------------------------------------------------------------------------------------------


def chat(usage: Mapping[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion whose text is `fine`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        **more,
        "choices": [choice],
        "usage": dict(usage),
    }


def chunks(usage: Mapping[str, Any], finish: str = "stop", counted_last: bool = True, **more: Any) -> tuple[Any, ...]:
    """The same in events. Where its count does not come in an event of its own, it comes with the last piece."""

    def chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", **more, "choices": [choice]}

    pieces = [chunk({"role": "assistant", "content": ""}), chunk({"content": "fi"}), chunk({"content": "ne"})]
    if counted_last:
        return (*pieces, chunk({}, finish), {**chunk({}), "choices": [], "usage": dict(usage)}, "[DONE]")
    return (*pieces, {**chunk({}, finish), "usage": dict(usage)}, "[DONE]")


def counts(given: int, written: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written, **more}


DETAILED = counts(10, 4, prompt_tokens_details={"cached_tokens": 6}, completion_tokens_details={"reasoning_tokens": 1})
ALL = Usage(10, 6, None, 4, 1)
PLAIN = counts(10, 4)
BARE = Usage(10, None, None, 4, None)
_CHAT = "https://platform.openai.com/docs/api-reference/chat/object"

_FRAME = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None}
_CLAUDE_USAGE = {"input_tokens": 4, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 0}
_STARTED = {**_CLAUDE_USAGE, "output_tokens": 1}
_GEMINI_USAGE = {
    "promptTokenCount": 10,
    "cachedContentTokenCount": 6,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 1,
    "totalTokenCount": 14,
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "m-1",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "fine", "annotations": []}],
        },
    ],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 6},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 14,
    },
}


def _candidate(text: str, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "m-1",
        "responseId": "r-1",
    }


_FILTERED = {"hate": {"filtered": False, "severity": "safe"}}
_PROMPT = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERED}]}

REPLIES: Mapping[str, Answered] = {
    "openai": Answered(_CHAT, chat(DETAILED, service_tier="default"), chunks(DETAILED), ALL),
    "openai-responses": Answered(
        "https://platform.openai.com/docs/api-reference/responses/object",
        _RESPONSE,
        (
            {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "fi"},
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "ne"},
            {"type": "response.completed", "response": _RESPONSE},
        ),
        ALL,
    ),
    "azure": Answered(
        "https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter",
        chat(DETAILED, **_PROMPT),
        # The first event tells of the prompt's filter alone, and names no model.
        ({"id": "", "object": "", "model": "", "choices": [], **_PROMPT}, *chunks(DETAILED)),
        ALL,
    ),
    "anthropic": Answered(
        "https://docs.claude.com/en/docs/build-with-claude/streaming",
        {
            **_FRAME,
            "content": [{"type": "text", "text": "fine"}],
            "stop_reason": "end_turn",
            "usage": {**_CLAUDE_USAGE, "output_tokens": 4},
        },
        (
            {
                "type": "message_start",
                "message": {
                    **_FRAME,
                    "content": [],
                    "stop_reason": None,
                    "usage": {**_CLAUDE_USAGE, "output_tokens": 1},
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "fi"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ne"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        ),
        Usage(10, 6, 0, 4, None),
    ),
    "gemini": Answered(
        "https://ai.google.dev/api/generate-content",
        _candidate("fine", finishReason="STOP"),
        (_candidate("fi"), _candidate("ne", finishReason="STOP")),
        Usage(10, 6, None, 4, 1),
    ),
    "vllm": Answered(
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        chat({**PLAIN, "prompt_tokens_details": None}, prompt_logprobs=None, kv_transfer_params=None),
        chunks(PLAIN),
        BARE,
    ),
    "ollama": Answered(
        "https://github.com/ollama/ollama/blob/main/docs/openai.md",
        chat(PLAIN, system_fingerprint="fp_ollama"),
        chunks(PLAIN, system_fingerprint="fp_ollama"),
        BARE,
    ),
    "llamacpp": Answered(
        LLAMACPP,
        chat(PLAIN, timings={"prompt_n": 10, "predicted_n": 4}),
        chunks(PLAIN, timings={"prompt_n": 10, "predicted_n": 4}),
        BARE,
    ),
    "lmstudio": Answered(LMSTUDIO, chat(PLAIN, stats={}), chunks(PLAIN), BARE),
    "openrouter": Answered(
        "https://openrouter.ai/docs/api-reference/overview",
        chat({**DETAILED, "cost": 0.0001}, provider="Y"),
        # A comment keeps the connection: see `test_matrix.events_of`.
        (": OPENROUTER PROCESSING", *chunks({**DETAILED, "cost": 0.0001}, provider="Y")),
        ALL,
    ),
    "groq": Answered(
        "https://console.groq.com/docs/api-reference",
        chat({**PLAIN, "queue_time": 0.01, "total_time": 0.1}, x_groq={"id": "req_1"}),
        chunks({**PLAIN, "queue_time": 0.01, "total_time": 0.1}),
        BARE,
    ),
    "together": Answered(
        "https://docs.together.ai/reference/chat-completions-1",
        chat(PLAIN, "eos", prompt=[]),
        chunks(PLAIN, "eos", counted_last=False),
        BARE,
    ),
    "mistral": Answered(MISTRAL, chat(PLAIN), chunks(PLAIN, counted_last=False), BARE),
    "deepseek": Answered(
        "https://api-docs.deepseek.com/api/create-chat-completion",
        chat(
            counts(
                10,
                4,
                prompt_cache_hit_tokens=6,
                prompt_cache_miss_tokens=4,
                completion_tokens_details={"reasoning_tokens": 1},
            )
        ),
        chunks(
            counts(
                10,
                4,
                prompt_cache_hit_tokens=6,
                prompt_cache_miss_tokens=4,
                completion_tokens_details={"reasoning_tokens": 1},
            ),
            counted_last=False,
        ),
        ALL,
    ),
    "fireworks": Answered(
        "https://docs.fireworks.ai/api-reference/post-chatcompletions",
        chat(PLAIN),
        chunks(PLAIN, counted_last=False),
        BARE,
    ),
}


def bytes_of(body: Any) -> bytes:
    """A body as it is sent."""
    return orjson.dumps(body)
