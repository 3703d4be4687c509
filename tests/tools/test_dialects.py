"""What the limiter knows after one answer and after one refusal, in the words of every service."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from semprop.providers import ErrorClass, Message, Request, RetryPolicy, VirtualClock
from semprop.providers.errors import ProviderFailure
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.tools.endpoint import Endpoint, parse, serving

REQUEST = Request((Message.of("user", "hello"),))

EVERY_LIMIT = "".join(
    f"[[limit]]\nof = '{of}'\nmost = {most}\nseconds = {seconds}\n"
    for of, most, seconds in (
        ("requests", 50, 1.0),
        ("requests", 600, 60.0),
        ("requests", 14400, 86400.0),
        ("tokens", 4000, 1.0),
        ("tokens", 60000, 60.0),
        ("input_tokens", 50000, 60.0),
        ("output_tokens", 8000, 60.0),
    )
)

TOLD: dict[str, dict[str, float]] = {
    "openai": {"requests/minute": 600, "tokens/minute": 60000},
    "mistral": {"requests/minute": 600, "tokens/minute": 60000},
    # A limit's size is not among Azure's headers, only what is left of it.
    "azure": {},
    "anthropic": {
        "requests/minute": 600,
        "tokens/minute": 60000,
        "input_tokens/minute": 50000,
        "output_tokens/minute": 8000,
    },
    # The trap: its request headers count a day, its token headers a minute.
    "groq": {"requests/day": 14400, "tokens/minute": 60000},
    "together": {"requests/second": 50, "tokens/second": 4000},
    "gemini": {},
    "vllm": {},
    "ollama": {},
    "llamacpp": {},
}
"""What one answer's headers tell, by dialect."""

REFUSED: dict[str, tuple[str, str | None]] = {
    "openai": ("requests", "requests/minute"),
    "groq": ("tokens", "tokens/minute"),
    "anthropic": ("input_tokens", "input_tokens/minute"),
    "gemini": ("input_tokens", "input_tokens/minute"),
    "azure": ("tokens", None),
    "mistral": ("tokens", None),
    "vllm": ("requests", None),
    "ollama": ("requests", None),
    "llamacpp": ("requests", "requests/minute"),
}
"""The limit that is used up, and what a refusal's body says of it."""


def provider(url: str, dialect: str) -> Any:
    spec = Specification("openai", "mock", url, key_env="", profile=dialect)
    around = Surroundings(
        environment={}, clock=VirtualClock(), random=Random(0), retry=RetryPolicy(tries=1, throttles=1)
    )
    return connect(spec, surroundings=around)


def known(stack: Any) -> dict[str, tuple[float, str]]:
    (group,) = stack.statistics()["limits"].values()
    return {name: (shown["limit"], shown["source"]) for name, shown in group["dimensions"].items()}


@pytest.mark.parametrize(("dialect", "told"), TOLD.items())
async def test_one_answer_tells_of_the_limits_that_the_service_tells_of(dialect: str, told: dict[str, float]) -> None:
    toml = f"charge = 'actual'\n[reply]\ntext = 'twelve chars'\n[headers]\ndialect = '{dialect}'\n{EVERY_LIMIT}"
    async with serving(Endpoint(parse(toml))) as served, provider(served.url, dialect) as stack:
        await stack.complete(REQUEST)
        assert known(stack) == {name: (most, "told") for name, most in told.items()}


@pytest.mark.parametrize(("dialect", "of", "named"), [(dialect, *told) for dialect, told in REFUSED.items()])
async def test_one_refusal_tells_of_the_limit_and_of_the_wait_that_its_body_names(
    dialect: str, of: str, named: str | None
) -> None:
    toml = (
        f"charge = 'actual'\n[reply]\ntext = 'twelve chars'\n[headers]\ndialect = '{dialect}'\ntold = 'none'\n"
        f"[[limit]]\nof = '{of}'\nmost = 9\n"
    )
    async with serving(Endpoint(parse(toml))) as served, provider(served.url, dialect) as stack:
        with pytest.raises(ProviderFailure) as caught:
            for _ in range(10):
                await stack.complete(REQUEST)
        assert (caught.value.error_class, caught.value.dimension) == (ErrorClass.RATE, named)
        assert known(stack) == ({} if named is None else {named: (9, "told")})
        # vLLM and Ollama do not say for how long, and llama.cpp has no refusals of its own; the others do.
        assert (caught.value.retry_after is None) == (dialect in ("vllm", "ollama"))


@pytest.mark.parametrize("dialect", ["vllm", "ollama", "llamacpp"])
async def test_servers_without_quotas_say_that_their_queue_is_full_and_are_asked_by_fewer(dialect: str) -> None:
    toml = f"[reply]\ntext = 'twelve chars'\n[headers]\ndialect = '{dialect}'\n[[fault]]\nkind = 'unavailable'\n"
    async with serving(Endpoint(parse(toml))) as served, provider(served.url, dialect) as stack:
        before = stack.statistics()["in_flight_limit"]
        for _ in range(4):
            with pytest.raises(ProviderFailure) as caught:
                await stack.complete(REQUEST)
            assert caught.value.error_class is ErrorClass.OVERLOAD
        assert stack.statistics()["in_flight_limit"] < before
