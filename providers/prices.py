"""What a usage costs, in US dollars.

Takes a `Usage`, a model and the address that served it; gives dollars, or None where the price or the count
of tokens is unknown: never 0 in its place. Prices come from the package `genai-prices` (offline, the snapshot
that is installed) or from the user. Telemetry only: no decision reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import genai_prices
from genai_prices.types import PriceCalculation

from semprop.providers.base import Usage

_MILLION = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, and per request.

    `input` is the price of tokens that no cache served; cached tokens cost `cached_read` and `cache_write`, or
    as much as `input` where these are None. Reasoning tokens are output tokens.
    """

    input: float
    output: float
    cached_read: float | None = None
    cache_write: float | None = None
    request: float = 0.0

    def usd(self, usage: Usage) -> float | None:
        """Dollars of one answered request; None if the endpoint did not count its tokens."""
        if usage.input is None or usage.output is None:
            return None
        read = min(usage.cached_read or 0, usage.input)
        written = min(usage.cache_write or 0, usage.input - read)
        cost = (usage.input - read - written) * self.input + usage.output * self.output
        cost += read * (self.input if self.cached_read is None else self.cached_read)
        cost += written * (self.input if self.cache_write is None else self.cache_write)
        return cost / _MILLION + self.request


def price_of(model: str, base: str, override: Prices | None = None) -> Callable[[Usage], float | None]:
    """The function from usage to dollars for a model behind a base address.

    Args:
        model: the name as the endpoint knows it.
        base: the base address, by which the seller is known. An address that no list knows has no prices.
        override: the user's own prices; they win.
    """
    if override is not None:
        return override.usd
    found = _listed(model, base, Usage(input=0, output=0))
    if found is None or found.model_price.input_mtok is None or found.model_price.output_mtok is None:
        return _unknown
    flat = _flat(found)
    if flat is not None:
        return flat.usd

    def usd(usage: Usage) -> float | None:
        counted = usage.input is not None and usage.output is not None
        found = _listed(model, base, usage) if counted else None
        return None if found is None else float(found.total_price)

    return usd


def snapshot() -> str:
    """Which list of prices is used, for reports."""
    return f"genai-prices {genai_prices.__version__}"


def _unknown(usage: Usage) -> float | None:
    return None


def _listed(model: str, base: str, usage: Usage) -> PriceCalculation | None:
    try:
        return genai_prices.calc_price(_listed_usage(usage), model, provider_api_url=base)
    except LookupError:
        return None


def _flat(found: PriceCalculation) -> Prices | None:
    """The listed prices as plain numbers (the list itself takes 60 µs a call), or None where they depend on the
    size or the time of a request."""
    price = found.model_price
    listed = (
        price.input_mtok,
        price.output_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.requests_kcount,
    )
    flat = [float(part) if isinstance(part, Decimal) else None for part in listed]
    if isinstance(found.model.prices, list) or flat.count(None) != listed.count(None):
        return None
    return Prices(flat[0] or 0.0, flat[1] or 0.0, flat[2], flat[3], (flat[4] or 0.0) / 1000.0)


def _listed_usage(usage: Usage) -> genai_prices.Usage:
    read = min(usage.cached_read or 0, usage.input or 0)
    written = min(usage.cache_write or 0, (usage.input or 0) - read)
    return genai_prices.Usage(
        input_tokens=usage.input,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output,
    )
