"""Error bodies of OpenAI's chat completions, and of the services that speak it with words of their own. Pure.

Shapes follow the services' documentation and captures in public reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from semprop.tools.endpoint.dialects import duration
from semprop.tools.endpoint.limits import Level
from semprop.tools.endpoint.settings import Counted
from semprop.tools.endpoint.troubles import ORGANIZATION, ErrorAnswer, Kind, Trouble, counted_kind, per_minute
from semprop.tools.endpoint.windows import DAY

_ACRONYMS: Mapping[Counted, str] = {
    Counted.REQUESTS: "RP",
    Counted.TOKENS: "TP",
    Counted.INPUT: "ITP",
    Counted.OUTPUT: "OTP",
}

_PLAIN: Mapping[Kind, tuple[int, str, str | None, str]] = {
    Kind.OVERLOADED: (529, "service_unavailable_error", "server_is_overloaded", "The server is currently overloaded."),
    Kind.UNAVAILABLE: (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "The server is currently overloaded with other requests. Sorry about that! Please retry later.",
    ),
    Kind.QUEUE_FULL: (503, "service_unavailable_error", "server_is_overloaded", "The server's queue is full."),
    Kind.SERVER_ERROR: (
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    Kind.TIMEOUT: (504, "server_error", None, "The request timed out upstream."),
    Kind.BILLING: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Kind.AUTH: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Kind.FILTER: (
        400,
        "invalid_request_error",
        "content_policy_violation",
        "Your request was rejected as a result of our safety system.",
    ),
}


def openai(trouble: Trouble) -> ErrorAnswer:
    """OpenAI, Together, and whoever has no error of its own."""
    match trouble.kind:
        case Kind.RATE:
            return _error(429, _rate_sentence(trouble), counted_kind(trouble), "rate_limit_exceeded")
        case Kind.TOO_LARGE:
            answer = _error(429, _large_sentence(trouble), counted_kind(trouble), "rate_limit_exceeded")
            return ErrorAnswer(answer.status, answer.document, (("x-should-retry", "false"),))
        case Kind.CONTEXT:
            words = (
                f"This model's maximum context length is {trouble.most} tokens. However, your messages resulted in "
                f"{trouble.requested:g} tokens. Please reduce the length of the messages."
            )
            return _error(400, words, "invalid_request_error", "context_length_exceeded", "messages")
        case Kind.UNSUPPORTED:
            words = f"Unsupported parameter: '{trouble.param}' is not supported with this model."
            return _error(400, words, "invalid_request_error", "unsupported_parameter", trouble.param)
        case Kind.BAD_REQUEST:
            return _error(400, trouble.message, "invalid_request_error", None, trouble.param)
        case Kind.NO_MODEL:
            words = f"The model `{trouble.model}` does not exist or you do not have access to it."
            return _error(404, words, "invalid_request_error", "model_not_found")
    status, kind, code, words = _PLAIN[trouble.kind]
    return _error(status, words, kind, code)


def _error(status: int, message: str, kind: str, code: str | None, param: str | None = None) -> ErrorAnswer:
    return ErrorAnswer(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def _limit_words(level: Level) -> str:
    day = level.limit.seconds >= DAY
    kind = "requests" if level.limit.of is Counted.REQUESTS else "tokens"
    return f"{kind} per {'day' if day else 'min'} ({_ACRONYMS[level.limit.of]}{'D' if day else 'M'})"


def _rate_sentence(trouble: Trouble) -> str:
    again = "" if trouble.wait is None else f" Please try again in {duration(trouble.wait)}."
    level = trouble.level
    if level is None:
        return f"Rate limit reached for `{trouble.model}` in organization {ORGANIZATION}.{again}"
    times = per_minute(level)
    return (
        f"Rate limit reached for {trouble.model} in organization {ORGANIZATION} on {_limit_words(level)}: "
        f"Limit {level.most * times:.0f}, Used {level.used * times:.0f}, Requested {trouble.requested:.0f}.{again}"
    )


def _large_sentence(trouble: Trouble) -> str:
    level = trouble.level
    numbers = "" if level is None else f" Limit {level.most:.0f}, Requested {trouble.requested:.0f}."
    limit = "tokens per min (TPM)" if level is None else _limit_words(level)
    return (
        f"Request too large for {trouble.model} in organization {ORGANIZATION} on {limit}:{numbers} The input or "
        "output tokens must be reduced in order to run successfully."
    )


def azure(trouble: Trouble) -> ErrorAnswer | None:
    """Azure OpenAI; None: as OpenAI."""
    match trouble.kind:
        case Kind.RATE:
            what = "call" if counted_kind(trouble) == "requests" else "token"
            wait = "" if trouble.wait is None else f" Please retry after {math.ceil(trouble.wait)} seconds."
            words = (
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded "
                f"{what} rate limit of your current OpenAI S0 pricing tier.{wait}"
            )
            return ErrorAnswer(429, {"error": {"code": "429", "message": words}})
        case Kind.FILTER:
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
            words = "The response was filtered due to the prompt triggering the content management policy."
            error = {"message": words, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
            return ErrorAnswer(400, {"error": {**error, "innererror": inner}})
        case Kind.AUTH:
            return ErrorAnswer(401, {"error": {"code": "401", "message": "Access denied due to invalid api key."}})
        case Kind.NO_MODEL:
            words = "The API deployment for this resource does not exist."
            return ErrorAnswer(404, {"error": {"code": "DeploymentNotFound", "message": words}})
    return None


def groq(trouble: Trouble) -> ErrorAnswer | None:
    """Groq; None: as OpenAI."""
    if trouble.kind is not Kind.TOO_LARGE:
        return None
    answer = _error(413, _large_sentence(trouble), counted_kind(trouble), "rate_limit_exceeded")
    return ErrorAnswer(answer.status, answer.document)


def mistral(trouble: Trouble) -> ErrorAnswer | None:
    """Mistral; None: as OpenAI."""
    match trouble.kind:
        case Kind.RATE | Kind.TOO_LARGE:
            what = counted_kind(trouble).capitalize()
            return _mistral_error(429, f"{what} rate limit exceeded", "rate_limited", "1300")
        case Kind.AUTH:
            return ErrorAnswer(401, {"detail": "Unauthorized"})
        case Kind.UNSUPPORTED:
            entry = {"type": "extra_forbidden", "loc": ["body", trouble.param], "msg": "Extra inputs are not permitted"}
            return ErrorAnswer(422, {"detail": [entry]})
        case Kind.CONTEXT:
            words = (
                f"Prompt contains {trouble.requested:.0f} tokens, too large for model with {trouble.most} maximum "
                "context length"
            )
            return _mistral_error(400, words, "invalid_request_prompt", "3051")
        case Kind.NO_MODEL:
            return _mistral_error(400, f"Invalid model: {trouble.model}", "invalid_model", "1500")
        case Kind.OVERLOADED | Kind.UNAVAILABLE | Kind.QUEUE_FULL:
            return _mistral_error(503, "Service unavailable.", "service_unavailable", "3505")
    return None


def _mistral_error(status: int, message: str, kind: str, code: str) -> ErrorAnswer:
    document = {"object": "error", "message": message, "type": kind, "param": None, "code": code}
    return ErrorAnswer(status, document)


def vllm(trouble: Trouble) -> ErrorAnswer | None:
    """vLLM's server; None: as OpenAI."""
    match trouble.kind:
        case Kind.RATE | Kind.TOO_LARGE:
            return _vllm_error(429, "Too many requests", "RateLimitError")
        case Kind.OVERLOADED | Kind.UNAVAILABLE | Kind.QUEUE_FULL:
            return _vllm_error(503, "The server's request queue is full.", "QueueOverflowError")
        case Kind.SERVER_ERROR:
            return _vllm_error(500, "EngineCore encountered an issue.", "InternalServerError")
        case Kind.CONTEXT:
            words = (
                f"This model's maximum context length is {trouble.most} tokens. However, your request has "
                f"{trouble.requested:.0f} input tokens. Please reduce the length of the input messages."
            )
            return _vllm_error(400, words, "BadRequestError")
        case Kind.AUTH:
            return ErrorAnswer(401, {"error": "Unauthorized"})
        case Kind.NO_MODEL:
            return _vllm_error(404, f"The model `{trouble.model}` does not exist.", "NotFoundError")
    return None


