"""Requests off the wire, and the wire format of OpenAI's chat completions against our own client's."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import (
    Choices,
    Completion,
    JsonSchema,
    Message,
    Request,
    Sampling,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.simulated.model import completion_of
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.openai import OpenAIFormat
from semprop.tools.endpoint.answers import answerer
from semprop.tools.endpoint.settings import ReplySettings
from semprop.tools.endpoint.wire import Identity, OpenAIChat, pieces, tokens
from semprop.tools.serving.chat import Unreadable

PATH = "/v1/chat/completions"
FORMAT = OpenAIFormat(model="m")
SCHEMA = JsonSchema.of("reply", {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}})


# Bodies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Request((Message.of("user", "hello"),)),
        Request((Message.of("system", "s"), Message.of("user", "ü"), Message.of("assistant", "")), Sampling(0.7, 0.9)),
        Request((Message.of("user", "x"),), Sampling(max_tokens=3, seed=4, stop=("a", "b"), top_logprobs=2)),
        Request((Message.of("user", "x"),), schema=SCHEMA),
        Request((Message.of("user", "x"),), schema=Choices(("yes", "no"))),
    ],
)
def test_what_our_client_writes_is_read_as_the_same_request(request_):
    asked = OpenAIChat().read(PATH, FORMAT.encode(request_))
    assert asked.request == request_
    assert (asked.model, asked.stream) == ("m", False)


@pytest.mark.parametrize(
    "completion",
    [
        Completion("hello", usage=Usage(3, 0, None, 2, 0), model="m"),
        Completion("", Stop.LENGTH, Usage(0, 0, None, 0, 0), "m"),
        Completion("no", Stop.REFUSAL, Usage(1, 0, None, 1, 0), "m"),
        Completion("no", Stop.FILTER, Usage(1, 0, None, 1, 0), "m"),
        Completion("a", Stop.END, Usage(1, 0, None, 1, 0), "m", logprobs=(TokenLogprob("a", -0.5, (("b", -1.5),)),)),
    ],
)
def test_a_reply_is_read_by_our_client_as_the_same_completion(completion):
    request = Request((Message.of("user", "x"),))
    chat = OpenAIChat()
    body = chat.whole(chat.read(PATH, FORMAT.encode(request)), completion, Identity(7, 0))
    read = FORMAT.decode(Reply(200, {"x-request-id": "r"}, body), request)
    assert (read.text, read.stop, read.usage, read.logprobs, read.model) == (
        completion.text,
        completion.stop,
        completion.usage,
        completion.logprobs,
        "m",
    )


def test_a_choice_goes_over_the_wire_as_an_object_and_comes_back_as_the_choice():
    request = Request((Message.of("user", "Is it so?\nyes or no"),), schema=Choices(("yes", "no")))
    chat = OpenAIChat()
    asked = chat.read(PATH, FORMAT.encode(request))
    completion = answerer(ReplySettings())(asked.request)
    body = chat.whole(asked, completion, Identity(1, 0))
    assert FORMAT.decode(Reply(200, {}, body), request).text == completion_of(request).text
    assert orjson.loads(completion.text) == {"answer": completion_of(request).text}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":["x"]}', "messages.[0].role"),
        (b'{"model":"m","messages":[{"role":"robot"}]}', "messages.[0].role"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}', "messages.[0].content.[0]"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":0}', "max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":"hot"}', "temperature"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":2}', "n"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"stop":[1]}', "stop"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"?"}}', "response_format"),
    ],
)
def test_a_body_that_is_no_request_is_refused_by_name(body, param):
    with pytest.raises(Unreadable) as unreadable:
        OpenAIChat().read(PATH, body)
    assert unreadable.value.param == param


def test_a_deployment_in_the_path_is_the_model():
    path = "/openai/deployments/prod/chat/completions"
    assert OpenAIChat().read(path, b'{"messages":[{"role":"user","content":"x"}]}').model == "prod"


@given(st.text(max_size=60))
def test_the_pieces_of_a_text_are_its_tokens_and_lose_nothing(text):
    cut = pieces(text)
    assert "".join(cut) == text
    assert len(cut) == max(tokens(text), len(cut) and 1) or not text


def test_a_fixed_text_is_cut_at_the_tokens_that_were_asked_for():
    answer = answerer(ReplySettings(text="x" * 100))
    request = Request((Message.of("user", "hello"),))
    assert answer(request).usage == Usage(input=2, output=25)
    short = answer(request.with_sampling(max_tokens=3))
    assert (short.text, short.stop, short.usage.output) == ("x" * 12, Stop.LENGTH, 3)
