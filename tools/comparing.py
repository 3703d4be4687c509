"""`semprop bench methods`: our methods and other packages with the same dollars, side by side.

A file's ending says what it holds: `.json` the document, `.md` the table. Files are written anew after each run, so
that a command that is stopped leaves what it has measured.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.bench.methods.comparison import Comparison, Run, compared
from semprop.bench.methods.ledger import upstreams
from semprop.bench.methods.programs import PROGRAMS, deviations
from semprop.bench.methods.report import COLUMNS, Report, cells, means
from semprop.engine.errors import UsageError
from semprop.engine.method import Method
from semprop.engine.methods.catalogue import METHODS, Choices, default_gate, gate_named, method_named
from semprop.engine.methods.differences import COUNTERPARTS
from semprop.providers.base import Usage
from semprop.providers.clock import SystemClock
from semprop.tools import render
from semprop.tools.exits import Ended, ExitCode, Problem
from semprop.tools.files import write_file
from semprop.tools.optimizing import run_loop
from semprop.tools.preparing import Order, Prepared, Surrounding, order_of, prepare
from semprop.tools.screen import Screen, plain

Work = Callable[[Surrounding, Screen], Ended]

FORMS = (".json", ".md")
OURS = "semantic,optoprime,copro,opro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stands on the command line beside the order of each run."""

    order: Order
    methods: tuple[str, ...]
    peers: tuple[str, ...]
    python: str
    seeds: int
    budget_usd: float
    most_seconds: float
    files: tuple[Path, ...]


Task = Annotated[
    str | None, typer.Argument(help="a task's name (semprop tasks), path.py:task, or path.toml", metavar="TASK")
]
Dollars = Annotated[float | None, typer.Option(min=0, help="dollars for each method and seed; hard", metavar="USD")]
Ours = Annotated[str, typer.Option(help=f"ours, by comma: {', '.join(METHODS)}", metavar="NAME,…")]
Packages = Annotated[str, typer.Option(help=f"packages, by comma: {', '.join(PROGRAMS)}", metavar="NAME,…")]
Interpreter = Annotated[
    str, typer.Option(help="the interpreter of the environment in which the packages are installed", metavar="FILE")
]
Seeds = Annotated[int, typer.Option(min=1, help="how many seeds, each with splits of its own")]
Forward = Annotated[str | None, typer.Option(help="who runs the graph; as in semprop optimize")]
Role = Annotated[str | None, typer.Option(help="the same for this role; forward if not given")]
Providers = Annotated[Path | None, typer.Option(help="TOML or JSON file with tables [provider.NAME] and [pool.NAME]")]
Data = Annotated[Path | None, typer.Option(help="directory of the published files", envvar="SEMPROP_DATA")]
Size = Annotated[
    int | None, typer.Option(min=0, help="examples in this split; gate: the packages' validation examples")
]
GateName = Annotated[str | None, typer.Option(help="the gate of our methods; each one's own if not given")]
Steps = Annotated[int | None, typer.Option(min=1, help="steps of our methods")]
Seconds = Annotated[float, typer.Option(min=1, help="after so long a package is stopped")]
Files = Annotated[
    list[Path] | None, typer.Option(help="write the table to a file that ends in .json or .md; may be repeated")
]
OnlyDifferences = Annotated[
    bool, typer.Option("--differences", help="only list how our baselines differ from the packages' own")
]


