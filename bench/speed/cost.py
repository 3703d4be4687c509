"""What a call costs: processor time through everything, and through the engine alone, over that of the bare loop.

`cpu`: the path of `workload` to an endpoint that answers in 0.2 s, over the bare loop with the same bodies, at the same
number in flight. In each repetition the bare loop runs first and last, and both subjects between; a sample is subject
over the mean of the two.

`engine`: the same path to a provider without I/O, over the bare loop before and after it. What that provider costs by
itself is measured and said, and not subtracted.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import anyio

from semprop.bench.speed.bare import Body, Spent, Stopwatch, bare_loop
from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.rows import Bar, Measure, Row, Settings, at_most
from semprop.bench.speed.workload import REPLY, Immediate, Store, same_body, through_engine
from semprop.engine.errors import RunError
from semprop.providers import connect
from semprop.providers.base import Message, Request

LATENCY = 0.2
"""Seconds that the endpoint takes."""

ENDPOINT = {"latency": {"first": LATENCY}, "reply": {"text": REPLY}}

ROUNDS = 20
"""Calls of each place in flight, so that opening connections is a small part of the whole, on both sides alike."""

BARS: Mapping[Store, Bar] = {Store.MEMORY: at_most(1.25), Store.JOURNAL: at_most(1.35)}
ALONE_BARS: Mapping[Store, Bar] = {Store.MEMORY: at_most(0.30), Store.JOURNAL: at_most(0.40)}

FLAT = at_most(1.10)
"""Flat within the noise of ± 10 % that such figures have."""

SIZES = (1_000, 10_000, 100_000)
IN_FLIGHT_ALONE = 128

BODIES = (
    "Bodies: a prompt of 2.9 kB of prose in each request, 3.1 kB with its JSON, and as much in each reply; the bare "
    "loop sends the same texts. CPU is process time of all threads."
)


@dataclass(slots=True)
class Tally:
    """Samples by name, in the order in which they were taken."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more."""
        self.samples.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self.samples[name]

    def micro(self, name: str) -> str:
        """The median in microseconds, in words."""
        return f"{1e6 * median(self.samples[name]):.0f} µs"


async def timed(work: Callable[[], Awaitable[Spent]]) -> Spent:
    """The work, begun without garbage of whatever ran before."""
    gc.collect()
    return await work()


