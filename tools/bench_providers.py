"""`semprop bench providers FILE`: endpoints compared for latency, throughput, price and quality, taking turns.

Writes a table, JSON lines (`.jsonl`, one a cell), one document (`.json`) and one page (`.html`). A signal or a spent
budget ends it in order: what is under way may come back, and what was measured by then is shown and written.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import orjson
import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.bench.data import data_source
from semprop.bench.providers.page import page
from semprop.bench.providers.plan import Plan, load
from semprop.bench.providers.report import COLUMNS, LATENCIES, SIMULATED, document, lines, qualities, quality_words
from semprop.bench.providers.runner import Measured, Surrounding, run
from semprop.bench.providers.workload import Workload, prompts, recorded, task_work
from semprop.bench.task import Sizes
from semprop.bench.tasks import resolve
from semprop.engine.errors import UsageError
from semprop.providers.budget import Caps
from semprop.providers.limits.limiter import Limiter
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.transport import Transport
from semprop.providers.valve import Valve
from semprop.tools import preparing
from semprop.tools.budgets import check_caps
from semprop.tools.collecting import collecting_less
from semprop.tools.descriptors import SPARE, raise_file_limit
from semprop.tools.exits import Ended, ExitCode, Problem, interrupted
from semprop.tools.files import write_file
from semprop.tools.interruption import listening
from semprop.tools.optimizing import patience_of
from semprop.tools.screen import Screen, plain

Work = Callable[[preparing.Surrounding, Screen], Ended]

FORMS = (".json", ".jsonl", ".html")

DISTINCT = 1_000
"""Prompts that differ, before the first comes again."""


def providers(
    file: Annotated[
        Path, typer.Argument(help="a TOML file: [benchmark], [[load]], [provider.NAME], [pool.NAME]", metavar="FILE")
    ],
    write: Annotated[
        list[Path] | None, typer.Option(help=f"write to a file that ends in {', '.join(FORMS)}; may be repeated")
    ] = None,
    max_usd: Annotated[float | None, typer.Option(min=0.0, help="the most that it may cost, in dollars")] = None,
    parameters: Annotated[
        Path | None, typer.Option(help="a run's directory, or a JSON file {parameter: value}, for a task")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="directory of the published files", envvar="SEMPROP_DATA")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Compare providers: latency, throughput, price, and the price of a correct answer, taking turns under load."""
    return partial(compare, file, tuple(write or ()), max_usd, parameters, data)


def compare(
    file: Path,
    files: tuple[Path, ...],
    max_usd: float | None,
    parameters: Path | None,
    data: Path | None,
    around: preparing.Surrounding,
    screen: Screen,
) -> Ended:
    """Carry the comparison out, show it, and write it."""
    for name in files:
        if name.suffix not in FORMS:
            raise UsageError(f"{name} ends in none of {', '.join(FORMS)}: its ending says what is written")
        if not name.absolute().parent.is_dir():
            # Before anything is paid for.
            raise UsageError(f"{name} cannot be written: there is no directory {name.parent}; make it, or name another")
    plan = load(file)
    if max_usd is not None:
        plan = replace(plan, usd=max_usd if plan.usd is None else min(plan.usd, max_usd))
    workload = _workload(plan, parameters, data, screen.say)
    limiter, transport = Limiter(clock=around.providers.clock, random=around.providers.random), Transport()

    def connected(specification: Specification) -> Any:
        return connect(specification, surroundings=around.providers, limiter=limiter, transport=transport)

    # Providers join the transport when they are connected; how many sockets they may open is known from then on.
    for each in plan.providers:
        check_caps(Caps(usd=plan.usd), each.name, connected(each).price, each)
    raise_file_limit(transport.connections + SPARE)
    patience = patience_of(preparing.Order(task=file.name), around, screen)
    signals: list[int] = []

    @asynccontextmanager
    async def ending(valve: Valve) -> AsyncIterator[anyio.CancelScope]:
        async with listening(valve, patience) as interruption:
            yield interruption.scope
        if interruption.number is not None:
            signals.append(interruption.number)

    outside = Surrounding(connected, around.providers.clock, say=screen.say, ending=ending)
    with collecting_less():
        measured = anyio.run(run, plan, workload, outside, backend_options={"use_uvloop": os.name != "nt"})
    told = document(measured)
    screen.show(*shown(measured))
    for name in files:
        _write(name, measured, told)
    return Ended({"status": "done", "error": None, **told}, _problem(measured, signals))


def _workload(plan: Plan, parameters: Path | None, data: Path | None, say: Callable[[str], None]) -> Workload:
    if plan.task:
        task = resolve(plan.task)
        source = data_source(data, os.environ, say)
        test = replace(task.defaults.sizes, test=plan.examples)
        splits = preparing.examples_of(task, source, plan.seed, Sizes(test.train, test.gate, test.test))
        values = task.graph.initial if parameters is None else preparing.parameters_in(parameters, task.graph)
        return task_work(task, values, splits.test)
    if parameters is not None:
        raise UsageError("--parameters are those of a task: name one in [benchmark], or leave them out")
    if plan.run:
        return recorded(Path(plan.run))
    return prompts(plan.prompt_bytes, plan.max_tokens, DISTINCT)


def _problem(measured: Measured, signals: Sequence[int]) -> Problem | None:
    if signals:
        return interrupted(signals[0], "what was measured by then is shown and written")
    if measured.ended:
        return Problem("BudgetSpent", measured.ended, ExitCode.BUDGET)
    if measured.cells and all(cell.stopped for cell in measured.cells):
        told = dict.fromkeys(f"{cell.provider}: {cell.stopped}" for cell in measured.cells)
        return Problem("StopError", "; ".join(told), ExitCode.PROVIDER)
    return None


def _write(file: Path, measured: Measured, told: dict[str, Any]) -> None:
    match file.suffix:
        case ".html":
            text = page(measured).encode()
        case ".jsonl":
            shared = {name: told[name] for name in ("schema", "workload", "seed", "simulated")}
            text = b"".join(orjson.dumps({**shared, **cell}) + b"\n" for cell in told["cells"])
        case _:
            text = orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_file(file, text)


def shown(measured: Measured) -> Iterator[RenderableType]:
    """The comparison for people."""
    yield Text(plain(measured.workload.name), style="bold")
    if measured.simulated:
        yield Text(f"{', '.join(measured.simulated)}: {SIMULATED}", style="yellow")
    rows = tuple(lines(measured))
    # Two tables: one of all columns is wider than most terminals.
    for columns in (COLUMNS[:LATENCIES], COLUMNS[LATENCIES:]):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("provider", "load", *columns):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(plain, (row.provider, row.load, *(row.cells[column] for column in columns))))
        yield table
    told: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for note in row.notes:
            told.setdefault((row.provider, note), []).append(row.load)
    for (provider, note), loads in told.items():
        yield Text(plain(f"{provider}, {'; '.join(loads)}: {note}"), style="yellow")
    for name, quality in qualities(measured).items():
        yield Text(plain(quality_words(name, quality)))
    if measured.ended:
        yield Text(plain(f"ended early: {measured.ended}"), style="red")
