"""Both batch APIs over HTTP, from request to reply, against the mock endpoint and its ledger."""

import asyncio
from collections import Counter
from dataclasses import replace

import orjson
import pytest

from semprop.providers.base import Admission, Completion, Message, Request, Sampling
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.budget import Caps
from semprop.providers.errors import ErrorClass, ProviderFailure, StopError
from semprop.providers.prices import Prices
from semprop.providers.specification import parse as provider
from semprop.providers.stack import connect
from semprop.providers.valve import Valve
from semprop.tools.endpoint import Endpoint, parse, serving

TERMS = BatchTerms(first=0.01, most=0.05, gather=0.02, settle=0.05)
PRICES = Prices(2.0, 4.0, batch=Prices(1.0, 2.0))

both = pytest.mark.parametrize("kind", ["openai", "anthropic", "openai-responses"])


def asked(number):
    return Request(
        (Message.of("user", f"question {number}"),), Sampling(max_tokens=20), admission=Admission(patient=True)
    )


async def replies(served, kind, count, valve=None):
    """What comes of so many requests, and the provider's counters."""
    specification = replace(
        provider(f"{kind}:any@{served.url}"), key_env="", batch=TERMS, prices=PRICES, sampling=Sampling(temperature=0.0)
    )
    async with connect(specification, valve=valve) as stack:
        tasks = [asyncio.ensure_future(stack.complete(asked(number))) for number in range(count)]
        await asyncio.sleep(0)
        stack.quiescent()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return found, stack.statistics()["batches"]


def endpoint(batch="", **tables):
    return Endpoint(parse(f'[reply]\ntext = "fine"\n[batch]\nseconds = 0.02\n{batch}'))


def ledger(served):
    return [orjson.loads(line) for line in b"".join(served.endpoint.ledger.lines()).splitlines()]


@both
async def test_every_request_is_answered_from_one_batch_at_its_price(kind):
    valve = Valve(Caps(usd=1.0))
    async with serving(endpoint()) as served:
        found, counts = await replies(served, kind, 40, valve)
        rows = ledger(served)
    assert [reply.text for reply in found] == ["fine"] * 40
    assert Counter(row["batch"] for row in rows) == {rows[0]["batch"]: 40}
    assert len({row["key"] for row in rows}) == 40
    assert counts["sent"] == 1
    usd = sum(row["input"] * 1.0 + row["output"] * 2.0 for row in rows) / 1e6
    assert valve.purse.spent.usd == pytest.approx(usd)
    assert valve.purse.reserved.picodollars == 0


@both
async def test_what_a_batch_leaves_out_goes_into_a_later_one_and_costs_nothing(kind):
    valve = Valve(Caps(usd=1.0))
    async with serving(endpoint("expired = 0.4\n")) as served:
        found, counts = await replies(served, kind, 40, valve)
        answered = [row for row in ledger(served) if row["status"] == 200]
    done = [reply for reply in found if isinstance(reply, Completion)]
    lost = [reply for reply in found if not isinstance(reply, Completion)]
    assert counts["sent"] == 3
    assert len(done) == len(answered) > 30
    assert len({row["key"] for row in answered}) == len(answered)
    assert all(type(error) is ProviderFailure and "it was in 3 batches" in str(error) for error in lost)
    assert valve.purse.spent.usd == pytest.approx(sum(row["input"] + row["output"] * 2.0 for row in answered) / 1e6)


@both
async def test_odd_lines_are_counted_and_rows_of_which_no_word_comes_are_failures(kind):
    async with serving(endpoint("missing = 0.2\nduplicated = 0.3\nforeign = 0.3\nerrored = 0.1\n")) as served:
        found, counts = await replies(served, kind, 40)
    assert counts["odd_lines"] > 10
    assert counts["failed"] > 5
    assert all(isinstance(reply, Completion | ProviderFailure) for reply in found)
    assert sum(isinstance(reply, Completion) for reply in found) > 30


@both
async def test_a_request_that_the_model_refuses_is_its_own_error(kind):
    config = '[reply]\ntext = "fine"\n[batch]\nseconds = 0.02\n'
    async with serving(Endpoint(parse(f"context = 1\n{config}"))) as served:
        found, counts = await replies(served, kind, 3)
    assert {error.error_class for error in found} == {ErrorClass.CONTEXT}
    assert counts["sent"] == 1


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_cancelled_in_the_middle_of_the_create_it_is_found_again_in_the_listing(kind):
    tasks = []

    def watch(step):
        if step == "create.done" and tasks:
            tasks.pop().cancel()
        return True

    mock = Endpoint(parse('[reply]\ntext = "fine"\n[batch]\nseconds = 0.2\nlisted = 0.02\nanswer = 0.01\n'))
    async with serving(mock, watch=watch) as served:
        specification = replace(provider(f"{kind}:any@{served.url}"), key_env="", batch=TERMS)
        async with connect(specification) as stack:
            first = asyncio.ensure_future(stack.complete(asked(1)))
            tasks.append(first)
            await asyncio.sleep(0)
            stack.quiescent()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert (await stack.complete(asked(1))).text == "fine"
        assert served.batches.summary()["batches"] == 1


async def test_a_kind_without_a_batch_api_says_so():
    with pytest.raises(StopError, match=r"groq:m.* has no batch API that is spoken here; these have: openai"):
        connect(replace(provider("groq:m"), batch=TERMS))
