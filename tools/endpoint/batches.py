"""The batches of a mock endpoint: files, batches and their rows, as OpenAI's and Anthropic's batch APIs keep them.

Takes what was posted and the time; gives documents and lines of results. Sends nothing: `batch_pages` knows the paths.
A batch takes as long as `[batch]` says, each of its rows a share of that; what is to become of a row is drawn from
(seed, number of the batch, custom id). Results come in an order of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from semprop.tools.endpoint.endpoint import BatchedRow, Endpoint
from semprop.tools.endpoint.latency import chance, drawn
from semprop.tools.endpoint.settings import BatchSettings
from semprop.tools.endpoint.wires import WIRES

DAY = 86_400
MOST = {"openai": 50_000, "anthropic": 100_000}
"""Requests of one batch."""


class Fate(StrEnum):
    """What becomes of a row."""

    ANSWERED = "answered"
    ERRORED = "errored"
    EXPIRED = "expired"
    MISSING = "missing"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file, or one of results."""

    id: str
    name: str
    purpose: str
    data: bytes
    created: int

    def document(self) -> dict[str, Any]:
        """As the service shows it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One request of a batch; `finish` is the share of the batch's time after which it is over."""

    custom_id: str
    path: str
    body: bytes
    finish: float
    fate: Fate


@dataclass(slots=True)
class Batch:
    """A batch. Times are seconds since the endpoint's start; `wall` is when it was made, in seconds since 1970."""

    id: str
    number: int
    dialect: str
    created: float
    wall: float
    seconds: float
    rows: tuple[Row, ...]
    input_file: str = ""
    endpoint: str = ""
    metadata: Mapping[str, str] | None = None
    errors: tuple[dict[str, Any], ...] = ()
    cancelled: float | None = None
    results: tuple[bytes, ...] | None = None
    fates: tuple[Fate, ...] = ()
    output_file: str | None = None
    error_file: str | None = None

    @property
    def ends(self) -> float:
        """When it is over."""
        whole = self.created + self.seconds
        return whole if self.cancelled is None else min(whole, self.cancelled)

    @property
    def is_over(self) -> bool:
        return self.results is not None

    def share(self, now: float) -> float:
        """Of its time, how much is gone."""
        return 1.0 if not self.seconds else min(1.0, (now - self.created) / self.seconds)


