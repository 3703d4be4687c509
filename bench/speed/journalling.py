"""What the journal costs: processor time of a call, what waiting for durability adds to it, and how much it takes.

As a run uses it, without the run: callers in flight note an intent, wait until it is durable, wait as long as an
endpoint takes, note the reply, and wait until it is durable. While others stand in line the next intent is noted with
the reply, so that it need not be waited for. The same with the ledger that keeps nothing is subtracted; what is left is
divided by what a call of the bare loop costs, which runs before and after.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from semprop.bench.speed.bare import Spent, Stopwatch, bare_loop
from semprop.bench.speed.cost import BODIES, ENDPOINT, LATENCY, ROUNDS, Tally, mean, timed
from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.bench.speed.workload import GRAPH, PHASE, REPLY, same_body
from semprop.engine.nodes import Model, Purpose
from semprop.engine.outcomes import Position
from semprop.engine.prompts.forward import forward_request
from semprop.engine.scheduler import group
from semprop.engine.tape import SlotValue
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import AT_ONCE, ONCE, SOON, Ledger, MemoryLedger
from semprop.engine.training.reading import FILE_NAME
from semprop.providers.base import Completion, Request, Usage

IN_FLIGHT = 512

CPU_BAR = at_most(0.12)
ADDED_BAR = at_most(25, "ms")


@dataclass(frozen=True, slots=True)
class Served:
    """What a ledger was asked to keep, and the median of the seconds that a call waited for it."""

    spent: Spent
    waited: float


def request_of(number: int, reply: str) -> Request:
    """The request of a node that reads the reply of another."""
    node = GRAPH.nodes[1]
    assert isinstance(node, Model), "all nodes of the subject are"
    slots = (
        SlotValue("instruction", node.instruction, Purpose.INSTRUCTION, "Do the second step."),
        SlotValue("case", "case", Purpose.INPUT, f"case {number}"),
        SlotValue("first", "first", Purpose.INPUT, reply),
    )
    return forward_request(node, slots, f"case-{number}", "")


def _position(number: int) -> Position:
    return Position(0, PHASE, f"case-{number}", node="second")


async def served(ledger: Ledger, calls: int, in_flight: int, latency: float, is_lined: bool = True) -> Served:
    """So many calls, as a run makes them, to an endpoint that takes `latency` seconds, give or take a half.

    Args:
        is_lined: whether more calls stand in line than may be in flight.
    """
    numbers = iter(range(calls))
    replies = [f"{number} {REPLY}" for number in range(in_flight)]
    waits: list[float] = []
    asked = 0

    def intended(number: int, reply: str) -> int:
        return ledger.intend(_position(number), f"{number:032x}", "forward", request_of(number, reply))

    async def work(reply: str) -> None:
        nonlocal asked
        came, number = time.perf_counter(), next(numbers, None)
        mark = 0 if number is None else intended(number, reply)
        while number is not None:
            if mark > ledger.durable:
                await ledger.reach(mark, SOON if asked else AT_ONCE)
            sent = time.perf_counter()
            asked += 1
            # Spread, or all of them would come at once for ever.
            await asyncio.sleep(latency * (0.5 + number * 0.618034 % 1))
            asked -= 1
            answered = time.perf_counter()
            reply = f"{number} {REPLY}"
            completion = Completion(reply, usage=Usage(input=750, output=725))
            kept, number = ledger.answer(_position(number), f"{number:032x}", completion), next(numbers, None)
            if is_lined and number is not None:
                mark = intended(number, reply)
            if kept > ledger.durable:
                await ledger.reach(kept, (ONCE if is_lined else SOON) if asked else AT_ONCE)
            waits.append(sent - came + time.perf_counter() - answered)
            came = time.perf_counter()
            if not is_lined and number is not None:
                mark = intended(number, reply)

    watch = Stopwatch()
    async with group() as start:
        for reply in replies:
            start(work, reply)
    await ledger.close()
    return Served(watch.spent(calls), median(waits))


async def _kept(calls: int, in_flight: int, latency: float, is_lined: bool = True) -> tuple[Served, int]:
    """The same with a journal; and how many records it has."""
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        path = Path(directory) / "run"
        found = await served(await Journal.create(path, {}), calls, in_flight, latency, is_lined)
        with closing(sqlite3.connect(path / FILE_NAME)) as connection:
            ((records,),) = connection.execute("SELECT count(*) FROM entries")
    return found, int(records)


async def journal(settings: Settings) -> Sequence[Row]:
    """The journal's cost at 512 in flight, and the rows that it takes in a second."""
    calls = settings.sized(ROUNDS * IN_FLIGHT, 2)
    in_flight = min(IN_FLIGHT, max(1, calls // 2))
    tally = Tally()
    async with mock(ENDPOINT, settings) as endpoint:
        reference_loop = partial(bare_loop, endpoint.url, await same_body("any"), calls, in_flight)
        for _ in range(settings.repetitions):
            first = await timed(reference_loop)
            forgotten = await served(MemoryLedger(), calls, in_flight, LATENCY)
            kept, _ = await _kept(calls, in_flight, LATENCY)
            last = await timed(reference_loop)
            bare = mean([first, last])
            tally.add("bare", bare)
            tally.add("cpu", kept.spent.cpu_per_call - forgotten.spent.cpu_per_call)
            tally.add("ratio", (kept.spent.cpu_per_call - forgotten.spent.cpu_per_call) / bare)
            alone, _ = await _kept(calls, in_flight, LATENCY, is_lined=False)
            tally.add("added", 1e3 * (kept.waited - forgotten.waited))
            tally.add("added without a line", 1e3 * (alone.waited - forgotten.waited))
            fast, records = await _kept(calls, in_flight, 0.0)
            tally.add("rows", records / fast.spent.wall)
    note = f"{BODIES} n = {calls} calls a sample; {tally.micro('cpu')} a call, all threads."
    return [
        Row(
            what=f"journal, CPU per call, {in_flight} in flight, endpoint of {LATENCY:g} s",
            samples=tally["ratio"],
            bar=CPU_BAR,
            beside=f"bare aiohttp loop, {tally.micro('bare')} a call",
            note=note,
        ),
        *(
            Row(
                what=f"journal, what waiting for durability adds to a call, p50, {in_flight} in flight, {line}",
                samples=tally[name],
                bar=ADDED_BAR,
                unit="ms",
                beside="the ledger that keeps nothing",
            )
            for name, line in (("added", "more in line"), ("added without a line", "none in line"))
        ),
        Row(
            what=f"journal, records a second, asked for as fast as it takes them, {in_flight} in flight",
            samples=tally["rows"],
            unit="records/s",
        ),
    ]


MEASURES: dict[str, Measure] = {"journal": journal}
