"""The subject: examples through a three-node graph, by the path that every pass of a run takes.

    examples ─▶ dispatcher ─▶ forward ─▶ seam (store, single flight, rank, journal) ─▶ provider ─▶ tape ─▶ loss

`bodies` says what is sent. Every node sees the example's own number, so that no two requests are equal and each of
them is a call.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from semprop.bench.speed.bare import Body, Spent, Stopwatch
from semprop.bench.speed.bodies import prose
from semprop.engine.errors import RunError
from semprop.engine.example import Example, Splits
from semprop.engine.graph import Graph
from semprop.engine.losses import Answer, Score
from semprop.engine.method import Scored
from semprop.engine.methods.semantic import semantic
from semprop.engine.nodes import Model
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import Parameter
from semprop.engine.passes.forward import wiring
from semprop.engine.scheduler import Start, in_order
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Stage
from semprop.engine.training.events import Announcer
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import Ledger, MemoryLedger
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Telemetry
from semprop.providers.base import Capabilities, Completion, Provider, Request, Sampling, Usage
from semprop.providers.scripted import Scripted

NODES = 3

GRAPH = Graph(
    inputs=("case", "text"),
    parameters=tuple(Parameter(f"{name}-instruction", f"Do the {name} step.") for name in ("first", "second", "third")),
    nodes=(
        Model("first", instruction="first-instruction", inputs=("case", "text"), sampling=Sampling(max_tokens=1024)),
        Model("second", instruction="second-instruction", inputs=("case", "first"), sampling=Sampling(max_tokens=1024)),
        Model("third", instruction="third-instruction", inputs=("case", "second"), sampling=Sampling(max_tokens=1024)),
    ),
    output="third",
)

PHASE = "test"
"""That of an evaluation, as `semprop evaluate` makes it: it may be of any length. The passes of a step are bounded by
their minibatch, and what they ran ahead is remembered until they end."""

TEXT, REPLY = prose(1), prose(2)


class Store(StrEnum):
    """Where replies are kept."""

    MEMORY = "memory"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Unread:
    """A loss that looks at nothing: what is measured are calls, not the reading of answers."""

    name: str = "unread"

    def __call__(self, example: Example, answer: Answer) -> Score:
        return Score(1.0)


class Immediate:
    """A provider without I/O: it answers in the next turn of the event loop, as whoever awaits a socket is woken.

    Every reply is another text of the size of `bodies`.
    """

    identity = "immediate"
    model = "immediate"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: Request) -> Completion:
        """Answer at once."""
        self.calls += 1
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        return Completion(f"{self.calls} {REPLY}", usage=Usage(input=750, output=725))

    def statistics(self) -> dict[str, object]:
        return {"requests": self.calls}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def examples(count: int) -> Iterator[Example]:
    """A stream of distinct examples."""
    for number in range(count):
        yield Example(f"case-{number}", {"case": f"case {number}", "text": TEXT}, "no reply is this")


def specification(provider: Provider, in_flight: int, graph: Graph = GRAPH) -> Specification:
    """A run of the graph; its splits are a formality."""
    few = tuple(Example(f"few-{number}", {"case": f"few {number}", "text": "few"}, "few") for number in range(2))
    splits = Splits(few[:1], few[1:])
    return Specification(
        graph=graph,
        loss=Unread(),
        splits=splits,
        method=semantic(),
        providers={"forward": provider},
        in_flight=in_flight,
    )


@asynccontextmanager
async def stage_of(spec: Specification, store: Store, directory: str) -> AsyncIterator[Stage]:
    """The path of a run's passes; what was noted is durable when the block is left. `directory` holds the journal."""
    ledger: Ledger = MemoryLedger()
    if store is Store.JOURNAL:
        ledger = await Journal.create(Path(directory) / "run", {})
    try:
        async with Asker(spec, ledger, Telemetry(), Announcer([])) as asker:
            yield Stage(wiring(spec.graph), spec.loss, asker, 2 * spec.in_flight)
    finally:
        await ledger.close()


async def stream(stage: Stage, spec: Specification, source: Iterator[Example]) -> int:
    """Score every example, as fast as requests come back; gives how many.

    Raises:
        RunError: one of them has no score.
    """
    scored = 0

    async def work(example: Example, start: Start) -> Scored | Failure:
        return await stage.score(spec.initial, example, Position(0, PHASE), start)

    def consume(example: Example, entry: Scored | Failure) -> bool:
        nonlocal scored
        if isinstance(entry, Failure):
            raise RunError(f"{example.id} has no score ({entry.message}): a figure needs all of them")
        scored += 1
        return False

    await in_order(source, work, consume, stage.window)
    return scored


async def through_engine(provider: Provider, calls: int, in_flight: int, store: Store) -> Spent:
    """What so many calls cost, rounded up to whole examples: the provider's connections, and closing the store, but
    not opening it, included."""
    spec = specification(provider, in_flight)
    count = -(-calls // NODES)
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        async with provider, stage_of(spec, store, directory) as stage:
            watch = Stopwatch()
            await stream(stage, spec, examples(count))
        return watch.spent(NODES * count)


async def same_body(model: str) -> Body:
    """Bodies for the bare loop with the very texts that the graph's requests have, the third node's."""
    recorder = Scripted(lambda request: REPLY)
    spec = specification(recorder, 1)
    async with recorder, stage_of(spec, Store.MEMORY, "") as stage:
        await stream(stage, spec, examples(1))
    request = recorder.requests[-1]
    parts = [(message.role, *message.text.partition("case 0")) for message in request.messages]
    most = request.sampling.max_tokens

    def body(number: int) -> object:
        messages = [
            {"role": role, "content": f"{head}case {number}{tail}" if mark else head}
            for role, head, mark, tail in parts
        ]
        return {"model": model, "messages": messages, "temperature": 0.0, "max_tokens": most}

    return body
