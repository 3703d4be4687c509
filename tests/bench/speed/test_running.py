"""How measurements are carried out: in loops of their own, pinned, and none keeps another from running."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import pytest

from semprop.bench.speed.machine import machine
from semprop.bench.speed.measures import MEASURES, chosen
from semprop.bench.speed.report import Report
from semprop.bench.speed.rows import Row, Settings, Skipped
from semprop.bench.speed.running import command, pinned, run
from semprop.engine.errors import RunError, UsageError


async def one(settings: Settings) -> Sequence[Row]:
    await asyncio.sleep(0)
    return [Row(what="one", samples=[float(settings.repetitions)])]


async def absent(settings: Settings) -> Sequence[Row]:
    raise Skipped("there is none")


async def broken(settings: Settings) -> Sequence[Row]:
    raise RunError("it broke")


def test_a_measurement_that_fails_or_is_skipped_lets_the_others_run() -> None:
    began: list[str] = []
    sizes: list[int] = []

    def ended(report: Report) -> None:
        sizes.append(len(report.measured))

    report = run({"broken": broken, "absent": absent, "one": one}, Settings(repetitions=2), began.append, ended)
    assert began == ["broken", "absent", "one"]
    assert sizes == [1, 2, 3], "what was measured is given after each measurement"
    first, second, third = report.measured
    assert (first.failed, second.skipped) == ("RunError: it broke", "there is none")
    assert [row.value for row in third.rows] == [2.0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins processes to processors")
def test_the_process_is_pinned_meanwhile_and_set_free_again() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pinned(None):
        assert os.sched_getaffinity(0) == before


def test_the_command_gives_the_rows_again() -> None:
    assert command("cpu", Settings()) == "semprop bench engine --rows cpu"
    assert command("cpu", Settings(3, 0.1)) == "semprop bench engine --rows cpu --quick --repetitions 3"


def test_measurements_are_chosen_by_name_in_the_tables_order() -> None:
    assert list(chosen(["engine", "step", "engine"])) == ["step", "engine"]
    assert list(chosen([])) == list(MEASURES)
    with pytest.raises(UsageError, match="no measurement 'speed'; there are: step"):
        chosen(["speed"])


def test_the_machine_is_described_without_a_host_or_a_path() -> None:
    told = machine()
    assert told["cores"] >= 1 and "aiohttp" in told["packages"]
    words = str(told)
    assert os.uname().nodename not in words.split() and os.path.expanduser("~") not in words
