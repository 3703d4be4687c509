"""What a proxy writes down: before it sends, before anybody reads; and what the next start finds."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import aiohttp
import anyio
import orjson
import pytest
from proxying import FIXED, GREEDY, HELLO, attempts, mocked, proxied

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.scheduler import group
from semprop.engine.training.ledger import MemoryLedger
from semprop.providers.base import Completion, Message, Request, Sampling, Usage
from semprop.providers.budget import NOTHING, Amount, Caps, Purse
from semprop.providers.errors import ErrorClass, ProviderError, classified
from semprop.tools.proxy.attempts import Accounts, Attempts
from semprop.tools.proxy.books import Books, opened
from semprop.tools.proxy.sharing import Sharing, Source

REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=10))


class Noting(MemoryLedger):
    """Keeps nothing on disk, and notes what it is told in which order; may fail."""

    def __init__(self, intending=None, settling=None):
        super().__init__()
        self.events, self.intending, self.settling = [], intending, settling

    def intend(self, position, key, role, request):
        return 1

    def answer(self, position, key, outcome):
        if not self.settling:
            super().answer(position, key, outcome)
        return 2

    async def reach(self, mark, patience=1.0):
        await anyio.lowlevel.checkpoint()
        failing = self.intending if mark == 1 else self.settling
        if failing:
            raise failing
        self.events.append("intended" if mark == 1 else "stored")


class Watching:
    def __init__(self):
        self.events = []

    def is_wanted(self, key):
        return True

    def sent(self, key):
        self.events.append("sent")


def layer(ledger, send, purse=None, price=lambda usage: 0.5):
    """The layer around a `send`, with its accounts."""
    accounts = Accounts(Books(ledger), purse, Watching())
    return Attempts("m", "identity", price, accounts).around(send), accounts


# In their order -----------------------------------------------------------------------------------------------------


async def test_an_attempt_is_noted_before_it_is_sent_and_its_reply_before_it_is_used():
    ledger = Noting()

    async def send(request):
        ledger.events.append("sent")
        return Completion("yes")

    complete, _ = layer(ledger, send)
    await complete(REQUEST)
    ledger.events.append("used")
    assert ledger.events == ["intended", "sent", "stored", "used"]


async def test_a_reply_is_in_the_books_before_anybody_who_shares_it_reads_it():
    ledger = Noting()

    async def send(request):
        return Completion("yes")

    books = Books(ledger)
    async with Sharing(books, 10) as sharing, group() as start:
        complete = Attempts("m", "identity", lambda usage: None, Accounts(books, None, sharing)).around(send)

        async def ask():
            await sharing.answer("key", lambda: complete(REQUEST))
            ledger.events.append("read")

        for _ in range(3):
            start(ask)
    assert ledger.events == ["intended", "stored", "read", "read", "read"]


async def test_what_cannot_be_noted_is_not_sent_and_costs_nothing(capfd):
    sent = []

    async def send(request):
        sent.append(request)
        return Completion("yes")

    purse = Purse(Caps(calls=5))
    complete, accounts = layer(Noting(intending=StorageError("the disk is full")), send, purse)
    for _ in range(2):
        with pytest.raises(StorageError):
            await complete(REQUEST)
    assert (sent, purse.spent, purse.in_flight) == ([], NOTHING, 0)
    assert accounts.books.statistics()["store_failures"] == 2
    assert capfd.readouterr().out.count("the disk is full") == 1


async def test_a_reply_that_cannot_be_kept_is_delivered_and_counted(capfd):
    async def send(request):
        return Completion("yes")

    complete, accounts = layer(Noting(settling=StorageError("the disk is full")), send)
    assert await complete(REQUEST) == Completion("yes")
    assert accounts.books.statistics()["store_failures"] == 1
    assert "the disk is full" in capfd.readouterr().out


async def test_an_attempt_that_is_cancelled_while_it_is_noted_was_not_sent():
    async def send(request):
        raise AssertionError("sent")

    ledger, purse = Noting(), Purse(Caps(calls=9, usd=9.0))
    complete, accounts = layer(ledger, send, purse)
    task = asyncio.ensure_future(complete(REQUEST))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert (purse.spent, purse.reserved, accounts.books.statistics()["possibly_charged"]) == (NOTHING, NOTHING, 0)


async def test_an_attempt_that_is_cancelled_on_its_way_stays_at_its_worst_case():
    async def send(request):
        await asyncio.Event().wait()

    purse = Purse(Caps(calls=9, usd=9.0))
    complete, accounts = layer(Noting(), send, purse)
    task = asyncio.ensure_future(complete(REQUEST))
    while accounts.watch.events != ["sent"]:  # noqa: ASYNC110 — no event tells of it
        await asyncio.sleep(0)
    worst = purse.reserved
    task.cancel()
    await asyncio.wait([task])
    assert purse.spent == worst and worst.output == 10 and purse.in_flight == 0
    assert (accounts.books.statistics()["possibly_charged"], accounts.watch.events) == (1, ["sent"])


async def test_the_end_of_a_budget_is_announced_once(capfd):
    async def send(request):
        return Completion("yes", usage=Usage(5, output=1))

    purse = Purse(Caps(calls=5))
    complete, _ = layer(Noting(), send, purse)
    for number in range(1, 6):
        await complete(REQUEST)
        assert purse.spent.calls == number
    assert capfd.readouterr().out.count("budget_low") == 1


async def test_a_failure_is_settled_by_what_it_can_have_cost():
    async def send(request):
        raise classified("", ErrorClass.RATE, status=429)

    purse = Purse(Caps(calls=9, usd=9.0))
    complete, accounts = layer(Noting(), send, purse)
    with pytest.raises(ProviderError):
        await complete(REQUEST)
    assert (purse.spent, purse.reserved, accounts.watch.events) == (Amount(1), NOTHING, ["sent"])


# From one start to the next -----------------------------------------------------------------------------------------


async def test_what_was_spent_and_what_was_left_open_is_found_by_the_next_start(tmp_path, capfd):
    store = tmp_path / "replies"
    worst = Amount(1, 100, 10, 5000)
    for start in (1, 2):
        books = await opened(store)
        assert books.opening.start == start
        answered = await books.begin("m", f"a{start}", REQUEST, worst)
        await books.answered(answered, Completion("yes"), Amount(1, 5, 2, 70))
        failed = await books.begin("m", f"b{start}", REQUEST, worst)
        books.failed(failed, classified("", ErrorClass.RATE, status=429), Amount(1))
        await books.begin("m", f"c{start}", REQUEST, worst)
        await books.close()
    books = await opened(store)
    assert books.opening.start == 3
    assert books.opening.spent == Amount(6, 210, 24, 10140)
    assert (books.opening.lost.attempts, books.opening.lost.amount) == (2, worst + worst)
    assert [body["key"] for body in books.opening.lost.last] == ["c1", "c2"]
    assert books.stored("a2") == Completion("yes") and books.stored("c2") is None
    await books.close()
    assert "possibly_charged" in capfd.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such lock")
async def test_a_store_is_used_by_one_proxy_at_a_time(tmp_path):
    store = tmp_path / "replies"
    books = await opened(store)
    with pytest.raises(UsageError, match="another proxy uses"):
        await opened(store)
    await books.close()
    books = await opened(store)
    assert books.opening.start == 2
    await books.close()


async def test_a_proxy_that_is_killed_shows_what_may_have_been_charged_and_pays_for_nothing_twice(tmp_path):
    store = tmp_path / "replies"
    toml = FIXED + "[[fault]]\nkind = 'hang'\nfirst_attempt = 3\nlast_attempt = 5\n"
    async with mocked(toml) as mock, aiohttp.ClientSession() as session:
        arguments = ["proxy", "--upstream", f"openai:m@{mock.url}", "--store", str(store)]
        command = [sys.executable, "-m", "semprop.tools", *arguments]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        url = orjson.loads(await process.stdout.readline())["url"]

        async def ask(question):
            body = {**GREEDY, "messages": [*HELLO, {"role": "user", "content": question}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        assert [await ask("one"), await ask("two")] == ["twelve chars"] * 2
        hanging = [asyncio.ensure_future(ask(question)) for question in ("three", "four", "five")]
        while attempts(mock) < 5:  # noqa: ASYNC110 — no event tells of it
            await asyncio.sleep(0)
        process.kill()
        await process.wait()
        await asyncio.wait(hanging)
        assert all(isinstance(task.exception(), aiohttp.ClientError) for task in hanging)

        async with proxied(f"openai:m@{mock.url}", store=store) as proxy:
            journal = (await proxy.get("/statistics")).json["journal"]
            before = journal["possibly_charged_before"]
            assert (journal["start"], before["attempts"], before["at_most"]["calls"] >= 3) == (2, 3, True)
            assert {each["upstream"] for each in before["last"]} == {"m"}
            said = await proxy.ask(messages=[*HELLO, {"role": "user", "content": "two"}])
            assert (said.source, attempts(mock)) == ("store", 5)
            said = await proxy.ask(messages=[*HELLO, {"role": "user", "content": "three"}])
            assert (said.source, attempts(mock)) == (Source.UPSTREAM, 6)
