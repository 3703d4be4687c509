"""A proxy's budget over real sockets: never passed, refused so that clients stop, kept from one start to the next."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from proxying import FIXED, attempts, mocked, proxied

from semprop.engine.errors import SpecificationError
from semprop.providers.base import Sampling
from semprop.providers.budget import Caps
from semprop.providers.prices import Prices
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import parse

PRICES = Prices(input=2.0, output=8.0)


def priced(url, **more):
    specification = parse(f"openai:m@{url}")
    given = {name: getattr(specification, name) for name in specification.__slots__}
    return {"m": type(specification)(**{**given, "name": "m", "prices": PRICES, **more})}


def rows(mock):
    return [orjson.loads(row) for row in b"".join(mock.endpoint.ledger.lines()).splitlines()]


def spent(proxy):
    return proxy.served.proxy.statistics()["budget"]["spent"]


async def test_calls_stop_at_their_cap_and_the_client_is_told_not_to_ask_again():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}", caps=Caps(calls=10)) as proxy:
        said = [await proxy.ask(seed=seed) for seed in range(14)]
        assert [each.status for each in said] == [200] * 10 + [402] * 4
        assert attempts(mock) == 10
        error = said[-1].error
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "0 calls are left" in error["message"] and said[-1].headers["x-should-retry"] == "false"
        # What was paid for is served all the same.
        assert (await proxy.ask(seed=3)).source == "store"


@pytest.mark.parametrize(
    ("caps", "most"),
    [
        (Caps(calls=30), lambda found: len(found) <= 30),
        (Caps(tokens=1000), lambda found: sum(row["input"] + row["output"] for row in found) <= 1000),
        (
            Caps(usd=0.004),
            lambda found: sum(2 * row["input"] + 8 * row["output"] for row in found) / 1e6 <= 0.004,
        ),
    ],
)
async def test_no_cap_is_passed_by_many_clients_at_once_while_the_endpoint_throttles_and_breaks(caps, most):
    faults = "[[fault]]\nkind = 'throttle'\nshare = 0.3\n[[fault]]\nkind = 'half_json'\nshare = 0.2\n"
    toml = FIXED + "[latency]\nfirst = 0.002\n" + faults
    retry = RetryPolicy(per_minute=1e6, breaker=1000)
    async with mocked(toml) as mock:
        async with proxied("m", named=priced(mock.url), caps=caps, retry=retry) as proxy:
            said = await asyncio.gather(*(proxy.ask(seed=seed, max_tokens=20) for seed in range(60)))
            statistics = proxy.served.proxy.statistics()["budget"]
        assert {each.status for each in said} <= {200, 402, 502}
        assert 402 in {each.status for each in said} and 200 in {each.status for each in said}
        assert most(rows(mock))
        assert (statistics["in_flight"], statistics["waiting"], statistics["reserved"]["calls"]) == (0, 0, 0)
        assert statistics["share_spent"] <= 1


async def test_what_was_reserved_and_not_used_is_there_for_the_next():
    async with mocked() as mock, proxied("m", named=priced(mock.url), caps=Caps(usd=0.002)) as proxy:
        # Each may need about 0.001 dollars, and needs 0.00003.
        said = await asyncio.gather(*(proxy.ask(seed=seed, max_tokens=90) for seed in range(20)))
        assert {each.status for each in said} == {200}
        assert spent(proxy)["usd"] == pytest.approx(20 * (2 * 2 + 8 * 3) / 1e6)


async def test_a_reply_must_be_bounded_where_it_is_counted():
    async with mocked() as mock:
        async with proxied("m", named=priced(mock.url), caps=Caps(tokens=5000)) as proxy:
            said = await proxy.ask()
            assert (said.status, said.error["param"], attempts(mock)) == (400, "max_tokens", 0)
            assert said.error["code"] == "missing_required_parameter"
            assert (await proxy.ask(max_completion_tokens=5)).status == 200
        async with proxied("m", named=priced(mock.url), caps=Caps(calls=5)) as proxy:
            assert (await proxy.ask()).status == 200


async def test_a_bound_from_the_providers_file_is_one():
    async with mocked() as mock:
        sampling = Sampling(temperature=None, max_tokens=50)
        async with proxied("m", named=priced(mock.url, sampling=sampling), caps=Caps(tokens=5000)) as proxy:
            assert (await proxy.ask()).status == 200
            assert spent(proxy)["output"] == 3


async def test_a_request_that_is_too_large_for_what_is_left_stops_no_smaller_one():
    async with mocked() as mock, proxied("m", named=priced(mock.url), caps=Caps(tokens=1000)) as proxy:
        assert (await proxy.ask(max_tokens=2000)).status == 402
        assert (await proxy.ask(max_tokens=10)).status == 200
        assert proxy.served.proxy.statistics()["upstreams"]["m"]["stops"] == 0


async def test_a_budget_goes_on_where_the_last_start_left_it(tmp_path):
    store = tmp_path / "replies"
    async with mocked() as mock:
        for start, statuses in enumerate([[200] * 4, [200, 200, 402, 402], [402] * 4]):
            async with proxied(f"openai:m@{mock.url}", caps=Caps(calls=6), store=store) as proxy:
                seeds = range(10 * start, 10 * start + 4)
                assert [(await proxy.ask(seed=seed)).status for seed in seeds] == statuses
        assert attempts(mock) == 6


@pytest.mark.parametrize(
    ("caps", "more", "words"),
    [
        (Caps(usd=1.0), {"prices": None}, "no price is known"),
        (Caps(usd=1.0), {"body": '{"n": 5}'}, "'n'"),
        (Caps(tokens=5), {"body": '{"max_tokens": 5}'}, "'max_tokens'"),
    ],
)
async def test_what_cannot_be_bounded_is_refused_before_anything_is_opened(caps, more, words, tmp_path):
    with pytest.raises(SpecificationError, match=words):
        async with proxied("m", named=priced("http://localhost:1/v1", **more), caps=caps, store=tmp_path / "replies"):
            pass
    assert list(tmp_path.iterdir()) == []
