"""The prices that a user writes into a provider's table, read with faults that name the place. Pure.

    prices = { input = 1.25, output = 10, cached_read = 0.125, cache_write = 1.25, reasoning = 10, request = 0.01,
               long = { above = 200_000, input = 2.5, output = 15 }, batch = 0.5 }

Dollars per million tokens. `long` is a table, or a list of them; what it leaves out is as it is above. `batch` is a
share of all prices, or a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.prices import Prices, Tier

RATES = ("input", "output", "cached_read", "cache_write", "reasoning", "request")
"""The numbers of a table of prices."""


def prices_in(table: Mapping[str, Any], place: str) -> Prices:
    """The prices in a table; `place` names it in faults.

    Raises:
        StopError: it holds something else, or lacks a price that every request needs (CONFIGURATION).
    """
    _only(table, (*RATES, "long", "batch"), place)
    prices = _standard(table, place)
    match table.get("batch"):
        case None:
            return prices
        case dict() as own:
            _only(own, (*RATES, "long"), f"{place}, batch")
            return replace(prices, batch=_standard(own, f"{place}, batch"))
    return replace(prices, batch=prices.scaled(_number(table, "batch", place) or 0.0))


def _standard(table: Mapping[str, Any], place: str) -> Prices:
    if "input" not in table or "output" not in table:
        raise _fault(f"{place}: give both `input` and `output`, in dollars per million tokens")
    prices = _over(Prices(None, None), table, place)
    tiers: list[Tier] = []
    for number, each in enumerate(_listed(table, place), 1):
        where = f"{place}, long {number}"
        _only(each, ("above", *RATES), where)
        above = _number(each, "above", where)
        if not above or above != int(above) or (tiers and above <= tiers[-1].above):
            raise _fault(f"{where}: `above` must be a whole number of input tokens, larger than in the table before it")
        tiers.append(Tier(int(above), _over(tiers[-1].prices if tiers else prices, each, where)))
    return replace(prices, long=tuple(tiers))


def _over(prices: Prices, table: Mapping[str, Any], place: str) -> Prices:
    """The prices with those that a table names replaced."""
    changes: dict[str, Any] = {name: _number(table, name, place) for name in RATES if name in table}
    return replace(prices, **changes)


def _listed(table: Mapping[str, Any], place: str) -> Sequence[Mapping[str, Any]]:
    found = table.get("long", [])
    tables = [found] if isinstance(found, dict) else found
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise _fault(f"{place}: 'long' must be a table such as {{ above = 200_000, input = 2.5 }}, or a list of them")
    return tables


def _number(table: Mapping[str, Any], name: str, place: str) -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise _fault(f"{place}: {name!r} must be a number of 0 or more")
    return float(value)


def _only(table: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    for name in table:
        if name not in names:
            raise _fault(f"{place}: {name!r} is unknown: it takes {', '.join(names)}")


def _fault(message: str) -> StopError:
    return StopError(message, ErrorClass.CONFIGURATION, attempts=0)
