"""Cutting a run at one of its suspensions."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from semprop.bench.speed.suspensions import Cut, Suspensions, counted, task_factory


@pytest.mark.parametrize("native", [True, False])
async def test_a_cut_comes_at_its_suspension_whichever_task_waits(native: bool) -> None:
    asyncio.get_running_loop().set_task_factory(task_factory)
    suspensions = Suspensions()
    reached = []

    async def child(name: str) -> None:
        for turn in range(5):
            reached.append((name, turn))
            await checkpoint()

    async def parent() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child, "a")
            tasks.start_soon(child, "b")
        return "done"

    async def cut() -> str | None:
        return await Cut(suspensions, 4, native).around(parent)

    assert await counted(suspensions, cut) is None
    assert suspensions.acted
    assert len(reached) < 10


@pytest.mark.parametrize("native", [True, False])
async def test_a_cut_that_comes_too_late_meets_nobody_else(native: bool) -> None:
    asyncio.get_running_loop().set_task_factory(task_factory)
    suspensions = Suspensions()

    async def work() -> str:
        await checkpoint()
        suspensions.act()
        return "done"

    async def cut() -> tuple[str | None, str]:
        found = await Cut(suspensions, 99, native).around(work)
        await checkpoint()
        return found, "went on"

    assert await counted(suspensions, cut) == ("done", "went on")


async def test_runs_are_counted_apart() -> None:
    asyncio.get_running_loop().set_task_factory(task_factory)
    first, second = Suspensions(), Suspensions()

    async def waits(times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(counted, first, lambda: waits(3))
        tasks.start_soon(counted, second, lambda: waits(8))
    assert (first.count, second.count) == (3, 8)
