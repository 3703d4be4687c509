"""`semprop worlds`: planted faults, methods compared over paired seeds, predictions beside what was seen.

A file's ending says what is written: `.json` everything (it can be read back with --runs), `.csv` the runs, or the
points of the random worlds.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import RenderableType
from rich.table import Table as Columns
from rich.text import Text

from semprop.bench.worlds.catalogue import WORLDS
from semprop.bench.worlds.committed import SCALES, committed, predictions, written
from semprop.bench.worlds.comparing import Against, Row
from semprop.bench.worlds.methods import DEFAULT, JOINT
from semprop.bench.worlds.running import BUDGETS, Cell, cell_of, document_of
from semprop.bench.worlds.scatter import SCATTERED, Point, Trend, csv_of, plot, run_scatter, trends
from semprop.bench.worlds.tabulating import CLAIM, Plan, Table, run_table, table_of
from semprop.engine.errors import UsageError
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.providers.base import Provider
from semprop.providers.simulated import model as simulated
from semprop.providers.simulated.model import TIES
from semprop.providers.specification import load as load_providers
from semprop.providers.specification import resolve as resolve_provider
from semprop.providers.stack import connect
from semprop.tools.exits import Ended
from semprop.tools.files import write_file
from semprop.tools.optimizing import run_loop
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen, plain

Work = Callable[[Surrounding, Screen], Ended]

OWN = "own"
"""What stands for L0 where a real provider answers."""


def worlds(
    world: Annotated[str, typer.Option(help="worlds by comma; all if not given", metavar="NAME,…")] = "",
    methods: Annotated[str, typer.Option(help="methods by comma", metavar="NAME,…")] = ",".join(DEFAULT),
    seeds: Annotated[int, typer.Option(min=1, help="paired seeds; 20 for a table, 6 or more for a claim")] = 20,
    l0: Annotated[
        str, typer.Option(help="a fact is misread with probability 1 − exp(−tokens/L0)", metavar="TOKENS,…")
    ] = ",".join(SCALES),
    ties: Annotated[
        str, typer.Option(help="how the simulated reader chooses among equals: seeded, lexicographic", metavar="RULE")
    ] = TIES[0],
    random: Annotated[int, typer.Option(min=0, help="instead: so many random worlds, advantage against bits")] = 0,
    provider: Annotated[str | None, typer.Option(help="a real provider in place of the simulated one")] = None,
    providers: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with tables [provider.NAME] and [pool.NAME]")
    ] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="a .json file of --write: its runs are not done again; may be repeated")
    ] = None,
    write: Annotated[
        list[Path] | None, typer.Option(help="write to a file that ends in .json or .csv; may be repeated")
    ] = None,
    predict: Annotated[
        Path | None, typer.Option(help="instead: compute the predictions and write them to this .json file")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="instead: list the worlds with their criterion")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Run methods on worlds with planted faults: conformance and cost, beside committed predictions."""
    if predict is not None:
        return partial(_predict, predict)
    if list_:
        return lambda _, screen: _listed(screen)
    scales = (
        (OWN,) if provider else tuple(f"{scale}{'' if ties == TIES[0] else f'&ties={ties}'}" for scale in _names(l0))
    )
    plan = Plan(_names(world) or tuple(WORLDS), _names(methods), scales, seeds)
    order = Order(plan, provider, providers, tuple(runs or ()), tuple(write or ()))
    return partial(_scattered, random, order) if random else partial(_tabulated, order)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    plan: Plan
    provider: str | None
    providers: Path | None
    runs: tuple[Path, ...]
    write: tuple[Path, ...]

    def check(self) -> None:
        """Raises UsageError where a file could not be written, by its ending or for want of its directory."""
        for file in self.write:
            if file.suffix not in (".json", ".csv"):
                raise UsageError(f"{file} ends neither in .json nor in .csv: its ending says what is written")
            if not file.absolute().parent.is_dir():
                # Before anything is run, and perhaps paid for.
                raise UsageError(f"{file} cannot be written: there is no directory {file.parent}; make it")


def _answering(order: Order, around: Surrounding) -> Callable[[str], Provider]:
    """L0 → provider."""
    if order.provider is None:
        return lambda scale: simulated.connect(f"L0={scale}")
    named = {} if order.providers is None else load_providers(order.providers)
    real = connect(resolve_provider(order.provider, named), named=named, surroundings=around.providers)
    return lambda scale: real


