"""Habits of single services, each over HTTP: what they do in silence, after status 200, or in a body."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from answering import reply as written
from corpus import OPENROUTER, REPLIES, chat, chunks, counts
from wired import events_of, first_of, learned, provider_at, serving_bytes

from semprop.providers.base import Completion, Message, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, ProviderError
from semprop.providers.kinds import KINDS

REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=9))
EVENTS = b"Content-Type: text/event-stream"

both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def met(name: str, data: bytes, stream: bool, request: Request = REQUEST) -> ProviderError | Completion:
    """What a request to a kind comes to when this is what its service sends."""
    async with serving_bytes(data) as server, provider_at(server.base, KINDS[name], stream) as provider:
        try:
            return await provider.complete(request)
        except ProviderError as error:
            return first_of(error)


def streamed(name: str, *events: Any) -> bytes:
    return written(events_of(KINDS[name], events), EVENTS)


@both
async def test_ollama_that_cut_a_prompt_in_silence_gave_no_answer(stream: bool) -> None:
    long = Request((Message.of("user", "word " * 4_000),), Sampling(max_tokens=9))
    cut, whole = counts(2_048, 4), counts(4_005, 4)
    for usage, is_cut in ((cut, True), (whole, False)):
        data = streamed("ollama", *chunks(usage)) if stream else written(orjson.dumps(chat(usage)))
        found = await met("ollama", data, stream, long)
        if is_cut:
            assert isinstance(found, ProviderError)
            assert found.error_class is ErrorClass.CONTEXT
            assert "read 2048 tokens of a prompt of 20000 bytes" in str(found)
        else:
            assert isinstance(found, Completion)


@pytest.mark.parametrize(
    ("code", "error_class"),
    [(402, ErrorClass.QUOTA), (429, ErrorClass.RATE), (502, ErrorClass.TRANSIENT), (503, ErrorClass.OVERLOAD)],
)
@both
async def test_openrouter_tells_an_error_inside_of_status_200(code: int, error_class: ErrorClass, stream: bool) -> None:
    assert OPENROUTER == "https://openrouter.ai/docs/api-reference/errors"
    error = {"code": code, "message": "Provider disconnected", "metadata": {"provider_name": "Y"}}
    if stream:
        begun = chunks(counts(1, 1))[:2]
        last = {"id": "gen-1", "error": error, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
        data = streamed("openrouter", ": OPENROUTER PROCESSING", *begun, last)
    else:
        data = written(orjson.dumps({"error": error}))
    found = await met("openrouter", data, stream)
    assert isinstance(found, ProviderError)
    assert found.error_class is error_class


async def test_openrouters_choice_that_ended_in_an_error_is_no_answer() -> None:
    choice = {"message": {"content": "half"}, "finish_reason": "error", "error": {"code": 502, "message": "broke off"}}
    found = await met("openrouter", written(orjson.dumps({"choices": [choice]})), stream=False)
    assert isinstance(found, ProviderError)
    assert found.error_class is ErrorClass.TRANSIENT


async def test_groqs_headers_of_requests_count_a_day_and_those_of_tokens_a_minute() -> None:
    headers = (
        *(b"x-ratelimit-limit-requests: 14400", b"x-ratelimit-remaining-requests: 14399"),
        *(b"x-ratelimit-reset-requests: 6s", b"x-ratelimit-limit-tokens: 6000"),
        *(b"x-ratelimit-remaining-tokens: 5990", b"x-ratelimit-reset-tokens: 100ms"),
    )
    data = written(orjson.dumps(REPLIES["groq"].body), *headers)
    async with serving_bytes(data) as server, provider_at(server.base, KINDS["groq"]) as provider:
        completion = await provider.complete(REQUEST)
        known = learned(provider.statistics()["limits"])
    assert [(limit.dimension, limit.limit) for limit in completion.limits] == [
        ("requests/day", 14400.0),
        ("tokens/minute", 6000.0),
    ]
    assert {name: known[name] for name in ("requests/day", "tokens/minute")} == {
        "requests/day": 14400.0,
        "tokens/minute": 6000.0,
    }


@pytest.mark.parametrize(
    ("kind", "error_class"),
    [
        ("overloaded_error", ErrorClass.OVERLOAD),
        ("rate_limit_error", ErrorClass.RATE),
        ("api_error", ErrorClass.TRANSIENT),
    ],
)
async def test_anthropic_may_fail_after_200_in_the_middle_of_a_stream(kind: str, error_class: ErrorClass) -> None:
    begun = REPLIES["anthropic"].events[:4]
    failed = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    found = await met("anthropic", streamed("anthropic", *begun, failed), stream=True)
    assert isinstance(found, ProviderError)
    assert (found.error_class, found.status) == (error_class, 200)


async def test_vllm_may_fail_after_200_and_still_say_done() -> None:
    failed = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
    found = await met("vllm", streamed("vllm", *chunks(counts(1, 1))[:2], failed, "[DONE]"), stream=True)
    assert isinstance(found, ProviderError)
    assert found.error_class is ErrorClass.TRANSIENT


@both
async def test_a_prompt_that_gemini_blocked_is_a_reply_that_a_filter_stopped(stream: bool) -> None:
    body = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 3},
        "modelVersion": "m-1",
    }
    data = streamed("gemini", body) if stream else written(orjson.dumps(body))
    found = await met("gemini", data, stream)
    assert isinstance(found, Completion)
    assert (found.text, found.stop, found.usage.input) == ("", Stop.FILTER, 3)


@both
async def test_a_stream_or_a_body_that_is_cut_is_asked_for_again(stream: bool) -> None:
    for name in ("openai", "openai-responses", "anthropic", "gemini"):
        entry = REPLIES[name]
        data = streamed(name, *entry.events[:2]) if stream else written(orjson.dumps(entry.body)[:-9])
        if name == "gemini" and stream:
            data = streamed(name, entry.events[0])
        found = await met(name, data, stream)
        assert isinstance(found, ProviderError), name
        assert found.error_class is ErrorClass.TRANSIENT
