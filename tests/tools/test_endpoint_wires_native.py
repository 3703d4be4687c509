"""The services' own wire formats: what our clients write is read as the same request, and what the mock writes, whole
or streamed, is read as the same reply, also over HTTP."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import orjson
import pytest
from pictures import picture

from semprop.providers.base import (
    Choices,
    Completion,
    JsonSchema,
    Message,
    Request,
    Sampling,
    Stop,
    Text,
    TokenLogprob,
    Usage,
)
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.wire.anthropic import AnthropicFormat
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.gemini import GeminiFormat
from semprop.providers.wire.openai import OpenAIFormat
from semprop.providers.wire.responses import ResponsesFormat
from semprop.providers.wire.sse import EventReader
from semprop.tools.endpoint import Endpoint, parse, serving
from semprop.tools.endpoint.wire import Identity
from semprop.tools.endpoint.wires import WIRES
from semprop.tools.serving.chat import Unreadable

FORMATS = {
    "chat": OpenAIFormat("m"),
    "messages": AnthropicFormat("m"),
    "generate": GeminiFormat("m"),
    "responses": ResponsesFormat("m"),
}
KINDS = {"chat": "openai", "messages": "anthropic", "generate": "gemini", "responses": "openai-responses"}
LACKING = {
    "chat": (),
    "messages": ("seed", "top_logprobs"),
    "generate": (),
    "responses": ("seed", "stop"),
}
SCHEMA = JsonSchema.of("reply", {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}})
USAGE = Usage(3, 0, None, 2, 0)

every = pytest.mark.parametrize("name", FORMATS)


def wire_of(path):
    (wire,) = [wire for wire in WIRES if wire.takes(path)]
    return wire


def possible(name, request):
    """The request without what the format has no place for."""
    empty = {field: () if field == "stop" else None for field in LACKING[name]}
    return replace(request, sampling=replace(request.sampling, **empty))


@every
@pytest.mark.parametrize(
    "asked",
    [
        Request((Message.of("user", "hello"),), Sampling(max_tokens=9)),
        Request(
            (Message.of("system", "s"), Message.of("user", "ü"), Message.of("assistant", "a")), Sampling(0.7, 0.9, 5)
        ),
        Request((Message.of("user", "x"),), Sampling(max_tokens=3, seed=4, stop=("a", "b"), top_logprobs=2)),
        Request((Message.of("user", "x"),), Sampling(max_tokens=3), SCHEMA),
        Request((Message.of("user", "x"),), Sampling(max_tokens=3), Choices(("yes", "no"))),
        Request((Message("user", (Text("What?"), picture(9, 9), Text("And?"))),), Sampling(max_tokens=3)),
    ],
)
def test_what_our_client_writes_is_read_as_the_same_request(name, asked):
    form, asked = FORMATS[name], possible(name, asked)
    for path, body, streams in (
        (form.path, form.encode(asked), False),
        (form.stream_path, form.encode_stream(asked), True),
    ):
        read = wire_of(path).read(f"/v1{path}", body)
        assert (read.request, read.model, read.stream) == (asked, "m", streams)


@every
@pytest.mark.parametrize(
    "completion",
    [
        Completion("hello there, wörld", usage=USAGE, model="m"),
        Completion("cut", Stop.LENGTH, USAGE, "m"),
        Completion("", Stop.FILTER, USAGE, "m"),
        Completion("a", Stop.END, USAGE, "m", logprobs=(TokenLogprob("a", -0.5, (("b", -1.5),)),)),
    ],
)
def test_what_the_mock_writes_is_read_as_the_same_reply_whole_and_streamed(name, completion):
    form = FORMATS[name]
    asked = possible(name, Request((Message.of("user", "x"),), Sampling(max_tokens=9)))
    wire = wire_of(form.path)
    read = wire.read(f"/v1{form.path}", form.encode(asked))
    whole = form.decode(Reply(200, {}, wire.whole(read, completion, Identity(1, 0))), asked)
    stream = wire.stream(replace(read, stream=True, usage_wanted=True), completion, Identity(1, 0))
    fold, reader = form.fold(), EventReader()
    for piece in (stream.opening, *stream.pieces, stream.closing, stream.done):
        for event in reader.feed(piece):
            fold.add(event)
    streamed = form.decode(Reply(200, {}, fold.body()), asked)
    assert (whole.text, whole.usage.input, whole.usage.output) == (completion.text, 3, 2)
    expected = Stop.REFUSAL if (name, completion.stop) == ("messages", Stop.FILTER) else completion.stop
    assert whole.stop is expected
    if name != "messages":
        assert whole.logprobs == completion.logprobs
    assert replace(streamed, logprobs=whole.logprobs) == whole


@every
def test_a_schema_comes_back_as_its_json_and_a_choice_as_its_text(name):
    form = FORMATS[name]
    for constraint, written, text in (
        (SCHEMA, '{"b":"x","a":1}', '{"b":"x","a":1}'),
        (Choices(("yes", "no")), '{"answer":"no"}', "no"),
    ):
        asked = Request((Message.of("user", "x"),), Sampling(max_tokens=9), constraint)
        wire = wire_of(form.path)
        body = wire.whole(wire.read(form.path, form.encode(asked)), Completion(written, usage=USAGE), Identity(1, 0))
        reply = form.decode(Reply(200, {}, body), asked)
        assert (reply.text, reply.stop) == (text, Stop.END)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/messages", {"model": "m", "messages": [{"role": "user", "content": "x"}]}, "Field required"),
        ("/messages", {"model": "m", "max_tokens": 1, "messages": []}, "at least one message"),
        (
            "/messages",
            {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": "x"}]},
            "first message",
        ),
        ("/messages", {"model": "m", "max_tokens": 1, "messages": [{"role": "system", "content": "x"}]}, "'user' or"),
        ("/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}, "Field required"),
        ("/models/m:generateContent", {}, "contents is not specified"),
        ("/models/m:generateContent", {"contents": [{"role": "x", "parts": []}]}, "valid role"),
        ("/models/m:generateContent", {"contents": [{"parts": [{"inlineData": {}}]}]}, "no picture in base64"),
        (
            "/models/m:generateContent",
            {
                "contents": [{"parts": [{"text": "x"}]}],
                "systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aaaa"}}]},
            },
            "only text",
        ),
        (
            "/chat/completions",
            {
                "model": "m",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://elsewhere.test/a.png"}}],
                    }
                ],
            },
            "must hold the picture itself",
        ),
        (
            "/responses",
            {
                "model": "m",
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png;base64,*"}],
                    }
                ],
            },
            "no picture in base64",
        ),
        ("/responses", {"model": "m"}, "'input'"),
        ("/responses", {"model": "m", "input": [{"role": "tool", "content": "x"}]}, "role"),
    ],
)
def test_what_is_no_request_is_refused_with_the_field(path, body, words):
    with pytest.raises(Unreadable, match=words):
        wire_of(path).read(path, orjson.dumps(body))


# Over HTTP -----------------------------------------------------------------------------------------------------------

REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=20))


def provider_at(url, name, **settings):
    around = Surroundings(environment={}, clock=VirtualClock(), random=Random(0), retry=RetryPolicy(tries=1))
    return connect(Specification(KINDS[name], "m", url, **settings), surroundings=around)


@every
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_is_the_same_streamed_or_whole(name, stream):
    config = parse('[reply]\ntext = "a reply of some words"\n')
    async with serving(Endpoint(config)) as served, provider_at(served.url, name, stream=stream) as provider:
        completion = await provider.complete(REQUEST)
        (row,) = map(orjson.loads, b"".join(served.endpoint.ledger.lines()).splitlines())
    assert (completion.text, completion.stop) == ("a reply of some words", Stop.END)
    assert (completion.usage.input, completion.usage.output) == (row["input"], row["output"])
    assert (completion.timing is not None) is stream


@every
@pytest.mark.parametrize("stream", [False, True])
async def test_pictures_arrive_and_are_counted_in_the_ledger(name, stream):
    shown = Request((Message("user", (Text("What?"), picture(300, 300), picture(shade=9))),), Sampling(max_tokens=20))
    config = parse('[reply]\ntext = "two squares"\n')
    async with serving(Endpoint(config)) as served, provider_at(served.url, name, stream=stream) as provider:
        completion = await provider.complete(shown)
        plain = await provider.complete(REQUEST)
        rows = list(map(orjson.loads, b"".join(served.endpoint.ledger.lines()).splitlines()))
        assert served.endpoint.ledger.summary()["images"] == 2
    assert [row["images"] for row in rows] == [2, 0]
    assert (completion.text, completion.usage.input) == ("two squares", rows[0]["input"])
    assert rows[0]["input"] > 300 * 300 / 750 > (plain.usage.input or 0)


DIALECTS = {"chat": "openai", "messages": "anthropic", "generate": "gemini", "responses": "openai"}
FAULTS = {
    "throttle": ErrorClass.RATE,
    "overloaded": ErrorClass.OVERLOAD,
    "server_error": ErrorClass.TRANSIENT,
    "auth": ErrorClass.AUTH,
    "error_after_200": ErrorClass.TRANSIENT,
    "reset_after_headers": ErrorClass.TRANSIENT,
    "half_json": ErrorClass.TRANSIENT,
}


@every
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_error_is_of_its_class_in_the_services_own_words(name, stream, fault):
    config = parse(
        f'[reply]\ntext = "a reply of some words"\n[headers]\ndialect = "{DIALECTS[name]}"\n'
        f'[[fault]]\nkind = "{fault}"\nshare = 1.0\n'
    )
    async with serving(Endpoint(config)) as served, provider_at(served.url, name, stream=stream) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(REQUEST)
    error = caught.value
    found = error.__cause__ if isinstance(error, ProviderFailure) and error.__cause__ else error
    assert isinstance(found, ProviderError)
    assert found.error_class is FAULTS[fault]