# The table -----------------------------------------------------------------------------------------------------------


def _tabulated(order: Order, around: Surrounding, screen: Screen) -> Ended:
    order.check()
    known = tuple(cell for file in order.runs for cell in _read(file))
    answering = _answering(order, around)
    count = 0

    def done(cell: Cell) -> None:
        nonlocal count
        count += 1
        if count % 100 == 0:
            screen.say(f"{count} runs, at {cell.world}, seed {cell.seed}, L0 {cell.scale} …")

    screen.say(f"{order.plan.size} runs, of which up to {len(known)} are known")
    cells = run_loop(partial(run_table, order.plan, answering, known, done))
    table = table_of(cells, provider=order.provider or "")
    for file in order.write:
        _write(file, _json(table.document()) if file.suffix == ".json" else _csv(cells))
    screen.show(*shown(table))
    return Ended({"status": "done", "error": None, **table.document()})


def _read(file: Path) -> Iterator[Cell]:
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}): name a file that --write made") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{file} is not JSON ({error}): name a file that --write made") from error
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list):
        raise UsageError(f"{file} holds no runs: name a file that --write made")
    return map(cell_of, runs)


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _csv(cells: Sequence[Cell]) -> bytes:
    text = StringIO()
    documents = [document_of(cell) for cell in cells]
    writer = csv.DictWriter(text, list(documents[0]) if documents else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(documents)
    return text.getvalue().encode()


def _write(file: Path, data: bytes) -> None:
    write_file(file, data)


def shown(table: Table) -> Iterator[RenderableType]:
    """The table for people."""
    yield Text(f" {plain(table.claim)} ", style="bold black on yellow")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row.world, row.scale), []).append(row)
    yield Text(
        "advice: following all of it makes the step right; P/R/F1: keep or change against blame; repaired: runs within "
        "so many calls, the others censored; joint: points over the method, seen, ✓ as predicted or ≠ the prediction",
        style="dim",
    )
    for (world, scale), found in groups.items():
        yield ""
        yield Text(f"{world}, L0 {scale}: {_criterion_words(table.criteria.get(world))}", style="bold")
        yield _columns(found)
    yield from _levels(table.cells)
    yield ""
    yield from _agreement(table)


def _criterion_words(entry: Any) -> str:
    if not entry:
        return ""
    losses = ", ".join(f"{names or 'planted'} {loss:.2f}" for names, loss in entry["losses"].items())
    criterion = entry["criterion"]
    if criterion is None:
        return f"{entry['family']}; loss after repairing: {losses}"
    return (
        f"{entry['family']}; siblings hold {criterion['bits']:.2f} bits about what the input should be; best advice "
        f"right {criterion['right_without']:.2f} without them, {criterion['right_with']:.2f} with; loss: {losses}"
    )


