"""The pages of the batch APIs: which path and method is which step. Knows HTTP's shapes, sends nothing.

OpenAI's: files, batches. Anthropic's: message batches. A base address may stand before each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs

from semprop.tools.endpoint.batch_documents import (
    Refusal,
    anthropic_batch,
    anthropic_draft,
    openai_batch,
    openai_draft,
    refusal_document,
)
from semprop.tools.endpoint.batches import Batch, Batches
from semprop.tools.serving.http1 import Received

T = TypeVar("T")

_PATH = re.compile(r"(?:/.*?)?/(?P<what>messages/batches|batches|files)(?:/(?P<id>[\w.-]+))?(?:/(?P<verb>[a-z]+))?")
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered: a status and a document, or lines of text in blocks."""

    status: int
    document: Any = None
    lines: Iterator[bytes] | None = None


def page(batches: Batches, received: Received, now: float, wall: float) -> Page | None:
    """The answer of a batch API; None if the request is for none of them."""
    found = _PATH.fullmatch(received.path)
    if found is None:
        return None
    dialect = "anthropic" if found["what"].startswith("messages") else "openai"
    batches.advance(now)
    asked = _Asked(batches, received, found["id"], found["verb"], now, wall)
    try:
        match found["what"]:
            case "files":
                return asked.file()
            case "batches":
                return asked.openai()
            case _:
                return asked.anthropic()
    except Refusal as refusal:
        return Page(refusal.status, refusal_document(dialect, refusal))


