"""How well places in flight are used: many equal jobs, by the clock, over what the endpoint's own times allow.

    ratio = wall / (Σ service seconds / places)

Service seconds are the ledger's, from the last byte of a request to the last of its reply; the ideal is that no place
is ever empty. A place is one in flight at the endpoint (the provider's bound). The engine may hold more requests
than that, of which the others wait, or write their replies down.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from semprop.bench.speed.bare import Stopwatch
from semprop.bench.speed.cost import Tally
from semprop.bench.speed.mock import Attempt, Mock, mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.bench.speed.workload import REPLY, TEXT, Store, specification, stage_of, stream
from semprop.engine.errors import RunError
from semprop.engine.example import Example
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model
from semprop.engine.parameters import Parameter
from semprop.providers import connect

JOBS, SECONDS, PLACES = 10_000, 0.05, 64

ONE = Graph(
    inputs=("case", "text"),
    parameters=(Parameter("only-instruction", "Do the only step."),),
    nodes=(Model("only", instruction="only-instruction", inputs=("case", "text")),),
    output="only",
)


def ideal(attempts: Sequence[Attempt], places: int) -> float:
    """Seconds that the attempts take if no place is ever empty."""
    return sum(entry.seconds for entry in attempts) / places


def peak(attempts: Sequence[Attempt]) -> int:
    """The most attempts that were under way at one time."""
    changes = sorted(
        [(entry.arrived, 1) for entry in attempts] + [(entry.arrived + entry.seconds, -1) for entry in attempts]
    )
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


async def jobs(settings: Settings) -> list[Row]:
    """10,000 jobs of 50 ms at 64 in flight, over the ideal from the ledger's service times."""
    count = settings.sized(JOBS, 2 * PLACES)
    tally = Tally()
    async with mock({"latency": {"first": SECONDS}, "reply": {"text": REPLY}}, settings) as endpoint:
        for _ in range(settings.repetitions):
            for store in Store:
                await _sample(endpoint, count, store, tally)
    return [
        Row(
            what=f"{count:,} jobs of {1000 * SECONDS:g} ms at {PLACES} in flight, {store}: wall over the ideal",
            samples=tally[f"{store} ratio"],
            bar=at_most(1.05),
            beside="Σ service seconds of the ledger / places",
            note=f"Bodies of 3 kB both ways; processor time {tally.micro(f'{store} cpu')} a job ({store}), so that one "
            f"processor can do {1 / (sum(tally[f'{store} cpu']) / len(tally[f'{store} cpu'])):,.0f} jobs/s, and "
            f"{PLACES / SECONDS:,.0f} are needed.",
        )
        for store in Store
    ]


async def _sample(endpoint: Mock, count: int, store: Store, tally: Tally) -> None:
    await endpoint.reset()
    gc.collect()
    provider = connect(f"openai:any@{endpoint.url}", in_flight=PLACES)
    spec = specification(provider, 2 * PLACES, ONE)
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        async with provider, stage_of(spec, store, directory) as stage:
            watch = Stopwatch()
            await stream(stage, spec, _examples(count))
            spent = watch.spent(count)
    attempts = await endpoint.ledger()
    most = peak(attempts)
    if len(attempts) != count or most > PLACES:
        raise RunError(f"{len(attempts)} attempts for {count} jobs, {most} at once where {PLACES} are allowed")
    tally.add(f"{store} ratio", spent.wall / ideal(attempts, PLACES))
    tally.add(f"{store} cpu", spent.cpu_per_call)


def _examples(count: int) -> Iterator[Example]:
    for number in range(count):
        yield Example(f"job-{number}", {"case": f"job {number}", "text": TEXT})


MEASURES: Mapping[str, Measure] = {"ideal": jobs}
