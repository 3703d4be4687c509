"""Carries measurements out, one after the other: each in an event loop of its own, on the processor that was named.

A measurement that fails is reported and does not keep the others from running.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio

from semprop.bench.speed.machine import load, machine
from semprop.bench.speed.report import Measured, Report
from semprop.bench.speed.rows import Measure, Row, Settings, Skipped

FULL = Settings()


def run(
    measures: Mapping[str, Measure], settings: Settings, began: Callable[[str], None], ended: Callable[[Report], None]
) -> Report:
    """Carry out the measurements in their order.

    Args:
        measures: by name.
        settings: how.
        began: told the name of each measurement before it begins.
        ended: given the report so far, after each measurement.
    """
    report = Report(machine(), settings, ())
    with pinned(settings.client_core):
        for name, measure in measures.items():
            began(name)
            report = Report(report.machine, settings, (*report.measured, carried_out(name, measure, settings)))
            ended(report)
    return report


def carried_out(name: str, measure: Measure, settings: Settings) -> Measured:
    """One measurement, in an event loop of its own."""
    before, start = load(), time.monotonic()
    rows: tuple[Row, ...] = ()
    skipped = failed = ""
    gc.collect()
    try:
        rows = tuple(anyio.run(measure, settings, backend_options={"use_uvloop": sys.platform != "win32"}))
    except Skipped as why:
        skipped = str(why)
    except Exception as error:  # noqa: BLE001 — reported, and the other measurements go on
        failed = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    return Measured(name, command(name, settings), before, seconds, rows, skipped, failed)


def command(name: str, settings: Settings) -> str:
    """What gives the rows of a measurement again."""
    words = ["semprop bench engine --rows", name]
    if settings.scale != FULL.scale:
        words.append("--quick")
    if settings.repetitions != FULL.repetitions:
        words.append(f"--repetitions {settings.repetitions}")
    return " ".join(words)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """This thread, and those that it starts, on one processor while the block runs; nothing where that is unknown."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
