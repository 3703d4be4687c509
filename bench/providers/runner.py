"""Runs a plan: endpoints take turns under each load, A B A B …, so that the hour of the day falls on all alike.

Tasks are started by the engine's scheduler. What is measured is written into cells, one for each endpoint and load.
Every attempt, retries too, passes one valve: it keeps to the budget, and shut it lets what is under way come back. Then
the work is cancelled, and what was measured by then is the result.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel

from semprop.bench.providers.metrics import Figures
from semprop.bench.providers.overhead import Overhead, Watch
from semprop.bench.providers.plan import Plan, Sweep
from semprop.bench.providers.samples import Unit
from semprop.bench.providers.shapes import Form, Shape, instants, sweep
from semprop.bench.providers.watching import Watched
from semprop.bench.providers.workload import Workload
from semprop.engine.scheduler import group
from semprop.providers.base import Usage
from semprop.providers.budget import Caps
from semprop.providers.clock import Clock, SystemClock
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.layers import Stack
from semprop.providers.specification import Specification
from semprop.providers.valve import Valve

SLOWEST = 0.01
"""Units a second, at the least, that a sweep asks."""


@dataclass(slots=True)
class Cell:
    """One endpoint under one load.

    Attributes:
        load: which load of the plan; the same for all endpoints, whose shapes differ in a sweep.
        begun: units that were begun and counted; each makes one call or several.
        units: what became of them, where they have a score.
        stopped: why it was ended early, or "".
    """

    provider: str
    load: str
    shape: Shape
    figures: Figures
    begun: int = 0
    overhead: Overhead | None = None
    units: list[Unit] = field(default_factory=list)
    stopped: str = ""


SETTLED = 64
"""Turns of the loop within which a reply that came back is counted."""


@asynccontextmanager
async def drained(valve: Valve) -> AsyncIterator[anyio.CancelScope]:
    """A scope that is cancelled once the valve is shut and nothing is on the wire."""
    scope, watching = anyio.CancelScope(), anyio.CancelScope()

    async def watch() -> None:
        with watching:
            await valve.drained()
            for _ in range(SETTLED):
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    async with group() as start:
        start(watch)
        try:
            yield scope
        finally:
            watching.cancel()


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What the runner takes from outside; `ending` gives the scope that ends the work once the valve is shut."""

    connect: Callable[[Specification], Stack]
    clock: Clock = SystemClock()
    cpu: Callable[[], float] = time.process_time
    say: Callable[[str], None] = lambda line: None
    ending: Callable[[Valve], AbstractAsyncContextManager[anyio.CancelScope]] = drained


@dataclass(slots=True)
class Measured:
    """Everything that was measured; `ended` is "" or why the whole was ended early: the budget, or whoever shut the
    valve."""

    plan: Plan
    workload: Workload
    identities: Mapping[str, str]
    simulated: tuple[str, ...] = ()
    cells: list[Cell] = field(default_factory=list)
    ended: str = ""


async def run(plan: Plan, workload: Workload, around: Surrounding) -> Measured:
    """Measure every endpoint under every load.

    Raises:
        StopError: a price is unknown, and there is a cap of dollars (CONFIGURATION).
    """
    valve = Valve(Caps(usd=plan.usd))
    stacks = {}
    for spec in plan.providers:
        stack = around.connect(_within(spec, plan.quota))
        stacks[spec.name] = stack.within(valve.around(stack.price, stack.pictures))
    for name, stack in stacks.items():
        if plan.usd is not None and stack.price(Usage(input=1, output=1)) is None:
            raise StopError(
                f"the price of {name} ({stack.identity}) is unknown, so no cap of dollars can hold it: give its table "
                "`prices`, or leave `usd` out",
                ErrorClass.CONFIGURATION,
                attempts=0,
            )
    measured = Measured(
        plan,
        workload,
        {name: stack.identity for name, stack in stacks.items()},
        tuple(name for name, stack in stacks.items() if stack.capabilities.simulated),
    )
    async with AsyncExitStack() as opened:
        for stack in stacks.values():
            await opened.enter_async_context(stack)
        runner = _Runner(measured, stacks, around)
        async with around.ending(valve) as scope:
            with scope:
                for load in plan.loads:
                    await runner.load(load)
    if valve.is_shut:
        measured.ended = str(valve.reason or "it was stopped")
    return measured


