"""The public double and its clock."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from semprop.providers.base import Completion, Message, Provider, Request, Stop
from semprop.providers.clock import Clock
from semprop.providers.errors import ErrorClass, ItemError, StopError, classified
from semprop.providers.scripted import Scripted, VirtualClock


def ask(text: str) -> Request:
    return Request((Message.of("user", text),))


async def test_a_function_answers_and_every_request_is_recorded() -> None:
    provider = Scripted(lambda request: request.messages[0].text.upper(), model="loud")
    async with provider:
        assert (await provider.complete(ask("a"))).text == "A"
        assert provider.entered == 1
    assert provider.requests == [ask("a")]
    assert (provider.entered, provider.identity, provider.statistics()["attempts"]) == (0, "scripted:loud", 1)
    assert isinstance(provider, Provider)


async def test_an_async_function_may_wait_for_what_the_test_holds_back() -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> str:
        await release.wait()
        return "released"

    provider = Scripted(answer)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(provider.complete(ask("a")))
        await asyncio.sleep(0)
        assert not task.done()
        release.set()
    assert task.result().text == "released"


async def test_the_first_key_that_stands_in_the_last_message_answers() -> None:
    provider = Scripted({"two": "2", "one": "1", "": "else"})
    assert [(await provider.complete(ask(text))).text for text in ("one and two", "one", "three")] == ["2", "1", "else"]


async def test_a_list_is_used_up_in_the_order_of_arrival() -> None:
    provider = Scripted(["a", Completion("b", stop=Stop.LENGTH)])
    assert (await provider.complete(ask("x"))).text == "a"
    assert (await provider.complete(ask("x"))).stop is Stop.LENGTH
    with pytest.raises(StopError, match="request 3 came to a list of 2 answers"):
        await provider.complete(ask("x"))


async def test_a_mapping_without_a_key_for_a_message_says_so() -> None:
    with pytest.raises(StopError, match="no key of the mapping"):
        await Scripted({"two": "2"}).complete(ask("one"))


async def test_an_exception_is_raised_afresh_each_time() -> None:
    error = classified("filtered", ErrorClass.FILTER)
    provider = Scripted({"": error})
    caught = []
    for _ in range(2):
        with pytest.raises(ItemError) as info:
            await provider.complete(ask("x"))
        info.value.attempts += 5
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert (error.attempts, caught[1].attempts) == (1, 6)


async def test_time_passes_only_while_every_task_waits_and_takes_none_of_ours() -> None:
    clock = VirtualClock()
    log: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        for _ in range(50):
            await asyncio.sleep(0)
        log.append((name, clock.now()))

    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for name, seconds in (("c", 3600.0), ("a", 1.0), ("b", 1.0), ("d", 7200.0)):
            group.start_soon(sleeper, name, seconds)
    assert log == [("a", 1.0), ("b", 1.0), ("c", 3600.0), ("d", 7200.0)]
    assert time.monotonic() - began < 5.0


async def test_long_chains_of_wakings_end_before_time_moves() -> None:
    clock = VirtualClock()
    send, receive = anyio.create_memory_object_stream[int](0)
    seen: list[float] = []

    async def produce() -> None:
        async with send:
            for number in range(300):
                await send.send(number)

    async def consume() -> None:
        async with receive:
            async for _ in receive:
                seen.append(clock.now())

    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 10.0)
        group.start_soon(produce)
        group.start_soon(consume)
    assert seen == [0.0] * 300
    assert clock.now() == 10.0


async def test_a_cancelled_sleeper_moves_no_time() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 100.0)
        await asyncio.sleep(0)
        group.cancel_scope.cancel()
    await clock.sleep(1.0)
    assert clock.now() == 1.0


async def test_a_sleep_of_nothing_moves_no_time() -> None:
    clock = VirtualClock()
    await clock.sleep(0.0)
    await clock.sleep(-1.0)
    assert clock.now() == 0.0
    assert "sleeping=0" in repr(clock)


def test_one_clock_serves_one_loop_after_another() -> None:
    clock = VirtualClock()
    for _ in range(2):
        asyncio.run(clock.sleep(5.0))
    assert clock.now() == 10.0


def test_a_loop_that_hides_what_is_ready_is_watched_for_its_turns() -> None:
    uvloop = pytest.importorskip("uvloop")
    clock = VirtualClock()
    uvloop.run(clock.sleep(5.0))
    assert clock.now() == 5.0


async def test_calls_with_a_latency_overlap_as_they_would() -> None:
    provider = Scripted({"": "ok"}, latency=lambda request: float(request.messages[0].text))
    async with asyncio.TaskGroup() as group:
        for seconds in ("3", "1", "2"):
            group.create_task(provider.complete(ask(seconds)))
    assert (provider.clock.now(), provider.peak, provider.in_flight) == (3.0, 3, 0)


async def test_a_cancelled_call_is_no_longer_in_flight() -> None:
    provider = Scripted({"": "ok"}, latency=10.0)
    with anyio.move_on_after(0):
        await provider.complete(ask("x"))
    assert (provider.in_flight, len(provider.requests)) == (0, 1)


def test_the_virtual_clock_is_a_clock() -> None:
    clock: Clock = VirtualClock(5.0)
    assert clock.now() == 5.0


async def test_two_clocks_on_one_loop_do_not_hold_each_other_up_for_ever() -> None:
    one, two = VirtualClock(), VirtualClock()
    async with asyncio.TaskGroup() as group:
        group.create_task(one.sleep(1.0))
        group.create_task(two.sleep(2.0))
    assert (one.now(), two.now()) == (1.0, 2.0)
