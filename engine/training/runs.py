"""Reading a run's journal: what `show`, `export` and `load` need. Opens read-only; works while the run is going on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semprop.engine.errors import StorageError
from semprop.engine.graph_json import Functions, from_json
from semprop.engine.outcomes import Outcome, outcome_of
from semprop.engine.parameters import Parameters, value_of
from semprop.engine.training.journal import FILE_NAME, check_version, unpacked
from semprop.engine.training.program import Program


@dataclass(frozen=True, slots=True)
class Decision:
    """One recorded decision; `body` is the JSON data of `semprop.engine.training.documents`."""

    step: int
    kind: str
    name: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One position of the run: the request as it was sent, and its outcome (None while it is under way)."""

    position: str
    role: str
    request: dict[str, Any]
    outcome: Outcome | None


class Run:
    """A recorded run.

    Raises:
        StorageError: the directory holds no journal of this version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_version(self.path)

    def meta(self, name: str) -> Any:
        """A fact about the whole run: `specification`, `graph`, `environment`, `status`, `result`; None if unknown."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        return unpacked(rows[0][0]) if rows else None

    def decisions(self, kind: str, step: int | None = None) -> tuple[Decision, ...]:
        """Decisions of a kind, in the order in which they were taken."""
        where = "kind = ?" if step is None else "kind = ? AND step = ?"
        values = (kind,) if step is None else (kind, step)
        rows = self._rows(f"SELECT step, kind, name, body FROM decisions WHERE {where} ORDER BY id", values)
        return tuple(Decision(step, kind, name, unpacked(body)) for step, kind, name, body in rows)

    def exchanges(self) -> Iterator[Exchange]:
        """Every request of the run with its outcome: answered positions as they were answered, then those under way."""
        rows = self._rows(
            "SELECT p.position, r.role, r.body, o.body, p.failure, 0 AS open, p.rowid AS place FROM positions p "
            "JOIN requests r ON r.key = p.key LEFT JOIN outcomes o ON o.key = p.key "
            "UNION ALL SELECT i.position, r.role, r.body, NULL, NULL, 1, min(i.id) FROM intents i "
            "JOIN requests r ON r.key = i.key WHERE i.position NOT IN (SELECT position FROM positions) "
            "GROUP BY i.position ORDER BY open, place",
            (),
        )
        for position, role, request, outcome, failure, _, _ in rows:
            body = failure if failure is not None else outcome
            yield Exchange(position, role, unpacked(request), None if body is None else outcome_of(unpacked(body)))

    @property
    def initial(self) -> Parameters:
        """The parameter values that the run started from."""
        values = self.meta("specification")["initial"]
        return Parameters({name: value_of(document) for name, document in values.items()})

    @property
    def parameters(self) -> Parameters:
        """The latest accepted parameter values."""
        latest = self.decisions("parameters")
        if not latest:
            return self.initial
        return Parameters({name: value_of(document) for name, document in latest[-1].body.items()})

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        file = self.path / FILE_NAME
        try:
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{file} cannot be read: {error}") from error


def load(path: Path | str, functions: Functions | None = None) -> Program:
    """The graph of a run under its latest accepted parameters, to be called in production.

    Args:
        functions: function node → callable, for graphs that have function nodes (a journal holds no code).

    Raises:
        StorageError: the directory holds no run.
        GraphError: a function is missing.
    """
    run = Run(path)
    return Program(from_json(run.meta("graph"), functions), run.parameters)
