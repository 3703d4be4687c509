"""The journal's cost: each call is noted and settled once, long texts once, and the rows say what they claim."""

from __future__ import annotations

import pytest

from semprop.bench.speed.journalling import _kept, journal, request_of, served
from semprop.bench.speed.rows import Settings
from semprop.engine.training.ledger import MemoryLedger


async def test_every_call_is_an_intent_and_an_outcome_and_a_reply_is_recorded_once() -> None:
    kept, records = await _kept(calls=9, in_flight=3, latency=0.0)
    first_replies = 3  # Those that nobody answered in this run stand as texts.
    assert (kept.spent.calls, records) == (9, 9 + 9 + first_replies)


async def test_a_ledger_that_keeps_nothing_makes_nobody_wait() -> None:
    forgotten = await served(MemoryLedger(), calls=50, in_flight=5, latency=0.0)
    assert forgotten.waited < 0.01


def test_the_reply_of_another_node_is_a_part_of_its_own() -> None:
    reply = "A line.\n" * 100
    assert reply in [part.text for part in request_of(7, reply).messages[-1].parts]


@pytest.mark.timeout(120)
async def test_the_rows_of_a_quick_measurement_are_those_of_the_claim() -> None:
    cpu, added, alone, taken = await journal(Settings(repetitions=1, scale=0.002))
    assert [row.bar and str(row.bar) for row in (cpu, added, alone, taken)] == ["≤ 0.12", "≤ 25ms", "≤ 25ms", None]
    assert taken.value > 0
    assert "µs a call" in cpu.beside
