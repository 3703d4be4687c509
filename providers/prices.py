"""What a usage costs, in US dollars.

Takes a `Usage`, a model and the address that served it; gives dollars, or None where the price or the count
of tokens is unknown: never 0 in its place. Prices come from the package `genai-prices` (offline, the snapshot
that is installed) or from the user. Telemetry and budgets only: no decision reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import genai_prices
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceCalculation,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from semprop.providers.base import Usage

_MILLION = 1_000_000.0


class Processing(StrEnum):
    """How requests are handed in, since it changes their price: one by one, or in batches that may take hours."""

    STANDARD = "standard"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Tier:
    """The prices of all tokens of a request whose input is longer than `above` tokens."""

    above: int
    prices: Prices


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, and per request.

    Attributes:
        input: of tokens that no cache served; None: unknown.
        output: None: unknown.
        cached_read: of input read from a prompt cache; None: as `input`, than which it is never dearer.
        cache_write: of input written to one; None: unknown, since it is often dearer than `input`.
        request: of each request, besides.
        reasoning: of output that is not shown; None: as `output`.
        long: dearer (or other) prices of long requests, by rising `above`.
        batch: the prices of requests handed in by a batch; None: unknown.
    """

    input: float | None
    output: float | None
    cached_read: float | None = None
    cache_write: float | None = None
    request: float = 0.0
    reasoning: float | None = None
    long: tuple[Tier, ...] = field(default=(), kw_only=True)
    batch: Prices | None = field(default=None, kw_only=True)

    def __call__(self, usage: Usage) -> float | None:
        """Dollars of one answered request; None if the endpoint did not count its tokens, or if the price of what it
        used is unknown."""
        given, produced = usage.input, usage.output
        if given is None or produced is None:
            return None
        own = self._of(given) if self.long else self
        read = min(usage.cached_read or 0, given)
        written = min(usage.cache_write or 0, given - read)
        thought = min(usage.reasoning or 0, produced)
        parts = (
            (given - read - written, own.input),
            (read, own.input if own.cached_read is None else own.cached_read),
            (written, own.cache_write),
            (produced - thought, own.output),
            (thought, own.output if own.reasoning is None else own.reasoning),
        )
        cost = 0.0
        for tokens, rate in parts:
            if tokens:
                if rate is None:
                    return None
                cost += tokens * rate
        return cost / _MILLION + own.request

    def usd(self, usage: Usage) -> float | None:
        """The same under a name."""
        return self(usage)

    def dearest(self, given: int, produced: int) -> float | None:
        """The most that a request of at most so many tokens in and out can cost, by what is known: all input written to
        a cache, all output thought, at whichever length is dearest. None if a price that it needs is unknown."""
        found: list[float] = []
        for own in (self, *(tier.prices for tier in self.long if tier.above < given)):
            if (own.input is None and given) or (own.output is None and produced):
                return None
            each = max(own.input or 0.0, own.cached_read or 0.0, own.cache_write or 0.0)
            told = max(own.output or 0.0, own.reasoning or 0.0)
            found.append((given * each + produced * told) / _MILLION + own.request)
        return max(found)

    def _of(self, given: int) -> Prices:
        reached = [tier.prices for tier in self.long if given > tier.above]
        return reached[-1] if reached else self

    def scaled(self, share: float) -> Prices:
        """These prices times a share, request and tiers too."""

        def times(rate: float | None) -> float | None:
            return None if rate is None else share * rate

        return Prices(
            times(self.input),
            times(self.output),
            times(self.cached_read),
            times(self.cache_write),
            share * self.request,
            times(self.reasoning),
            long=tuple(Tier(tier.above, tier.prices.scaled(share)) for tier in self.long),
        )


class Free:
    """The price of what runs in this process: nobody is paid."""

    def __call__(self, usage: Usage) -> float:
        return 0.0

    def dearest(self, given: int, produced: int) -> float:
        """Nothing either."""
        return 0.0


class Unknown:
    """The price of what no list knows."""

    def __call__(self, usage: Usage) -> None:
        return None

    def dearest(self, given: int, produced: int) -> None:
        """Unknown, too."""


Tariff = Prices | Free | Unknown
"""A price, from usage to dollars, that also tells the most that a request may cost."""


