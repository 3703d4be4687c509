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
from semprop.providers.classify import Reply
from semprop.providers.openai import OpenAIFormat
from semprop.providers.simulated import completion_of
from semprop.tools.endpoint.answers import answerer
from semprop.tools.endpoint.http1 import Malformed, Parser, chunk, head
from semprop.tools.endpoint.settings import ReplySettings
from semprop.tools.endpoint.wire import Identity, OpenAIChat, Unreadable, pieces, tokens

PATH = "/v1/chat/completions"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
FORMAT = OpenAIFormat(model="m")
SCHEMA = JsonSchema.of("reply", {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}})


# HTTP ---------------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=4), st.lists(st.integers(1, 60), max_size=30), st.booleans())
def test_requests_are_read_whole_however_the_bytes_are_cut(bodies, cuts, chunked):
    stream = b""
    for body in bodies:
        if chunked:
            sent = b"".join(chunk(body[at : at + 7]) for at in range(0, len(body), 7)) + b"0\r\n\r\n"
            stream += POST + b"transfer-encoding: chunked\r\n\r\n" + sent
        else:
            stream += POST + b"content-length: %d\r\n\r\n" % len(body) + body
    parser, seen = Parser(1000), []
    for cut in (*cuts, len(stream)):
        seen += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [received.body for received in seen] == bodies
    assert all(received.keep_alive and received.path == PATH for received in seen)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n name: x\r\n\r\n", 400),
        (POST + b"content-length: -1\r\n\r\n", 400),
        (POST + b"content-length: 1x\r\n\r\n", 400),
        (POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n2\r\nabcd", 400),
        (POST + b"content-length: 1001\r\n\r\n", 413),
        (POST + b"transfer-encoding: chunked\r\n\r\nffff\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(data, status):
    with pytest.raises(Malformed) as malformed:
        Parser(1000).feed(data)
    assert malformed.value.status == status


@pytest.mark.parametrize(
    ("line", "header", "kept"),
    [
        (b"HTTP/1.1", b"", True),
        (b"HTTP/1.1", b"Connection: close\r\n", False),
        (b"HTTP/1.0", b"", False),
        (b"HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_the_client_says(line, header, kept):
    (received,) = Parser(10).feed(b"GET /x?since=3 " + line + b"\r\n" + header + b"\r\n")
    assert (received.keep_alive, received.path, received.query) == (kept, "/x", "since=3")


def test_a_client_that_waits_for_a_word_is_noticed_once():
    parser = Parser(10)
    parser.feed(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert [parser.wants_continue(), parser.wants_continue()] == [True, False]
    assert parser.feed(b"ab")[0].body == b"ab"


def test_a_head_names_its_status_and_its_length():
    assert head(529, (("a", "b"),), 2) == b"HTTP/1.1 529 Site Is Overloaded\r\na: b\r\ncontent-length: 2\r\n\r\n"


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
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}', "messages.[0].content"),
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
