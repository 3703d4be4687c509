"""Whether the records of a run agree with each other: what can be checked of any protocol, without asking it anew.

A body that was damaged is found by its checksum (`salvage`); what stands beside the bodies, and what follows from what,
is looked at here: a reply belongs to the request at its place, a link leads to a reply, accepted edits give the
parameters that the run went on with, and the result says what the decisions say. Reads only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import orjson

from semprop.engine.errors import SempropError
from semprop.engine.parameters import Parameters, document_of, value_of
from semprop.engine.training.reading import opened, unreadable
from semprop.engine.training.records import Kind
from semprop.engine.training.runs import Decision, Run

_FIELDS = (int, str, str, str, str, str, int, int)
"""Of a position, in their order."""

_KEYS = (
    "SELECT o.id, o.position FROM entries o JOIN entries i ON i.position = o.position AND i.kind = 'intent' "
    "WHERE o.kind IN ('outcome', 'fault') GROUP BY o.id HAVING max(i.key = o.key) = 0 ORDER BY o.id"
)
_LINKS = (
    "SELECT id, position FROM entries WHERE kind = 'link' AND key NOT IN "
    "(SELECT key FROM entries WHERE kind = 'outcome' AND key IS NOT NULL) ORDER BY id"
)


def disagreements(run: Run) -> tuple[str, ...]:
    """What in a run's journal contradicts something else in it, in words; nothing if all agrees.

    Raises:
        StorageError: it cannot be read.
    """
    return (*_of_records(run), *_of_decisions(run))


def _of_records(run: Run) -> list[str]:
    try:
        with closing(opened(run.path)) as connection:
            return [*_misplaced(connection), *_unlinked(connection)]
    except sqlite3.Error as error:
        raise unreadable(run.path, error) from error


def _misplaced(connection: sqlite3.Connection) -> Iterator[str]:
    for place, kind, position in connection.execute("SELECT id, kind, position FROM entries ORDER BY id"):
        if kind not in tuple(Kind):
            yield f"record {place} is of no known kind: {kind!r}"
        elif kind not in (Kind.TEXT, Kind.NOTE) and not _is_position(position):
            yield f"record {place} ({kind}) is at no position of a run: {position!r}"


def _is_position(text: object) -> bool:
    try:
        fields = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return False
    return isinstance(fields, list) and tuple(map(type, fields)) == _FIELDS


def _unlinked(connection: sqlite3.Connection) -> Iterator[str]:
    # The join finds its rows by position: a file that was written once has no index, and its readers write none.
    connection.execute("PRAGMA automatic_index=ON")
    for place, position in connection.execute(_KEYS):
        yield f"record {place} is the reply to another request than the one at {position}"
    for place, position in connection.execute(_LINKS):
        yield f"record {place} says that {position} is answered by a reply that is not on record"


def _of_decisions(run: Run) -> Iterator[str]:
    """Steps are followed from the initial parameters on, by the edits that were accepted."""
    if run.meta("specification") is None:
        return  # A proxy decides nothing.
    try:
        known = run.initial
        proposals = {entry.step: entry for entry in run.decisions("proposals")}
        parameters = {entry.step: entry for entry in run.decisions("parameters")}
        for verdict in run.decisions("verdict"):
            after = _after(known, verdict, proposals.get(verdict.step))
            if after is None:
                yield f"step {verdict.step + 1} accepted a candidate that is not among its proposals"
                return
            known = after
            if verdict.body["parameters"] != known.hash:
                yield f"the parameters after step {verdict.step + 1} are not those that its accepted edits give"
                return
            noted = parameters.get(verdict.step)
            if noted is not None and noted.body != _documents(known):
                yield f"the parameters noted after step {verdict.step + 1} are not those of its verdict"
        yield from _of_result(run, known)
    except (SempropError, KeyError, TypeError) as error:
        yield f"the decisions cannot be followed: {type(error).__name__}: {error}"


def _after(before: Parameters, verdict: Decision, proposals: Decision | None) -> Parameters | None:
    """The parameters after a step; None if it accepted what nobody proposed."""
    accepted = verdict.body["accepted"]
    if accepted is None:
        return before
    candidates = [] if proposals is None else proposals.body["candidates"]
    edits = next((entry["edits"] for entry in candidates if entry["id"] == accepted), None)
    if edits is None:
        return None
    return before.replaced({edit["parameter"]: value_of(edit["after"]) for edit in edits})


def _of_result(run: Run, known: Parameters) -> Iterator[str]:
    document = run.meta("result")
    if document is None:
        return
    result: Mapping[str, Any] = document["result"]
    if {name: sides["after"] for name, sides in result["parameters"].items()} != _documents(known):
        yield "the parameters of the result are not those after the last step"
    told = [(step["index"], step["verdict"]) for step in result["steps"]]
    if told != [(entry.step, entry.body["decision"]) for entry in run.decisions("verdict")]:
        yield "the steps of the result are not those that were decided"
    held_out = [entry.body for entry in run.decisions("held_out")]
    if result["held_out"] is not None and result["held_out"] not in held_out:
        yield "the held-out figures of the result are not those that were decided"


def _documents(parameters: Parameters) -> dict[str, Any]:
    return {name: orjson.loads(orjson.dumps(document_of(parameters[name]))) for name in parameters}
