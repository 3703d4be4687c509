"""Every native wire format: requests as each service wants them, its replies read, its streams folded.

Bodies are those of the services' own references; the ones of errors are in the corpus of `test_corpus.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from semprop.providers.base import Choices, JsonSchema, Message, Request, Sampling, Stop, TokenLogprob, Usage
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, RetryError, StopError
from semprop.providers.http import WireFormat
from semprop.providers.wire.anthropic import MOST, AnthropicFormat
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.constraints import STATED
from semprop.providers.wire.gemini import GeminiFormat
from semprop.providers.wire.openai import OpenAIFormat
from semprop.providers.wire.responses import ResponsesFormat
from semprop.providers.wire.sse import DONE, Event

ASK = (Message.of("system", "Be brief."), Message.of("user", "1 + 1?"))
TURNS = (*ASK, Message.of("assistant", "2"), Message.of("user", "And 2 + 2?"))
SCHEMA = JsonSchema.of(
    "reply v1",
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
)
COLOURS = Choices(("red", "green"))
SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=7)

CHAT, MESSAGES = OpenAIFormat("m"), AnthropicFormat("m")
GENERATE, RESPONSES = GeminiFormat("m"), ResponsesFormat("m")
FORMATS: dict[str, WireFormat] = {"chat": CHAT, "messages": MESSAGES, "generate": GENERATE, "responses": RESPONSES}

every = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)


def sent(wire: WireFormat, request: Request) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(wire.encode(request))
    return document


def reply(document: object, **headers: str) -> Reply:
    return Reply(200, headers, orjson.dumps(document))


# What is sent --------------------------------------------------------------------------------------------------------


def test_anthropic_has_system_text_apart_and_a_bound_always() -> None:
    document = sent(MESSAGES, Request(TURNS, Sampling(temperature=None)))
    assert document == {
        "model": "m",
        "max_tokens": MOST,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "And 2 + 2?"},
        ],
    }


def test_anthropic_asks_for_a_schema_by_a_tool_that_must_be_used() -> None:
    document = sent(MESSAGES, Request(ASK, Sampling(max_tokens=5, stop=("END",)), SCHEMA))
    assert document["tools"] == [
        {"name": "reply_v1", "description": "Give the reply.", "input_schema": orjson.loads(SCHEMA.document)}
    ]
    assert document["tool_choice"] == {"type": "tool", "name": "reply_v1"}
    assert (document["stop_sequences"], document["max_tokens"]) == (["END"], 5)


def test_anthropic_marks_the_prefix_that_its_cache_may_keep_if_told_to() -> None:
    wire = AnthropicFormat("m", cached=True)
    document = sent(wire, Request(ASK, Sampling(), SCHEMA))
    assert document["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert document["tools"][0]["cache_control"] == {"type": "ephemeral"}


def test_gemini_has_its_own_names_for_everything() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("END",), top_logprobs=2)
    assert sent(GENERATE, Request(TURNS, sampling, SCHEMA)) == {
        "contents": [
            {"role": "user", "parts": [{"text": "1 + 1?"}]},
            {"role": "model", "parts": [{"text": "2"}]},
            {"role": "user", "parts": [{"text": "And 2 + 2?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "maxOutputTokens": 7,
            "seed": 3,
            "stopSequences": ["END"],
            "responseLogprobs": True,
            "logprobs": 2,
            "responseMimeType": "application/json",
            "responseJsonSchema": orjson.loads(SCHEMA.document),
        },
    }
    assert GENERATE.path == "/models/m:generateContent"


def test_gemini_constrains_a_choice_natively() -> None:
    config = sent(GENERATE, Request(ASK, Sampling(), COLOURS))["generationConfig"]
    assert config["responseMimeType"] == "text/x.enum"
    assert config["responseSchema"] == {"type": "STRING", "enum": ["red", "green"]}


def test_responses_are_not_stored_and_have_their_own_schema_field() -> None:
    document = sent(RESPONSES, Request(ASK, Sampling(temperature=None, max_tokens=9, top_logprobs=1), SCHEMA))
    assert document == {
        "model": "m",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
        "store": False,
        "max_output_tokens": 9,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 1,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "reply_v1",
                "schema": orjson.loads(SCHEMA.document),
                "strict": True,
            }
        },
    }


@pytest.mark.parametrize(
    ("wire", "sampling", "field"),
    [
        (MESSAGES, Sampling(seed=1), "seed"),
        (MESSAGES, Sampling(top_logprobs=1), "top_logprobs"),
        (RESPONSES, Sampling(seed=1), "seed"),
        (RESPONSES, Sampling(stop=("x",)), "stop"),
        (OpenAIFormat("m", lacks=("seed",)), Sampling(seed=0), "seed"),
    ],
)
def test_what_a_format_has_no_place_for_is_refused_by_name(wire: WireFormat, sampling: Sampling, field: str) -> None:
    for encode in (wire.encode, wire.encode_stream):
        with pytest.raises(StopError, match=f"no place for '{field}': leave it out") as caught:
            encode(Request(ASK, sampling))
        assert (caught.value.error_class, caught.value.attempts) == (ErrorClass.CONFIGURATION, 0)


@every
def test_a_prompt_that_is_all_system_text_still_has_a_turn_of_the_user(wire: WireFormat) -> None:
    request = Request((Message.of("system", "Say hello."),), Sampling())
    assert "Say hello." in wire.encode(request).decode()


def test_turns_of_one_role_become_one_where_roles_must_alternate() -> None:
    request = Request((Message.of("user", "a"), Message.of("user", "b")), Sampling())
    assert sent(MESSAGES, request)["messages"] == [{"role": "user", "content": "a\n\nb"}]


@every
def test_further_fields_of_the_users_own_go_along(wire: WireFormat) -> None:
    changed = type(wire)("m", body='{"service_tier":"flex"}')  # type: ignore[call-arg]
    assert sent(changed, Request(ASK, Sampling()))["service_tier"] == "flex"


def test_a_further_field_inside_of_ours_leaves_the_others_as_they_are() -> None:
    request = Request(ASK, Sampling(temperature=0.5, max_tokens=7), SCHEMA)
    thinking = GeminiFormat("m", body='{"generationConfig":{"thinkingConfig":{"thinkingBudget":0},"temperature":1}}')
    config = sent(thinking, request)["generationConfig"]
    assert config.pop("thinkingConfig") == {"thinkingBudget": 0}
    assert config == {**sent(GENERATE, request)["generationConfig"], "temperature": 1}
    brief = ResponsesFormat("m", body='{"text":{"verbosity":"low"}}')
    assert sent(brief, request)["text"] == {**sent(RESPONSES, request)["text"], "verbosity": "low"}


@pytest.mark.parametrize(
    ("wire", "field", "there"),
    [
        (CHAT, "response_format", lambda document: document["messages"][-1]["content"]),
        (MESSAGES, "tools", lambda document: document["messages"][-1]["content"]),
        (GENERATE, "responseJsonSchema", lambda document: document["contents"][-1]["parts"][-1]["text"]),
        (RESPONSES, "text", lambda document: document["input"][-1]["content"]),
    ],
)
@pytest.mark.parametrize("constraint", [SCHEMA, COLOURS])
def test_a_refused_schema_goes_into_the_prompt_and_that_is_said(
    wire: WireFormat, field: str, there: Callable[[Any], str], constraint: Any
) -> None:
    request = Request(ASK, Sampling(), constraint)
    without = wire.without(field)
    assert STATED in there(sent(without, request))
    assert f'"{field}"' not in without.encode(request).decode()
    assert without.degraded == (f"{field} not sent: the schema stands in the prompt",)
    assert without.without(field) is without


@pytest.mark.parametrize(
    ("wire", "names"),
    [
        (MESSAGES, ("temperature", "top_p")),
        (GENERATE, ("temperature", "topP")),
        (RESPONSES, ("temperature", "top_p")),
    ],
)
def test_a_field_that_a_model_refuses_is_found_in_its_words_and_left_out(
    wire: WireFormat, names: tuple[str, ...]
) -> None:
    request = Request(ASK, SAMPLING)
    for name in names:
        body = {"error": {"type": "invalid_request_error", "message": f"`{name}` is not supported for this model."}}
        assert wire.refused_field(Reply(400, {}, orjson.dumps(body)), request) == name
        assert f'"{name}"' not in wire.without(name).encode(request).decode()
        assert wire.without(name).refused_field(Reply(400, {}, orjson.dumps(body)), request) is None


@pytest.mark.parametrize(
    ("wire", "request_", "words", "field"),
    [
        (MESSAGES, Request(ASK, SAMPLING), "`temperature` is deprecated for this model.", "temperature"),
        (
            GENERATE,
            Request(ASK, Sampling(top_logprobs=2)),
            "Logprobs is not enabled for models/gemini-2.5-pro",
            "responseLogprobs",
        ),
        (
            GENERATE,
            Request(ASK, Sampling(), SCHEMA),
            "Json mode is not enabled for models/gemma-3-27b-it",
            "responseJsonSchema",
        ),
        (
            GENERATE,
            Request(ASK, Sampling(), COLOURS),
            "Enum mode is not enabled for models/gemma-3-27b-it",
            "responseJsonSchema",
        ),
        (
            GENERATE,
            Request(TURNS, Sampling()),
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            "systemInstruction",
        ),
        (CHAT, Request(ASK, Sampling(), SCHEMA), "Json mode is not enabled for models/gemini-pro", "response_format"),
    ],
)
def test_what_a_model_lacks_is_found_in_the_services_own_sentence(
    wire: WireFormat, request_: Request, words: str, field: str
) -> None:
    body = {"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}
    refused = Reply(400, {}, orjson.dumps(body))
    assert wire.refused_field(refused, request_) == field
    without = wire.without(field)
    assert without.encode(request_) != wire.encode(request_)
    assert without.refused_field(refused, request_) is None


@pytest.mark.parametrize("first", ["user", "assistant"])
def test_gemini_without_a_system_instruction_has_its_text_in_the_first_turn_of_the_user(first: Any) -> None:
    wire = GENERATE.without("systemInstruction")
    document = sent(wire, Request((Message.of("system", "Be brief."), Message.of(first, "1 + 1?"))))
    assert "systemInstruction" not in document
    assert document["contents"][0]["role"] == "user"
    assert document["contents"][0]["parts"][0] == {"text": "Be brief.\n\n"}
    assert wire.degraded == ("systemInstruction not sent: its text stands in the first turn",)


def test_a_field_may_have_another_name_somewhere() -> None:
    wire = OpenAIFormat("m", names=(("seed", "random_seed"),))
    document = sent(wire, Request(ASK, Sampling(seed=4)))
    assert (document["random_seed"], "seed" in document) == (4, False)


# What is read --------------------------------------------------------------------------------------------------------


def message(*blocks: Any, reason: str | None = "end_turn", **usage: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-2026",
        "content": list(blocks),
        "stop_reason": reason,
        "usage": {"input_tokens": 10, "output_tokens": 4, **usage},
    }


def candidate(*parts: Any, reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 4, **more.pop("counts", {})}
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **more}],
        "usageMetadata": counts,
        "modelVersion": "m-2026",
        "responseId": "r-1",
    }


def response(*parts: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "model": "m-2026",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": list(parts)},
        ],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 6},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
        },
        **more,
    }


def text(words: str, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def test_anthropic_counts_what_a_cache_served_beside_its_input_and_ours_include_it() -> None:
    body = message(text("two"), cache_read_input_tokens=5, cache_creation_input_tokens=3)
    completion = MESSAGES.decode(reply(body, **{"request-id": "req_9"}), Request(ASK))
    assert (completion.text, completion.stop, completion.model) == ("two", Stop.END, "m-2026")
    assert completion.usage == Usage(input=18, cached_read=5, cache_write=3, output=4)
    assert completion.request_id == "req_9"


def test_anthropic_gives_a_tools_input_as_the_replys_text() -> None:
    block = {"type": "tool_use", "id": "t", "name": "reply_v1", "input": {"a": 2}}
    completion = MESSAGES.decode(reply(message(text("Here:"), block, reason="tool_use")), Request(ASK, schema=SCHEMA))
    assert (completion.text, completion.stop) == ('{"a":2}', Stop.END)
    chosen = {"type": "tool_use", "id": "t", "name": "choice", "input": {"answer": "red"}}
    assert MESSAGES.decode(reply(message(chosen)), Request(ASK, schema=COLOURS)).text == "red"


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("stop_sequence", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("model_context_window_exceeded", Stop.LENGTH),
        ("refusal", Stop.REFUSAL),
        ("pause_turn", Stop.OTHER),
        (None, Stop.END),
    ],
)
def test_anthropics_reasons_to_stop(reason: str | None, stop: Stop) -> None:
    assert MESSAGES.decode(reply(message(text("x"), reason=reason)), Request(ASK)).stop is stop


def test_anthropics_limits_stand_in_its_headers() -> None:
    headers = {"anthropic-ratelimit-input-tokens-limit": "30000", "anthropic-ratelimit-input-tokens-remaining": "29000"}
    (seen,) = MESSAGES.decode(reply(message(text("x")), **headers), Request(ASK)).limits
    assert (seen.dimension, seen.limit, seen.remaining) == ("input_tokens/minute", 30_000.0, 29_000.0)


def test_gemini_leaves_thoughts_out_of_the_text_and_counts_them_as_output() -> None:
    parts = ({"text": "Hm.", "thought": True}, {"text": "tw"}, {"text": "o"})
    body = candidate(*parts, counts={"thoughtsTokenCount": 3, "cachedContentTokenCount": 2})
    completion = GENERATE.decode(reply(body), Request(ASK))
    assert (completion.text, completion.stop, completion.request_id) == ("two", Stop.END, "r-1")
    assert completion.usage == Usage(input=10, cached_read=2, output=7, reasoning=3)


def test_gemini_says_in_a_reply_of_200_that_a_prompt_was_blocked() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 10}}
    completion = GENERATE.decode(reply(body), Request(ASK))
    assert (completion.text, completion.stop, completion.usage) == ("", Stop.FILTER, Usage(input=10, output=0))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", Stop.END),
        ("MAX_TOKENS", Stop.LENGTH),
        ("SAFETY", Stop.FILTER),
        ("RECITATION", Stop.FILTER),
        ("PROHIBITED_CONTENT", Stop.FILTER),
        ("MALFORMED_FUNCTION_CALL", Stop.OTHER),
    ],
)
def test_geminis_reasons_to_stop(reason: str, stop: Stop) -> None:
    assert GENERATE.decode(reply(candidate({"text": "x"}, reason=reason)), Request(ASK)).stop is stop


def test_gemini_tells_log_probabilities() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -1}]}
        ],
    }
    completion = GENERATE.decode(reply(candidate({"text": "a"}, logprobsResult=result)), Request(ASK))
    assert completion.logprobs == (TokenLogprob("a", -0.5, (("a", -0.5), ("b", -1.0))),)


def test_a_response_is_the_text_of_its_messages() -> None:
    completion = RESPONSES.decode(reply(response(text("tw", "output_text"), text("o", "output_text"))), Request(ASK))
    assert (completion.text, completion.stop, completion.request_id) == ("two", Stop.END, "resp_1")
    assert completion.usage == Usage(input=10, cached_read=6, output=4, reasoning=1)


def test_a_response_tells_log_probabilities() -> None:
    part = text("a", "output_text") | {"logprobs": [{"token": "a", "logprob": -0.5, "top_logprobs": []}]}
    assert RESPONSES.decode(reply(response(part)), Request(ASK)).logprobs == (TokenLogprob("a", -0.5),)


@pytest.mark.parametrize(
    ("reason", "stop"), [("max_output_tokens", Stop.LENGTH), ("content_filter", Stop.FILTER), ("other", Stop.OTHER)]
)
def test_why_a_response_is_incomplete(reason: str, stop: Stop) -> None:
    body = response(text("x", "output_text"), status="incomplete", incomplete_details={"reason": reason})
    assert RESPONSES.decode(reply(body), Request(ASK)).stop is stop


def test_a_response_may_be_a_refusal() -> None:
    completion = RESPONSES.decode(reply(response({"type": "refusal", "refusal": "No."})), Request(ASK))
    assert (completion.text, completion.stop) == ("No.", Stop.REFUSAL)


def test_a_response_that_failed_is_the_error_that_it_names() -> None:
    body = response(status="failed", error={"code": "rate_limit_exceeded", "message": "Try again in 2s."})
    with pytest.raises(RetryError) as caught:
        RESPONSES.decode(reply(body), Request(ASK))
    assert caught.value.error_class is ErrorClass.RATE
    with pytest.raises(ProviderError, match="nothing was said of why"):
        RESPONSES.decode(reply(response(status="failed", error=None)), Request(ASK))


@every
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'"text"', b'{"choices":[],"content":1,"output":{}}'])
def test_a_body_that_is_cut_or_of_another_format_is_asked_for_again(wire: WireFormat, body: bytes) -> None:
    with pytest.raises(RetryError, match="cannot be used") as caught:
        wire.decode(Reply(200, {}, body), Request(ASK))
    assert caught.value.error_class is ErrorClass.TRANSIENT


@every
def test_an_error_inside_a_reply_of_200_is_that_error(wire: WireFormat) -> None:
    with pytest.raises(StopError) as caught:
        wire.decode(
            reply({"error": {"type": "billing_error", "message": "Your credit balance is too low."}}), Request(ASK)
        )
    assert caught.value.error_class is ErrorClass.QUOTA


def test_a_prompt_that_was_cut_in_silence_is_no_answer() -> None:
    wire = OpenAIFormat("m", cut_above=8.0)
    long, short = (Request((Message.of("user", "word " * words),)) for words in (20_000, 1_000))
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    cut, whole = (reply(body | {"usage": {"prompt_tokens": tokens}}) for tokens in (4_096, 25_000))
    with pytest.raises(ItemError, match=r"read 4096 tokens of a prompt of 100000 bytes.*num_ctx") as caught:
        wire.decode(cut, long)
    assert caught.value.error_class is ErrorClass.CONTEXT
    assert wire.decode(whole, long).text == "x"
    assert wire.decode(reply(body | {"usage": {"prompt_tokens": 5}}), short).text == "x", "too short to be sure"
    assert wire.decode(reply(body), long).text == "x", "nobody counted"
    assert CHAT.decode(cut, long).text == "x", "only where it is known to happen"


# Streams -------------------------------------------------------------------------------------------------------------


def events(*documents: Any) -> list[Event]:
    return [Event("", document if isinstance(document, bytes) else orjson.dumps(document)) for document in documents]


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    return {"id": "c-1", "model": "m-2026", "choices": [choice]}


CHAT_STREAM = events(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "tw"}, logprobs={"content": [{"token": "tw", "logprob": -0.5, "top_logprobs": []}]}),
    chunk({"content": "o"}, logprobs={"content": [{"token": "o", "logprob": -0.25, "top_logprobs": []}]}),
    chunk({}, "stop"),
    {"id": "c-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4}},
    DONE,
)
MESSAGE_STREAM = events(
    {"type": "message_start", "message": message(reason=None, output_tokens=1)},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "tw"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "o"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
)
CANDIDATE_STREAM = events(
    candidate({"text": "Hm.", "thought": True}, reason=None),
    candidate({"text": "tw"}, reason=None),
    candidate({"text": "o"}),
)
RESPONSE_STREAM = events(
    {"type": "response.created", "response": response(status="in_progress")},
    {"type": "response.output_text.delta", "delta": "tw"},
    {"type": "response.output_text.delta", "delta": "o"},
    {"type": "response.completed", "response": response(text("two", "output_text"))},
)
STREAMS = {"chat": CHAT_STREAM, "messages": MESSAGE_STREAM, "generate": CANDIDATE_STREAM, "responses": RESPONSE_STREAM}


def folded(wire: WireFormat, stream: list[Event]) -> tuple[bytes, list[bool]]:
    fold = wire.fold()
    came = [fold.add(event) for event in stream]
    return fold.body(), came


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_is_folded_into_the_reply_that_it_would_have_been(name: str) -> None:
    wire = FORMATS[name]
    body, came = folded(wire, STREAMS[name])
    completion = wire.decode(Reply(200, {}, body), Request(ASK))
    assert (completion.text, completion.stop, completion.model) == ("two", Stop.END, "m-2026")
    assert (completion.usage.input, completion.usage.output) == (10, 4)
    assert sum(came) == 2, "two pieces of the answer, and nothing else counts as one"


def test_log_probabilities_are_joined_from_the_chunks() -> None:
    body, _ = folded(CHAT, CHAT_STREAM)
    completion = CHAT.decode(Reply(200, {}, body), Request(ASK))
    assert [(token.token, token.logprob) for token in completion.logprobs] == [("tw", -0.5), ("o", -0.25)]


def test_geminis_log_probabilities_are_joined_from_the_frames() -> None:
    def told(token: str) -> dict[str, Any]:
        one = {"token": token, "logProbability": -0.5}
        return {"chosenCandidates": [one], "topCandidates": [{"candidates": [one]}]}

    frames = events(
        candidate({"text": "tw"}, reason=None, logprobsResult=told("tw")),
        candidate({"text": "o"}, reason=None, logprobsResult=told("o")),
        candidate(),
    )
    body, _ = folded(GENERATE, frames)
    completion = GENERATE.decode(Reply(200, {}, body), Request(ASK))
    assert completion.logprobs == tuple(TokenLogprob(token, -0.5, ((token, -0.5),)) for token in ("tw", "o"))


def test_a_chat_stream_that_holds_nothing_but_its_end_is_no_empty_answer() -> None:
    body, _ = folded(CHAT, events(DONE))
    with pytest.raises(RetryError):
        CHAT.decode(Reply(200, {}, body), Request(ASK))


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_that_breaks_off_is_no_reply(name: str) -> None:
    ends = {"chat": 3, "messages": 1, "generate": 1, "responses": 1}[name]
    for length in range(len(STREAMS[name]) - ends + 1):
        body, _ = folded(FORMATS[name], STREAMS[name][:length])
        with pytest.raises(RetryError):
            FORMATS[name].decode(Reply(200, {}, body), Request(ASK))


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_after_200_is_that_error(name: str) -> None:
    wire, stream = FORMATS[name], STREAMS[name]
    body, _ = folded(wire, [*stream[:2], *events(OVERLOADED), *stream[2:3]])
    with pytest.raises(RetryError) as caught:
        wire.decode(Reply(200, {}, body), Request(ASK))
    assert caught.value.error_class is ErrorClass.OVERLOAD


def test_an_error_of_openrouter_stands_in_a_choice() -> None:
    failed = chunk({"content": ""}, "error", error={"code": 502, "message": "Provider returned error"})
    body, _ = folded(CHAT, [*CHAT_STREAM[:2], *events(failed)])
    with pytest.raises(RetryError, match="Provider returned error"):
        CHAT.decode(Reply(200, {}, body), Request(ASK))


def test_a_tools_input_comes_in_pieces_of_json() -> None:
    start = {"type": "tool_use", "id": "t", "name": "reply_v1", "input": {}}
    pieces = [{"type": "content_block_delta", "index": 0, "delta": {"partial_json": part}} for part in ('{"a"', ":2}")]
    stream = events(
        {"type": "message_start", "message": message(reason=None)},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *pieces,
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )
    body, came = folded(MESSAGES, stream)
    assert MESSAGES.decode(Reply(200, {}, body), Request(ASK, schema=SCHEMA)).text == '{"a":2}'
    assert sum(came) == 2
    cut = [*stream[:3], *events({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}), stream[-1]]
    completion = MESSAGES.decode(Reply(200, {}, folded(MESSAGES, cut)[0]), Request(ASK, schema=SCHEMA))
    assert (completion.text, completion.stop) == ('{"a"', Stop.LENGTH)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("strange", [b"{", b"1", b"null", b'{"choices":1}', b'{"type":7}', b'{"candidates":[1]}'])
def test_no_event_makes_a_fold_raise(name: str, strange: bytes) -> None:
    for place in range(len(STREAMS[name]) + 1):
        stream = [*STREAMS[name][:place], *events(strange), *STREAMS[name][place:]]
        assert isinstance(folded(FORMATS[name], stream)[0], bytes)
