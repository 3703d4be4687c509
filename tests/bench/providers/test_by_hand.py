"""Cost per correct on a recorded run equals a calculation by hand, and an unknown price never becomes 0."""

from __future__ import annotations

import math
from itertools import product
from random import Random

import orjson
import pytest

from semprop.bench.providers.page import page
from semprop.bench.providers.plan import Plan, Stopping
from semprop.bench.providers.report import document
from semprop.bench.providers.runner import Surrounding, run
from semprop.bench.providers.shapes import Form, Shape
from semprop.bench.providers.workload import Piece, Workload
from semprop.providers import Completion, VirtualClock, wrap
from semprop.providers.base import Message, Request, Sampling, Usage
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification
from semprop.tools.bench_providers import shown

MOST = 50
TEXTS = {"first": "one", "second": "a longer question", "third": "q" * 90}
SCORES = {"first": 1.0, "second": 0.25, "third": 1.0}
BROKEN = RetryError("reset", ErrorClass.TRANSIENT)
REFUSED = RetryError("slow down", ErrorClass.RATE, status=429)


def dollars(usage):
    return None if usage.input is None else (usage.input * 1.0 + usage.output * 4.0) / 1e6


async def recorded(price):
    """A run over three items, twice each; the endpoint breaks off every third attempt and refuses every fifth. Gives
    what was measured and the endpoint's own record: (text, what became of it)."""
    record = []
    clock = VirtualClock()

    async def answer(messages):
        number, text = len(record), str(messages[0]["content"])
        await clock.sleep(0.1)
        if number % 3 == 2 or number % 5 == 4:
            error = BROKEN if number % 3 == 2 else REFUSED
            record.append((text, error))
            raise RetryError(str(error), error.error_class, status=error.status)
        usage = Usage(input=10 + number, output=1 + number % 7)
        record.append((text, usage))
        return Completion("fine", usage=usage)

    def piece(name):
        async def work(provider):
            request = Request((Message.of("user", TEXTS[name]),), Sampling(max_tokens=MOST))
            await provider.complete(request)
            return SCORES[name]

        return Piece(name, work)

    def connected(spec):
        retry = RetryPolicy(tries=5, base=0.01)
        return wrap(answer, model="m", price=price, retry=retry, clock=clock, random=Random(0))

    plan = Plan(
        (Specification("openai", "m", name="a"),),
        (Shape(Form.CONCURRENCY, 1),),
        stopping=Stopping(requests=6),
        blocks=1,
        warmup=0,
    )
    workload = Workload("three items", tuple(map(piece, TEXTS)), scored=True)
    return await run(plan, workload, Surrounding(connected, clock, cpu=lambda: 0.0)), record


def by_hand(record):
    """Dollars by item, from the endpoint's record and the printed formula alone."""
    spent = dict.fromkeys(TEXTS, 0.0)
    for text, became in record:
        name = next(name for name, known in TEXTS.items() if known == text)
        if isinstance(became, Usage):
            spent[name] += (became.input + 4 * became.output) / 1e6
        elif became is BROKEN:
            # At the most: a token a byte, what a template adds, the longest reply.
            spent[name] += (len(text.encode()) + 16 + 64 + 4 * MOST) / 1e6
    return spent


async def test_cost_per_correct_and_its_interval_equal_a_calculation_by_hand():
    measured, record = await recorded(dollars)
    assert sum(became is BROKEN for _, became in record) >= 2
    assert sum(became is REFUSED for _, became in record) >= 1
    told, spent = document(measured), by_hand(record)
    cell, quality = told["cells"][0], told["quality"]["a"]
    assert cell["answered"] == 6
    assert cell["usd_per_request"] == pytest.approx(sum(spent.values()) / 6, rel=1e-6)
    lost = sum(spent.values()) - sum((u.input + 4 * u.output) / 1e6 for _, u in record if isinstance(u, Usage))
    assert cell["wasted_usd"] == pytest.approx(lost, rel=1e-6)
    each = {name: usd / 2 for name, usd in spent.items()}  # Every item was asked twice.
    price = quality["usd_per_thousand_correct"]
    assert price["value"] == pytest.approx(1000 * sum(each.values()) / sum(SCORES.values()), rel=1e-6)
    # All 27 draws of three items, each as likely as any: the ends of the bootstrap are exact here.
    ratios = sorted(
        1000 * sum(each[name] for name in drawn) / sum(SCORES[name] for name in drawn)
        for drawn in product(TEXTS, repeat=3)
    )
    low, high = ratios[math.floor(0.025 * 27)], ratios[math.ceil(0.975 * 27) - 1]
    assert price["interval"] == pytest.approx([low, high], rel=1e-6)


async def test_an_unknown_price_is_unknown_in_every_output():
    measured, _ = await recorded(lambda usage: None)
    told = document(measured)
    cell = told["cells"][0]
    for name in ("usd", "usd_per_request", "usd_per_million_tokens", "wasted_usd"):
        assert cell[name] is None
    assert told["quality"]["a"]["usd_per_thousand_correct"] is None
    line = orjson.loads(orjson.dumps(cell))
    assert line["usd_per_request"] is None
    html = page(measured)
    assert "$0" not in html
    assert "unknown" in html
    rows = "\n".join(str(part) for part in shown(measured) if not hasattr(part, "columns"))
    assert "price of the correct unknown" in rows
    tables = [part for part in shown(measured) if hasattr(part, "columns")]
    cells = [str(text) for table in tables for column in table.columns for text in column.cells]
    assert not [text for text in cells if "$0" in text]
    assert "?" in cells
