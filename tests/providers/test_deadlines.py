"""One timer for the deadlines of many calls: the rules of `asyncio.timeout`, in real but very short time."""

from __future__ import annotations

import asyncio

import pytest

from semprop.providers.deadlines import Deadlines


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_call_that_takes_too_long_is_interrupted_and_its_task_goes_on() -> None:
    deadlines = Deadlines(0.01)
    with pytest.raises(TimeoutError), deadlines.deadline():
        await forever()
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_that_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines(60.0)
    with deadlines.deadline():
        await asyncio.sleep(0)
    assert repr(deadlines) == "Deadlines(60 s, running=0)"
    deadlines.close()


async def test_many_calls_share_one_timer_and_each_is_interrupted() -> None:
    deadlines = Deadlines(0.01)
    over: list[int] = []

    async def call(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        try:
            with deadlines.deadline():
                await forever()
        except TimeoutError:
            over.append(number)

    await asyncio.gather(*(call(number) for number in range(5)))
    assert over == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("expires", [False, True], ids=["from-elsewhere", "as-the-deadline-passes"])
async def test_a_cancellation_is_never_taken_for_the_deadline(expires: bool) -> None:
    deadlines = Deadlines(0.0 if expires else 60.0)

    async def call() -> None:
        with deadlines.deadline() as deadline:
            if expires:
                deadline.expire()
            await forever()

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_an_error_of_the_call_passes() -> None:
    deadlines = Deadlines(60.0)
    with pytest.raises(KeyError), deadlines.deadline():
        raise KeyError("its own")
    deadlines.close()


async def test_closing_leaves_the_time_of_calls_that_still_run() -> None:
    deadlines = Deadlines(0.01)
    with pytest.raises(TimeoutError), deadlines.deadline():
        deadlines.close()
        await forever()


async def test_a_deadline_nobody_reached_leaves_no_timer_behind() -> None:
    deadlines = Deadlines(0.001)
    with deadlines.deadline():
        await asyncio.sleep(0)
    deadlines.close()
    with pytest.raises(TimeoutError), deadlines.deadline():
        await forever()
