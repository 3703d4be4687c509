"""How a proxy reads bodies: what is carried, and that what is not is refused by name."""

from __future__ import annotations

import orjson
import pytest

from semprop.providers.base import Choices, Completion, JsonSchema, Stop, TokenLogprob
from semprop.providers.errors import ErrorClass, classified
from semprop.providers.wire.openai import OpenAIFormat
from semprop.tools.proxy import wire
from semprop.tools.proxy.errors import answer_of
from semprop.tools.serving.chat import Unreadable

HELLO = {"role": "user", "content": "hello"}
BODY = {"model": "m", "messages": [HELLO]}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}]}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}


def read(**changes):
    return wire.read(orjson.dumps({**BODY, **changes}))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 2}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"audio": {}}, "audio"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": 5}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"temperature": "warm"}, "temperature"),
        ({"messages": [IMAGE]}, "messages.[0].content"),
        ({"messages": [HELLO, CALL]}, "messages.[1].tool_calls"),
        ({"messages": [HELLO, {"role": "tool", "content": "x"}]}, "messages.[1].role"),
        ({"messages": [{"role": "user", "content": "x", "name": "bob"}]}, "messages.[0].name"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages.[0].content"),
        ({"messages": []}, "messages"),
        ({"messages": ["hello"]}, "messages.[0].role"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_not_carried_is_refused_by_name(changes, param):
    with pytest.raises(Unreadable) as refused:
        read(**changes)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(Unreadable):
        wire.read(body)


def test_fields_that_ask_for_nothing_are_taken():
    neutral = {"n": 1, "tools": [], "tool_choice": "auto", "presence_penalty": 0.0, "store": False, "stop": None}
    assert read(**neutral, user="u", metadata={"a": "b"}).request == read().request


def test_a_reply_can_be_sent_back_as_a_message():
    message = {"role": "assistant", "content": "yes", "refusal": None, "annotations": [], "tool_calls": None}
    assert [each.text for each in read(messages=[HELLO, message]).request.messages] == ["hello", "yes"]


def test_numbers_have_one_spelling():
    assert orjson.dumps(read(temperature=0).request.sampling.temperature) == b"0.0"


def test_a_schema_stays_a_schema_even_if_it_looks_like_a_choice():
    schema = {"type": "object", "properties": {"answer": {"type": "string", "enum": ["a", "b"]}}}
    asked = read(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})
    assert not isinstance(asked.request.schema, Choices)
    assert asked.request.schema == JsonSchema.of("s", schema)


def test_log_probabilities_and_refusals_are_written_as_openai_does():
    token = TokenLogprob("é", -0.5, (("é", -0.5), ("e", -1.0)))
    written = orjson.loads(wire.whole(read(), Completion("é", logprobs=(token,)), "chatcmpl-1", 0))
    (shown,) = written["choices"][0]["logprobs"]["content"]
    assert (shown["bytes"], [other["token"] for other in shown["top_logprobs"]]) == ([195, 169], ["é", "e"])
    refused = orjson.loads(wire.whole(read(), Completion("no", Stop.REFUSAL), "chatcmpl-1", 0))
    assert refused["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}


@pytest.mark.parametrize("error_class", ErrorClass)
def test_every_class_of_error_has_an_answer(error_class):
    answer = answer_of(classified("words of the upstream", error_class))
    assert 400 <= answer.status < 600
    stopped = error_class in (ErrorClass.AUTH, ErrorClass.QUOTA, ErrorClass.CONFIGURATION)
    assert (b"words of the upstream" in answer.body) != stopped


def test_a_fault_of_the_proxy_shows_nothing_of_itself():
    answer = answer_of(RuntimeError("secret"))
    assert answer.status == 500 and b"secret" not in answer.body


@pytest.mark.parametrize(("levels", "is_read"), [(200, True), (240, False), (600, False)])
def test_a_schema_that_nests_deeper_than_can_be_written_is_refused_by_name(levels, is_read):
    schema = b'{"x":' + b"[" * levels + b"]" * levels + b"}"
    form = b'{"type":"json_schema","json_schema":{"name":"a","schema":%b}}' % schema
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":%b}' % form
    if is_read:
        assert OpenAIFormat("m").encode(wire.read(body).request)
    else:
        with pytest.raises(Unreadable, match="nests too deep"):
            wire.read(body)
