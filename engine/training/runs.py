"""Reading a run's journal: what `show`, `export` and `load` need. Opens read-only; works while the run is going on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.graph_json import Functions, from_json
from semprop.engine.outcomes import Outcome, Position, outcome_of
from semprop.engine.parameters import Parameters, value_of
from semprop.engine.training.bodies import MEND, unpacked
from semprop.engine.training.calls import Call, call_of
from semprop.engine.training.groups import Entries
from semprop.engine.training.lock import is_running
from semprop.engine.training.program import Program
from semprop.engine.training.reading import Reader, check_version
from semprop.engine.training.records import CALLS, NOTED, SETTLED, expanded, position_text, text_of
from semprop.providers.base import Completion, Note

LOST = "[this text was lost: the record that held it was damaged, and was not salvaged]"
"""Stands in a request that names a text whose record is gone."""


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
        StorageError: the directory holds no journal of a known version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_version(self.path)
        self._reader = Reader(self.path)

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
        with self._reader.connected() as connection, self._whole() as whole:
            find = Entries(connection).find

            def body(place: int | None) -> Any:
                entry = None if place is None else find(place)
                return None if entry is None else entry.body

            for position, role, request, answer in connection.execute(EXCHANGES).fetchall():
                replied = body(answer)
                yield Exchange(
                    position, role, whole(body(request)), None if replied is None else outcome_of(unpacked(replied))
                )

    def calls(self) -> Iterator[Call]:
        """What was sent at each position, or was about to be; in no particular order."""
        batched = {key: None for note in self.notes() for key in note.document.get("keys", ())}
        with self._reader.connected() as connection, self._whole() as whole:
            for position, group in groupby(connection.execute(CALLS), itemgetter(0)):
                rows = list(group)
                told = ((kind, role, body) for _, kind, role, body, _ in rows)
                call = call_of(_at(position), told, whole, any(row[-1] in batched for row in rows))
                if call is not None:
                    yield call

    def last_of(self, after: int, upto: int | None = None) -> float | None:
        """When the last of the records with numbers above `after`, up to `upto`, was noted; None if there is none."""
        most = 2**62 if upto is None else upto
        ((found,),) = self._rows("SELECT max(at) FROM entries WHERE id > ? AND id <= ?", (after, most))
        return None if found is None else float(found)

    def unread(self) -> Iterator[tuple[Position, str, Completion]]:
        """Replies that could not be read and were therefore asked for once more: position, role and reply of each."""
        asked = self._rows(REPAIRS, ())
        roles = {position_text(repaired(Position(*orjson.loads(position)))): role for position, role in asked}
        seen: dict[str, None] = {}
        for position, key, body in self._rows(REPLIES, (orjson.dumps(tuple(roles)).decode(),)):
            outcome = outcome_of(unpacked(body))
            if key not in seen and isinstance(outcome, Completion):
                seen[key] = None
                yield Position(*orjson.loads(position)), roles[position], outcome

    def last_written(self, since: float, until: float | None = None) -> float:
        """When the last row of a request was written in a stretch of time (seconds since 1970); `since` if none was."""
        upto = float("inf") if until is None else until
        ((found,),) = self._rows("SELECT max(at) FROM entries WHERE at BETWEEN ? AND ?", (since, upto))
        return since if found is None else float(found)

    def notes(self) -> tuple[Note, ...]:
        """What providers noted for themselves, batches above all."""
        return tuple(Note(place, unpacked(body)) for place, body in self._rows(NOTED, ()))

    def settled(self) -> dict[str, int]:
        """Content key → the place of the latest outcome or failure of that request."""
        return dict(self._rows(SETTLED, ()))

    @property
    def status(self) -> str:
        """How it ended, or `running`; `killed` if it did not end and nobody carries it on."""
        status = str(self.meta("status"))
        return "killed" if status == "running" and not is_running(self.path) else status

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, so that there is nothing to resume."""
        return self.meta("result") is not None

    @property
    def specification(self) -> dict[str, Any]:
        """What the run is, as its journal says.

        Raises:
            UsageError: it is the journal of something else.
        """
        recorded: dict[str, Any] | None = self.meta("specification")
        if recorded is None:
            raise UsageError(f"{self.path} holds the replies of a proxy, not a run: name a run's directory")
        return recorded

    @property
    def initial(self) -> Parameters:
        """The parameter values that the run started from."""
        values = self.specification["initial"]
        return Parameters({name: value_of(document) for name, document in values.items()})

    @property
    def parameters(self) -> Parameters:
        """The latest accepted parameter values."""
        latest = self.decisions("parameters")
        if not latest:
            return self.initial
        return Parameters({name: value_of(document) for name, document in latest[-1].body.items()})

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._reader.connected() as connection:
            return connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _whole(self) -> Iterator[Callable[[bytes], dict[str, Any]]]:
        """Gives recorded requests with the texts that they name."""
        with self._reader.connected() as connection:
            text = lru_cache(maxsize=1_000)(partial(_text, Entries(connection)))
            yield lambda body: expanded(unpacked(body), text)


def _text(entries: Entries, place: int) -> str:
    entry = entries.find(place)
    return LOST if entry is None or entry.body is None else text_of(unpacked(entry.body))


EXCHANGES = (
    "WITH told AS (SELECT id, kind, key, position, role FROM entries), "
    "asked AS (SELECT key, role, min(id) AS id FROM told WHERE kind = 'intent' GROUP BY key), "
    "kept AS (SELECT key, min(id) AS id FROM told WHERE kind = 'outcome' GROUP BY key) "
    "SELECT position, role, request, answer FROM ("
    "SELECT a.position, r.role, r.id AS request, iif(a.kind = 'link', k.id, a.id) AS answer, "
    "0 AS open, a.kind = 'link' AS linked, min(a.id) AS place "
    "FROM told a JOIN asked r ON r.key = a.key LEFT JOIN kept k ON k.key = a.key "
    "WHERE a.kind IN ('outcome', 'fault', 'link') GROUP BY a.position "
    "UNION ALL SELECT position, role, id, NULL, 1, 0, min(id) FROM told WHERE kind = 'intent' "
    "AND position NOT IN (SELECT position FROM told WHERE kind IN ('outcome', 'fault')) GROUP BY position) "
    "ORDER BY open, linked, place"
)
"""Position and role, and where the request and its answer stand: bodies are read one by one, not sorted."""

REPAIRS = "SELECT position, role FROM entries WHERE kind = 'intent' AND position LIKE '%repair\"%' GROUP BY position"
"""Requests to write a reply again."""

REPLIES = (
    "SELECT a.position, o.key, o.body FROM entries a JOIN entries o ON o.key = a.key AND o.kind = 'outcome' "
    "WHERE a.kind IN ('outcome', 'link') AND a.position IN (SELECT value FROM json_each(?)) ORDER BY o.id"
)
"""What answers positions, which are given as a JSON array of texts: all at once, since each query reads all records."""


def repaired(position: Position) -> Position:
    """Where the reply stands that the request at this position asks to be written again."""
    return position.moved(slot=position.slot.removesuffix("repair").rstrip(":-"))


def _at(position: str) -> Position:
    try:
        return Position(*orjson.loads(position))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise StorageError(f"a row of the journal was damaged on the disk: it is at no position; {MEND}") from error


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
