"""A replay: a run is decided again from its journal alone, and compared with what the journal says, byte for byte.

Reads only, and asks nobody: a request or a function's result that is not on record ends it, with its position.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from semprop.engine.errors import ReplayError, StorageError
from semprop.engine.outcomes import Outcome, Position, outcome_of
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.groups import Entries, Entry
from semprop.engine.training.ledger import SOON
from semprop.engine.training.reading import opened
from semprop.engine.training.records import position_text
from semprop.engine.training.runs import Run
from semprop.engine.training.sittings import check
from semprop.engine.training.specification import Specification
from semprop.engine.training.trainer import Trainer
from semprop.providers.base import Request

_INDEXED = """
PRAGMA temp_store=MEMORY;
CREATE TEMP TABLE places AS SELECT id, kind, key, position FROM entries
  WHERE kind IN ('outcome', 'fault', 'link');
CREATE INDEX temp.by_position ON places (position);
CREATE INDEX temp.by_key ON places (key) WHERE kind = 'outcome';
"""
_PLACED = "SELECT id FROM places WHERE position = ? ORDER BY kind = 'link', id LIMIT 1"
_KEYED = "SELECT id FROM places WHERE kind = 'outcome' AND key = ? ORDER BY id LIMIT 1"


class Recording:
    """A ledger that only gives what is on record, and compares what is decided with it. Close it."""

    replaying = True
    durable = 0

    def __init__(self, run: Run) -> None:
        """
        Raises:
            StorageError: the journal cannot be read.
        """
        self._run = run
        self.compared = 0
        try:
            self._connection = opened(run.path)
            self._connection.executescript(_INDEXED)
            self._entries = Entries(self._connection)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def recorded(self, position: Position) -> tuple[str, Outcome] | None:
        """The key and outcome at a position."""
        found = self._record(_PLACED, position_text(position))
        if found is None:
            return None
        key = str(found.key)
        outcome = self.stored(key) if found.body is None else _outcome(found)
        return None if outcome is None else (key, outcome)

    def decided(self, step: int) -> bool:
        """Whether this step's verdict is on record."""
        return self._row("SELECT 1 FROM decisions WHERE kind = 'verdict' AND step = ?", (step,)) is not None

    def stored(self, key: str) -> Outcome | None:
        """The usable outcome of this key, if there is one."""
        found = self._record(_KEYED, key)
        return None if found is None else _outcome(found)

    def intend(self, position: Position, key: str, role: str, request: Request) -> int:
        """Nobody is asked.

        Raises:
            ReplayError: always.
        """
        raise ReplayError(f"the replay asks what is not on record, at {position}: nothing was sent")

    async def reach(self, mark: int, patience: float = SOON) -> None:
        """Nothing is written."""

    def charge(self, position: Position, key: str, attempts: int, spent: Mapping[str, float] | None, more: bool) -> int:
        """Nothing is written."""
        return 0

    def answer(self, position: Position, key: str, outcome: Outcome) -> int:
        """Nothing new comes.

        Raises:
            ReplayError: always.
        """
        raise ReplayError(f"the replay computed what is not on record, at {position}")

    async def settle(self, position: Position, key: str, outcome: Outcome) -> None:
        """The same."""
        self.answer(position, key, outcome)

    def link(self, position: Position, key: str) -> None:
        """Nothing is written."""

    def decide(self, step: int, kind: str, name: str, body: dict[str, Any]) -> None:
        """Compare a decision with the one on record.

        Raises:
            ReplayError: it is another one, or there is none.
        """
        place = f"{kind} of step {step} ({name or 'whole step'})"
        row = self._row("SELECT body FROM decisions WHERE kind = ? AND step = ? AND name = ?", (kind, step, name))
        if row is None:
            raise ReplayError(f"the replay decided what is not on record: {place}")
        recorded, now = orjson.dumps(unpacked(row[0])), orjson.dumps(body)
        if recorded != now:
            told = first_difference(recorded, now)
            raise ReplayError(f"the replay decided otherwise than the journal: {place}: {told}")
        self.compared += 1

    async def flush(self) -> None:
        """Nothing is written."""

    async def close(self) -> None:
        """Whoever made it closes it."""

    def _record(self, query: str, value: str) -> Entry | None:
        row = self._row(query, (value,))
        try:
            return None if row is None else self._entries.find(row[0])
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _row(self, query: str, values: tuple[Any, ...]) -> Any:
        try:
            return self._connection.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(f"the journal in {self._run.path} cannot be read: {error}")


def _outcome(entry: Entry) -> Outcome:
    if entry.body is None:
        raise StorageError(f"record {entry.id} holds no outcome")
    return outcome_of(unpacked(entry.body))


def first_difference(recorded: bytes, now: bytes) -> str:
    """Where two documents first differ, and how they go on there."""
    place = next((at for at, pair in enumerate(zip(recorded, now, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(recorded), len(now)) if place is None else place
    start = max(0, at - 20)
    told, found = (text[start : at + 40].decode(errors="replace") for text in (recorded, now))
    return f"from byte {at} on {told!r} is on record, and the replay has {found!r}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay went through: steps, decisions that were compared, and whether the run's result was, too."""

    steps: int
    decisions: int
    whole: bool


async def replay(spec: Specification, run: Run) -> Replayed:
    """Decide a run again from its journal alone, as far as that goes, and compare.

    Args:
        spec: what the run is; its providers are not asked, and `run` in it is None.

    Raises:
        UsageError: the journal holds another run.
        ReplayError: something is decided otherwise; the message says what first, and how.
        StorageError: the journal cannot be read.
    """
    check(run, spec)
    with Recording(run) as recording:
        async with Trainer(spec, recording=recording) as trainer:
            while recording.decided(len(trainer.steps)):
                await anext(trainer)
            if not run.is_finished:
                return Replayed(len(trainer.steps), recording.compared, whole=False)
            result = await trainer.report()
        recorded, now = (orjson.dumps(part) for part in (run.meta("result")["result"], result.result_document()))
        if recorded != now:
            raise ReplayError(f"the replay has another result than the journal: {first_difference(recorded, now)}")
        return Replayed(len(trainer.steps), recording.compared, whole=True)
