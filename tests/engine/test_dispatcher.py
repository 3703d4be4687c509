"""The dispatcher: bounded, by rank, one run for equal calls, and nothing left when it is left."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.dispatcher import Dispatcher, Job, Rank
from semprop.engine.errors import RunError
from semprop.providers import VirtualClock


def others() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


class World:
    """Work that takes a second of a virtual clock, and what became of it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.running = self.peak = 0

    def work(self, name: str, seconds: float = 1.0, kept: bool = False) -> Any:
        async def run(job: Job) -> str:
            self.begun.append(name)
            self.running += 1
            self.peak = max(self.peak, self.running)
            if kept:
                job.keep()
            try:
                await self.clock.sleep(seconds)
            finally:
                self.running -= 1
            self.ended.append(name)
            return name

        return run


async def all_of(dispatcher: Dispatcher, world: World, *asked: tuple[str, Rank]) -> None:
    async with anyio.create_task_group() as tasks:
        for name, rank in asked:
            tasks.start_soon(dispatcher.result, name, rank, world.work(name))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=25), st.integers(1, 6))
def test_the_lowest_rank_goes_first_and_equals_as_they_came(ranks: list[Rank], limit: int) -> None:
    world = World()

    async def main() -> int:
        async with Dispatcher(limit) as dispatcher:
            await all_of(dispatcher, world, *((str(place), rank) for place, rank in enumerate(ranks)))
        return len(others())

    assert asyncio.run(main()) == 0
    # Those that found room began as they came.
    at_once = [str(place) for place in range(min(limit, len(ranks)))]
    waited = sorted(range(len(at_once), len(ranks)), key=lambda place: (ranks[place], place))
    assert world.begun == [*at_once, *map(str, waited)]
    assert world.peak <= limit


async def test_equal_calls_are_one_run_and_all_get_its_result() -> None:
    world, results = World(), []

    async def one() -> None:
        results.append(await dispatcher.result("key", (0, 0), world.work("key")))

    async with Dispatcher(4) as dispatcher, anyio.create_task_group() as tasks:
        for _ in range(1_000):
            tasks.start_soon(one)
    assert world.begun == ["key"]
    assert results == ["key"] * 1_000


async def test_an_error_is_raised_by_everybody_who_waits_and_the_next_call_is_made_anew() -> None:
    async def broken(job: Job) -> str:
        await checkpoint()
        raise LookupError("no such thing")

    async def one() -> None:
        with pytest.raises(LookupError, match="no such thing"):
            await dispatcher.result("key", (0, 0), broken)

    async with Dispatcher(4) as dispatcher:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one)
        assert await dispatcher.result("key", (0, 0), World().work("fine")) == "fine"


async def test_a_run_ends_with_the_last_who_waits_and_not_before() -> None:
    world = World()
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def one(scope: anyio.CancelScope) -> None:
        with scope:
            await dispatcher.result("key", (0, 0), world.work("key", seconds=1e9))

    async with Dispatcher(4) as dispatcher, anyio.create_task_group() as tasks:
        for scope in scopes:
            tasks.start_soon(one, scope)
        while not world.running:
            await checkpoint()
        for scope in scopes[:2]:
            scope.cancel()
        for _ in range(9):
            await checkpoint()
        assert world.running == 1
        assert dispatcher.shares("key")
        scopes[2].cancel()
    assert (world.running, world.ended) == (0, [])
    assert not dispatcher.shares("key")


async def test_what_is_marked_to_be_kept_is_finished_though_nobody_waits() -> None:
    world = World()
    async with Dispatcher(4) as dispatcher, anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.result, "key", (0, 0), world.work("key", kept=True))
        while not world.running:
            await checkpoint()
        tasks.cancel_scope.cancel()
    assert world.ended == ["key"]


async def test_who_leaves_the_line_before_its_turn_never_begins() -> None:
    world = World()
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as outer:
        outer.start_soon(dispatcher.result, "first", (0, 0), world.work("first"))
        await checkpoint()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dispatcher.result, "never", (0, 0), world.work("never"))
            await checkpoint()
            tasks.cancel_scope.cancel()
        outer.start_soon(dispatcher.result, "last", (9, 9), world.work("last"))
    assert world.begun == ["first", "last"]


async def test_the_line_goes_on_when_one_that_runs_is_cancelled() -> None:
    world = World()
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.result, "gone", (0, 0), world.work("gone"))
        while not world.running:
            await checkpoint()
        outer.start_soon(dispatcher.result, "next", (0, 0), world.work("next"))
        await checkpoint()
        tasks.cancel_scope.cancel()
    assert world.ended == ["next"]


class Early:
    """What is told to a job before its turn."""

    def __init__(self, fails: bool = False) -> None:
        self.told: list[str] = []
        self._fails = fails

    def prepare(self) -> None:
        self.told.append("prepare")
        if self._fails:
            raise ValueError("cannot prepare")

    def forgo(self) -> None:
        self.told.append("forgo")


def passing(world: World, name: str) -> Any:
    """Work that takes two seconds, and passes its place on after the first."""

    async def run(job: Job) -> str:
        await world.clock.sleep(1.0)
        job.pass_on()
        return str(await world.work(name)(job))

    return run


async def test_whoever_takes_a_place_next_is_told_before_it_is_free() -> None:
    world, first, second = World(), Early(), Early()
    seen: list[list[str]] = []

    async def ahead(job: Job) -> None:
        await world.clock.sleep(1.0)
        job.pass_on()
        job.pass_on()
        seen.append([*first.told, *second.told])

    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.result, "now", (0, 0), ahead)
        await checkpoint()
        tasks.start_soon(dispatcher.result, "second", (2, 0), world.work("second"), second)
        tasks.start_soon(dispatcher.result, "first", (1, 0), world.work("first"), first)
    assert seen == [["prepare"]]
    assert (first.told, second.told) == (["prepare"], [])
    assert world.begun == ["first", "second"]