def _vllm_error(status: int, message: str, kind: str) -> ErrorAnswer:
    return ErrorAnswer(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})


def ollama(trouble: Trouble) -> ErrorAnswer | None:
    """Ollama; None: as OpenAI."""
    match trouble.kind:
        case Kind.RATE | Kind.TOO_LARGE:
            return ErrorAnswer(429, {"error": "too many requests"})
        case Kind.OVERLOADED | Kind.UNAVAILABLE | Kind.QUEUE_FULL:
            return ErrorAnswer(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})
        case Kind.SERVER_ERROR:
            return ErrorAnswer(500, {"error": "llama runner process has terminated"})
        case Kind.NO_MODEL:
            return ErrorAnswer(404, {"error": f"model '{trouble.model}' not found"})
    return None


def llamacpp(trouble: Trouble) -> ErrorAnswer | None:
    """llama.cpp's server; None: as OpenAI."""
    match trouble.kind:
        case Kind.OVERLOADED | Kind.UNAVAILABLE | Kind.QUEUE_FULL:
            return _llamacpp_error(503, "Loading model", "unavailable_error")
        case Kind.SERVER_ERROR:
            return _llamacpp_error(500, "slot failed", "server_error")
        case Kind.AUTH:
            return _llamacpp_error(401, "Invalid API Key", "authentication_error")
        case Kind.CONTEXT:
            words = "the request exceeds the available context size, try increasing it"
            answer = _llamacpp_error(400, words, "exceed_context_size_error")
            sizes = {"n_prompt_tokens": int(trouble.requested), "n_ctx": trouble.most}
            return ErrorAnswer(400, {"error": {**answer.document["error"], **sizes}})
    return None


def _llamacpp_error(status: int, message: str, kind: str) -> ErrorAnswer:
    return ErrorAnswer(status, {"error": {"code": status, "message": message, "type": kind}})
