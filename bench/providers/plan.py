"""What `semprop bench providers FILE` is told: endpoints, loads, a workload, when to stop. Reads TOML; asks nobody.

[benchmark]
prompt_bytes = 1000            # or: task = "gsm8k", examples = 50; or: run = "semprop-runs/…"
max_tokens = 100
requests = 200                 # of each endpoint under each load; also: seconds, errors, usd
blocks = 4                     # endpoints take turns A B A B …, so many times
warmup = 2
objectives = { first_token = 0.5, total = 3.0 }
[[load]]
form = "concurrency"           # constant, poisson: units a second; ramp: from, to, seconds; sweep: points, most
at = 8
[provider.fast]
spec = "openai:gpt-4o-mini"
stream = true
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from semprop.bench.providers.metrics import Objectives
from semprop.bench.providers.shapes import Form, Shape
from semprop.engine.errors import UsageError
from semprop.providers.specification import POOL, Specification, check_one_model, tables


@dataclass(frozen=True, slots=True)
class Sweep:
    """From one unit at once to `most` at once, then `points` constant rates between what these two gave."""

    points: int
    most: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """When an endpoint is done with a load: so many units, seconds, or failed calls, whichever comes first."""

    requests: int = 100
    seconds: float = 300.0
    errors: int = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """A benchmark of providers.

    Attributes:
        providers: in the order in which they take turns.
        loads: shapes and sweeps, in their order.
        task, run: where the work comes from; both "": prompts of `prompt_bytes`.
        examples: of the task, at most.
        usd: the most that everything may cost; None: no cap.
        quota: the share of a stated limit that may be used.
        blocks: how often endpoints take turns within a load.
        warmup: units before each load that are not counted (connections, caches, cold starts).
    """

    providers: tuple[Specification, ...]
    loads: tuple[Shape | Sweep, ...]
    stopping: Stopping = Stopping()
    objectives: Objectives = Objectives()
    task: str = ""
    run: str = ""
    examples: int = 50
    prompt_bytes: int = 1_000
    max_tokens: int = 100
    usd: float | None = None
    quota: float = 1.0
    blocks: int = 4
    warmup: int = 2
    seed: int = 0


_OWN = ("task", "run", "examples", "prompt_bytes", "max_tokens", "usd", "quota", "blocks", "warmup", "seed")
_STOPPING = tuple(each.name for each in fields(Stopping))


def load(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        UsageError: it cannot be read, or holds something that no benchmark takes; the message names place and mend.
        StopError: a provider's table is at fault (CONFIGURATION).
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}; give the path of a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return plan_of(document, str(path))


def plan_of(document: Mapping[str, Any], where: str) -> Plan:
    """The same from a parsed document; `where` names it in faults.

    Raises:
        UsageError, StopError: as `load`.
    """
    others = [name for name in document if name not in ("benchmark", "load", "provider", POOL)]
    if others:
        raise UsageError(
            f"{where}: [{others[0]}] is unknown; there are [benchmark], [[load]], [provider.NAME] and [pool.NAME]"
        )
    named = {kind: document[kind] for kind in ("provider", POOL) if kind in document}
    providers = tuple(tables(named, where).values())
    for each in providers:
        check_one_model(each)
    if not providers:
        raise UsageError(f'{where}: no provider: write [provider.NAME] with spec = "kind:model"')
    table = _Table(f"{where}, [benchmark]", document.get("benchmark", {}))
    table.only((*_OWN, *_STOPPING, "objectives"))
    loads = tuple(_load(f"{where}, [[load]] {number}", each) for number, each in enumerate(_listed(document, where), 1))
    if table.table.get("task") and table.table.get("run"):
        raise UsageError(f"{table.place}: give either `task` or `run`")
    targets = _Table(f"{table.place}, objectives", table.table.get("objectives", {}))
    targets.only(tuple(each.name for each in fields(Objectives)))
    return Plan(
        providers=providers,
        loads=loads or (Shape(Form.CONCURRENCY, 8),),
        stopping=Stopping(
            requests=table.count("requests", 100),
            seconds=table.number("seconds", 300.0),
            errors=table.count("errors", 50),
        ),
        objectives=Objectives(**{name: targets.number(name, 0.0) for name in targets.table}),
        task=table.text("task"),
        run=table.text("run"),
        examples=table.count("examples", 50),
        prompt_bytes=table.count("prompt_bytes", 1_000),
        max_tokens=table.count("max_tokens", 100),
        usd=table.number("usd", 0.0) if "usd" in table.table else None,
        quota=_share(table),
        blocks=table.count("blocks", 4),
        warmup=int(table.number("warmup", 2)),
        seed=int(table.number("seed", 0)),
    )


def _share(table: _Table) -> float:
    share = table.number("quota", 1.0)
    if not 0 < share <= 1:
        raise UsageError(f"{table.place}: quota must be a share above 0 and at most 1")
    return share


def _listed(document: Mapping[str, Any], where: str) -> Sequence[object]:
    listed = document.get("load", [])
    if not isinstance(listed, list):
        raise UsageError(f"{where}: write [[load]], with two brackets")
    return listed


def _load(place: str, document: object) -> Shape | Sweep:
    table = _Table(place, document)
    form = table.text("form")
    match form:
        case "sweep":
            table.only(("form", "points", "most"))
            return Sweep(table.count("points", 6), table.count("most", 64))
        case "ramp":
            table.only(("form", "from", "to", "seconds"))
            return Shape(Form.RAMP, table.number("from", 0.0), table.number("to", 0.0), table.number("seconds", 0.0))
        case "concurrency" | "constant" | "poisson":
            table.only(("form", "at"))
            return Shape(Form(form), table.number("at", 0.0))
    raise UsageError(f"{place}: form is {form!r}; there are: {', '.join(Form)}, sweep")


class _Table:
    """One table, read with faults that name its place."""

    def __init__(self, place: str, document: object) -> None:
        if not isinstance(document, dict):
            raise UsageError(f"{place}: it must be a table")
        self.place, self.table = place, document

    def only(self, names: Sequence[str]) -> None:
        """Raise for a key that is none of the names."""
        for name in self.table:
            if name not in names:
                raise UsageError(f"{self.place}: {name!r} is unknown: it takes {', '.join(names)}")

    def text(self, name: str) -> str:
        """A text, "" if there is none."""
        value = self.table.get(name, "")
        if not isinstance(value, str):
            raise UsageError(f"{self.place}: {name!r} must be a text")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number of 0 or more."""
        value = self.table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise UsageError(f"{self.place}: {name!r} must be a number of 0 or more")
        return float(value)

    def count(self, name: str, default: int) -> int:
        """A whole number of 1 or more."""
        value = self.table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{self.place}: {name!r} must be a whole number of 1 or more")
        return value
