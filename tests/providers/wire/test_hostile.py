"""Replies that no service would give: nested deeper than can be written, numbers that fit nowhere. An error that has a
type, or an answer; never anything else, which would end the run of whoever asked."""

import pytest

from semprop.providers.base import Completion, Message, Request, Sampling
from semprop.providers.errors import ProviderError
from semprop.providers.wire.anthropic import AnthropicFormat
from semprop.providers.wire.classify import Reply, classify
from semprop.providers.wire.gemini import GeminiFormat
from semprop.providers.wire.openai import OpenAIFormat
from semprop.providers.wire.reading import MOST, count
from semprop.providers.wire.responses import ResponsesFormat
from semprop.providers.wire.sse import Event

REQUEST = Request((Message.of("user", "x"),), Sampling(max_tokens=5, top_logprobs=2))
FORMATS = {
    "openai": OpenAIFormat("m"),
    "responses": ResponsesFormat("m"),
    "gemini": GeminiFormat("m"),
    "anthropic": AnthropicFormat("m"),
}
VALUES = {
    "deep": "[" * 600 + "]" * 600,
    "large": str(2**64 - 1),
    "huge": "1" + "0" * 400,
    "double": "1e308",
    "negative": "-1",
    "text": '"x"',
    "null": "null",
    "true": "true",
    "object": "{}",
    "list": "[null]",
}
BODIES = {
    "openai": [
        "$",
        '{"choices":[$]}',
        '{"choices":[{"error":$}]}',
        '{"choices":[{"message":{"content":$},"finish_reason":$,"logprobs":$}]}',
        '{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":$}]}}]}',
        '{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":$,"completion_tokens":$}}',
        '{"error":{"message":$,"code":$}}',
    ],
    "responses": [
        '{"status":"failed","error":$}',
        '{"output":[{"type":"message","content":[{"type":"output_text","text":"a","logprobs":$}]}]}',
        '{"output":[],"usage":{"input_tokens":$,"input_tokens_details":$}}',
    ],
    "gemini": [
        '{"candidates":[{"content":{"parts":$},"logprobsResult":{"chosenCandidates":$,"topCandidates":$}}]}',
        '{"candidates":[{"finishReason":$}],"usageMetadata":{"promptTokenCount":$,"thoughtsTokenCount":$}}',
    ],
    "anthropic": [
        '{"content":[$]}',
        '{"content":[{"type":"tool_use","input":$}]}',
        '{"content":[],"usage":{"input_tokens":$,"cache_read_input_tokens":$,"output_tokens":$}}',
    ],
}
BLOCK = '{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","input":{}}}'
EVENTS = {
    "openai": [
        ['{"choices":[{"error":$}]}'],
        ['{"choices":[{"delta":{"content":"a"},"logprobs":{"content":$},"finish_reason":"stop"}]}'],
        ['{"choices":[{"delta":{"content":"a"},"finish_reason":$}],"usage":$}'],
    ],
    "responses": [
        ['{"type":"response.completed","response":{"output":$}}'],
        ['{"type":"error","x":$}'],
    ],
    "gemini": [['{"candidates":[{"content":$,"finishReason":"STOP"}],"usageMetadata":$}'], ['{"candidates":[$]}']],
    "anthropic": [
        ['{"type":"message_start","message":{"usage":$}}', BLOCK, '{"type":"message_stop"}'],
        ['{"type":"content_block_start","index":$,"content_block":$}', '{"type":"message_stop"}'],
        ['{"type":"message_delta","delta":{"stop_reason":$},"usage":$}', '{"type":"message_stop"}'],
    ],
}


def read(name: str, body: bytes) -> Completion | ProviderError:
    try:
        return FORMATS[name].decode(Reply(200, {}, body), REQUEST)
    except ProviderError as error:
        return error


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", FORMATS)
def test_a_hostile_reply_is_an_error_with_a_type_or_an_answer(name: str, value: str) -> None:
    for body in BODIES[name]:
        data = body.replace("$", value).encode()
        assert isinstance(read(name, data), Completion | ProviderError)
        assert isinstance(classify(Reply(500, {}, data), FORMATS[name].origin), ProviderError)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", FORMATS)
def test_a_hostile_stream_is_an_error_with_a_type_or_an_answer(name: str, value: str) -> None:
    for events in EVENTS[name]:
        fold = FORMATS[name].fold()
        for event in events:
            fold.add(Event("", event.replace("$", value).encode()))
        assert isinstance(read(name, fold.body()), Completion | ProviderError)


def test_what_a_model_nests_without_end_is_its_answer_as_text() -> None:
    said = '{\\"a\\":' + "[" * 600 + "]" * 600 + "}"
    fold = FORMATS["anthropic"].fold()
    delta = f'{{"type":"content_block_delta","index":0,"delta":{{"partial_json":"{said}"}}}}'
    for event in ('{"type":"message_start","message":{}}', BLOCK, delta, '{"type":"message_stop"}'):
        fold.add(Event("", event.encode()))
    found = read("anthropic", fold.body())
    assert isinstance(found, Completion)
    assert found.text.startswith('{"a":[[[')


def test_a_number_that_no_reply_has_is_no_count() -> None:
    assert [count(number) for number in (0, MOST, MOST + 1, 2**64 - 1, -1, True, 1.0)] == [0, MOST, *[None] * 5]
