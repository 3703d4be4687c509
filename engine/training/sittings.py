"""The beginning and the end of a sitting: one stretch in which a process carries a run on.

A run may take several sittings. Each is noted in the journal when it begins and when it ends in order; what one that
was killed had used is read off its rows, so the telemetry of a run is that of all its sittings.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import structlog

from semprop.engine.graph_json import to_json
from semprop.engine.training.frames import Log, log_of
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import Ledger, MemoryLedger
from semprop.engine.training.lock import Lock, hold
from semprop.engine.training.places import check_local
from semprop.engine.training.resuming import Difference, check_same, differences
from semprop.engine.training.runs import Decision, Run
from semprop.engine.training.specification import Specification, document_of_specification
from semprop.engine.training.telemetry import Telemetry

log = structlog.get_logger("semprop")

SITTING, SITTING_END = "sitting", "sitting_end"


@dataclass(frozen=True, slots=True)
class Sitting:
    """A sitting that has begun.

    Attributes:
        ledger: what it writes to.
        lock: what keeps others from writing; None if nothing is on disk.
        number: from 0.
        seconds: what all sittings before took.
    """

    ledger: Ledger
    lock: Lock | None = None
    number: int = 0
    seconds: float = 0.0

    def end(self, seconds: float) -> None:
        """Note how long it took, if it is on disk."""
        if self.lock is not None:
            self.ledger.decide(self.number, SITTING_END, "", {"seconds": round(seconds, 3)})

    async def close(self) -> None:
        """Write what is queued, and let go of the run."""
        try:
            await self.ledger.close()
        finally:
            if self.lock is not None:
                self.lock.close()


async def begin(spec: Specification, telemetry: Telemetry, resume: bool) -> Sitting:
    """Begin a sitting: the first of a new run, or the next of one that is resumed.

    Args:
        telemetry: is told what earlier sittings called.

    Raises:
        UsageError: the run directory exists, and `resume` was not asked for; another process writes it; or it holds
            another run than this one.
        StorageError: it cannot be written, or holds no journal of this version.
    """
    if spec.run is None:
        log.info("this run is kept in memory only: give it a directory (run=…) to show or export it")
        return Sitting(MemoryLedger())
    check_local(spec.run)
    if resume:
        return await _again(spec, telemetry)
    ledger = await Journal.create(spec.run, meta_of(spec))
    try:
        lock = hold(spec.run)
    except BaseException:
        await ledger.close()
        raise
    _note(ledger, 0)
    return Sitting(ledger, lock)


async def _again(spec: Specification, telemetry: Telemetry) -> Sitting:
    assert spec.run is not None, "there is something to resume"
    run = Run(spec.run)
    ledger: Journal | None = None
    lock = hold(spec.run)
    try:
        check(run, spec)
        _warn_of(log_of(spec.run), spec.run)
        ledger = await Journal.reopen(spec.run)
        for call in run.calls():
            telemetry.earlier(call.position, call.role, call.outcome, call.unanswered, call.lost)
        number = 1 + max((entry.step for entry in run.decisions(SITTING)), default=-1)
        seconds = seconds_of(run)
        _note(ledger, number)
        ledger.describe("status", "running")
    except BaseException:
        try:
            if ledger is not None:
                await ledger.close()
        finally:
            lock.close()  # Not before: what is queued is written until then.
        raise
    return Sitting(ledger, lock, number, seconds)


def _warn_of(beside: Log, path: Path) -> None:
    """SQLite reads a damaged log up to the damage, and says nothing of the rest."""
    if beside.is_damaged:
        told = f"{beside.lost} pages are not read: what they held is asked again, and what it cost is not known"
        log.warning("journal_log_damaged", run=str(path), told=told, look=f"semprop verify {path}")


def check(run: Run, spec: Specification) -> None:
    """Make sure that a specification is the one of a recorded run.

    Raises:
        UsageError: it is not; the message names every field.
    """
    check_same(*_both(run, spec), written_by(run))


def written_by(run: Run) -> str:
    """The version of the program that began a run."""
    environment = run.meta("environment") or {}
    return str(environment.get("semprop", "of an unknown version"))


def changes(run: Run, spec: Specification) -> tuple[Difference, ...]:
    """What makes a specification another one than that of a recorded run, field by field."""
    return differences(*_both(run, spec))


def _both(run: Run, spec: Specification) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recorded specification and the present one, each with its graph."""
    recorded = {**run.specification, "graph": _by_name(run.meta("graph"))}
    return recorded, {**document_of_specification(spec), "graph": _by_name(to_json(spec.graph))}


def _by_name(graph: str) -> dict[str, Any]:
    """A graph's document with names for its parts, so that a difference can be named."""
    document: dict[str, Any] = orjson.loads(graph)
    named = {part: {entry["name"]: entry for entry in document[part]} for part in ("parameters", "nodes")}
    return {**document, **named}


def _note(ledger: Journal, number: int) -> None:
    body = {
        "at": ledger.stamp(),
        "after": ledger.last,
        "semprop": version("semprop"),
        "python": platform.python_version(),
    }
    ledger.decide(number, SITTING, "", body)


def seconds_of(run: Run) -> float:
    """What all sittings of a run took; of one that was killed, until the last row that it wrote.

    Times of one sitting are of one clock, which nobody sets; between two sittings the machine's clock may have been
    set, so rows belong to a sitting by their numbers. Journals of before that noted no numbers: there times decide.
    """
    begun = run.decisions(SITTING)
    ended = {entry.step: float(entry.body["seconds"]) for entry in run.decisions(SITTING_END)}
    total = 0.0
    for entry, following in zip(begun, [*begun[1:], None], strict=False):
        if entry.step in ended:
            total += ended[entry.step]
        else:
            total += max(0.0, _last_written(run, entry, following) - float(entry.body["at"]))
    return total


def _last_written(run: Run, sitting: Decision, following: Decision | None) -> float:
    body, until = sitting.body, None if following is None else following.body
    if "after" in body and (until is None or "after" in until):
        found = run.last_of(body["after"], None if until is None else until["after"])
        return float(body["at"]) if found is None else found
    return run.last_written(float(body["at"]), None if until is None else float(until["at"]))


def meta_of(spec: Specification) -> dict[str, Any]:
    """What the journal says of the run as a whole."""
    return {
        "specification": document_of_specification(spec),
        "recipe": None if spec.recipe is None else dict(spec.recipe),
        "graph": to_json(spec.graph),
        "environment": {
            "semprop": version("semprop"),
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        "status": "running",
    }