def methods(
    task: Task = None,
    budget_usd: Dollars = None,
    methods: Ours = OURS,
    peers: Packages = ",".join(PROGRAMS),
    python: Interpreter = sys.executable,
    seeds: Seeds = 1,
    seed: Annotated[int, typer.Option(help="the first of them")] = 0,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    providers: Providers = None,
    data: Data = None,
    train: Size = None,
    gate_size: Size = None,
    test: Size = None,
    gate: GateName = None,
    steps: Steps = None,
    most_seconds: Seconds = 3600.0,
    write: Files = None,
    differences: OnlyDifferences = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Compare methods and installed packages: the same splits, one endpoint with one ledger, the same dollars."""
    if differences:
        return _differences
    if task is None or budget_usd is None:
        raise UsageError("name a TASK, and the dollars that each method may spend with --budget-usd")
    order = order_of(locals())
    asked = Asked(
        order=order,
        methods=_names(methods, METHODS, "method"),
        peers=_names(peers, PROGRAMS, "package"),
        python=python,
        seeds=seeds,
        budget_usd=budget_usd,
        most_seconds=most_seconds,
        files=tuple(write or ()),
    )
    return partial(compare, asked)


def _names(text: str, known: Mapping[str, object], what: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {what} {name!r}; there are: {', '.join(known)}")
    return names


def compare(asked: Asked, around: Surrounding, screen: Screen) -> Ended:
    """Carry the comparison out, show each run, and write the files after each."""
    for file in asked.files:
        if file.suffix not in FORMS:
            raise UsageError(f"{file} ends in none of {', '.join(FORMS)}: its ending says what is written")
    prepared = {
        seed: prepare(replace(asked.order, seed=seed), around, screen.say)
        for seed in range(asked.order.seed, asked.order.seed + asked.seeds)
    }
    first = next(iter(prepared.values()))
    comparison = comparison_of(asked, prepared)
    models = tuple(dict.fromkeys(provider.identity for provider in first.specification.providers.values()))
    runs: list[Run] = []

    def report() -> Report:
        return Report(first.task.name, first.specification.is_simulated, models, comparison, tuple(runs))

    def ended(run: Run) -> None:
        runs.append(run)
        for file in asked.files:
            _write(file, report())
        screen.say("  " + ", ".join(cell for cell in cells(run) if cell))

    if first.specification.is_simulated:
        screen.say(render.SIMULATED)
    run_loop(partial(compared, comparison, SystemClock(), screen.say, ended))
    screen.show(*shown(report()))
    document = {"status": "done", "error": None, **report().document()}
    return Ended(document, _problem(runs))


def comparison_of(asked: Asked, prepared: Mapping[int, Prepared]) -> Comparison:
    """The comparison of what was prepared.

    Raises:
        UsageError: the price of a role's tokens is unknown, or the methods need something that the task lacks.
    """
    first = next(iter(prepared.values()))
    spec = first.specification
    roles = {role: text for role, text in first.roles.items() if role != "judge"}
    for role, text in roles.items():
        is_simulated = spec.provider(role).capabilities.simulated
        if not is_simulated and first.price(role, Usage(1, 0, 0, 1)) is None:
            raise UsageError(
                f"no price is known for {text!r}, so a budget in dollars cannot be kept: give it `prices` in the "
                "providers file"
            )

    def made(name: str, seed: int) -> Method:
        gate = gate_named(asked.order.gate or default_gate(name))
        return method_named(name, Choices(gate, pools=first.task.clauses, seed=seed))

    return Comparison(
        specifications={seed: each.specification for seed, each in prepared.items()},
        methods={name: {seed: made(name, seed) for seed in prepared} for name in asked.methods},
        peers=asked.peers,
        python=asked.python,
        behind=upstreams(roles, _tables(asked.order.providers)),
        budget_usd=asked.budget_usd,
        most_seconds=asked.most_seconds,
    )


def _tables(file: Path | None) -> Mapping[str, Mapping[str, Any]]:
    """The tables of a providers file that was read before, as they stand there."""
    if file is None:
        return {}
    found: Mapping[str, Mapping[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8")).get("provider", {})
    return found


def _problem(runs: list[Run]) -> Problem | None:
    failed = [run for run in runs if run.status == "failed"]
    if not failed or any(run.status in ("done", "budget") and run.name != "start" for run in runs):
        return None
    told = "; ".join(f"{run.name}: {run.note}" for run in failed)
    return Problem("MeasurementError", f"nothing could be compared: {told}", ExitCode.INTERNAL)


def _write(file: Path, report: Report) -> None:
    if file.suffix == ".json":
        data = orjson.dumps(report.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    else:
        data = report.markdown().encode()
    write_file(file, data)


def shown(report: Report) -> Iterator[RenderableType]:
    """The comparison for people."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for run in report.runs:
        table.add_row(*(Text(plain(cell)) for cell in cells(run)))
    yield ""
    yield table
    if len(report.asked.specifications) > 1:
        told = (f"{name} {100 * mean:.1f} ({count})" for name, mean, count in means(report.runs))
        yield Text(f"mean score over seeds: {', '.join(told)}")
    for run in report.runs:
        if run.note:
            yield Text(plain(f"{run.name}, seed {run.seed}: {run.note}"), style="dim")
    for note in report.notes:
        yield Text(note, style="italic")


def _differences(around: Surrounding, screen: Screen) -> Ended:
    """How the baselines differ from what they are named after."""
    for name, counterpart in COUNTERPARTS.items():
        screen.show("", Text(f"{name}, after {counterpart.package}", style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("of", "theirs", "ours"):
            table.add_column(column, overflow="fold")
        for entry in counterpart.differences:
            table.add_row(Text(entry.of), Text(entry.theirs), Text(entry.ours))
        screen.show(table)
    screen.show("", Text("packages, as they are run here", style="bold"))
    for name, program in PROGRAMS.items():
        screen.show(Text(f"{name}: {deviations(program)}"))
    document = {
        name: {
            "package": counterpart.package,
            "slots": dict(counterpart.slots),
            "differences": [
                {"of": each.of, "theirs": each.theirs, "ours": each.ours} for each in counterpart.differences
            ],
        }
        for name, counterpart in COUNTERPARTS.items()
    }
    packages = {name: deviations(program) for name, program in PROGRAMS.items()}
    return Ended({"status": "done", "error": None, "differences": document, "packages": packages})
