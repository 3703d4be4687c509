"""`semprop bench gates`: simulates races and runs under every gate, beside the figures that are claimed for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.bench.simulation.figures import Figure, shown, size, word
from semprop.bench.simulation.scale import Scale
from semprop.bench.simulation.studies import STUDIES, Study, chosen
from semprop.engine.errors import UsageError
from semprop.tools.exits import Ended
from semprop.tools.files import write_file
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen, plain

Work = Callable[[Surrounding, Screen], Ended]

FULL = Scale()
FORMS = (".json", ".md")


def gates(
    studies: Annotated[str, typer.Option(help=f"only these, by comma: {', '.join(STUDIES)}", metavar="NAME,…")] = "",
    runs: Annotated[int, typer.Option(min=2, help="simulated runs a gate")] = FULL.runs,
    races: Annotated[int, typer.Option(min=2, help="simulated races a setting")] = FULL.races,
    checked: Annotated[
        int, typer.Option(min=2, help="races a setting that the gates decide row by row")
    ] = FULL.checked,
    seed: Annotated[int, typer.Option(help="of all draws")] = FULL.seed,
    write: Annotated[
        list[Path] | None, typer.Option(help="write the tables to a file that ends in .json or .md; may be repeated")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Work:
    """Simulate what each gate lets pass, what it finds, what it saves, and by how much its figures overstate."""
    names = chosen([name.strip() for name in studies.split(",") if name.strip()])
    return partial(simulate, names, Scale(runs, races, checked, seed), tuple(write or ()))


def simulate(
    names: tuple[str, ...], scale: Scale, files: tuple[Path, ...], around: Surrounding, screen: Screen
) -> Ended:
    """Carry the studies out, show them, and write them to the files after each."""
    for file in files:
        if file.suffix not in FORMS:
            raise UsageError(f"{file} ends in none of {', '.join(FORMS)}: its ending says what is written")
    began, figures = time.monotonic(), list[Figure]()
    telling = Scale(scale.runs, scale.races, scale.checked, scale.seed, screen.say)
    study = Study((), scale, command(names, scale), 0.0)
    for name in names:
        found = tuple(STUDIES[name](telling))
        figures += found
        study = Study(tuple(figures), scale, study.command, time.monotonic() - began)
        screen.show(*tables(found))
        for file in files:
            _write(file, study)
    screen.show("", *(Text(line, style="dim") for line in study.conditions()))
    return Ended({"status": "done", "error": None, **study.document()})


def command(names: tuple[str, ...], scale: Scale) -> str:
    """What gives these figures again."""
    words = ["semprop bench gates"]
    if names != tuple(STUDIES):
        words.append(f"--studies {','.join(names)}")
    sizes = {name: (getattr(scale, name), getattr(FULL, name)) for name in ("runs", "races", "checked", "seed")}
    words += [f"--{name} {size}" for name, (size, full) in sizes.items() if size != full]
    return " ".join(words)


_COLOURS = {"holds": "green", "wrong": "bold red", "": "dim"}


def tables(figures: tuple[Figure, ...]) -> Iterator[RenderableType]:
    """The figures for people, a table each."""
    for name in dict.fromkeys(entry.table for entry in figures):
        yield ""
        yield Text(plain(name), style="bold")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("what", "ours", "n", "claimed", ""):
            table.add_column(column, overflow="fold")
        for entry in figures:
            if entry.table == name:
                told = f"{entry.what} ({entry.note})" if entry.note else entry.what
                cells = (told, shown(entry), size(entry), entry.claimed)
                table.add_row(*(plain(cell) for cell in cells), Text(word(entry), _COLOURS[word(entry)]))
        yield table


def _write(file: Path, study: Study) -> None:
    if file.suffix == ".json":
        data = orjson.dumps(study.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    else:
        data = study.markdown().encode()
    write_file(file, data)
