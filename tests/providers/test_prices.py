"""What a usage costs."""

from __future__ import annotations

import genai_prices
import pytest
from genai_prices import data
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Usage
from semprop.providers.prices import Prices, price_of, snapshot

OPENAI = "https://api.openai.com/v1"
counts = st.integers(0, 10**6)


def test_cached_tokens_have_a_price_of_their_own() -> None:
    prices = Prices(input=1.0, output=4.0, cached_read=0.25, cache_write=1.25, request=0.01)
    usage = Usage(input=1_000_000, cached_read=400_000, cache_write=100_000, output=500_000, reasoning=200_000)
    assert prices.usd(usage) == pytest.approx(0.5 + 0.1 + 0.125 + 2.0 + 0.01)


def test_cached_tokens_cost_as_much_as_others_where_no_price_says_less() -> None:
    assert Prices(1.0, 1.0).usd(Usage(input=1_000_000, cached_read=900_000, output=0)) == pytest.approx(1.0)


@pytest.mark.parametrize("usage", [Usage(), Usage(input=5), Usage(output=5)])
def test_what_was_not_counted_has_no_price_rather_than_none_to_pay(usage: Usage) -> None:
    assert Prices(1.0, 1.0).usd(usage) is None
    assert price_of("gpt-4o", OPENAI)(usage) is None


@pytest.mark.parametrize(
    ("model", "base"), [("no-such-model", OPENAI), ("gpt-4o", "http://localhost:8000/v1"), ("m", "https://api.test/v1")]
)
def test_a_model_or_a_seller_that_no_list_knows_has_no_price(model: str, base: str) -> None:
    assert price_of(model, base)(Usage(input=10, output=10)) is None


def test_the_users_own_prices_win() -> None:
    assert price_of("gpt-4o", OPENAI, Prices(0.0, 1.0))(Usage(input=10, output=1_000_000)) == 1.0


@given(counts, counts, counts)
def test_a_listed_price_equals_the_lists_own_calculation(given_tokens: int, cached: int, output: int) -> None:
    cached = min(cached, given_tokens)
    usage = Usage(input=given_tokens, cached_read=cached, output=output)
    listed = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=given_tokens, cache_read_tokens=cached, output_tokens=output),
        "gpt-4o-mini",
        provider_api_url=OPENAI,
    )
    assert price_of("gpt-4o-mini", OPENAI)(usage) == pytest.approx(float(listed.total_price), abs=1e-12)


def test_a_price_that_grows_with_the_prompt_is_asked_of_the_list() -> None:
    price = price_of("gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai")
    small, large = price(Usage(input=100_000, output=0)), price(Usage(input=300_000, output=0))
    assert small is not None
    assert large is not None
    assert large > 3.5 * small, "above the threshold every token costs more"
    assert price(Usage(input=1)) is None


def test_every_listed_model_can_be_priced_or_is_unknown() -> None:
    usage = Usage(input=1000, cached_read=100, output=100)
    for provider in data.providers:
        if provider.id in ("openai", "groq", "deepseek"):
            for model in provider.models:
                price = price_of(model.id, {"openai": OPENAI}.get(provider.id, f"https://api.{provider.id}.com/v1"))
                usd = price(usage)
                assert usd is None or usd >= 0


def test_the_list_in_use_is_named() -> None:
    assert snapshot().startswith("genai-prices ")
