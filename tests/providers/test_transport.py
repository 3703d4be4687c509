"""Sessions that several providers share."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
from answering import Answer, answering, reply

from semprop.providers.base import Message, Request
from semprop.providers.layers import Stack
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport

REQUEST = Request((Message.of("user", "hello"),))
AROUND = Surroundings(environment={})
ANSWER = reply(b'{"choices":[{"message":{"content":"fine"}}]}')


def at(base: str, transport: Transport, model: str = "m", **settings: Any) -> Stack:
    specification = Specification("openai", model, base, **{"in_flight": 3, **settings})
    return connect(specification, surroundings=AROUND, transport=transport)


async def answer(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(ANSWER)
    await writer.drain()


async def test_two_models_of_one_endpoint_share_its_connections() -> None:
    transport = Transport()
    async with answering(answer) as server:
        one, two = at(server.base, transport, "one"), at(server.base, transport, "two")
        async with one, two:
            for provider in (one, two, one, two):
                assert (await provider.complete(REQUEST)).text == "fine"
        await server.all_closed()
    assert server.opened == 1
    assert b'"one"' in server.bodies[0]
    assert b'"two"' in server.bodies[1]
    assert transport.connections == 6


async def test_without_a_shared_transport_each_has_its_own_connections() -> None:
    async with answering(answer) as server:
        async with at(server.base, Transport()) as one, at(server.base, Transport()) as two:
            await one.complete(REQUEST)
            await two.complete(REQUEST)
        await server.all_closed()
    assert server.opened == 2


async def test_the_connections_stay_until_the_last_provider_leaves() -> None:
    transport = Transport()
    async with answering(answer) as server:
        one, two = at(server.base, transport), at(server.base, transport)
        async with one:
            await one.complete(REQUEST)
            async with two:
                await two.complete(REQUEST)
            assert (two.statistics()["session"], one.statistics()["session"]) == ("closed", "open")
            await one.complete(REQUEST)
            assert server.open == 1
        await server.all_closed()
        assert server.opened == 1
        async with two:
            await two.complete(REQUEST)
        assert server.opened == 2, "a session is opened again after the last one left"


async def test_all_who_share_a_session_can_be_in_flight_at_once() -> None:
    reached, released = 0, asyncio.Event()

    async def wait(writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal reached
        reached += 1
        if reached == 6:
            released.set()
        await released.wait()
        await answer(writer, number)

    transport = Transport()
    async with answering(wait) as server:
        one, two = at(server.base, transport, "one"), at(server.base, transport, "two")
        async with one, two, asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task((one, two)[number % 2].complete(REQUEST))
    assert server.opened == 6


async def test_who_joins_an_open_session_gets_another_since_its_bound_is_fixed() -> None:
    transport = Transport()
    async with answering(answer) as server:
        async with at(server.base, transport) as early:
            await early.complete(REQUEST)
            async with at(server.base, transport) as late:
                await late.complete(REQUEST)
                assert server.open == 2
        await server.all_closed()


async def test_other_endpoints_and_other_authorities_have_sessions_of_their_own() -> None:
    transport = Transport()
    for base, ca in (("https://a.test/v1", None), ("https://b.test/v1", None), ("https://a.test/v1", "ca.pem")):
        at(base, transport, ca=ca)
    at("https://a.test/v2", transport, "other")
    assert repr(transport) == "Transport(endpoints=3, connections=12)"


async def test_a_cancelled_user_leaves_and_the_others_go_on() -> None:
    reached = asyncio.Event()

    async def hang_first(writer: asyncio.StreamWriter, number: int) -> None:
        if number:
            await answer(writer, number)
        else:
            reached.set()
            await asyncio.Event().wait()

    transport = Transport()
    answers: Answer = hang_first
    async with answering(answers) as server:
        one, two = at(server.base, transport), at(server.base, transport)

        async def use() -> None:
            async with one:
                await one.complete(REQUEST)

        async with two:
            async with anyio.create_task_group() as group:
                group.start_soon(use)
                await reached.wait()
                group.cancel_scope.cancel()
            assert (await two.complete(REQUEST)).text == "fine"
        await server.all_closed()
