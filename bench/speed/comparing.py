"""Whether `semprop bench providers` tells the truth: its figures beside the ledger's of a mock with known latencies.

latency      |its percentile − the ledger's service time at the same rank|, in ms or as a share, whichever is kinder
dispersion   variance over mean of the arrivals in the ledger, in windows of 0.05 s, under a Poisson load that is drawn
             anew each time (over 200 windows its own spread is 0.1)
overload     how much latency grows from the intended start, and from the actual one, at twice what can be served
goodput      its figure beside a count by hand over the ledger's service times
overhead     wall of a closed load of 500 at once, over the bare loop's wall with the same calls
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from semprop.bench.providers.metrics import Figures, Objectives
from semprop.bench.providers.plan import Plan, Stopping
from semprop.bench.providers.runner import Surrounding, run
from semprop.bench.providers.shapes import Form, Shape, dispersion
from semprop.bench.providers.workload import prompts
from semprop.bench.speed.bare import bare_loop
from semprop.bench.speed.cost import Tally
from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.rows import Bar, Measure, Row, Settings, at_least, at_most
from semprop.providers.specification import Specification
from semprop.providers.stack import connect

LOG_NORMAL: Mapping[str, Any] = {"latency": {"first": {"median": 0.3, "sigma": 0.5}}, "reply": {"text": "fine"}}
TWO_SLOTS: Mapping[str, Any] = {"latency": {"first": 0.1}, "reply": {"text": "fine"}, "slots": {"parallel": 2}}
SECOND: Mapping[str, Any] = {"latency": {"first": 1.0}, "reply": {"text": "fine"}}

GOOD = 0.35
"""Seconds: the objective of goodput."""

WINDOW = 0.05
"""Seconds in which arrivals are counted for their dispersion: five of them, on average."""

AT_ONCE = 500
BYTES, TOKENS, DISTINCT = 300, 50, 500


def plan_for(url: str, shape: Shape, units: int, in_flight: int, seed: int) -> Plan:
    """One endpoint under one load."""
    spec = Specification("openai", "any", url, name="mock", key_env="", in_flight=in_flight)
    return Plan((spec,), (shape,), Stopping(units), Objectives(total=GOOD), blocks=1, warmup=0, seed=seed)


async def compared(endpoint: Mock, shape: Shape, units: int, in_flight: int, seed: int = 0) -> Figures:
    """What the comparison says of the mock."""
    await endpoint.reset()
    workload = prompts(BYTES, TOKENS, DISTINCT)
    measured = await run(plan_for(endpoint.url, shape, units, in_flight, seed), workload, Surrounding(connect))
    return measured.cells[0].figures


def off(found: float | None, truth: float) -> float:
    """How far a percentile is off, in the units of its bar: 1 is 2 % or 2 ms, whichever is more."""
    return math.inf if found is None else abs(found - truth) / max(0.02 * truth, 0.002)


def ranked(values: Sequence[float], share: float) -> float:
    """The nearest rank."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


async def truth(settings: Settings) -> list[Row]:
    """Percentiles, dispersion, overload, goodput and overhead of `semprop bench providers` against the mock."""
    tally = Tally()
    units = settings.sized(1_000, 40)
    async with mock(LOG_NORMAL, settings) as endpoint:
        for seed in range(settings.repetitions):
            await _percentiles(endpoint, units, seed, tally)
    async with mock(TWO_SLOTS, settings) as endpoint:
        for _ in range(settings.repetitions):
            await _overload(endpoint, settings.sized(200, 40), tally)
    async with mock(SECOND, settings) as endpoint:
        for _ in range(settings.repetitions):
            await _overhead(endpoint, settings.sized(5 * AT_ONCE, 20), tally)
    return [*_rows(tally, units)]


async def _percentiles(endpoint: Mock, units: int, seed: int, tally: Tally) -> None:
    figures = await compared(endpoint, Shape(Form.POISSON, 100), units, 256, seed)
    attempts = [entry for entry in await endpoint.ledger() if entry.answered is not None]
    service = [entry.seconds for entry in attempts]
    latency = figures.latencies["from_actual"]
    for share in (0.5, 0.9, 0.99):
        tally.add(f"p{100 * share:g}", off(latency.percentile(share), ranked(service, share)))
    tally.add("dispersion", dispersion(sorted(entry.arrived for entry in attempts), WINDOW))
    by_hand = sum(seconds <= GOOD for seconds in service) / figures.seconds
    tally.add("goodput", figures.good / figures.seconds / by_hand)


async def _overload(endpoint: Mock, units: int, tally: Tally) -> None:
    """Two places of 0.1 s serve 20 a second; 40 a second are asked, two of them at once by this client's bound."""
    figures = await compared(endpoint, Shape(Form.CONSTANT, 40), units, 2)
    for name in ("from_intended", "from_actual"):
        tally.add(name, (figures.latencies[name].percentile(0.99) or 0.0) / 0.1)


async def _overhead(endpoint: Mock, units: int, tally: Tally) -> None:
    places = min(AT_ONCE, units)
    await endpoint.reset()
    body = {"model": "any", "messages": [{"role": "user", "content": "x" * BYTES}], "max_tokens": TOKENS}
    bare = await bare_loop(endpoint.url, lambda number: body, units, places)
    figures = await compared(endpoint, Shape(Form.CONCURRENCY, places), units, places)
    tally.add("overhead", figures.seconds / bare.wall)


def _rows(tally: Tally, units: int) -> list[Row]:
    what = "`semprop bench providers` against a mock with known latencies"
    rows = [
        Row(
            what=f"{what}: {name} off by, in units of 2 % or 2 ms",
            samples=tally[name],
            bar=at_most(1.0),
            beside="service seconds in the ledger, same rank",
            note=f"n = {units} under a Poisson load of 100 a second, log-normal service times around 0.3 s.",
        )
        for name in ("p50", "p90", "p99")
    ]
    bars: Sequence[tuple[str, str, Bar, str]] = (
        ("dispersion", "index of dispersion of the arrivals, at least", at_least(0.9), "1 for a Poisson process"),
        ("dispersion", "index of dispersion of the arrivals, at most", at_most(1.1), "1 for a Poisson process"),
        ("goodput", "goodput over a count by hand, at least", at_least(0.98), "service seconds in the ledger"),
        ("goodput", "goodput over a count by hand, at most", at_most(1.02), "service seconds in the ledger"),
        ("from_intended", "p99 from the intended start at twice the capacity", at_least(10.0), "0.1 s of service"),
        ("from_actual", "p99 from the actual start at twice the capacity", at_most(1.2), "0.1 s of service"),
        ("overhead", f"wall of {AT_ONCE} at once, over a bare client", at_most(1.05), "bare aiohttp loop"),
    )
    return rows + [
        Row(what=f"{what}: {words}", samples=tally[name], bar=bar, beside=beside) for name, words, bar, beside in bars
    ]


MEASURES: Mapping[str, Measure] = {"comparing": truth}