@dataclass(frozen=True, slots=True)
class _Asked:
    batches: Batches
    received: Received
    id: str | None
    verb: str | None
    now: float
    wall: float

    def file(self) -> Page:
        files = self.batches.files
        match self.received.method, self.id, self.verb:
            case "POST", None, None:
                self._told("upload.arrived")
                fields = multipart(self.received)
                name, data = fields.get("file", ("", b""))
                purpose = fields.get("purpose", ("", b""))[1].decode(errors="replace")
                if not name or not purpose:
                    raise Refusal(400, "invalid_request_error", "Missing required parameter: 'file' or 'purpose'.")
                kept = self.batches.upload(name, purpose, data, self.wall)
                self._told("upload.done")
                return Page(200, kept.document())
            case "GET", None, None:
                wanted = self._query("purpose")
                listed = [file for file in reversed(files.values()) if wanted in (None, file.purpose)]
                shown, more = self._cut(listed, [file.id for file in listed], "after")
                return _openai_list([file.document() for file in shown], more)
            case "GET", str(name), None if name in files:
                return Page(200, files[name].document())
            case "GET", str(name), "content" if name in files:
                return Page(200, lines=self._results(files[name].data.splitlines(keepends=True)))
            case "DELETE", str(name), None if name in files:
                del files[name]
                return Page(200, {"id": name, "object": "file", "deleted": True})
        raise Refusal(404, "invalid_request_error", f"No such File object: {self.id}", "id")

    def openai(self) -> Page:
        match self.received.method, self.id, self.verb:
            case "POST", None, None:
                self._told("create.arrived")
                draft = openai_draft(self.received.body, self.batches.files, self.now, self.wall)
                batch = self.batches.create(draft)
                self._told("create.done")
                return Page(200, openai_batch(batch, self.now))
            case "GET", None, None:
                listed = self.batches.listed("openai", self.now)
                data, more = self._cut(listed, [batch.id for batch in listed], "after")
                return _openai_list([openai_batch(batch, self.now) for batch in data], more)
            case "GET", str(), None:
                self._told("poll")
                return Page(200, openai_batch(self._batch(), self.now))
            case "POST", str(), "cancel":
                return Page(200, openai_batch(self._cancelled(), self.now))
        raise Refusal(404, "invalid_request_error", "There is no such page.")

    def anthropic(self) -> Page:
        origin = f"http://{self.received.headers.get(b'host', b'localhost').decode('latin-1')}"
        match self.received.method, self.id, self.verb:
            case "POST", None, None:
                self._told("create.arrived")
                batch = self.batches.create(anthropic_draft(self.received.body, self.now, self.wall))
                self._told("create.done")
                return Page(200, anthropic_batch(batch, origin))
            case "GET", None, None:
                listed = self.batches.listed("anthropic", self.now)
                ids = [batch.id for batch in listed]
                data, more = self._cut(listed, ids, "after_id")
                shown = [anthropic_batch(batch, origin) for batch in data]
                ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
                return Page(200, {"data": shown, "has_more": more, "first_id": None, "last_id": None, **ends})
            case "GET", str(), None:
                self._told("poll")
                return Page(200, anthropic_batch(self._batch(), origin))
            case "GET", str(), "results":
                batch = self._batch()
                if batch.results is None:
                    raise Refusal(404, "not_found_error", f"{batch.id} has no results yet")
                return Page(200, lines=self._results(batch.results))
            case "POST", str(), "cancel":
                return Page(200, anthropic_batch(self._cancelled(), origin))
            case "DELETE", str(), None:
                batch = self._batch()
                if not batch.is_over:
                    raise Refusal(400, "invalid_request_error", f"{batch.id} is still being processed")
                del self.batches.batches[batch.id]
                return Page(200, {"id": batch.id, "type": "message_batch_deleted"})
        raise Refusal(404, "not_found_error", "There is no such page.")

    def _batch(self) -> Batch:
        dialect = "anthropic" if "/messages/" in self.received.path else "openai"
        batch = self.batches.batches.get(self.id or "")
        if batch is None or batch.dialect != dialect:
            kind = "not_found_error" if dialect == "anthropic" else "invalid_request_error"
            raise Refusal(404, kind, f"No batch found with id '{self.id}'.")
        return batch

    def _cancelled(self) -> Batch:
        batch = self._batch()
        if batch.is_over and batch.dialect == "openai":
            raise Refusal(409, "invalid_request_error", f"{batch.id} is over and cannot be cancelled.")
        if batch.cancelled is None and not batch.is_over:
            batch.cancelled = self.now
        return batch

    def _results(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        for at in range(0, len(lines), _BLOCK):
            if at and at < len(lines) // 2 + _BLOCK:
                self._told("results.half")
            yield b"".join(lines[at : at + _BLOCK])
        self._told("results.sent")

    def _told(self, step: str) -> None:
        if not self.batches.watch(step):
            raise Refusal(503, "api_error", "The server is not available.")

    def _query(self, name: str) -> str | None:
        return parse_qs(self.received.query).get(name, [None])[0]

    def _cut(self, listed: Sequence[T], ids: Sequence[str], cursor: str) -> tuple[Sequence[T], bool]:
        """The page of a list that the query asks for, and whether there is more."""
        after, limit = self._query(cursor), self._query("limit") or "20"
        if not limit.isdecimal() or int(limit) < 1:
            raise Refusal(400, "invalid_request_error", "limit must be a number above 0", "limit")
        begin = ids.index(after) + 1 if after in ids else 0
        end = begin + int(limit)
        return listed[begin:end], end < len(listed)


def _openai_list(data: list[Mapping[str, Any]], more: bool) -> Page:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return Page(200, {"object": "list", "data": data, "has_more": more, "first_id": None, "last_id": None, **ends})


_BOUNDARY = re.compile(rb'multipart/form-data;.*boundary="?([^";]+)"?', re.IGNORECASE)
_NAMED = re.compile(rb'\bname="([^"]*)"')
_FILE = re.compile(rb'\bfilename="([^"]*)"')


def multipart(received: Received) -> dict[str, tuple[str, bytes]]:
    """Field → (file name, data) of a form; the name is empty where the field is no file.

    Raises:
        Refusal: it is no form.
    """
    found = _BOUNDARY.match(received.headers.get(b"content-type", b""))
    if found is None:
        raise Refusal(400, "invalid_request_error", "The body must be multipart/form-data.")
    fields: dict[str, tuple[str, bytes]] = {}
    for part in (b"\r\n" + received.body).split(b"\r\n--" + found[1])[1:]:
        head, separator, data = part.partition(b"\r\n\r\n")
        named = _NAMED.search(head)
        if separator and named:
            file = _FILE.search(head)
            fields[named[1].decode(errors="replace")] = (file[1].decode(errors="replace") if file else "", data)
    return fields
