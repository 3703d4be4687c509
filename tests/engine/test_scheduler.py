"""The scheduler: canonical order, bounded windows, structure, and errors that keep their cause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.errors import DataError, NodeError, RunError, StorageError
from semprop.engine.scheduler import Start, group, in_order, together, walk
from semprop.providers import VirtualClock
from semprop.providers.errors import ErrorClass, StopError


def stopped() -> StopError:
    return StopError("the key was refused", ErrorClass.AUTH)


def other_tasks() -> set[asyncio.Task[object]]:
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


def sleeper(clock: VirtualClock, latencies: list[float]) -> Callable[[int, Start], Awaitable[int]]:
    async def work(item: int, start: Start) -> int:
        await clock.sleep(latencies[item])
        return item * 10

    return work


# in_order ------------------------------------------------------------------------------------------------------------


@given(latencies=st.lists(st.integers(0, 20).map(float), max_size=30), window=st.integers(1, 40))
def test_results_are_consumed_in_item_order_whatever_finished_first(latencies: list[float], window: int) -> None:
    consumed: list[tuple[int, int]] = []

    def consume(item: int, result: int) -> bool:
        consumed.append((item, result))
        return False

    async def main() -> None:
        await in_order(range(len(latencies)), sleeper(VirtualClock(), latencies), consume, window)

    asyncio.run(main())
    assert consumed == [(item, item * 10) for item in range(len(latencies))]


@given(
    latencies=st.lists(st.integers(0, 20).map(float), min_size=1, max_size=20),
    window=st.integers(1, 25),
    data=st.data(),
)
def test_enough_stops_at_the_same_prefix_at_every_window(
    latencies: list[float], window: int, data: st.DataObject
) -> None:
    enough = data.draw(st.integers(0, len(latencies) - 1))
    consumed: list[int] = []

    def consume(item: int, result: int) -> bool:
        consumed.append(item)
        return item == enough

    async def main() -> int:
        await in_order(range(len(latencies)), sleeper(VirtualClock(), latencies), consume, window)
        return len(other_tasks())

    assert asyncio.run(main()) == 0
    assert consumed == list(range(enough + 1))


async def test_no_more_than_the_window_is_open_or_buffered_of_an_endless_stream() -> None:
    taken = 0
    consumed = 0
    most = 0

    def endless() -> Iterator[int]:
        nonlocal taken, most
        while True:
            taken += 1
            most = max(most, taken - consumed)
            yield taken

    async def work(item: int, start: Start) -> int:
        for _ in range(item * 7 % 5):
            await checkpoint()
        return item

    def consume(item: int, result: int) -> bool:
        nonlocal consumed
        consumed += 1
        return consumed == 20_000

    await in_order(endless(), work, consume, 8)
    assert consumed == 20_000
    assert most <= 8
    assert taken <= 20_008


async def test_a_slow_first_item_holds_the_window_and_not_the_memory() -> None:
    clock = VirtualClock()
    opened: list[int] = []
    seen: list[int] = []

    async def work(item: int, start: Start) -> int:
        opened.append(item)
        await clock.sleep(100.0 if item == 0 else 1.0)
        if item == 0:
            seen.extend(opened)
        return item

    await in_order(range(50), work, lambda item, result: False, 4)
    assert seen == [0, 1, 2, 3]
    assert opened == list(range(50))


@pytest.mark.parametrize("window", [1, 2, 5])
async def test_no_more_tasks_are_started_than_the_window_holds_whatever_finishes_first(window: int) -> None:
    latencies = [10.0 if item % 3 == 0 else 1.0 for item in range(60)]
    sleep = sleeper(VirtualClock(), latencies)
    workers: dict[asyncio.Task[Any] | None, None] = {}
    consumed: list[int] = []

    async def work(item: int, start: Start) -> int:
        workers[asyncio.current_task()] = None
        return await sleep(item, start)

    def consume(item: int, result: int) -> bool:
        consumed.append(item)
        return False

    await in_order(range(60), work, consume, window)
    assert consumed == list(range(60))
    assert len(workers) == window


async def test_what_waits_for_an_item_ends_with_the_stream() -> None:
    workers: dict[asyncio.Task[Any] | None, None] = {}

    async def work(item: int, start: Start) -> int:
        workers[asyncio.current_task()] = None
        await checkpoint()
        return item

    await in_order(range(3), work, lambda item, result: False, 50)
    await in_order(range(50), work, lambda item, result: item == 4, 3)
    assert workers
    assert not other_tasks()


async def test_a_window_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        await in_order([1], sleeper(VirtualClock(), [0.0, 0.0]), lambda item, result: False, 0)


async def test_no_items_are_no_work() -> None:
    clock = VirtualClock()
    await in_order([], sleeper(clock, []), lambda item, result: True, 3)
    assert clock.now() == 0.0


@pytest.mark.parametrize("window", [1, 3, 50])
async def test_an_error_that_ran_ahead_does_not_end_what_was_decided_before_it(window: int) -> None:
    consumed: list[int] = []

    async def work(item: int, start: Start) -> int:
        if item == 2:
            raise DataError("the third row is malformed")
        for _ in range(5):
            await checkpoint()
        return item

    def consume(item: int, result: int) -> bool:
        consumed.append(item)
        return item == 1

    await in_order(range(10), work, consume, window)
    assert consumed == [0, 1]


@pytest.mark.parametrize("window", [1, 3, 50])
async def test_an_error_is_raised_in_its_items_turn_and_opens_nothing_new(window: int) -> None:
    consumed: list[int] = []
    opened: list[int] = []

    async def work(item: int, start: Start) -> int:
        opened.append(item)
        if item == 2:
            raise DataError("the third row is malformed")
        for _ in range(5):
            await checkpoint()
        return item

    def consume(item: int, result: int) -> bool:
        consumed.append(item)
        return False

    with pytest.raises(DataError, match="third row"):
        await in_order(range(10), work, consume, window)
    assert consumed == [0, 1]
    assert max(opened) < 2 + window
    assert not other_tasks()


@pytest.mark.parametrize("error", [stopped(), StorageError("the disk is full")])
async def test_what_ends_everything_does_not_wait_for_its_turn(error: Exception) -> None:
    async def work(item: int, start: Start) -> int:
        if item == 2:
            raise error
        await anyio.sleep_forever()
        return item

    with pytest.raises(type(error)):
        await in_order(range(3), work, lambda item, result: False, 3)
    assert not other_tasks()


async def test_an_error_of_the_consumer_propagates_and_leaves_nothing() -> None:
    async def work(item: int, start: Start) -> int:
        if item:
            await anyio.sleep_forever()
        return item

    def consume(item: int, result: int) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_order(range(4), work, consume, 4)
    assert not other_tasks()


async def test_an_error_of_the_stream_itself_propagates() -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise DataError("line 2 is no JSON")

    with pytest.raises(DataError, match="line 2"):
        await in_order(broken(), sleeper(VirtualClock(), [0.0]), lambda item, result: False, 2)


async def test_cancelling_the_caller_leaves_no_task() -> None:
    async def work(item: int, start: Start) -> int:
        start(anyio.sleep_forever)
        await anyio.sleep_forever()
        return item

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as outer:
            outer.start_soon(in_order, range(9), work, lambda item, result: False, 3)
            for _ in range(5):
                await checkpoint()
            assert len(other_tasks()) == 7
            scope.cancel()
    assert not other_tasks()


# group ---------------------------------------------------------------------------------------------------------------


async def fails(error: Exception) -> None:
    raise error


async def test_a_stopped_provider_is_raised_bare_out_of_nested_groups() -> None:
    with pytest.raises(StopError, match="key was refused"):
        async with group(), group() as start:
            start(fails, ValueError("a task that failed first"))
            start(fails, RunError("another"))
            start(fails, stopped())


async def test_an_error_of_ours_goes_before_a_foreign_one() -> None:
    with pytest.raises(RunError, match="ours"):
        async with group() as start:
            start(fails, ValueError("foreign"))
            start(fails, RunError("ours"))


async def test_without_either_the_first_failure_is_raised() -> None:
    with pytest.raises(KeyError, match="first"):
        async with group() as start:
            start(fails, KeyError("first"))
            start(fails, ValueError("second"))


async def test_a_foreign_group_inside_is_looked_through() -> None:
    inner = ExceptionGroup("theirs", [ValueError("1"), ExceptionGroup("deeper", [stopped(), KeyError("3")])])
    with pytest.raises(StopError):
        async with group() as start:
            start(fails, inner)


async def test_the_raised_error_keeps_the_cause_that_it_had() -> None:
    async def tool() -> None:
        try:
            _ = 1 // 0
        except ZeroDivisionError as error:
            raise NodeError("the tool raised") from error

    with pytest.raises(NodeError) as caught:
        async with group(), group() as start:
            start(tool)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_error_without_a_cause_gets_none_from_the_group() -> None:
    with pytest.raises(NodeError) as caught:
        async with group() as start:
            start(fails, NodeError("alone"))
    assert caught.value.__cause__ is None


async def test_an_error_of_the_body_is_raised_bare_and_ends_the_tasks() -> None:
    with pytest.raises(LookupError, match="body"):
        async with group() as start:
            start(anyio.sleep_forever)
            raise LookupError("body")
    assert not other_tasks()


# together ------------------------------------------------------------------------------------------------------------


async def test_results_stand_in_the_order_given() -> None:
    clock = VirtualClock()

    async def plan(seconds: float) -> float:
        await clock.sleep(seconds)
        return seconds

    assert await together([lambda: plan(3.0), lambda: plan(1.0), lambda: plan(2.0)]) == (3.0, 1.0, 2.0)
    assert clock.now() == 3.0


async def test_one_plan_needs_no_task() -> None:
    async def plan() -> int:
        return len(other_tasks())

    assert await together([plan]) == (0,)


# walk ----------------------------------------------------------------------------------------------------------------


async def walked(edges: list[tuple[int, int]], count: int, latency: float = 1.0) -> tuple[float, dict[int, float]]:
    """(when all were done, when each began)."""
    clock = VirtualClock()
    began: dict[int, float] = {}
    successors: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for one, other in edges:
        successors[one].append(other)
        waiting[other] += 1

    async def run(vertex: int) -> None:
        assert vertex not in began
        began[vertex] = clock.now()
        await clock.sleep(latency)

    async with group() as start:
        await walk(waiting, successors, run, start)
        assert len(began) == count, "walk returns when all vertices are done"
    return clock.now(), began


async def test_a_diamond_takes_three_levels_and_both_arms_at_once() -> None:
    end, began = await walked([(0, 1), (0, 2), (1, 3), (2, 3)], 4)
    assert (end, began) == (3.0, {0: 0.0, 1: 1.0, 2: 1.0, 3: 2.0})


async def test_a_double_edge_is_waited_for_twice_and_run_once() -> None:
    end, began = await walked([(0, 1), (0, 1)], 2)
    assert (end, began[1]) == (2.0, 1.0)


async def test_roots_start_together() -> None:
    end, _ = await walked([(0, 5), (1, 5), (2, 5), (3, 5), (4, 5)], 6)
    assert end == 2.0


async def test_an_empty_dag_is_done() -> None:
    assert await walked([], 0) == (0.0, {})


@given(st.data())
def test_every_vertex_begins_when_its_last_predecessor_is_done(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    pairs = [(one, other) for other in range(count) for one in range(other)]
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    _, began = asyncio.run(walked(edges, count))
    for vertex in range(count):
        ends = [began[one] + 1.0 for one, other in edges if other == vertex]
        assert began[vertex] == max(ends, default=0.0)


async def test_a_long_chain_runs_without_recursion_in_the_calling_task() -> None:
    count = 100_000
    done: list[int] = []

    async def run(vertex: int) -> None:
        done.append(vertex)

    def start(*_: object) -> None:
        raise AssertionError("a chain never widens")

    successors = [[vertex + 1] for vertex in range(count - 1)] + [[]]
    await walk([0] + [1] * (count - 1), successors, run, start)
    assert done == list(range(count))


async def test_an_error_in_a_side_task_is_raised_by_the_walk_itself() -> None:
    async def run(vertex: int) -> None:
        if vertex == 2:
            raise DataError("vertex 2")
        await checkpoint()

    async with group() as start:
        with pytest.raises(DataError, match="vertex 2"):
            await walk([0, 1, 1, 2], [[1, 2], [3], [3], []], run, start)


async def test_a_stop_in_a_side_task_ends_the_group() -> None:
    async def run(vertex: int) -> None:
        if vertex == 2:
            raise stopped()
        if vertex == 1:
            await anyio.sleep_forever()

    with pytest.raises(StopError):
        async with group() as start:
            await walk([0, 1, 1], [[1, 2], [], []], run, start)
