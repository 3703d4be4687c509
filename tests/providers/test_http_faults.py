"""What goes wrong on the wire, at the provider: an end within the deadline, and nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
from random import Random
from typing import Any

import orjson
import pytest
from answering import Answer, answering, reply

from semprop.providers.base import Message, Request
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure
from semprop.providers.hedging import Hedge
from semprop.providers.layers import Stack
from semprop.providers.limits.limiter import Limiter
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings

REQUEST = Request((Message.of("user", "hello"),))
BODY = orjson.dumps({"choices": [{"message": {"content": "fine"}}], "usage": {"prompt_tokens": 1}})
DEADLINE = 0.15


def provider_at(base: str) -> tuple[Stack, Limiter]:
    """A provider with a deadline that is short, retries that wait in virtual time, and its limiter."""
    clock = VirtualClock()
    around = Surroundings(environment={}, clock=clock, random=Random(0), retry=RetryPolicy(tries=2))
    limiter = Limiter(clock=clock, random=Random(0))
    specification = Specification("openai", "m", base, timeout=DEADLINE, in_flight=4)
    return connect(specification, surroundings=around, limiter=limiter), limiter


async def fine(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(BODY))
    await writer.drain()


async def reset_before_the_head(writer: asyncio.StreamWriter, number: int) -> None:
    writer.transport.abort()


async def reset_in_the_head(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    await writer.drain()
    writer.transport.abort()


async def reset_in_the_body(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(BODY)[:-9])
    await writer.drain()
    writer.transport.abort()


async def half_json(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(BODY[:-9]))
    await writer.drain()


async def gzip_garbage(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(b"\x1f\x8bgarbage", b"Content-Encoding: gzip"))
    await writer.drain()


async def gzip_cut_short(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(gzip.compress(BODY)[:-20], b"Content-Encoding: gzip"))
    await writer.drain()


async def error_after_200(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(b'{"error": {"message": "the model failed", "code": 502}}'))
    await writer.drain()


async def slow_loris(writer: asyncio.StreamWriter, number: int) -> None:
    for byte in reply(BODY):
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(DEADLINE / 20)


async def hang_before_the_head(writer: asyncio.StreamWriter, number: int) -> None:
    await asyncio.Event().wait()


async def hang_in_the_body(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(reply(BODY)[:-9])
    await writer.drain()
    await asyncio.Event().wait()


async def endless_body(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4\r\n    \r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def no_http(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(b"220 mail.test ESMTP\r\n")
    await writer.drain()


FAULTS = (
    reset_before_the_head,
    reset_in_the_head,
    reset_in_the_body,
    half_json,
    gzip_garbage,
    gzip_cut_short,
    error_after_200,
    slow_loris,
    hang_before_the_head,
    hang_in_the_body,
    endless_body,
    no_http,
)

each_fault = pytest.mark.parametrize("fault", FAULTS)


def nothing_is_held(provider: Stack, limiter: Limiter) -> bool:
    statistics = provider.statistics()
    return (statistics["in_flight"], statistics["waiting"], limiter.permits, limiter.waiting) == (0, 0, 0, 0)


@each_fault
async def test_a_fault_is_asked_again_and_leaves_no_permit_and_no_socket(fault: Any) -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        await (fine if number else fault)(writer, number)

    async with answering(answer) as server:
        provider, limiter = provider_at(server.base)
        async with provider:
            completion = await provider.complete(REQUEST)
            assert nothing_is_held(provider, limiter)
        await server.all_closed()
    assert (completion.text, completion.attempts, len(server.heads)) == ("fine", 2, 2)
    assert provider.statistics()["attempts"] == 2


@each_fault
async def test_a_fault_that_stays_ends_its_request_within_the_deadlines_and_counts_each_attempt(fault: Any) -> None:
    async with answering(fault) as server:
        provider, limiter = provider_at(server.base)
        async with provider:
            with pytest.raises(ProviderFailure, match="given up after 2 attempts") as caught:
                await provider.complete(REQUEST)
            assert nothing_is_held(provider, limiter)
        await server.all_closed()
    assert caught.value.error_class is ErrorClass.TRANSIENT
    assert (caught.value.attempts, len(server.heads), provider.statistics()["attempts"]) == (2, 2, 2)


async def test_all_faults_at_once_lose_nothing_and_mix_nothing_up() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        words = orjson.loads(server.bodies[number])["messages"][0]["content"]
        if words not in seen:
            seen.add(words)
            await FAULTS[len(seen) % len(FAULTS)](writer, number)
        else:
            writer.write(reply(orjson.dumps({"choices": [{"message": {"content": f"to {words}"}}]})))
            await writer.drain()

    seen: set[str] = set()
    asked = [f"question {number}" for number in range(3 * len(FAULTS))]
    answers: Answer = answer
    async with answering(answers) as server:
        provider, limiter = provider_at(server.base)
        async with provider:
            requests = [Request((Message.of("user", text),)) for text in asked]
            completions = await asyncio.gather(*(provider.complete(request) for request in requests))
            assert nothing_is_held(provider, limiter)
        await server.all_closed()
    assert [completion.text for completion in completions] == [f"to {text}" for text in asked]
    assert [completion.attempts for completion in completions] == [2] * len(asked)
    assert provider.statistics()["attempts"] == len(server.heads) == 2 * len(asked)


async def test_a_hung_attempt_is_overtaken_and_its_socket_is_closed() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        await (fine if number else hang_before_the_head)(writer, number)

    async with answering(answer) as server:
        specification = Specification("openai", "m", server.base, hedge=Hedge(after=0.01, extra=1.0))
        provider = connect(specification, surroundings=Surroundings(environment={}))
        async with provider:
            completion = await provider.complete(REQUEST)
            while server.open > 1:
                server.closed.clear()
                await server.closed.wait()
            assert provider.statistics()["in_flight"] == 0
        await server.all_closed()
    assert (completion.text, completion.attempts, len(server.heads)) == ("fine", 2, 2)
    statistics = provider.statistics()
    assert (statistics["attempts"], statistics["hedges_won"], statistics["attempts_wasted"]) == (2, 1, 1)


async def test_a_huge_reply_fails_its_request_and_leaves_no_socket() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"100000\r\n%b\r\n" % bytes(0x100000))
            await writer.drain()

    async with answering(answer) as server:
        provider = connect(Specification("openai", "m", server.base), surroundings=Surroundings(environment={}))
        async with provider:
            with pytest.raises(ItemError, match="sent a reply of more than 67108864 bytes"):
                await provider.complete(REQUEST)
            assert provider.statistics()["in_flight"] == 0
        await server.all_closed()
    assert len(server.heads) == 1
