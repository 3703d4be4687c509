"""Our formats against LiteLLM's proxy, OpenAI's and Anthropic's face, in front of llama.cpp's own server.

LiteLLM is no dependency: whoever has it in an environment of its own names its command, and the weights must be there:

    python -m venv litellm && litellm/bin/pip install "litellm[proxy]"
    SEMPROP_LITELLM=litellm/bin/litellm pytest tests/providers/test_litellm_proxy.py
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import orjson
import pytest
from foreign import LITELLM, Proxy, litellm_proxy, llamacpp_server

from semprop.providers import weights
from semprop.providers.base import Choices, JsonSchema, Message, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, RetryError
from semprop.providers.layers import Stack
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings

MODEL = weights.find("smollm2", environment={})

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not LITELLM, reason="SEMPROP_LITELLM names no litellm command"),
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason='no xllamacpp: pip install ".[embedded]"'),
    pytest.mark.skipif(MODEL is None, reason="no embedded model: semprop pull smollm2"),
]

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

faces = pytest.mark.parametrize("kind", ["openai", "anthropic"])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with llamacpp_server(str(MODEL)) as url, litellm_proxy(url, tmp_path_factory.mktemp("litellm")) as found:
        yield found


def provider_at(proxy: Proxy, kind: str, model: str = "small", *, stream: bool = False, key: str = "") -> Stack:
    around = Surroundings(environment={"KEY": key or proxy.key}, retry=RetryPolicy(tries=1, throttles=1))
    return connect(Specification(kind, model, proxy.url, key_env="KEY", stream=stream), surroundings=around)


@faces
async def test_text_and_usage_are_read_and_the_same_when_they_are_streamed(proxy: Proxy, kind: str) -> None:
    async with provider_at(proxy, kind) as provider, provider_at(proxy, kind, stream=True) as streaming:
        whole, streamed = await provider.complete(REQUEST), await streaming.complete(REQUEST)
    assert whole.text.strip()
    assert whole.usage.input and whole.usage.input > 8
    assert whole.usage.output and 0 < whole.usage.output <= 24
    assert (streamed.text, streamed.stop) == (whole.text, whole.stop)
    assert (streamed.usage.input, streamed.usage.output) == (whole.usage.input, whole.usage.output)
    assert streamed.timing is not None and streamed.timing.first_token > 0


@faces
async def test_a_reply_that_reaches_its_bound_is_marked_as_cut(proxy: Proxy, kind: str) -> None:
    request = Request((Message.of("user", "Count from one to a hundred."),), Sampling(max_tokens=20))
    async with provider_at(proxy, kind) as provider:
        completion = await provider.complete(request)
    assert (completion.stop, completion.usage.output) == (Stop.LENGTH, 20)


async def test_a_schema_and_a_choice_come_back_as_their_values(proxy: Proxy) -> None:
    async with provider_at(proxy, "openai") as provider:
        answer = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, SCHEMA))
        chosen = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, Choices(("red", "green"))))
    assert orjson.loads(answer.text)["colour"] in ("red", "green")
    assert chosen.text in ("red", "green")


async def test_a_tool_that_the_server_behind_does_not_force_gives_its_text_to_the_reader(proxy: Proxy) -> None:
    # llama.cpp's server passes over tools where a model's template knows none, asked directly or through the proxy.
    async with provider_at(proxy, "anthropic") as provider:
        answer = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, SCHEMA))
    assert answer.text.strip()
    assert answer.stop in (Stop.END, Stop.LENGTH)


async def refused(provider: Stack, request: Request = REQUEST) -> ProviderError:
    """The error that a request meets, before retries were used up."""
    async with provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(request)
    error = caught.value
    if isinstance(error, ProviderFailure) and isinstance(error.__cause__, RetryError):
        return error.__cause__
    return error


@faces
async def test_a_wrong_key_an_unknown_model_and_a_dead_upstream_are_of_their_classes(proxy: Proxy, kind: str) -> None:
    wrong = await refused(provider_at(proxy, kind, key="sk-wrong"))
    unknown = await refused(provider_at(proxy, kind, "no-such-model"))
    dead = await refused(provider_at(proxy, kind, "nowhere"))
    classes = [wrong.error_class, unknown.error_class, dead.error_class]
    said = [str(error) for error in (wrong, unknown, dead)]
    assert classes == [ErrorClass.AUTH, ErrorClass.CONFIGURATION, ErrorClass.TRANSIENT], said


@faces
@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_a_model_failure(proxy: Proxy, kind: str, stream: bool) -> None:
    request = Request((Message.of("user", "word " * 3_000),), Sampling(max_tokens=4))
    error = await refused(provider_at(proxy, kind, stream=stream), request)
    assert error.error_class is ErrorClass.CONTEXT, str(error)
