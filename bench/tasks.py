"""The table of built-in tasks, and the way from a name to a task: built-in, `path.py:task`, or `path.toml`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from semprop.bench import bbh, calibration, cities, gsm8k, liar, regression, sentiment
from semprop.bench.task import Task
from semprop.bench.user_tasks import from_python, from_toml
from semprop.bench.worlds import lookup
from semprop.engine.errors import UsageError

PYTHON = re.compile(r"(?P<path>.+\.py)(?::(?P<attribute>\w+))?")
"""A Python file and what it calls the task; `task`, unless told otherwise."""

OWN = "your own: path.py:task, or path.toml"


def built_in() -> Mapping[str, Task]:
    """Name → task, in the order in which they are listed."""
    return _named(
        (
            sentiment.TASK,
            cities.TASK,
            gsm8k.TASK,
            liar.TASK,
            *bbh.tasks(),
            *lookup.tasks(),
            regression.TASK,
            calibration.TASK,
        )
    )


def _named(tasks: Iterable[Task]) -> Mapping[str, Task]:
    return {task.name: task for task in tasks}


def resolve(name: str) -> Task:
    """The task of this name.

    Raises:
        UsageError: there is none; near matches and all tasks are listed. Or the user's file is not a task.
    """
    known = built_in()
    if name in known:
        return known[name]
    if match := PYTHON.fullmatch(name):
        return from_python(Path(match["path"]), match["attribute"] or "task")
    path = Path(name)
    if path.suffix == ".toml":
        return from_toml(path)
    if path.suffix in (".jsonl", ".ndjson", ".csv", ".tsv", ".json"):
        raise UsageError(
            f"{name} is a data file: describe the task in a TOML file that names it (data = {path.name!r})"
        )
    raise UsageError(_unknown(name, tuple(known)))


def _unknown(name: str, known: tuple[str, ...]) -> str:
    # What stands behind the colon is what people remember.
    by_ending = {task.rpartition(":")[2]: task for task in known}
    near = [
        by_ending[ending] for ending in difflib.get_close_matches(name.rpartition(":")[2], by_ending, n=3, cutoff=0.6)
    ]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"there is no task {name!r}.{hint} Tasks: {', '.join(known)}; {OWN}"
