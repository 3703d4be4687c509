"""A laboratory: runs a task's graph on items under any parameters, and counts what it cost. Trains and keeps nothing.

Equal requests are paid once, over all that is measured in it. The tasks that it needs are started by the engine's
scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from semprop.engine.example import Example
from semprop.engine.graph import Graph, model_nodes
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import Parameters
from semprop.engine.passes.forward import wiring
from semprop.engine.plans import Plan
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import Start, in_order
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Driver, Stage
from semprop.engine.training.events import Announcer, ItemDone, Observer, PassStarted
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price, Telemetry

Entry = Scored | Failure


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls, tokens and dollars; dollars are None where a price is unknown."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0

    def __add__(self, other: Spent) -> Spent:
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Spent(
            self.calls + other.calls, self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, usd
        )

    def __sub__(self, other: Spent) -> Spent:
        usd = None if self.usd is None or other.usd is None else self.usd - other.usd
        return Spent(
            self.calls - other.calls, self.tokens_in - other.tokens_in, self.tokens_out - other.tokens_out, usd
        )

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {"calls": self.calls, "input": self.tokens_in, "output": self.tokens_out, "usd": self.usd}


def spent_of(telemetry: Telemetry) -> Spent:
    """What was spent so far."""
    usd = None if telemetry.unpriced else telemetry.usd
    return Spent(sum(telemetry.calls.values()), telemetry.input, telemetry.output, usd)


class Laboratory:
    """Open it with `async with`; then `score` and `carry_out`."""

    def __init__(self, spec: Specification, price: Price, observers: Sequence[Observer] = ()) -> None:
        self.spec = spec
        self.telemetry = Telemetry(price)
        self._announce = Announcer(observers)
        self._ledger = MemoryLedger()
        self._stack = AsyncExitStack()
        self._passes = 0

    async def __aenter__(self) -> Self:
        try:
            for provider in dict.fromkeys(self.spec.providers.values()):
                await self._stack.enter_async_context(provider)
            asker = Asker(self.spec, self._ledger, self.telemetry, self._announce)
            self._asker = await self._stack.enter_async_context(asker)
        except BaseException:
            await self._stack.aclose()
            raise
        self._stage = Stage(wiring(self.spec.graph), self.spec.loss, self._asker, 2 * self.spec.in_flight)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        return spent_of(self.telemetry)

    def style(self, role: str) -> ReplyStyle:
        """How replies of a role are written."""
        return self._asker.style(role)

    async def score(
        self, parameters: Parameters, items: Sequence[Example], what: str, graph: Graph | None = None
    ) -> tuple[Entry, ...]:
        """Every item once, in order; what a provider failed on is asked once more at the end."""
        stage = self._stage if graph is None else replace(self._stage, wired=wiring(graph))
        number, self._passes = self._passes, self._passes + 1
        self._announce(PassStarted(number, what, len(items)))
        rows: dict[str, Entry] = {}

        async def one(again: int, item: Example, start: Start) -> Entry:
            at = Position(number, what, candidate=parameters.hash, again=again)
            return await stage.score(parameters, item, at, start)

        def consume(item: Example, row: Entry) -> bool:
            rows[item.id] = row
            self._announce(ItemDone(number, what))
            return False

        await in_order(items, lambda item, start: one(0, item, start), consume, stage.window)
        failed = [item for item in items if isinstance(rows[item.id], Failure)]
        await in_order(failed, lambda item, start: one(1, item, start), consume, stage.window)
        return tuple(rows[item.id] for item in items)

    async def carry_out(self, plan: Plan[Any]) -> Any:
        """Run a method's plan to its end."""
        number, self._passes = self._passes, self._passes + 1
        return await Driver(self._stage, Position(number, "update"))(plan)


def calls_an_item(graph: Graph) -> int:
    """Calls that one example takes: one a model node."""
    return len(model_nodes(graph))
