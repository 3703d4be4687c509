"""One endpoint in front of the models, with one ledger and a hard budget: `semprop proxy`, a fresh one for each method.

Whoever optimizes, ours or another package, asks this endpoint and nobody else. It refuses, with status 402, what could
pass the budget; what was spent is what its ledger says.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import orjson

from semprop.bench.speed.children import server
from semprop.bench.speed.mock import toml
from semprop.providers.base import Capabilities
from semprop.providers.specification import Specification as Provider
from semprop.providers.specification import parse

MOST_TOKENS = 4096
"""The longest reply to a request that does not say how long it may be: a budget needs a bound."""

NOMINAL: Mapping[str, float] = {"input": 0.15, "output": 0.60}
"""Dollars per million tokens that rules in place of a model are said to cost, so that a budget binds them too."""

REFUSED = "402"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the ledger says: attempts that were sent on, their tokens, dollars, and requests that were refused because
    of the budget."""

    calls: int = 0
    input: int = 0
    output: int = 0
    usd: float = 0.0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A proxy that listens at `url`; `models` maps roles to the names under which it knows their providers."""

    url: str
    statistics: str
    models: Mapping[str, str] = field(hash=False)

    async def spent(self) -> Spent:
        """What was spent so far."""
        async with aiohttp.ClientSession() as session, session.get(self.statistics) as response:
            response.raise_for_status()
            found: Any = orjson.loads(await response.read())
        amount = found["budget"]["spent"]
        refused = int(found["statuses"].get(REFUSED, 0))
        return Spent(int(amount["calls"]), int(amount["input"]), int(amount["output"]), float(amount["usd"]), refused)

    def provider(self, role: str, capabilities: Capabilities) -> Provider:
        """How this product asks for a role; the endpoint promises what the model behind it does."""
        specification = parse(f"openai:{self.models[role]}@{self.url}")
        promises = (("schema", capabilities.schema), ("logprobs", capabilities.logprobs))
        return replace(specification, key_env="", capabilities=promises)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Who stands behind the endpoint: role → a name in `tables`, and the tables of a providers file."""

    models: Mapping[str, str] = field(hash=False)
    tables: Mapping[str, Mapping[str, Any]] = field(hash=False)


def upstreams(roles: Mapping[str, str], named: Mapping[str, Mapping[str, Any]]) -> Upstreams:
    """One upstream for each different provider, called after the first role that it plays.

    Args:
        roles: role → `kind:model[@base]`, or a name in `named`.
        named: the tables of the user's providers file, as they stand there.
    """
    first: dict[str, str] = {}
    for role, text in roles.items():
        first.setdefault(text, role)
    tables = {role: _bounded(named.get(text, {"spec": text})) for text, role in first.items()}
    return Upstreams({role: first[text] for role, text in roles.items()}, tables)


def _bounded(table: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's table with what a budget needs: a longest reply, and a price where rules stand in for a model."""
    sampling = {"max_tokens": MOST_TOKENS, **table.get("sampling", {})}
    prices = {"prices": dict(NOMINAL)} if str(table.get("spec", "")).startswith("simulated:") else {}
    return {**prices, **table, "sampling": sampling}


@asynccontextmanager
async def endpoint(behind: Upstreams, budget_usd: float) -> AsyncIterator[Endpoint]:
    """A fresh endpoint while the block runs.

    Raises:
        RunError: it does not begin to listen, for instance because a price is unknown; its words are on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        file = Path(directory) / "providers.toml"
        await anyio.Path(file).write_text(toml({"provider": behind.tables}), encoding="utf-8")
        arguments = ["proxy", "--providers", str(file), "--max-usd", f"{budget_usd:.12f}"]
        for name in behind.tables:
            arguments += ["--upstream", name]
        async with server(arguments, None) as told:
            yield Endpoint(str(told["url"]), str(told["statistics"]), behind.models)
