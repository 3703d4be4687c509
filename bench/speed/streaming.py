"""Memory while many examples stream by: the peak, and how much it grows.

A process of its own streams examples from a generator through the path of `workload`, to a provider without I/O, with
a journal on disk, and tells its resident memory after every tenth part. The first tenth is left out of the growth: what
is bounded fills up meanwhile. Growth is the slope of a straight line through the others (least squares).
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import linear_regression
from subprocess import DEVNULL, PIPE

import anyio

from semprop.bench.speed.rows import Measure, Row, Settings, Skipped, at_most
from semprop.bench.speed.running import pinned
from semprop.bench.speed.workload import NODES, Immediate, Store, examples, specification, stage_of, stream
from semprop.engine.errors import RunError
from semprop.engine.example import Example

EXAMPLES = 100_000
PARTS = 10
IN_FLIGHT = 128

_STATUS = Path("/proc/self/status")
_MEGABYTE = 1024.0
"""In the system's kilobytes."""


async def streaming(settings: Settings) -> list[Row]:
    """10⁵ examples streamed: peak memory, and growth for each 10⁴."""
    if not _is_told():
        raise Skipped("memory is read from /proc, which only Linux has")
    count = settings.sized(EXAMPLES, PARTS)
    peaks: list[float] = []
    growths: list[float] = []
    for _ in range(settings.repetitions):
        levels, peak = await _child(count, settings.client_core)
        peaks.append(peak)
        growths.append(growth(levels[1:], count // PARTS))
    note = (
        f"{count:,} examples of 3 kB from a generator, {NODES} calls each, replies of 3 kB in a journal, {IN_FLIGHT} "
        "in flight; a process of its own. Growth is the slope of resident memory after the first tenth."
    )
    return [
        Row(
            what=f"{count:,} examples streamed: peak resident memory",
            samples=peaks,
            bar=at_most(300, " MB"),
            unit="MB",
            note=note,
        ),
        Row(
            what=f"{count:,} examples streamed: growth of resident memory per 10,000 examples",
            samples=growths,
            bar=at_most(1, " MB"),
            unit="MB",
        ),
    ]


def growth(levels: Sequence[float], apart: int) -> float:
    """Megabytes for each 10,000 examples: the slope of a line through levels that lie so many examples apart."""
    places = [index * apart / 10_000 for index in range(len(levels))]
    return linear_regression(places, levels).slope


async def _child(count: int, core: int | None) -> tuple[list[float], float]:
    place = "None" if core is None else str(core)
    code = f"from semprop.bench.speed.streaming import child; child({count}, {place})"
    done = await anyio.run_process([sys.executable, "-P", "-c", code], stdin=DEVNULL, stdout=PIPE, stderr=None)
    told = json.loads(done.stdout)
    return told["levels"], told["peak"]


def child(count: int, core: int | None) -> None:
    """What the process does: stream, and write its memory as one JSON line."""
    with pinned(core):
        levels = anyio.run(_stream, count, backend_options={"use_uvloop": sys.platform != "win32"})
    sys.stdout.write(json.dumps({"levels": levels, "peak": _resident("VmHWM")}) + "\n")


async def _stream(count: int) -> list[float]:
    provider = Immediate()
    spec = specification(provider, IN_FLIGHT)
    levels: list[float] = []
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        async with stage_of(spec, Store.JOURNAL, directory) as stage:
            scored = await stream(stage, spec, _watched(count, levels))
    if (scored, provider.calls) != (count, NODES * count):
        raise RunError(f"{scored} of {count} examples were scored, in {provider.calls} calls")
    return levels


def _watched(count: int, levels: list[float]) -> Iterator[Example]:
    """The examples; memory is noted each time that another part of them has been taken."""
    for number, example in enumerate(examples(count), 1):
        yield example
        if number % (count // PARTS) == 0:
            gc.collect()
            levels.append(_resident("VmRSS"))


def _is_told() -> bool:
    return _STATUS.is_file()


def _resident(name: str) -> float:
    """Resident memory in megabytes as the system tells it: `VmRSS` now, `VmHWM` the most so far."""
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) / _MEGABYTE
    raise RunError(f"{_STATUS} tells no {name}")


MEASURES: Mapping[str, Measure] = {"stream": streaming}