def rounds(settings: Settings, in_flight: int) -> tuple[int, int]:
    """How many calls to make, and how many of them at once: at full size `ROUNDS` for each place in flight."""
    calls = settings.sized(ROUNDS * in_flight, 2)
    return calls, min(in_flight, max(1, calls // 2))


# Through everything ---------------------------------------------------------------------------------------------------


async def cpu(settings: Settings) -> list[Row]:
    """Through graph, limiter, store and HTTP, at 128 and 512 in flight."""
    rows: list[Row] = []
    async with mock(ENDPOINT, settings) as endpoint:
        body = await same_body("any")
        for in_flight in (128, 512):
            rows += await _through(endpoint, body, settings, in_flight)
    return rows


async def _through(endpoint: Mock, body: Body, settings: Settings, in_flight: int) -> Iterator[Row]:
    calls, in_flight = rounds(settings, in_flight)
    reference_loop = partial(bare_loop, endpoint.url, body, calls, in_flight)
    tally = Tally()
    for _ in range(settings.repetitions):
        first = await timed(reference_loop)
        subjects = {store: await timed(partial(_subject, endpoint, calls, in_flight, store)) for store in Store}
        last = await timed(reference_loop)
        reference = mean([first, last])
        tally.add("bare", reference)
        for store, spent in subjects.items():
            tally.add(store, spent.cpu_per_call)
            tally.add(f"{store} ratio", spent.cpu_per_call / reference)
    beside = f"bare aiohttp + orjson + uvloop loop, {tally.micro('bare')} a call"
    return iter(
        [
            Row(
                what=f"CPU per call through graph, limiter, store, HTTP, {in_flight} in flight, {store}",
                samples=tally[f"{store} ratio"],
                bar=BARS[store],
                beside=beside,
                note=f"{BODIES} n = {calls} calls a sample.",
            )
            for store in Store
        ]
    )


async def _subject(endpoint: Mock, calls: int, in_flight: int, store: Store) -> Spent:
    provider = connect(f"openai:any@{endpoint.url}", in_flight=in_flight)
    return await through_engine(provider, calls, in_flight, store)


# The engine alone -----------------------------------------------------------------------------------------------------


async def engine(settings: Settings) -> list[Row]:
    """The engine alone, over the bare loop's CPU per call; and whether it is flat in the number of calls."""
    sizes = [settings.sized(size, 3) for size in SIZES]
    tally = Tally()
    async with mock(ENDPOINT, settings) as endpoint:
        body = await same_body("any")
        calls, in_flight = rounds(settings, IN_FLIGHT_ALONE)
        reference = partial(bare_loop, endpoint.url, body, calls, in_flight)
        for _ in range(settings.repetitions):
            tally.add("stub", (await timed(partial(_stub_alone, sizes[1], in_flight))).cpu_per_call)
            for store in Store:
                await _alone(tally, store, sizes, in_flight, reference)
    return [*_alone_rows(tally, sizes, in_flight), *_flat_rows(tally, sizes)]


async def _alone(
    tally: Tally, store: Store, sizes: Sequence[int], in_flight: int, reference: Callable[[], Awaitable[Spent]]
) -> None:
    """One sample of each size; what a figure is compared with runs before and after it, since processors change their
    speed."""
    small, middle, large = sizes
    bare = [await timed(reference)]
    alone = await timed(partial(through_engine, Immediate(), middle, in_flight, store))
    bare.append(await timed(reference))
    tally.add("bare", mean(bare))
    tally.add(f"{store} {middle}", alone.cpu_per_call)
    tally.add(f"{store} ratio", alone.cpu_per_call / mean(bare))
    # A thousand calls take a tenth of a second: several such runs make one figure.
    several = max(1, middle // small // 2)
    few = [await timed(partial(through_engine, Immediate(), small, in_flight, store)) for _ in range(several)]
    many = await timed(partial(through_engine, Immediate(), large, in_flight, store))
    few += [await timed(partial(through_engine, Immediate(), small, in_flight, store)) for _ in range(several)]
    tally.add(f"{store} {small}", mean(few))
    tally.add(f"{store} {large}", many.cpu_per_call)
    tally.add(f"{store} growth", many.cpu_per_call / mean(few))


def mean(spent: Sequence[Spent]) -> float:
    """Processor time of one call in seconds, over several runs."""
    return sum(run.cpu for run in spent) / sum(run.calls for run in spent)


def _alone_rows(tally: Tally, sizes: Sequence[int], in_flight: int) -> Iterator[Row]:
    for store in Store:
        size = sizes[1]
        yield Row(
            what=f"engine alone, CPU per node call, {store}, {size:,} calls",
            samples=tally[f"{store} ratio"],
            bar=ALONE_BARS[store],
            beside=f"bare aiohttp loop, {tally.micro('bare')} a call",
            note=f"{BODIES} Engine alone, {in_flight} in flight: {_by_size(tally, store, sizes)} a call ({store}), of "
            f"which the provider without I/O takes {tally.micro('stub')} by itself.",
        )


def _by_size(tally: Tally, store: Store, sizes: Sequence[int]) -> str:
    return ", ".join(f"{tally.micro(f'{store} {size}')} at {size:,}" for size in sizes)


def _flat_rows(tally: Tally, sizes: Sequence[int]) -> Iterator[Row]:
    small, large = sizes[0], sizes[-1]
    for store in Store:
        yield Row(
            what=f"engine alone, CPU per call at {large:,} calls over that at {small:,}, {store}",
            samples=tally[f"{store} growth"],
            bar=FLAT,
            beside="itself",
        )


async def _stub_alone(calls: int, in_flight: int) -> Spent:
    """The provider without I/O, asked by plain workers."""
    provider = Immediate()
    request = Request((Message.of("user", "anything"),))
    numbers = iter(range(calls))

    async def work() -> None:
        for _ in numbers:
            await provider.complete(request)

    watch = Stopwatch()
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(work)
    if provider.calls != calls:
        raise RunError(f"{provider.calls} of {calls} calls were made")
    await asyncio.sleep(0)
    return watch.spent(calls)


MEASURES: Mapping[str, Measure] = {"cpu": cpu, "engine": engine}