@dataclass(slots=True)
class Batches:
    """All of them. `watch` is told of every step, before and after it is taken."""

    endpoint: Endpoint
    settings: BatchSettings
    watch: Callable[[str], bool]
    files: dict[str, File] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)

    def upload(self, name: str, purpose: str, data: bytes, wall: float) -> File:
        """Keep a file."""
        number = sum(file.purpose != "batch_output" for file in self.files.values()) + 1
        return self._kept(File(f"file-{number:06d}", name, purpose, data, int(wall)))

    def create(self, draft: Batch) -> Batch:
        """Take a batch in; its number, time and the fates of its rows are given to it here."""
        number = len(self.batches) + 1
        seed = self.endpoint.config.seed
        seconds = drawn(self.settings.seconds, seed, "batch", number)
        rows = tuple(
            replace(row, finish=chance(seed, "finish", number, row.custom_id), fate=self._fate(number, row.custom_id))
            for row in draft.rows
        )
        prefix = "batch_" if draft.dialect == "openai" else "msgbatch_"
        batch = replace(draft, id=f"{prefix}{number:06d}", number=number, seconds=seconds, rows=rows)
        self.batches[batch.id] = batch
        return batch

    def advance(self, now: float) -> None:
        """End every batch whose time is up, in the order in which they end."""
        due = [batch for batch in self.batches.values() if not batch.is_over and batch.ends <= now]
        for batch in sorted(due, key=lambda batch: (batch.ends, batch.number)):
            self._end(batch)

    def listed(self, dialect: str, now: float) -> list[Batch]:
        """The batches that a listing shows, the latest first; a new one only after a while."""
        shown = [batch for batch in self.batches.values() if batch.dialect == dialect]
        return [batch for batch in reversed(shown) if now - batch.created >= self.settings.listed]

    def unused(self) -> list[str]:
        """Uploaded files that no batch was made of."""
        used = {batch.input_file for batch in self.batches.values()}
        return [file.id for file in self.files.values() if file.purpose == "batch" and file.id not in used]

    def summary(self) -> Mapping[str, int]:
        """Counts, for the page of health."""
        return {
            "files": len(self.files),
            "batches": len(self.batches),
            "rows": sum(len(batch.rows) for batch in self.batches.values()),
            "over": sum(batch.is_over for batch in self.batches.values()),
        }

    def _fate(self, number: int, custom_id: str) -> Fate:
        settings = self.settings
        at = chance(self.endpoint.config.seed, "fate", number, custom_id)
        for fate, share in (
            (Fate.ERRORED, settings.errored),
            (Fate.EXPIRED, settings.expired),
            (Fate.MISSING, settings.missing),
        ):
            if at < share:
                return fate
            at -= share
        return Fate.ANSWERED

    def _end(self, batch: Batch) -> None:
        """Answer its rows, note them in the ledger, and write its results."""
        at, seconds = batch.ends, batch.seconds
        fates: list[Fate] = []
        answered: list[bytes] = []
        failed: list[bytes] = []
        for row in batch.rows if not batch.errors else ():
            fate = row.fate
            if batch.cancelled is not None and batch.created + row.finish * seconds > batch.cancelled:
                fate = Fate.CANCELED
            computed = fate in (Fate.ANSWERED, Fate.ERRORED, Fate.MISSING)
            wire = next(wire for wire in WIRES if wire.takes(row.path))
            batched = BatchedRow(batch.id, row.path, row.body, fate is Fate.ERRORED, computed)
            done = self.endpoint.batched(batched, wire, batch.created, at, batch.wall)
            if fate is Fate.ANSWERED and done.status != 200:
                fate = Fate.ERRORED
            fates.append(fate)
            if fate is not Fate.MISSING:
                line = _line(batch.dialect, row, fate, done.status, done.body, done.request)
                (answered if fate is Fate.ANSWERED else failed).append(line)
        batch.fates = tuple(fates)
        if batch.dialect == "anthropic":
            batch.results = self._mixed(batch, answered + failed)
            return
        output, errors = self._mixed(batch, answered), self._mixed(batch, failed)
        batch.output_file = self._written(batch, "output", output)
        batch.error_file = self._written(batch, "error", errors)
        batch.results = output + errors

    def _mixed(self, batch: Batch, lines: list[bytes]) -> tuple[bytes, ...]:
        """In an order of their own; some of them twice, and some of somebody else's, if the settings want that."""
        seed, number, settings = self.endpoint.config.seed, batch.number, self.settings
        mixed = sorted(lines, key=lambda line: hashlib.blake2b(line, digest_size=8).digest())
        twice = [line for line in mixed if chance(seed, "twice", number, line) < settings.duplicated]
        foreign = [
            b'{"id":"batch_req_x","custom_id":"nobody-%d","response":null,"error":null,"result":{"type":"expired"}}\n'
            % at
            for at, line in enumerate(mixed)
            if chance(seed, "foreign", number, line) < settings.foreign
        ]
        return (*mixed, *twice, *foreign)

    def _written(self, batch: Batch, what: str, lines: tuple[bytes, ...]) -> str | None:
        if not lines:
            return None
        name = f"{batch.id}_{what}.jsonl"
        return self._kept(File(f"file-{batch.id}-{what}", name, "batch_output", b"".join(lines), int(batch.wall))).id

    def _kept(self, file: File) -> File:
        self.files[file.id] = file
        return file


def _line(dialect: str, row: Row, fate: Fate, status: int, body: bytes, request: str) -> bytes:
    document = orjson.loads(body) if body else None
    if dialect == "anthropic":
        return orjson.dumps({"custom_id": row.custom_id, "result": _result(fate, status, document)}) + b"\n"
    response: dict[str, Any] | None = {"status_code": status, "request_id": request, "body": document}
    error: dict[str, str] | None = None
    if fate in (Fate.EXPIRED, Fate.CANCELED):
        code = "batch_expired" if fate is Fate.EXPIRED else "batch_cancelled"
        error = {"code": code, "message": "This request could not be executed before the batch ended."}
        response = None
    line = {"id": f"batch_req_{request}", "custom_id": row.custom_id, "response": response, "error": error}
    return orjson.dumps(line) + b"\n"


def _result(fate: Fate, status: int, document: Any) -> dict[str, Any]:
    if fate in (Fate.EXPIRED, Fate.CANCELED):
        return {"type": str(fate)}
    if status == 200:
        return {"type": "succeeded", "message": document}
    return {"type": "errored", "error": document}
