"""`semprop bench engine`: measures speed, prints the table, and writes it to files.

A file's ending says what it holds: `.json` the document, `.md` the table as Markdown. Files are written anew after each
measurement, so that a command that is stopped leaves what it has measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import orjson
import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.bench import depth as depth_rows
from semprop.bench import identity as identities
from semprop.bench import kills as killing
from semprop.bench.speed.machine import usable_cores
from semprop.bench.speed.measures import MEASURES, chosen
from semprop.bench.speed.report import (
    Measured,
    Report,
    figure,
    load_words,
    machine_words,
    named,
    notes,
    settings_words,
    verdict,
)
from semprop.bench.speed.rows import Measure, Settings
from semprop.bench.speed.running import run
from semprop.engine.errors import UsageError
from semprop.providers.specification import resolve
from semprop.providers.stack import connect
from semprop.tools import batch_kills, comparing, otel_cost
from semprop.tools.bench_providers import providers
from semprop.tools.collecting import collecting_less
from semprop.tools.descriptors import raise_file_limit
from semprop.tools.exits import Ended, ExitCode, Problem
from semprop.tools.files import write_file
from semprop.tools.preparing import Surrounding
from semprop.tools.projecting import projections
from semprop.tools.screen import Screen, plain
from semprop.tools.simulating import gates

Work = Callable[[Surrounding, Screen], Ended]

ROWS = {**MEASURES, **otel_cost.MEASURES}
"""Every measurement of the engine's table."""

QUICK = 0.1
"""Share of the full size with `--quick`: it shows that everything runs, and is no claim."""

SOCKETS = 2_048
"""The most that a measurement opens at once, with room: 1,024 by `step`, and what else a process holds."""

MOST_DEEP = 64

FORMS = (".json", ".md")

app = typer.Typer(no_args_is_help=True, help="Measure claims: each figure beside its reference, in one run.")
app.command()(providers)
app.command()(comparing.methods)
app.command()(gates)
app.command()(projections)


@app.callback()
def bench() -> None:
    """Measure claims: each figure beside its reference, in one run."""


@app.command()
def engine(
    rows: Annotated[str, typer.Option(help=f"only these, by comma: {', '.join(ROWS)}", metavar="NAME,…")] = "",
    repetitions: Annotated[int, typer.Option(min=1, help="how often each figure is taken; its median counts")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="small sizes: shows that it runs, and claims nothing")] = False,
    write: Annotated[
        list[Path] | None, typer.Option(help="write the table to a file that ends in .json or .md; may be repeated")
    ] = None,
    pin: Annotated[bool, typer.Option(help="pin this process and the mock endpoint to a processor each")] = True,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 if a bar is missed")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Measure the engine's speed against a mock endpoint on this machine: the table of its claims."""
    settings = settings_of(repetitions, quick, usable_cores() if pin else ())
    names = [name.strip() for name in rows.split(",") if name.strip()]
    return partial(measure, chosen(names, ROWS), settings, tuple(write or ()), check)


@app.command()
def depth(
    depths: Annotated[str, typer.Option(help="how many steps deep, by comma", metavar="N,…")] = "2,4,8,16",
    model: Annotated[str, typer.Option(help="the simulated provider", metavar="simulated:…")] = "simulated:",
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Measure whether messages explode or vanish with depth: facts alive and bytes, level by level."""
    return partial(measure_depth, depths_of(depths), model)


def depths_of(text: str) -> tuple[int, ...]:
    """The depths in a list by comma.

    Raises:
        UsageError: one is no number of 2 or more.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and 2 <= int(part) <= MOST_DEEP for part in parts):
        raise UsageError(f"--depths is {text!r}: give numbers from 2 to {MOST_DEEP}, by comma")
    return tuple(map(int, parts))


