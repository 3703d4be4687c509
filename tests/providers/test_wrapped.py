"""Any async callable as a provider."""

from __future__ import annotations

from random import Random

import pytest

from semprop.providers.base import Capabilities, Completion, Message, Provider, Request, Usage
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure, StopError
from semprop.providers.layers import Stack
from semprop.providers.prices import Prices
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.wrapped import Call, wrap

REQUEST = Request((Message.of("system", "Be brief."), Message.of("user", "hello")))


class ServiceError(Exception):
    """An error as clients of services raise them."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def failing(*errors: Exception) -> Call:
    waiting = list(errors)

    async def call(messages: list[dict[str, str]]) -> str:
        if waiting:
            raise waiting.pop(0)
        return "fine"

    return call


def patient(call: Call) -> Stack:
    return wrap(call, model="own", clock=VirtualClock(), random=Random(0), retry=RetryPolicy(tries=2))


async def test_the_callable_gets_plain_messages_and_its_text_is_the_completion() -> None:
    async def call(messages: list[dict[str, str]]) -> str:
        return f"{len(messages)} {messages[-1]['role']} {messages[-1]['content']}"

    provider = wrap(call, model="own")
    async with provider:
        assert await provider.complete(REQUEST) == Completion("2 user hello", model="own")
    assert isinstance(provider, Provider)
    assert (provider.identity, provider.model) == ("wrapped:own", "own")
    assert provider.capabilities == Capabilities(schema=False, images=True)


async def test_a_whole_completion_is_passed_on_and_priced() -> None:
    completion = Completion("x", usage=Usage(input=1_000_000, output=0))

    async def call(messages: list[dict[str, str]]) -> Completion:
        return completion

    provider = wrap(call, model="own", identity="mine", price=Prices(2.0, 2.0).usd)
    assert await provider.complete(REQUEST) == completion
    assert (provider.identity, provider.statistics()["usd"]) == ("mine", 2.0)


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionResetError(), ServiceError(429), ServiceError(503), RuntimeError("?")]
)
async def test_what_may_pass_is_asked_again(error: Exception) -> None:
    completion = await patient(failing(error)).complete(REQUEST)
    assert (completion.text, completion.attempts) == ("fine", 2)


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ServiceError(401), ErrorClass.AUTH),
        (ServiceError(402), ErrorClass.QUOTA),
        (TypeError("wrong"), ErrorClass.CONFIGURATION),
        (NameError("typo"), ErrorClass.CONFIGURATION),
    ],
)
async def test_what_cannot_pass_stops_the_run_at_once(error: Exception, error_class: ErrorClass) -> None:
    with pytest.raises(StopError) as caught:
        await patient(failing(error)).complete(REQUEST)
    assert caught.value.error_class is error_class
    assert caught.value.__cause__ is error


async def test_a_refused_request_is_finished() -> None:
    with pytest.raises(ItemError) as caught:
        await patient(failing(ServiceError(400))).complete(REQUEST)
    assert not isinstance(caught.value, ProviderFailure)


async def test_a_callable_that_never_answers_is_given_up() -> None:
    with pytest.raises(ProviderFailure) as caught:
        await patient(failing(OSError(), OSError(), OSError())).complete(REQUEST)
    assert caught.value.attempts == 2


async def test_an_answer_of_another_type_is_named() -> None:
    async def call(messages: list[dict[str, str]]) -> str:
        return 5  # type: ignore[return-value]  # what the test is about

    with pytest.raises(StopError, match="answered with a int"):
        await wrap(call, model="own").complete(REQUEST)


async def test_an_error_of_ours_passes_as_it_is() -> None:
    error = ItemError("filtered", ErrorClass.FILTER)
    with pytest.raises(ItemError) as caught:
        await patient(failing(error)).complete(REQUEST)
    assert caught.value is error