def price_of(
    model: str,
    base: str,
    override: Prices | None = None,
    *,
    processing: Processing = Processing.STANDARD,
    context: Mapping[str, str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Tariff | Listed:
    """The function from usage to dollars for a model behind a base address.

    Args:
        model: the name as the endpoint knows it.
        base: the base address, by which the seller is known. An address that no list knows has no prices.
        override: the user's own prices; they win.
        processing: how requests are handed in. A batch price that neither the user nor the list gives is unknown: the
            standard one is not taken for it.
        context: what else of a request changes its price, as the list spells it (`service_tier`).
        now: the time, by which some prices go.
    """
    if override is not None:
        if processing is Processing.STANDARD:
            return override
        return Unknown() if override.batch is None else override.batch
    found = _listed(model, base)
    if found is None:
        return Unknown()
    # What one seller lists for a batch says nothing of another who sells the same model.
    is_own = any(found.model is each for each in found.provider.models)
    if processing is Processing.BATCH and not (is_own and _has_batch(found.model)):
        return Unknown()
    wanted = dict(context or {}) if is_own else {}
    if processing is Processing.BATCH:
        wanted["processing"] = "batch"
    if isinstance(found.model.prices, ModelPrice):
        return _plain(found.model, wanted, now())
    return Listed(found.model, wanted, now)


PRICED_EVERY = timedelta(minutes=15)
"""How long a price that goes by the time holds: lists know no finer bounds."""


class Listed:
    """Listed prices that go by the date or the time of day."""

    def __init__(self, model: ModelInfo, context: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self._model, self._context, self._now = model, context, now
        self._since = self._until = datetime.min.replace(tzinfo=UTC)
        self._present: Tariff = Unknown()
        self._may_apply: tuple[Tariff, ...] = ()

    def __call__(self, usage: Usage) -> float | None:
        """Dollars of one answered request, at the price of this time."""
        self._look()
        return self._present(usage)

    def dearest(self, given: int, produced: int) -> float | None:
        """The most that a request may cost, whenever it is charged: at any time of day, or by tomorrow's list."""
        self._look()
        found = [tariff.dearest(given, produced) for tariff in self._may_apply]
        known = [usd for usd in found if usd is not None]
        return max(known) if len(known) == len(found) else None

    def _look(self) -> None:
        now = self._now()
        if self._since <= now < self._until:
            return
        self._since = now - (now - datetime.min.replace(tzinfo=UTC)) % PRICED_EVERY
        self._until = self._since + PRICED_EVERY
        self._present = _plain(self._model, self._context, now)
        assert isinstance(self._model.prices, list)
        times = [moment for each in self._model.prices for moment in _moments(each, now)]
        self._may_apply = tuple(_plain(self._model, self._context, moment) for moment in (now, *times))


def _moments(price: ConditionalPrice, now: datetime) -> list[datetime]:
    """Instants up to tomorrow at which a conditional price begins or ends: no other price holds until then."""
    tomorrow = now + timedelta(days=1)
    match price.constraint:
        case StartDateConstraint():
            return [tomorrow]
        case TimeOfDateConstraint(start_time=start, end_time=end):
            return [datetime.combine(tomorrow.date(), moment) for moment in (start, end)]
    return []


def snapshot() -> str:
    """Which list of prices is used, for reports."""
    return f"genai-prices {genai_prices.__version__}"


def _listed(model: str, base: str) -> PriceCalculation | None:
    try:
        return genai_prices.calc_price(genai_prices.Usage(), model, provider_api_url=base)
    except LookupError:
        return None


def _has_batch(model: ModelInfo) -> bool:
    return any(variant.when.get("processing") == "batch" for variant in model.price_variants or ())


_KEYS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok")


def _plain(model: ModelInfo, context: Mapping[str, str], now: datetime) -> Tariff:
    """The listed prices of one time as plain numbers (the list itself takes 60 µs a call)."""
    listed = model.get_prices(now, context)
    parts = [getattr(listed, key) for key in _KEYS]
    if parts[0] is None and parts[1] is None:
        return Unknown()
    request = listed.requests_kcount
    each = float(request) / 1000.0 if isinstance(request, Decimal) else 0.0
    starts = sorted({tier.start for part in parts if isinstance(part, TieredPrices) for tier in part.tiers})
    base = _at(parts, -1, each)
    return replace(base, long=tuple(Tier(start, _at(parts, start, each)) for start in starts))


def _at(parts: list[Decimal | TieredPrices | None], start: int, request: float) -> Prices:
    """The prices from a threshold on."""
    rates = [_rate(part, start) for part in parts]
    return Prices(rates[0], rates[1], rates[2], rates[3], request, rates[4])


def _rate(part: Decimal | TieredPrices | None, start: int) -> float | None:
    if not isinstance(part, TieredPrices):
        return None if part is None else float(part)
    reached = [tier.price for tier in part.tiers if tier.start <= start]
    return float(reached[-1] if reached else part.base)
