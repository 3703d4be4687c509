"""A proxy in front of a pool, over real sockets: who answers, what it costs, what is shown, what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from proxying import FIXED, attempts, mocked, proxied

from semprop.providers.base import Sampling
from semprop.providers.budget import Caps
from semprop.providers.errors import StopError
from semprop.providers.specification import tables

PRICES = {"a": {"input": 1.0, "output": 2.0}, "b": {"input": 10.0, "output": 40.0}}


def pooled(one, two, **settings):
    """A file's tables: a and b, and a pool `m` of them."""
    urls = {"a": one.url, "b": two.url}
    providers = {name: {"spec": f"openai:m@{url}", "prices": PRICES[name]} for name, url in urls.items()}
    pool = {"members": ["a", "b"], "sampling": {"max_tokens": 50}, **settings}
    return tables({"provider": providers, "pool": {"m": pool}}, "file")


def cost(mock, name):
    rows = [orjson.loads(row) for row in b"".join(mock.endpoint.ledger.lines()).splitlines()]
    answered = [row for row in rows if row["status"] == 200]
    return sum(PRICES[name]["input"] * row["input"] + PRICES[name]["output"] * row["output"] for row in answered) / 1e6


async def test_a_member_that_stops_is_passed_and_each_reply_is_paid_at_its_own_members_price():
    unpaid = FIXED + "[[fault]]\nkind = 'billing'\nfirst_attempt = 4\n"
    async with mocked(unpaid) as one, mocked() as two:
        async with proxied("m", named=pooled(one, two), caps=Caps(usd=1.0)) as proxy:
            said = [await proxy.ask(seed=seed) for seed in range(8)]
            assert [each.status for each in said] == [200] * 8
            statistics = (await proxy.get("/statistics")).json
            members = statistics["upstreams"]["m"]["members"]
            assert (members["a"]["state"], members["b"]["state"]) == ("out", "asked")
            assert statistics["upstreams"]["m"]["stops"] == 0
            spent = proxy.served.proxy.statistics()["budget"]["spent"]["usd"]
        assert (attempts(one), attempts(two)) == (4, 5)
        assert spent == pytest.approx(cost(one, "a") + cost(two, "b"))


async def test_what_was_paid_for_is_served_again_whoever_answered_it(tmp_path):
    async with mocked() as one, mocked() as two:
        for settings in ({}, {"policy": "fastest"}):
            async with proxied("m", named=pooled(one, two, **settings), store=tmp_path / "replies") as proxy:
                said = [await proxy.ask(seed=seed) for seed in range(4)]
        assert [each.source for each in said] == ["store"] * 4
        assert (attempts(one), attempts(two)) == (4, 0)


async def test_what_a_members_own_settings_fill_changes_no_key_so_that_it_is_served_again(tmp_path):
    async with mocked() as one, mocked() as two:
        for source in ("upstream", "store"):
            named = pooled(one, two)
            pool = named["m"]
            members = tuple(replace(each, sampling=Sampling(top_p=0.5)) for each in pool.members)
            async with proxied("m", named={"m": replace(pool, members=members)}, store=tmp_path / "replies") as proxy:
                said = await proxy.ask()
            assert said.source == source
        assert (attempts(one), attempts(two)) == (1, 0)


async def test_no_cap_of_dollars_is_passed_by_a_pool_whose_dear_member_takes_over():
    flaky = FIXED + "[latency]\nfirst = 0.002\n[[fault]]\nkind = 'throttle'\nshare = 0.5\n"
    async with mocked(flaky) as one, mocked(FIXED + "[latency]\nfirst = 0.002\n") as two:
        named = pooled(one, two, patience=0)
        async with proxied("m", named=named, caps=Caps(usd=0.01)) as proxy:
            said = await asyncio.gather(*(proxy.ask(seed=seed) for seed in range(120)))
        assert {each.status for each in said} == {200, 402}
        assert 0.004 < cost(one, "a") + cost(two, "b") <= 0.01


async def test_several_models_behind_one_name_are_refused_unless_equal_questions_keep_to_one():
    async with mocked() as one, mocked() as two:
        pool = f"pool:openai:large@{one.url},openai:small@{two.url}"
        with pytest.raises(StopError, match="has several models"):
            async with proxied(pool):
                raise AssertionError("it must not start")
        async with proxied(f"{pool};mixed=pinned;name=m") as proxy:
            first = [(await proxy.ask(messages=[{"role": "user", "content": f"q{n}"}], seed=n)).json for n in range(12)]
            second = [
                (await proxy.ask(messages=[{"role": "user", "content": f"q{n}"}], seed=-n)).json for n in range(12)
            ]
        assert [each["model"] for each in first] == [each["model"] for each in second]
        assert {each["model"] for each in first} == {"large", "small"}


def test_the_settings_of_a_pool_fill_what_a_request_leaves_open():
    pool = tables({"pool": {"m": {"members": ["openai:m"], "sampling": {"max_tokens": 50}}}}, "file")["m"]
    assert pool.sampling == Sampling(None, max_tokens=50)


async def test_a_reply_that_was_passed_on_is_not_kept_in_place_of_the_answer(tmp_path):
    refusing = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"}

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"id": "r", "model": "m", "choices": [refusing], "usage": None})

    application = web.Application()
    application.router.add_post("/{path:.*}", refuse)
    async with TestServer(application) as server, mocked() as two:
        pool = f"pool:openai:m@http://{server.host}:{server.port}/v1,openai:m@{two.url};name=m;on_refusal=next"
        async with proxied(pool, store=tmp_path / "replies") as proxy:
            first, second = [await proxy.ask() for _ in range(2)]
        assert (first.text, first.source) == ("twelve chars", "upstream")
        assert (second.text, second.source) == ("twelve chars", "store")
    assert attempts(two) == 1
