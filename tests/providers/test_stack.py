"""From a specification to a provider, and the layers around it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from semprop.providers.base import Capabilities, Completion, Message, Quiescent, Request, Sampling, Usage
from semprop.providers.errors import ErrorClass, ItemError, StopError, classified
from semprop.providers.layers import Defaults, InFlight, Meter, Stack, filled, unpriced
from semprop.providers.prices import Prices
from semprop.providers.scripted import Scripted
from semprop.providers.specification import Specification, load
from semprop.providers.stack import computed_at_once, connect
from semprop.providers.surroundings import Surroundings

NOTHING = Surroundings(environment={})


def ask(text: str, sampling: Sampling | None = None) -> Request:
    return Request((Message.of("user", text),), sampling or Sampling())


def test_connecting_needs_no_loop_no_key_and_no_weights() -> None:
    for text in ("openai:gpt-4o", "simulated:", "embedded:smollm2", "openai:m@http://127.0.0.1:1/v1"):
        assert connect(text, surroundings=NOTHING).statistics()["in_flight"] == 0


def test_the_identity_names_kind_model_and_address() -> None:
    assert connect("openai:m", surroundings=NOTHING).identity == "openai:m@https://api.openai.com/v1"
    assert connect("openai:m@http://h.test/v1", surroundings=NOTHING).identity == "openai:m@http://h.test/v1"


def test_capabilities_are_the_kinds_own_unless_the_file_says_otherwise() -> None:
    assert connect("openai:m", surroundings=NOTHING).capabilities == Capabilities(True, True, True, images=True)
    plain = Specification("openai", "m", capabilities=(("schema", False), ("logprobs", False)))
    assert connect(plain, surroundings=NOTHING).capabilities == Capabilities(False, True, False, images=True)
    assert connect("simulated:").capabilities.simulated


def test_settings_of_a_file_reach_the_provider(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(
        '[provider.mine]\nspec = "openai:m@http://h.test/v1"\nidentity = "box"\nin_flight = 3\n'
        "sampling = {top_p = 0.5}\nprices = {input = 1, output = 2}\n"
    )
    provider = connect("mine", named=load(file), surroundings=NOTHING)
    assert provider.identity == 'box#{"sampling":{"top_p":0.5}}'
    assert provider.statistics()["in_flight_limit"] == 3
    assert provider.price(Usage(input=1_000_000, output=0)) == 1.0


def test_an_unlisted_endpoint_has_no_price_and_this_process_asks_for_none() -> None:
    assert connect("openai:m@http://127.0.0.1:1/v1", surroundings=NOTHING).price(Usage(input=1, output=1)) is None
    assert connect("simulated:").price(Usage()) == 0.0


def test_an_embedded_model_computes_one_reply_at_a_time_unless_its_own_table_says_more() -> None:
    assert computed_at_once(Specification("embedded", "smollm2")) == 1
    assert computed_at_once(Specification("embedded", "smollm2", in_flight=4)) == 4


@pytest.mark.parametrize("in_flight", [0, -1])
def test_a_bound_that_lets_nothing_through_is_refused(in_flight: int) -> None:
    with pytest.raises(StopError, match="give 1 or more"):
        connect("openai:m", in_flight=in_flight)


def test_a_name_that_is_no_kind_is_refused_with_the_kinds() -> None:
    with pytest.raises(StopError, match="the kinds are: openai:MODEL"):
        connect("gpt-4o")


def test_open_sampling_fields_are_filled_and_given_ones_stay() -> None:
    defaults = Sampling(temperature=0.7, top_p=0.9, max_tokens=50, seed=1, stop=("E",), top_logprobs=3)
    assert filled(Sampling(temperature=None), defaults) == defaults
    given = Sampling(temperature=0.0, top_p=1.0, max_tokens=9, seed=0, stop=("X",), top_logprobs=0)
    assert filled(given, defaults) == given


async def test_a_default_is_sent_with_the_request() -> None:
    endpoint = Scripted({"": "ok"})
    provider = Stack(endpoint, (Defaults(Sampling(max_tokens=50)),))
    await provider.complete(ask("x", Sampling(temperature=None)))
    assert endpoint.requests[0].sampling == Sampling(temperature=0.0, max_tokens=50)


async def test_a_bound_is_first_come_first_served_and_shared_by_whoever_has_it() -> None:
    one, two = Scripted({"": "1"}, latency=1.0), Scripted({"": "2"}, latency=1.0)
    two.clock = one.clock
    bound = InFlight(2)
    order: list[str] = []

    async def use(provider: Stack, text: str) -> None:
        await provider.complete(ask(text))
        order.append(text)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(use(Stack((one, two)[number % 2], (bound,)), str(number)))
    assert order == ["0", "1", "2", "3", "4", "5"]
    assert one.clock.now() == 3.0
    assert bound.statistics() == {"in_flight_limit": 2, "in_flight": 0, "in_flight_peak": 2, "waiting": 0}


async def test_a_cancelled_waiter_leaves_the_bound_as_it_was() -> None:
    endpoint = Scripted({"": "ok"}, latency=1.0)
    provider = Stack(endpoint, (InFlight(1),))
    running = asyncio.ensure_future(provider.complete(ask("a")))
    waiting = asyncio.ensure_future(provider.complete(ask("b")))
    await asyncio.sleep(0)
    assert provider.statistics()["waiting"] == 1
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert (provider.statistics()["in_flight"], provider.statistics()["waiting"]) == (0, 0)
    assert (await provider.complete(ask("c"))).text == "ok"


def test_a_bound_serves_one_loop_after_another() -> None:
    endpoint = Scripted({"": "ok"}, latency=1.0)
    provider = Stack(endpoint, (InFlight(1),))

    async def crowd() -> None:
        await asyncio.gather(*(provider.complete(ask(str(number))) for number in range(3)))

    for _ in range(2):
        asyncio.run(crowd())
    assert len(endpoint.requests) == 6


async def test_a_meter_counts_tokens_dollars_and_what_has_no_price() -> None:
    usage = Usage(input=100, cached_read=40, output=10, reasoning=4)
    endpoint = Scripted([Completion("a", usage=usage), "b", classified("no", ErrorClass.FILTER)])
    provider = Stack(endpoint, (Meter(Prices(1.0, 1.0).usd),))
    await provider.complete(ask("x"))
    await provider.complete(ask("x"))
    with pytest.raises(ItemError):
        await provider.complete(ask("x"))
    statistics = provider.statistics()
    assert statistics["tokens"] == {"input": 100, "cached": 40, "output": 10, "reasoning": 4}
    assert statistics["usd"] == pytest.approx(0.00011)
    assert (statistics["requests"], statistics["requests_failed"], statistics["unpriced_requests"]) == (3, 1, 1)


async def test_an_endpoint_that_gathers_requests_is_told_when_no_more_will_come() -> None:
    endpoint = Scripted({"": "ok"})
    provider = Stack(endpoint, (Meter(unpriced),))
    assert isinstance(provider, Quiescent)
    await provider.complete(ask("x"))
    provider.quiescent()
    assert endpoint.quiet == [1]
    assert not isinstance(connect("openai:m", surroundings=NOTHING), Quiescent), "nobody there wants to know"


def test_a_stack_shows_its_layers() -> None:
    assert repr(connect("openai:m", surroundings=NOTHING)) == (
        "Stack(Meter → Retry → Limits → HttpProvider, model='m')"
    )
