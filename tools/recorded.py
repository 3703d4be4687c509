"""`semprop show`, `export` and `runs`: what a run's journal holds, for people and as files. Calls no model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import orjson
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.engine.errors import RunError, SempropError, StorageError, UsageError
from semprop.engine.graph_json import Differentiable, from_json, mermaid
from semprop.engine.parameters import Parameters, document_of
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.runs import Run
from semprop.engine.training.sittings import seconds_of
from semprop.engine.training.telemetry import Telemetry
from semprop.tools import reasons, render
from semprop.tools.exits import Ended
from semprop.tools.files import write_file
from semprop.tools.preparing import run_in
from semprop.tools.screen import Screen, plain


@dataclass(frozen=True, slots=True)
class ShowOrder:
    """What to show of a run: `why` names a parameter, `prompts` asks for one request of every kind."""

    run: Path
    why: str | None = None
    prompts: bool = False


def show(order: ShowOrder, screen: Screen) -> Ended:
    """Show a run: its result, or how far it came."""
    run = run_in(order.run)
    document = document_of_run(run)
    if order.why is not None:
        document = {**document, "why": reasons.why(run, order.why)}
    if order.prompts:
        document = {**document, "prompts": list(reasons.prompts(run))}
    if order.why is not None:
        screen.show(*reasons.why_words(order.why, document["why"]))
    if order.prompts:
        screen.show(*reasons.prompt_words(document["prompts"]))
    if order.why is None and not order.prompts:
        screen.show(*render.result(document))
    return Ended(document)


def document_of_run(run: Run) -> dict[str, Any]:
    """The result that a run wrote; for one that did not end, the same frame around what it had decided."""
    known: dict[str, Any] | None = run.meta("result")
    if known is not None:
        return known
    spec = run.meta("specification")
    before, after = run.initial, run.parameters
    return {
        "schema": RESULT_SCHEMA,
        "status": run.status,
        "error": None,
        "run": str(run.path),
        "simulated": _is_simulated(spec),
        "result": {
            "task": spec["task"],
            "method": spec["method"]["name"],
            "seed": spec["seed"],
            "models": spec["models"],
            "parameters": {
                name: {"before": document_of(before[name]), "after": document_of(after[name])} for name in before
            },
            "steps": list(_steps(run)),
            "held_out": None,
            "approximate": None,
            "notes": [],
        },
        "telemetry": _used(run),
    }


def _is_simulated(spec: dict[str, Any]) -> bool:
    """Whether rules played a role; of pools, what they promised says so."""
    promised = [each.get("simulated") for each in spec.get("capabilities", {}).values()]
    return any(promised) or any(identity.startswith("simulated:") for identity in spec["models"].values())


def _used(run: Run) -> dict[str, Any]:
    """What a run has used so far. Its prices are not on record."""
    telemetry = Telemetry()
    for call in run.calls():
        telemetry.earlier(call.position, call.role, call.outcome, call.unanswered, call.lost)
    for position, role, reply in run.unread():
        telemetry.unread(position, role, reply)
    return telemetry.document(seconds_of(run))


def _steps(run: Run) -> Iterator[dict[str, Any]]:
    for verdict in run.decisions("verdict"):
        (selection,) = run.decisions("selection", verdict.step)
        (proposals,) = run.decisions("proposals", verdict.step)
        yield {
            "index": verdict.step,
            "verdict": verdict.body["decision"],
            "reason": verdict.body["reason"],
            "gate": verdict.body["gate"],
            "wrong": len(selection.body["wrong"]),
            "seen": len(selection.body["scored"]),
            "candidates": len(proposals.body["candidates"]),
            "dropped": len(proposals.body["dropped"]),
        }


# runs -----------------------------------------------------------------------------------------------------------------


def list_runs(directory: Path, screen: Screen) -> Ended:
    """List the runs in a directory, oldest first."""
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}: name one that holds runs, or start with semprop optimize")
    found = [path for path in directory.iterdir() if (path / FILE_NAME).is_file() and not path.name.startswith(".")]
    rows = [_row(path) for path in sorted(found, key=_written)]
    screen.show(*_runs_words(directory, rows))
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, "runs": rows})


def _written(path: Path) -> tuple[float, str]:
    file = path / FILE_NAME
    return (file.stat().st_mtime if file.is_file() else 0.0, path.name)


def _row(path: Path) -> dict[str, Any]:
    date = datetime.fromtimestamp(_written(path)[0], UTC).isoformat(timespec="seconds")
    row: dict[str, Any] = {
        "run": str(path),
        "date": date,
        "task": None,
        "status": None,
        "gain": None,
        "cost": None,
        "wasted": None,
    }
    try:
        document = document_of_run(Run(path))
    except SempropError as error:
        return {**row, "status": f"unreadable: {error}"}
    held = document["result"]["held_out"]
    gain = None if held is None else held["difference"]
    telemetry = document["telemetry"] or {}
    cost, waste = telemetry.get("cost"), telemetry.get("waste")
    return {
        **row,
        "task": document["result"]["task"],
        "status": document["status"],
        "gain": gain,
        "cost": cost,
        "wasted": None if waste is None else waste["total"],
    }


def _runs_words(directory: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not rows:
        yield f"no runs in {directory}"
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", no_wrap=True)
    for column in ("task", "status", "gain", "cost", "date"):
        table.add_column(column, overflow="fold")
    for row in rows:
        gain = "" if row["gain"] is None else render.points(row["gain"])
        paid = "" if row["cost"] is None else render.dollars(row["cost"]["usd"], row["cost"]["unpriced_requests"])
        cells = (row["run"], row["task"] or "", row["status"], gain, paid, row["date"])
        table.add_row(*(Text(plain(cell)) for cell in cells))
    yield table


# export ---------------------------------------------------------------------------------------------------------------


def export(path: Path, directory: Path, screen: Screen) -> Ended:
    """Write a run's latest accepted parameters and its graph as files; all of them or none.

    Raises:
        UsageError: the directory holds something.
        StorageError: it cannot be written.
    """
    run = run_in(path)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} exists and is not empty: name a directory that is not there yet")
    files = exported(run)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".export-") as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir(mode=0o700)
            for name, content in files.items():
                write_file(whole / name, content)
            os.replace(whole, directory)
    except OSError as error:
        raise StorageError(f"{directory} cannot be written: {error}; free space there, or name another one") from error
    screen.show(f"{len(files)} files in {directory}: {', '.join(files)}")
    names = [str(directory / name) for name in files]
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, "run": str(path), "files": names})


def exported(run: Run) -> dict[str, bytes]:
    """File name → content: each parameter on its own, all of them as JSON, and the graph with their values."""
    parameters = run.parameters
    files = dict(_parameter_file(name, document_of(value)) for name, value in parameters.items())
    graph = orjson.loads(run.meta("graph"))
    for parameter in graph["parameters"]:
        parameter["value"] = document_of(parameters[parameter["name"]])
    files["parameters.json"] = _json(parameters_document(parameters))
    files["graph.json"] = _json(graph)
    files["graph.mmd"] = _picture(graph).encode()
    return files


def parameters_document(parameters: Parameters) -> dict[str, object]:
    """Parameter values as the JSON data that `--start` and `--parameters` read."""
    return {name: document_of(value) for name, value in parameters.items()}


def _parameter_file(name: str, document: object) -> tuple[str, bytes]:
    if isinstance(document, str):
        return f"{name}.txt", document.encode()
    return f"{name}.value.json" if name in ("parameters", "graph") else f"{name}.json", _json(document)


def _json(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _picture(graph: Mapping[str, Any]) -> str:
    """The graph as Mermaid. A journal holds no code, so its functions are stood in for; a picture calls none."""
    names = [node["name"] for node in graph["nodes"] if node["type"] == "function"]
    return mermaid(from_json(_json(graph), dict.fromkeys(names, Differentiable(_absent, _absent))))


def _absent(**_: object) -> NoReturn:
    raise RunError("a function of an exported graph was called: give its code with functions={name: callable}")
