"""Flights and store without sockets: what a broken store costs, and what cancelled clients leave behind."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

import anyio
import pytest
from proxying import attempts, mocked, proxied

from semprop.engine.errors import StorageError
from semprop.engine.scheduler import group
from semprop.engine.training.ledger import MemoryLedger
from semprop.providers.base import Completion
from semprop.tools.proxy.sharing import Sharing, Source


class Broken:
    """A store that keeps nothing, and says so with this error."""

    def __init__(self, error):
        self.error = error
        self.stored = MemoryLedger().stored

    async def settle(self, position, key, outcome):
        raise self.error


async def send():
    return Completion("yes")


async def test_a_reply_that_cannot_be_stored_is_delivered_and_counted(capfd):
    async with group() as start:
        sharing = Sharing(Broken(StorageError("the disk is full")), start)
        for _ in range(2):
            shared = await sharing.answer("key", send)
            assert (shared.outcome, shared.source) == (Completion("yes"), Source.UPSTREAM)
    assert sharing.statistics()["store_failures"] == 2
    assert capfd.readouterr().out.count("the disk is full") == 1


async def test_a_fault_of_the_store_answers_its_own_request_and_ends_no_other(capfd):
    async with group() as start:
        sharing = Sharing(Broken(RuntimeError("a fault")), start)
        assert isinstance((await sharing.answer("key", send)).outcome, RuntimeError)
        assert (await sharing.answer(None, send)).outcome == Completion("yes")


async def test_a_reply_is_in_the_store_before_anybody_reads_it():
    events = []

    class Noting(MemoryLedger):
        async def settle(self, position, key, outcome):
            await anyio.lowlevel.checkpoint()
            events.append("stored")
            await super().settle(position, key, outcome)

    async with group() as start:
        sharing = Sharing(Noting(), start)

        async def ask():
            await sharing.answer("key", send)
            events.append("read")

        for _ in range(3):
            start(ask)
    assert events == ["stored", "read", "read", "read"]


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
