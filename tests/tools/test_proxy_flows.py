"""Whose request it is: fairness between the clients of a proxy, and no key in what is shown."""

from __future__ import annotations

import asyncio

from proxying import FIXED, mocked, proxied

from semprop.providers.specification import parse
from semprop.tools.proxy.flows import flow_of


def test_a_flow_is_a_name_of_its_own_or_one_made_of_the_key():
    assert flow_of({}) == ""
    key = flow_of({b"authorization": b"Bearer sk-secret"})
    assert key.startswith("key-") and "secret" not in key
    assert key != flow_of({b"authorization": b"Bearer sk-other"}) and key == flow_of(
        {b"authorization": b"Bearer sk-secret"}
    )
    assert flow_of({b"x-api-key": b"a"}) == flow_of({b"api-key": b"a"}) != ""
    assert flow_of({b"authorization": b"Bearer a", b"x-semprop-flow": b" batch\x01 "}) == "batch?"
    assert len(flow_of({b"x-semprop-flow": b"x" * 500})) == 64


async def test_one_program_with_many_requests_does_not_starve_another():
    async with mocked(FIXED + "[latency]\nfirst = 0.002\n") as mock:
        specification = parse(f"openai:m@{mock.url}")
        given = {name: getattr(specification, name) for name in specification.__slots__}
        named = {"m": type(specification)(**{**given, "name": "m", "in_flight": 1})}
        async with proxied("m", named=named) as proxy:
            order = []

            async def ask(flow, seed):
                await proxy.ask({"x-semprop-flow": flow}, seed=seed)
                order.append(flow)

            greedy = [asyncio.ensure_future(ask("greedy", seed)) for seed in range(40)]
            # The modest one comes when all of the others stand in line.
            while proxy.served.proxy.statistics()["upstreams"]["m"]["waiting"] < 39:  # noqa: ASYNC110
                await asyncio.sleep(0)
            modest = [asyncio.ensure_future(ask("modest", 100 + seed)) for seed in range(5)]
            await asyncio.gather(*greedy, *modest)
    last = max(place for place, flow in enumerate(order) if flow == "modest")
    assert last < 20 and len(order) == 45