def measure_depth(depths: tuple[int, ...], model: str, around: Surrounding, screen: Screen) -> Ended:
    """Measure every world at these depths under every bound, and show the table."""
    specification = resolve(model, {})
    if specification.kind != "simulated":
        raise UsageError(f"{model} is no simulated provider: this measures the machinery, and pays nobody")

    async def all_rows() -> list[depth_rows.Row]:
        rows = []
        for world in depth_rows.WORLDS:
            screen.say(f"measuring {world} …")
            for deep in depths:
                for arm in depth_rows.ARMS:
                    provider = connect(specification, surroundings=around.providers)
                    rows.append(await depth_rows.measured(world, deep, arm, provider))
        return rows

    with collecting_less():
        rows = anyio.run(all_rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("world", "depth", "bound", "alive", "bytes, answer → first step", "in the prompt", "its bytes"):
        table.add_column(column, overflow="fold")
    for row in rows:
        levels = " ".join(f"{size:.0f}" for size in row.bytes_by_level)
        cells = (row.world, f"{row.depth}", row.arm, f"{row.alive:.2f}", levels, f"{row.shown:.2f}")
        table.add_row(*cells, f"{row.prompt_bytes:,}")
    screen.show(table, "", Text(depth_rows.WORDS, style="dim"))
    return Ended({"status": "done", "error": None, "rows": [asdict(row) for row in rows]})


@app.command()
def kills(
    count: Annotated[int, typer.Option(min=1, help="kills in all")] = 200,
    seed: Annotated[int, typer.Option(help="draws the instants")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="a small run: shows that it works, and claims little")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Kill a run at random instants, resume it until it is done, and count what was lost, repeated or changed."""
    return partial(measure_kills, count, seed, killing.QUICK if quick else killing.FULL)


def measure_kills(count: int, seed: int, sizes: Sequence[str], around: Surrounding, screen: Screen) -> Ended:
    """Kill, resume, count, and show; exit code 1 if anything does not hold."""
    counts = anyio.run(killing.kills, count, seed, sizes, screen.say)
    kinds = ", ".join(f"{number} × {kind}" for kind, number in sorted(counts.kills.items()))
    screen.show(
        f"{counts.kills.total()} kills ({kinds}) of {counts.runs} runs of {counts.calls} calls, {counts.seconds:.0f} s",
        f"replies lost or changed: {counts.lost} of {counts.recorded} recorded",
        f"calls repeated: {counts.repeated}; in flight at the kills: {counts.in_flight}",
        f"results that differ: {counts.other_results} of {counts.runs}",
        f"ledgers that contradict the journal: {counts.outside_ledger} of {counts.runs}",
    )
    told = "; ".join(counts.faults)
    problem = Problem("BarMissed", told, ExitCode.INTERNAL) if told else None
    return Ended({"status": "done", "error": None, **counts.document()}, problem)


@app.command()
def batches(
    rounds: Annotated[int, typer.Option(min=1, help="kills at each point: its first time, its second, …")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="a small run: shows that it works, and claims little")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Kill a run that goes by batches between intent, upload, create, store and download, resume it, and count what was
    submitted twice, lost or changed."""
    return partial(measure_batches, rounds, batch_kills.QUICK if quick else batch_kills.FULL)


def measure_batches(rounds: int, sizes: Sequence[str], around: Surrounding, screen: Screen) -> Ended:
    """Kill, resume, count, and show; exit code 1 if anything does not hold."""
    counts = anyio.run(batch_kills.batch_kills, rounds, sizes, screen.say)
    kinds = ", ".join(f"{number} × {name}" for name, number in counts.kills.items())
    screen.show(
        f"{counts.kills.total()} kills ({kinds}) of {counts.runs} runs, {counts.seconds:.0f} s",
        f"requests submitted more than once: {counts.twice} of {counts.rows:,} in {counts.batches} batches",
        f"replies lost or changed: {counts.lost} of {counts.recorded:,} recorded",
        f"uploaded files without a batch: {counts.unused_files}",
        f"results that differ: {counts.other_results} of {counts.runs}",
    )
    told = "; ".join(counts.faults)
    problem = Problem("BarMissed", told, ExitCode.INTERNAL) if told else None
    return Ended({"status": "done", "error": None, **counts.document()}, problem)


@app.command()
def identity(
    quick: Annotated[bool, typer.Option("--quick", help="a small run: shows that it works, and claims little")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Carry one run out at 1 to 512 in flight, on two event loops, with other latencies and failures each time, and
    compare the results byte for byte."""
    return partial(measure_identity, identities.QUICK if quick else identities.FULL)


def measure_identity(size: identities.Size, around: Surrounding, screen: Screen) -> Ended:
    """Carry out, compare, and show; exit code 1 if anything does not hold."""
    with collecting_less():
        found = identities.identity(size, screen.say)
    same = sum(arm.digest == found.arms[0].digest for arm in found.arms)
    screen.show(
        f"{same} of {len(found.arms)} results are the same, byte for byte",
        f"attempts: {sum(arm.attempts for arm in found.arms):,}, of which {sum(arm.failed for arm in found.arms):,} "
        f"failed; at most {max(arm.peak for arm in found.arms)} at once",
        f"verdicts of the steps: {', '.join(found.steps)}",
    )
    told = "; ".join(found.faults)
    problem = Problem("BarMissed", told, ExitCode.INTERNAL) if told else None
    return Ended({"status": "done", "error": None, **found.document()}, problem)


def settings_of(repetitions: int, quick: bool, cores: tuple[int, ...]) -> Settings:
    """How to measure: on the last of the processors, with the endpoint on the first, if there are two."""
    scale = QUICK if quick else 1.0
    if len(cores) < 2:
        return Settings(repetitions, scale)
    return Settings(repetitions, scale, client_core=cores[-1], endpoint_core=cores[0])


def measure(
    measures: Mapping[str, Measure],
    settings: Settings,
    files: tuple[Path, ...],
    check: bool,
    around: Surrounding,
    screen: Screen,
) -> Ended:
    """Carry the measurements out, show them, and write them to the files after each."""
    for file in files:
        if file.suffix not in FORMS:
            raise UsageError(f"{file} ends in none of {', '.join(FORMS)}: its ending says what is written")

    raise_file_limit(SOCKETS)

    def ended(report: Report) -> None:
        for file in files:
            _write(file, report)
        screen.show(*shown(report.measured[-1]))

    with collecting_less():  # As in every other command.
        report = run(measures, settings, lambda name: screen.say(f"measuring {name} …"), ended)
    screen.show("", Text(f"{machine_words(report.machine)}\n{settings_words(settings)}", style="dim"))
    return Ended({"status": "done", "error": None, **report.document()}, _problem(report, check))


def _problem(report: Report, check: bool) -> Problem | None:
    if report.failed:
        told = "; ".join(f"{entry.name}: {entry.failed}" for entry in report.failed)
        return Problem("MeasurementError", f"not everything could be measured: {told}", ExitCode.INTERNAL)
    if check and report.missed:
        told = "; ".join(f"{row.what}: {figure(row)}, not {row.bar}" for row in report.missed)
        return Problem("BarMissed", f"{len(report.missed)} bars are missed: {told}", ExitCode.INTERNAL)
    return None


def _write(file: Path, report: Report) -> None:
    if file.suffix == ".json":
        data = orjson.dumps(report.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    else:
        data = report.markdown().encode()
    write_file(file, data)


_COLOURS = {"met": "green", "missed": "bold red", "reported": "dim"}


def shown(entry: Measured) -> Iterator[RenderableType]:
    """One measurement for people: a table, its notes, and the command that gives it again."""
    numbers = notes(entry)
    yield ""
    yield Text(f"{entry.name}: {entry.seconds:.0f} s, {load_words(entry.load)} before", style="bold")
    if entry.skipped:
        yield Text(f"skipped: {plain(entry.skipped)}", style="yellow")
    if entry.failed:
        yield Text(f"failed: {plain(entry.failed)}", style="red")
    if entry.rows:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("what", "measured", "bar", "", "beside"):
            table.add_column(column, overflow="fold")
        for row in entry.rows:
            word = verdict(row)
            cells = (named(row, numbers), figure(row), "" if row.bar is None else str(row.bar))
            table.add_row(*(Text(plain(cell)) for cell in cells), Text(word, _COLOURS[word]), Text(plain(row.beside)))
        yield table
    for note, place in numbers.items():
        yield Text(plain(f"[{place}] {note}"), style="italic")
    yield Text(entry.command, style="dim")
