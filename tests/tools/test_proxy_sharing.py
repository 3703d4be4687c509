"""Flights: what a fault of one costs the others, and what cancelled clients leave behind."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

import pytest
from proxying import attempts, mocked, proxied

from semprop.engine.scheduler import group
from semprop.engine.training.ledger import MemoryLedger
from semprop.providers.base import Completion
from semprop.tools.proxy.books import Books
from semprop.tools.proxy.sharing import Sharing, Source


async def test_a_fault_of_one_request_ends_no_other(capfd):
    async def broken():
        raise RuntimeError("a fault")

    async def send():
        return Completion("yes")

    async with Sharing(Books(MemoryLedger()), 10) as sharing:
        assert isinstance((await sharing.answer("key", broken)).outcome, RuntimeError)
        assert (await sharing.answer(None, send)).outcome == Completion("yes")
        assert (await sharing.answer("key", send)).source is Source.UPSTREAM


def held(statistics):
    """Requests, flights, permits and places in the queue."""
    upstream = statistics["upstreams"]["m"]
    return statistics["in_flight"] + statistics["flights"] + upstream["in_flight"] + upstream["waiting"]


@pytest.mark.parametrize("seed", range(3))
async def test_clients_that_leave_at_any_moment_leave_nothing_behind(seed):
    random = Random(seed)
    async with (
        mocked("[reply]\ntext = 'yes'\n[latency]\nfirst = 0.002\n") as mock,
        proxied(f"openai:m@{mock.url}") as proxy,
    ):

        async def client(question, turns):
            asked = asyncio.ensure_future(proxy.ask(max_tokens=question, temperature=question % 3 and 1))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])

        async with group() as start:
            for _ in range(100):
                start(partial(client, random.randint(1, 12), random.randint(0, 60)))
        # A cancelled attempt takes some turns of the loop to end; what stays would be waited for until the time is up.
        while held(proxy.served.proxy.statistics()):  # noqa: ASYNC110 — no event tells of it
            await asyncio.sleep(0)
        assert (await proxy.ask()).status == 200
        assert attempts(mock) <= 101
