"""Our formats against a server that others wrote: llama.cpp's own, which speaks three of them, with a real model.

It runs in a process of its own (extra `embedded`, weights by `semprop pull smollm2`). What a model of 135 million
parameters says is not judged here: that it is read, counted, cut, constrained, streamed and refused rightly is.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import orjson
import pytest
from foreign import llamacpp_server

from semprop.providers import weights
from semprop.providers.base import Choices, JsonSchema, Message, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, ItemError, StopError
from semprop.providers.layers import Stack
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings

MODEL = weights.find("smollm2", environment={})

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason='no xllamacpp: pip install ".[embedded]"'),
    pytest.mark.skipif(MODEL is None, reason="no embedded model: semprop pull smollm2"),
]

KINDS = ("llamacpp", "anthropic", "openai-responses")
REQUEST = Request((Message.of("system", "Be brief."), Message.of("user", "Name a colour.")), Sampling(max_tokens=24))
SCHEMA = JsonSchema.of(
    "answer",
    {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    },
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that listens."""
    with llamacpp_server(str(MODEL)) as url:
        yield url


def provider_at(url: str, kind: str, stream: bool = False) -> Stack:
    around = Surroundings(environment={}, retry=RetryPolicy(tries=1))
    return connect(Specification(kind, "m", f"{url}/v1", stream=stream), surroundings=around)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reply_is_read_and_counted_and_the_same_when_it_is_streamed(server: str, kind: str) -> None:
    async with provider_at(server, kind) as provider, provider_at(server, kind, stream=True) as streaming:
        whole = await provider.complete(REQUEST)
        streamed = await streaming.complete(REQUEST)
    assert whole.text.strip()
    assert whole.usage.input and whole.usage.input > 8
    assert whole.usage.output and 0 < whole.usage.output <= 24
    assert (streamed.text, streamed.usage.output) == (whole.text, whole.usage.output)
    assert streamed.timing is not None and whole.timing is None
    assert streamed.timing.first_token > 0
    assert len(streamed.timing.gaps) <= whole.usage.output


@pytest.mark.parametrize("kind", ["llamacpp", "anthropic"])
async def test_a_reply_that_reaches_its_bound_is_marked_as_cut(server: str, kind: str) -> None:
    request = Request((Message.of("user", "Count from one to a hundred."),), Sampling(max_tokens=3))
    async with provider_at(server, kind) as provider:
        completion = await provider.complete(request)
    assert (completion.stop, completion.usage.output) == (Stop.LENGTH, 3)


async def test_a_schema_and_a_choice_hold(server: str) -> None:
    async with provider_at(server, "llamacpp") as provider:
        answer = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, SCHEMA))
        chosen = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, Choices(("red", "green"))))
    assert orjson.loads(answer.text)["colour"] in ("red", "green")
    assert chosen.text in ("red", "green")


async def test_log_probabilities_are_read(server: str) -> None:
    request = Request(REQUEST.messages, Sampling(max_tokens=4, top_logprobs=2))
    async with provider_at(server, "llamacpp") as provider, provider_at(server, "llamacpp", stream=True) as streaming:
        whole, streamed = await provider.complete(request), await streaming.complete(request)
    assert [token.token for token in whole.logprobs] == [token.token for token in streamed.logprobs]
    assert all(token.logprob <= 0 and len(token.alternatives) == 2 for token in whole.logprobs)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_prompt_that_is_too_long_is_a_model_failure(server: str, kind: str) -> None:
    request = Request((Message.of("user", "word " * 3_000),), Sampling(max_tokens=4))
    async with provider_at(server, kind) as provider:
        with pytest.raises(ItemError) as caught:
            await provider.complete(request)
    assert caught.value.error_class is ErrorClass.CONTEXT


async def test_a_path_that_is_none_stops_the_run(server: str) -> None:
    async with provider_at(f"{server}/nowhere", "llamacpp") as provider:
        with pytest.raises(StopError) as caught:
            await provider.complete(REQUEST)
    assert caught.value.error_class is ErrorClass.CONFIGURATION