def _within(spec: Specification, quota: float) -> Specification:
    """The specification with a share of its stated limits."""
    if quota == 1.0:
        return spec
    return replace(
        spec,
        limits=tuple((name, quota * amount) for name, amount in spec.limits),
        account_limits=tuple((name, quota * most) for name, most in spec.account_limits),
        members=tuple(_within(member, quota) for member in spec.members),
    )


class _Runner:
    def __init__(self, measured: Measured, stacks: Mapping[str, Stack], around: Surrounding) -> None:
        self._measured, self._stacks, self._around = measured, stacks, around
        self._failed: dict[str, str] = {}
        self._pieces = dict.fromkeys(stacks, 0)

    async def load(self, load: Shape | Sweep) -> None:
        """One load of the plan, on every endpoint."""
        if isinstance(load, Shape):
            await self._turns(load.name, dict.fromkeys(self._stacks, load))
            return
        alone, many = Shape(Form.CONCURRENCY, 1), Shape(Form.CONCURRENCY, load.most)
        slow = await self._turns("sweep: 1 at once", dict.fromkeys(self._stacks, alone))
        fast = await self._turns(f"sweep: {load.most} at once", dict.fromkeys(self._stacks, many))
        rates = {name: sweep(_rate(slow[name]), _rate(fast[name]), load.points) for name in self._stacks}
        for step in range(load.points):
            shapes = {name: found[step] for name, found in rates.items() if step < len(found)}
            await self._turns(f"sweep: rate {step + 1} of {load.points}", shapes)

    async def _turns(self, load: str, shapes: Mapping[str, Shape]) -> dict[str, Cell]:
        """Every endpoint under its shape, a block at a time in turn."""
        plan = self._measured.plan
        cells = {name: Cell(name, load, shape, Figures(plan.objectives)) for name, shape in shapes.items()}
        self._measured.cells += cells.values()
        for name, cell in cells.items():
            await self._warm_up(name, cell)
        watches = {name: Watch(self._around.clock, self._around.cpu) for name in cells}
        for block in range(plan.blocks):
            for name, cell in cells.items():
                cell.stopped = cell.stopped or self._failed.get(name, "")
                if not cell.stopped:
                    self._around.say(f"{name}, {cell.shape.name}: block {block + 1} of {plan.blocks}")
                    await self._block(cell, block, watches[name])
                cell.overhead = watches[name].overhead
        return cells

    async def _warm_up(self, name: str, cell: Cell) -> None:
        for _ in range(self._measured.plan.warmup):
            if name in self._failed:
                return
            await self._unit(cell, self._around.clock.now(), counted=False)

    async def _block(self, cell: Cell, block: int, watch: Watch) -> None:
        plan, clock = self._measured.plan, self._around.clock
        stack = self._stacks[cell.provider]
        throttled = _throttled(stack)
        turn = _Turn(cell, plan, clock.now(), _block_share(plan.stopping.requests, plan.blocks, block))
        watch.begin()
        try:
            async with group() as start:
                start(self._looked, watch, turn)
                await self._begin(cell, block, turn, start)
        except StopError as error:
            self._failed[cell.provider] = cell.stopped = str(error)
        finally:
            watch.end()
            cell.overhead = watch.overhead
            cell.figures.seconds += clock.now() - turn.began
            cell.figures.throttled += _throttled(stack) - throttled

    async def _looked(self, watch: Watch, turn: _Turn) -> None:
        """Look at the loop until every unit of the turn is done."""
        async with group() as start:
            with anyio.CancelScope() as scope:
                start(turn.wait, scope.cancel)
                await watch.look()

    async def _begin(self, cell: Cell, block: int, turn: _Turn, start: Callable[..., object]) -> None:
        """Begin the units of a turn when its shape says."""
        shape, clock = cell.shape, self._around.clock
        if not shape.is_open:
            for _ in range(int(shape.at)):
                turn.opened()
                start(self._worker, cell, turn)
            turn.close()
            return
        seed = self._measured.plan.seed
        for at in instants(shape, seed, cell.provider, shape.name, block):
            wait = turn.began + at - clock.now()
            if wait > 0:
                await clock.sleep(wait)
            if not turn.goes_on(clock.now()):
                break
            turn.opened()
            start(self._open_unit, cell, turn, turn.began + at)
        turn.close()

    async def _worker(self, cell: Cell, turn: _Turn) -> None:
        try:
            while turn.goes_on(self._around.clock.now()):
                await self._unit(cell, self._around.clock.now())
        finally:
            turn.done()

    async def _open_unit(self, cell: Cell, turn: _Turn, intended: float) -> None:
        try:
            await self._unit(cell, intended)
        finally:
            turn.done()

    async def _unit(self, cell: Cell, intended: float, counted: bool = True) -> None:
        """Do the next piece of work and count it."""
        name, workload = cell.provider, self._measured.workload
        piece = workload.piece(self._pieces[name])
        # Warming up takes pieces that the load will take again.
        self._pieces[name] += counted
        watched = Watched(self._stacks[name], self._around.clock.now, intended)
        try:
            score = await piece.work(watched)
        except StopError as error:
            if counted:
                raise
            self._failed[name] = str(error)
            return
        if not counted:
            return
        cell.begun += 1
        for call in watched.calls:
            cell.figures.add(call)
        if workload.scored:
            cell.units.append(Unit(piece.item, tuple(watched.calls), score))