async def test_who_was_told_that_it_is_next_and_leaves_is_told_that_too() -> None:
    world, early = World(), Early()
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as outer:
        outer.start_soon(dispatcher.result, "now", (0, 0), passing(world, "now"))
        await checkpoint()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dispatcher.result, "never", (0, 0), world.work("never"), early)
            while not early.told:
                await checkpoint()
            tasks.cancel_scope.cancel()
        outer.start_soon(dispatcher.result, "last", (9, 9), world.work("last"))
    assert early.told == ["prepare", "forgo"]
    assert world.begun == ["now", "last"]


async def test_who_is_next_goes_on_though_whoever_passed_on_is_cancelled() -> None:
    world, early = World(), Early()
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.result, "gone", (0, 0), passing(world, "gone"))
        await checkpoint()
        outer.start_soon(dispatcher.result, "next", (0, 0), world.work("next"), early)
        while not early.told:
            await checkpoint()
        tasks.cancel_scope.cancel()
    assert (world.ended, early.told) == (["next"], ["prepare"])


async def test_what_an_outcome_decides_is_decided_before_whoever_is_next_begins() -> None:
    """The request of one that is not needed any more would be paid for."""
    world, early = World(), Early()

    async def next_one() -> None:
        with scope:
            await dispatcher.result("next", (0, 0), world.work("next"), early)

    scope = anyio.CancelScope()
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as tasks:

        async def now() -> None:
            await dispatcher.result("now", (0, 0), passing(world, "now"))
            for _ in range(3):  # It reaches whoever decides by way of other tasks.
                await checkpoint()
            scope.cancel()

        tasks.start_soon(now)
        await checkpoint()
        tasks.start_soon(next_one)
    assert early.told == ["prepare", "forgo"]
    assert world.begun == ["now"]


async def test_who_cannot_prepare_keeps_its_place_in_line() -> None:
    """The error belongs to whoever passed on; the other one's own work may tell of it once more."""
    world, early = World(), Early(fails=True)
    async with Dispatcher(1) as dispatcher, anyio.create_task_group() as tasks:

        async def now() -> None:
            with pytest.raises(ValueError, match="cannot prepare"):
                await dispatcher.result("now", (0, 0), passing(world, "now"))

        tasks.start_soon(now)
        await checkpoint()
        tasks.start_soon(dispatcher.result, "next", (0, 0), world.work("next"), early)
    assert world.ended == ["next"]


async def test_cancelling_the_owner_leaves_no_task() -> None:
    world = World()
    with anyio.CancelScope() as scope:
        async with Dispatcher(2) as dispatcher, anyio.create_task_group() as tasks:
            for place in range(5):
                tasks.start_soon(dispatcher.result, str(place), (0, 0), world.work(str(place), seconds=1e9))
            while world.running < 2:
                await checkpoint()
            scope.cancel()
    assert world.running == 0
    assert not others()


async def test_the_bodys_error_is_raised_bare() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with Dispatcher(2):
            raise LookupError("mine")


async def test_it_must_be_open_and_is_opened_once() -> None:
    dispatcher = Dispatcher(2)
    with pytest.raises(RunError, match="not open"):
        await dispatcher.result("key", (0, 0), World().work("key"))
    assert not dispatcher.shares("key")
    async with dispatcher:
        with pytest.raises(RunError, match="open already"):
            await dispatcher.__aenter__()


async def test_a_call_that_is_cancelled_from_outside_fails_and_never_hangs() -> None:
    async def cancelled(job: Job) -> str:
        raise asyncio.CancelledError

    async with Dispatcher(2) as dispatcher:
        with pytest.raises(RunError, match="cancelled from outside"):
            await dispatcher.result("key", (0, 0), cancelled)


# Quiescence ----------------------------------------------------------------------------------------------------------


class Batch:
    """Answers what it holds only when it is told that nothing more will come."""

    def __init__(self) -> None:
        self.held: list[asyncio.Future[str]] = []
        self.sizes: list[int] = []

    async def work(self, job: Job) -> str:
        self.held.append(asyncio.get_running_loop().create_future())
        return await self.held[-1]

    def quiescent(self) -> None:
        self.sizes.append(len(self.held))
        held, self.held = self.held, []
        for future in held:
            future.set_result("done")


@pytest.mark.parametrize("limit", [3, 100])
async def test_whoever_gathers_requests_is_told_when_no_more_can_come(limit: int) -> None:
    batch = Batch()
    chains, length = 10, 4

    async def chain(name: int) -> None:
        for link in range(length):
            await dispatcher.result(f"{name}-{link}", (0, link), batch.work)

    async with Dispatcher(limit, batch.quiescent) as dispatcher, anyio.create_task_group() as tasks:
        for name in range(chains):
            tasks.start_soon(chain, name)
    assert sum(batch.sizes) == chains * length
    assert max(batch.sizes) == min(limit, chains)
    if limit >= chains:
        assert batch.sizes == [chains] * length


async def test_a_function_that_is_still_running_keeps_it_from_being_quiescent() -> None:
    batch, order = Batch(), []

    async def function() -> None:
        async with dispatcher.busy():
            for _ in range(200):
                await checkpoint()
            order.append(len(batch.sizes))
        await dispatcher.result("later", (0, 0), batch.work)

    async with Dispatcher(8, batch.quiescent) as dispatcher, anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.result, "now", (0, 0), batch.work)
        tasks.start_soon(function)
    assert order == [0]
    assert batch.sizes == [2]
