"""The OpenAI wire format, as bytes in and values out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import (
    Choices,
    Constraint,
    JsonSchema,
    LimitSeen,
    Message,
    Request,
    Sampling,
    Stop,
    Text,
    TokenLogprob,
    Usage,
)
from semprop.providers.errors import ErrorClass, ProviderError, RetryError
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.constraints import STATED
from semprop.providers.wire.openai import OpenAIFormat

WIRE = OpenAIFormat("m")
ASK = (Message.of("system", "Be brief."), Message("user", (Text("1 + "), Text("1?"))))
SCHEMA = JsonSchema.of(
    "reply v1",
    {
        "type": "object",
        "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
        "required": ["b", "a"],
        "additionalProperties": False,
    },
)
FULL = Request(
    ASK,
    Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("\n",), top_logprobs=2),
    SCHEMA,
)


def encoded(request: Request, wire: OpenAIFormat = WIRE) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(wire.encode(request))
    return document


def answer(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    return Reply(200, more.pop("headers", {}), orjson.dumps({"id": "c-1", "choices": [choice], **more}))


def refusal(message: str, status: int = 400, code: str | None = None, param: str | None = None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply(status, {}, orjson.dumps({"error": error}))


def test_only_what_was_asked_for_is_sent() -> None:
    assert encoded(Request(ASK, Sampling(temperature=None))) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
    }


def test_every_field_of_sampling_and_the_schema_are_sent() -> None:
    document = encoded(FULL)
    assert {name: document[name] for name in document if name not in ("messages", "response_format", "model")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["\n"],
        "logprobs": True,
        "top_logprobs": 2,
    }
    schema = document["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("reply_v1", True)
    assert list(schema["schema"]["properties"]) == ["b", "a"], "models answer in the order of the schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
    ],
)
def test_a_schema_that_strict_mode_would_refuse_is_sent_without_it(schema: dict[str, Any]) -> None:
    document = encoded(Request(ASK, schema=JsonSchema.of("s", schema)))
    assert document["response_format"]["json_schema"]["strict"] is False


def test_choices_are_asked_for_as_an_enumeration_and_unwrapped() -> None:
    request = Request(ASK, schema=Choices(("yes", "no")))
    schema = encoded(request)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"] == ["yes", "no"]
    assert WIRE.decode(answer({"content": '{"answer": "no"}'}), request).text == "no"


@pytest.mark.parametrize("text", ['{"answer": "maybe"}', '{"answer"', "{}", "[1]", "no", '{"answer": 1}'])
def test_a_text_that_is_no_choice_is_left_for_its_reader(text: str) -> None:
    request = Request(ASK, schema=Choices(("yes", "no")))
    assert WIRE.decode(answer({"content": text}), request).text == text


def test_further_fields_of_the_body_are_sent_with_every_request() -> None:
    wire = OpenAIFormat("m", body='{"reasoning_effort": "low"}')
    assert encoded(FULL, wire)["reasoning_effort"] == "low"


def test_usage_counts_cached_and_reasoning_tokens() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert WIRE.decode(answer({"content": "2"}, usage=usage), FULL).usage == Usage(20, 16, None, 9, 5)
    hit = {"prompt_tokens": 20, "completion_tokens": 9, "prompt_cache_hit_tokens": 4}
    assert WIRE.decode(answer({"content": "2"}, usage=hit), FULL).usage.cached_read == 4


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": "20"}, {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_usage_that_was_not_counted_is_unknown_not_zero(usage: Any) -> None:
    assert WIRE.decode(answer({"content": "2"}, usage=usage), FULL).usage == Usage()


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", Stop.END),
        (None, Stop.END),
        ("length", Stop.LENGTH),
        ("max_tokens", Stop.LENGTH),
        ("content_filter", Stop.FILTER),
        ("SAFETY", Stop.FILTER),
        ("tool_calls", Stop.OTHER),
        ("something new", Stop.OTHER),
    ],
)
def test_the_reason_to_stop_has_one_name(reason: str | None, stop: Stop) -> None:
    completion = WIRE.decode(answer({"content": "x"}, reason), FULL)
    assert (completion.text, completion.stop) == ("x", stop)


def test_a_refusal_of_the_model_is_an_answer_of_its_own_kind() -> None:
    completion = WIRE.decode(answer({"content": None, "refusal": "I cannot."}), FULL)
    assert (completion.text, completion.stop) == ("I cannot.", Stop.REFUSAL)


@pytest.mark.parametrize("message", [{"content": None}, {}, {"content": []}, {"content": 5}])
def test_no_content_is_an_empty_text(message: dict[str, Any]) -> None:
    assert WIRE.decode(answer(message), FULL).text == ""
    assert WIRE.decode(answer(message, "content_filter"), FULL).stop is Stop.FILTER


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert WIRE.decode(answer({"content": parts}), FULL).text == "ab"


def test_log_probabilities_come_with_their_alternatives() -> None:
    content = [
        {"token": "yes", "logprob": -0.1, "top_logprobs": [{"token": "no", "logprob": -2.5}, {"token": 1}]},
        {"token": None},
    ]
    completion = WIRE.decode(answer({"content": "yes"}, choice={"logprobs": {"content": content}}), FULL)
    assert completion.logprobs == (TokenLogprob("yes", -0.1, (("no", -2.5),)),)


def test_model_request_and_limits_are_told() -> None:
    headers = {"x-request-id": "req-9", "x-ratelimit-remaining-tokens": "10"}
    completion = WIRE.decode(answer({"content": "2"}, model="m-2026", headers=headers), FULL)
    assert (completion.model, completion.request_id) == ("m-2026", "req-9")
    assert completion.limits == (LimitSeen("tokens/minute", None, 10.0, None),)
    plain = WIRE.decode(answer({"content": "2"}), FULL)
    assert (plain.model, plain.request_id) == ("m", "c-1")


@pytest.mark.parametrize(
    "body", [b'{"choices": [{"mess', b"", b"[]", b"null", b"{}", b'{"choices": []}', b'{"choices": [{}]}', b"<html>"]
)
def test_a_body_that_is_cut_or_strange_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(RetryError) as caught:
        WIRE.decode(Reply(200, {}, body), FULL)
    assert caught.value.error_class is ErrorClass.TRANSIENT


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": {"code": 429, "message": "Rate limited"}}, ErrorClass.RATE),
        ({"error": {"message": "No credit", "code": "insufficient_quota"}}, ErrorClass.QUOTA),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "x"}}]}, ErrorClass.TRANSIENT),
        ({"choices": [{"finish_reason": "error", "message": {"content": "ha"}}]}, ErrorClass.TRANSIENT),
        ({"error": "boom"}, ErrorClass.TRANSIENT),
    ],
)
def test_an_error_inside_a_successful_reply_is_an_error(document: dict[str, Any], expected: ErrorClass) -> None:
    with pytest.raises(ProviderError) as caught:
        WIRE.decode(Reply(200, {}, orjson.dumps(document)), FULL)
    assert caught.value.error_class is expected


@given(st.binary(max_size=100))
def test_no_body_makes_the_decoder_fail_in_another_way(body: bytes) -> None:
    with pytest.raises(ProviderError):
        WIRE.decode(Reply(200, {}, body), FULL)


REFUSALS = [
    (
        refusal(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
            param="max_tokens",
        ),
        "max_tokens",
    ),
    (
        refusal(
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) is supported.",
            code="unsupported_value",
            param="temperature",
        ),
        "temperature",
    ),
    (refusal("Unrecognized request argument supplied: seed"), "seed"),
    (refusal("Unsupported parameter: 'top_p' is not supported with this model."), "top_p"),
    (refusal("Unsupported parameter: 'stop' is not supported.", code="unsupported_parameter"), "stop"),
    (refusal("You are not allowed to request logprobs from this model", status=403), "logprobs"),
    (refusal("'top_logprobs' is unsupported", param="top_logprobs", code="unsupported_parameter"), "logprobs"),
    (refusal("This response_format type is unavailable now"), "response_format"),
    (refusal("This model does not support response format `json_schema`."), "response_format"),
    (refusal("Invalid parameter: 'response_format' of type 'json_schema' is not supported"), "response_format"),
    (
        refusal("response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"),
        "response_format",
    ),
    (
        Reply(
            422,
            {},
            orjson.dumps(
                {
                    "detail": [
                        {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
                    ]
                }
            ),
        ),
        "seed",
    ),
    (
        Reply(
            422,
            {},
            orjson.dumps(
                {
                    "object": "error",
                    "message": {
                        "detail": [{"type": "extra_forbidden", "loc": ["body", "top_p"], "msg": "not permitted"}]
                    },
                }
            ),
        ),
        "top_p",
    ),
]


@pytest.mark.parametrize(("reply", "name"), REFUSALS, ids=[f"{n}-{name}" for n, (_, name) in enumerate(REFUSALS)])
def test_a_refused_field_is_recognised_by_code_parameter_or_words(reply: Reply, name: str) -> None:
    assert WIRE.refused_field(reply, FULL) == name


@pytest.mark.parametrize(
    "reply",
    [
        refusal(
            "Invalid 'temperature': decimal above maximum value.", code="decimal_above_max_value", param="temperature"
        ),
        refusal("'max_tokens' is too large: 9000. This model's maximum context length is 4096; not supported."),
        refusal("max_tokens is too large: 100000. This model supports at most 16384 completion tokens."),
        refusal("Incorrect API key provided, unknown seed", status=429),
        refusal("The model `m` is not supported; stop asking.", status=404),
        refusal("Unsupported parameter: 'user'", code="unsupported_parameter", param="user"),
        refusal("boom: temperature not supported", status=500),
    ],
)
def test_another_refusal_is_no_refusal_of_a_field(reply: Reply) -> None:
    assert WIRE.refused_field(reply, FULL) is None


def test_a_field_that_was_not_sent_was_not_refused() -> None:
    plain = Request(ASK, Sampling(temperature=None))
    assert WIRE.refused_field(REFUSALS[1][0], plain) is None
    assert WIRE.without("temperature").refused_field(REFUSALS[1][0], FULL) is None


def test_the_token_bound_gets_its_other_name_once_and_is_left_out_then() -> None:
    renamed = WIRE.without("max_tokens")
    assert encoded(FULL, renamed)["max_completion_tokens"] == 7
    assert renamed.degraded == ("max_tokens sent as max_completion_tokens",)
    assert renamed.without("max_tokens") == renamed, "a late refusal of the old name changes nothing"
    gone = renamed.without("max_completion_tokens")
    assert "max_completion_tokens" not in encoded(FULL, gone)
    assert gone.degraded == ("max_completion_tokens not sent",)


def test_what_is_left_out_is_listed_in_the_order_in_which_it_was_refused() -> None:
    wire = WIRE.without("temperature").without("logprobs").without("seed").without("temperature")
    assert wire.degraded == ("temperature not sent", "logprobs not sent", "seed not sent")
    assert not {"temperature", "logprobs", "top_logprobs", "seed"} & set(encoded(FULL, wire))


@pytest.mark.parametrize("constraint", [SCHEMA, Choices(("a", "b"))])
def test_a_schema_that_cannot_be_sent_stands_in_the_prompt(constraint: Constraint) -> None:
    wire = WIRE.without("response_format")
    document = encoded(Request(ASK, schema=constraint), wire)
    assert "response_format" not in document
    assert document["messages"][0]["content"] == "Be brief."
    assert document["messages"][1]["content"].startswith("1 + 1?\n\n" + STATED + '{"type":"object"')


def test_equal_requests_are_equal_bytes() -> None:
    twin = Request(ASK, FULL.sampling, JsonSchema(SCHEMA.name, SCHEMA.document))
    assert WIRE.encode(FULL) == WIRE.encode(twin)