def _columns(found: Sequence[Row]) -> Columns:
    table = Columns(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    heads = ("method", "loss [95 %]", "advice", "P/R/F1", f"repaired {'/'.join(map(str, BUDGETS))}", "calls", "tokens")
    for head in (*heads, "joint in score", "joint in advice"):
        table.add_column(head, no_wrap=True)
    for row in found:
        words = {each.outcome: _word(each) for each in row.against}
        cells = (
            row.method,
            f"{row.loss:.2f} [{row.low:.2f}, {row.high:.2f}]",
            _share(row.advice),
            "/".join(_share(each) for each in (row.precision, row.recall, row.f1)),
            f"{'/'.join(str(row.repaired[budget]) for budget in BUDGETS)} of {row.seeds}",
            f"{row.calls:.0f}",
            f"{row.tokens:.0f}",
            words.get("score", ""),
            words.get("advice", ""),
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _word(each: Against) -> str:
    """Points, the word seen, and the predicted one: a tick if they agree."""
    if not each.pairs:
        return ""
    told = "" if not each.predicted else " ✓" if each.predicted == each.seen else f" ≠ {each.predicted}"
    return f"{100 * each.difference:+.0f} {each.seen}{told}"


def _levels(cells: Sequence[Cell]) -> Iterator[RenderableType]:
    """Facts alive and bytes by distance from the seed, where worlds are deep."""
    sums: dict[tuple[str, str, str], dict[int, list[int]]] = {}
    for cell in cells:
        for level in cell.levels:
            entry = sums.setdefault((cell.world, cell.scale, cell.method), {}).setdefault(level.distance, [0, 0, 0, 0])
            for index, value in enumerate((level.facts, level.alive, level.told, level.bytes)):
                entry[index] += value
    if not sums:
        return
    yield ""
    yield Text("messages on the way down: share of the facts still told / bytes a message, by level from the seed")
    for (world, scale, method), levels in sums.items():
        told = (
            f"{distance}: {alive / facts if facts else 0:.2f}/{size / messages if messages else 0:.0f}"
            for distance, (facts, alive, messages, size) in levels.items()
            if distance in (1, 2, 4, 8, 16)
        )
        yield plain(f"  {world}, L0 {scale}, {method}: {'  '.join(told)}")


def _agreement(table: Table) -> Iterator[RenderableType]:
    yield Text(f"Agreement of {JOINT} against each method with the committed predictions", style="bold")
    for each in table.agreements:
        both, all_ = each.agreeing
        if not all_:
            continue
        yield f"  {each.outcome}: {both} of {all_} comparisons came out as predicted"
        for word in ("win", "tie", "lose"):
            hit, predicted = each.share(word, of="predicted")
            _, seen = each.share(word, of="seen")
            yield f"    {word}: {hit} of {predicted} predicted were seen; {hit} of {seen} seen were predicted"


# Random worlds -------------------------------------------------------------------------------------------------------


def _scattered(count: int, order: Order, around: Surrounding, screen: Screen) -> Ended:
    order.check()
    answering = _answering(replace(order, plan=replace(order.plan, scales=("inf",))), around)
    found = 0

    def done(point: Point) -> None:
        nonlocal found
        found += 1
        if found % 20 == 0:
            screen.say(f"{found} of {count} random worlds …")

    points = run_loop(partial(run_scatter, count, partial(answering, "inf"), done))
    lines = trends(points)
    document = {
        "schema": RESULT_SCHEMA,
        "claim": CLAIM,
        "simulated": order.provider is None,
        "points": [
            {**asdict(point), "advantage": {name: getattr(point, name) for name in SCATTERED}} for point in points
        ],
        "trends": [asdict(each) for each in lines],
    }
    for file in order.write:
        _write(file, _json(document) if file.suffix == ".json" else csv_of(points).encode())
    screen.show(*scatter_shown(points, lines))
    return Ended({"status": "done", "error": None, **document})


def scatter_shown(points: Sequence[Point], lines: Sequence[Trend]) -> Iterator[RenderableType]:
    """All points of the random worlds, and the trends."""
    yield Text(f" {CLAIM} ", style="bold black on yellow")
    for outcome in SCATTERED:
        yield ""
        yield Text(f"advantage of {JOINT} over alone in {outcome}, {len(points)} random worlds", style="bold")
        yield "\n".join(plot(points, outcome))
    yield ""
    for each in lines:
        yield f"{each.outcome} against {each.against}: Spearman's rho {each.rho:+.2f}, p {each.p:.2g}, n {each.n}"


# Predictions and the list --------------------------------------------------------------------------------------------


def _predict(file: Path, around: Surrounding, screen: Screen) -> Ended:
    """Compute the predictions anew and write them; what the package holds stays as it is."""
    document = predictions()
    _write(file, written(document))
    screen.say(f"predictions of {len(document['worlds'])} worlds are in {file}")
    return Ended({"status": "done", "error": None, **document})


def _listed(screen: Screen) -> Ended:
    document = committed()
    table = Columns(box=None, pad_edge=False, header_style="dim")
    for column in ("world", "family", "what", "bits", "right without", "with"):
        table.add_column(column, overflow="fold")
    for name, world in WORLDS.items():
        found = document["worlds"].get(name, {}).get("criterion") or {}
        figures = [f"{found[key]:.2f}" if found else "–" for key in ("bits", "right_without", "right_with")]
        table.add_row(*(Text(plain(cell)) for cell in (name, world.family, world.description, *figures)))
    screen.show(table, Text(CLAIM))
    known = [{"name": name, "family": world.family, "description": world.description} for name, world in WORLDS.items()]
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, "worlds": known})
