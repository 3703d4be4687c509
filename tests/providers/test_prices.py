"""What a usage costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import data
from genai_prices.types import ModelInfo, Provider
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Usage
from semprop.providers.errors import StopError
from semprop.providers.price_tables import prices_in
from semprop.providers.prices import Free, Listed, Prices, Processing, Tier, price_of, snapshot

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


# Kinds of tokens ------------------------------------------------------------------------------------------------------


def test_reasoning_has_a_price_of_its_own_where_one_is_given() -> None:
    usage = Usage(input=0, output=1_000_000, reasoning=400_000)
    assert Prices(1.0, 2.0)(usage) == pytest.approx(2.0)
    assert Prices(1.0, 2.0, reasoning=5.0)(usage) == pytest.approx(0.6 * 2.0 + 0.4 * 5.0)


@pytest.mark.parametrize(
    ("prices", "used"),
    [
        (Prices(1.0, 1.0), Usage(input=10, cache_write=1, output=1)),
        (Prices(None, 1.0), Usage(input=1, output=1)),
        (Prices(1.0, None), Usage(input=1, output=1)),
        (Prices(1.0, None), Usage(input=1, output=1, reasoning=1)),
    ],
)
def test_a_price_that_is_missing_makes_the_cost_unknown_where_it_was_used_and_only_there(
    prices: Prices, used: Usage
) -> None:
    assert prices(used) is None
    without = Usage(input=10 if prices.input is not None else 0, output=10 if prices.output is not None else 0)
    assert prices(without) == pytest.approx(((without.input or 0) + (without.output or 0)) / 1e6)


LONG = Prices(1.0, 4.0, 0.1, 1.25, long=(Tier(200, Prices(2.0, 6.0, 0.2, 2.5)), Tier(500, Prices(3.0, 5.0))))


@pytest.mark.parametrize(
    ("given_tokens", "usd"),
    [(200, 200 * 1.0 + 10 * 4.0), (201, 201 * 2.0 + 10 * 6.0), (500, 500 * 2.0 + 60.0), (501, 501 * 3.0 + 50.0)],
)
def test_a_long_request_pays_for_every_token_by_its_tier(given_tokens: int, usd: float) -> None:
    assert LONG(Usage(input=given_tokens, output=10)) == pytest.approx(usd / 1e6)


@given(st.integers(0, 700), st.data(), st.integers(0, 50))
def test_no_request_within_bounds_is_dearer_than_the_dearest(most: int, draw: st.DataObject, produced: int) -> None:
    given_tokens = draw.draw(st.integers(0, most))
    read = draw.draw(st.integers(0, given_tokens))
    written = draw.draw(st.integers(0, given_tokens - read))
    usage = Usage(given_tokens, read, written, draw.draw(st.integers(0, produced)), produced // 2)
    usd, dearest = LONG(usage), LONG.dearest(most, produced)
    assert dearest is not None
    assert usd is None or usd <= dearest + 1e-15


def test_a_tier_that_is_cheaper_does_not_make_the_worst_case_cheaper() -> None:
    prices = Prices(5.0, 1.0, long=(Tier(100, Prices(1.0, 1.0)),))
    assert prices.dearest(200, 0) == pytest.approx(200 * 5.0 / 1e6)


def test_what_costs_nothing_and_what_nobody_knows_are_told_apart() -> None:
    assert Free().dearest(10, 10) == 0.0
    assert price_of("no-such-model", OPENAI).dearest(10, 10) is None


# Lists ----------------------------------------------------------------------------------------------------------------


def every_model() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in data.providers:
        if provider.id in SELLERS:
            yield from ((provider, model) for model in provider.models)


SELLERS = {
    "openai": OPENAI,
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "deepseek": "https://api.deepseek.com",
    "x-ai": "https://api.x.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
INSTANTS = (datetime(2026, 11, 29, 0, 45, tzinfo=UTC), datetime(2026, 11, 29, 7, 0, tzinfo=UTC))


@pytest.mark.parametrize("now", INSTANTS)
@pytest.mark.parametrize("batch", [False, True])
def test_every_listed_price_equals_the_lists_own_calculation(now: datetime, batch: bool) -> None:
    """Of every model of six sellers, short and long, with cached tokens, in both ways of handing in."""
    compared = 0
    for provider, model in every_model():
        processing = Processing.BATCH if batch else Processing.STANDARD
        price = price_of(model.id, SELLERS[provider.id], processing=processing, now=lambda: now)
        for given_tokens in (1000, 150_000, 250_000, 300_000):
            usage = Usage(input=given_tokens, cached_read=400, output=100, reasoning=30)
            usd = price(usage)
            if usd is None:
                continue
            listed = genai_prices.calc_price(
                genai_prices.Usage(
                    input_tokens=given_tokens, cache_read_tokens=400, output_tokens=100, output_reasoning_tokens=30
                ),
                model.id,
                provider_api_url=SELLERS[provider.id],
                genai_request_timestamp=now,
                price_context={"processing": "batch"} if batch else None,
            )
            assert usd == pytest.approx(float(listed.total_price), rel=1e-9), (provider.id, model.id, usage)
            dearest = price.dearest(given_tokens, 100)
            assert dearest is not None
            assert dearest >= usd - 1e-15, (provider.id, model.id)
            compared += 1
    assert compared > (150 if batch else 1500)


def test_a_batch_price_that_nobody_lists_is_unknown_and_not_the_standard_one() -> None:
    usage = Usage(input=1000, output=1000)
    standard, batch = (price_of("gpt-4o-mini", OPENAI, processing=each)(usage) for each in Processing)
    assert standard is not None
    assert batch == pytest.approx(standard / 2)
    for model, base in (("deepseek-chat", SELLERS["deepseek"]), ("no-such-model", OPENAI)):
        assert price_of(model, base, processing=Processing.BATCH)(usage) is None
    assert price_of("m", OPENAI, Prices(1.0, 1.0), processing=Processing.BATCH)(usage) is None
    assert price_of("m", OPENAI, Prices(1.0, 1.0, batch=Prices(0.5, 0.25)), processing=Processing.BATCH)(
        usage
    ) == pytest.approx(0.00075)


def test_a_tier_of_service_that_the_body_asks_for_has_its_own_price() -> None:
    usage = Usage(input=1000, output=1000)
    models = [model for model in _openai().models if _tiers(model) >= {"flex", "priority"}]
    model = models[0].id
    flex, standard, priority = (
        price_of(model, OPENAI, context=context)(usage)
        for context in ({"service_tier": "flex"}, {}, {"service_tier": "priority"})
    )
    assert flex is not None and standard is not None and priority is not None
    assert flex < standard < priority


def _openai() -> Provider:
    return next(provider for provider in data.providers if provider.id == "openai")


def _tiers(model: ModelInfo) -> set[str]:
    return {variant.when.get("service_tier", "") for variant in model.price_variants or ()}


def test_a_price_by_the_time_of_day_follows_the_clock_and_is_reserved_at_its_dearest() -> None:
    found = [
        (provider, model)
        for provider, model in every_model()
        if isinstance(model.prices, list) and any("start_time" in vars(each.constraint or 0) for each in _of_day(model))
    ]
    provider, model = found[0]
    begun = datetime(2026, 11, 29, tzinfo=UTC)
    clock = [begun]
    price = price_of(model.id, SELLERS[provider.id], now=lambda: clock[0])
    assert isinstance(price, Listed)
    usage, seen = Usage(input=1000, output=1000), []
    for quarter in range(96):
        clock[0] = begun + timedelta(minutes=15 * quarter, seconds=7)
        seen.append(price(usage))
        listed = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1000, output_tokens=1000),
            model.id,
            provider_api_url=SELLERS[provider.id],
            genai_request_timestamp=clock[0],
        )
        assert seen[-1] == pytest.approx(float(listed.total_price))
        assert (price.dearest(1000, 1000) or 0.0) >= seen[-1] - 1e-15
    for quarter in reversed(range(96)):  # A clock that is set back is followed, too.
        clock[0] = begun + timedelta(minutes=15 * quarter, seconds=7)
        assert price(usage) == seen[quarter]
    assert len(dict.fromkeys(seen)) > 1
    assert price.dearest(1000, 1000) >= max(seen) - 1e-15


def _of_day(model: ModelInfo) -> list[object]:
    assert isinstance(model.prices, list)
    return [each for each in model.prices if each.constraint is not None]


# As a user writes them ------------------------------------------------------------------------------------------------


def test_every_price_can_be_written_into_a_table() -> None:
    table = {
        "input": 1,
        "output": 4.0,
        "cached_read": 0.1,
        "cache_write": 1.25,
        "reasoning": 5,
        "request": 0.01,
        "long": {"above": 200_000, "input": 2.0},
        "batch": 0.5,
    }
    prices = prices_in(table, "p")
    dearer = Prices(2.0, 4.0, 0.1, 1.25, 0.01, 5.0)
    assert prices.long == (Tier(200_000, dearer),)
    assert prices.batch == Prices(
        0.5, 2.0, 0.05, 0.625, 0.005, 2.5, long=(Tier(200_000, Prices(1.0, 2.0, 0.05, 0.625, 0.005, 2.5)),)
    )
    assert prices_in({**table, "batch": {"input": 0.3, "output": 1}}, "p").batch == Prices(0.3, 1.0)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"input": 1.0}, "give both"),
        ({"input": 1.0, "output": -1}, "'output' must be a number of 0 or more"),
        ({"input": 1.0, "output": True}, "'output' must be a number"),
        ({"input": 1.0, "output": 1.0, "cached": 1}, "'cached' is unknown: it takes input, output, cached_read"),
        ({"input": 1.0, "output": 1.0, "long": 3}, "'long' must be a table"),
        ({"input": 1.0, "output": 1.0, "long": {"input": 3}}, "`above` must be a whole number"),
        ({"input": 1.0, "output": 1.0, "long": [{"above": 9}, {"above": 9}]}, "larger than in the table before"),
        ({"input": 1.0, "output": 1.0, "batch": {"input": 1}}, "batch: give both"),
        ({"input": 1.0, "output": 1.0, "batch": "half"}, "'batch' must be a number"),
    ],
)
def test_a_table_of_prices_that_is_wrong_says_where_and_what(table: dict[str, object], says: str) -> None:
    with pytest.raises(StopError, match=r"^p") as caught:
        prices_in(table, "p")
    assert says in str(caught.value)


def test_lists_hold_numbers_that_are_read_as_they_are() -> None:
    price = price_of("gpt-4o-mini", OPENAI)
    assert isinstance(price, Prices)
    assert Decimal(str(price.input)) == Decimal("0.15")