class _Turn:
    """One block of a cell: how many units it may still begin, and how many are under way."""

    def __init__(self, cell: Cell, plan: Plan, began: float, units: int) -> None:
        self._cell, self._stopping = cell, plan.stopping
        self.began = began
        self._until = began + plan.stopping.seconds / plan.blocks
        self._left = units
        self._under_way = 0
        self._closed = False
        self._all_done = anyio.Event()

    def goes_on(self, now: float) -> bool:
        """Whether another unit may begin; it is counted if so."""
        failed = self._cell.figures.calls - self._cell.figures.answered
        if failed >= self._stopping.errors:
            self._cell.stopped = f"{failed} calls were not answered, as many as may be"
        if self._cell.stopped or self._left <= 0 or now >= self._until:
            return False
        self._left -= 1
        return True

    def opened(self) -> None:
        """Something is under way."""
        self._under_way += 1

    def done(self) -> None:
        """It is no more."""
        self._under_way -= 1
        self._settle()

    def close(self) -> None:
        """Nothing more will begin."""
        self._closed = True
        self._settle()

    async def wait(self, then: Callable[[], None]) -> None:
        """Call back when all is done."""
        await self._all_done.wait()
        then()

    def _settle(self) -> None:
        if self._closed and not self._under_way:
            self._all_done.set()


def _block_share(requests: int, blocks: int, block: int) -> int:
    """How many units the block-th of so many blocks begins; they add up to `requests`."""
    return math.ceil(requests * (block + 1) / blocks) - math.ceil(requests * block / blocks)


def _rate(cell: Cell) -> float:
    """Units a second; a load that an endpoint failed under has none, and a sweep of it is a single slow rate."""
    return max(cell.begun / cell.figures.seconds if cell.figures.seconds else 0.0, SLOWEST)


def _throttled(stack: Stack) -> int:
    errors = stack.statistics().get("errors")
    return int(errors.get("rate", 0)) if isinstance(errors, dict) else 0


def cells_of(measured: Measured, provider: str) -> Sequence[Cell]:
    """The cells of one endpoint, in the order of the loads."""
    return [cell for cell in measured.cells if cell.provider == provider]
