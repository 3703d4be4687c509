"""OpenAI's batch API: a file of requests is uploaded, a batch is made of it, and files of results are fetched.

Source: the service's own reference of /v1/files and /v1/batches. A batch is found again by our tag in its metadata, a
file by its name. Results stand in two files, of answers and of errors, in any order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from semprop.providers.batches.calls import Calls
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.pages import Pages
from semprop.providers.batches.service import SKEW, End, Found, Line, Row, State, Status, row
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.reading import count

META = "semprop"
"""The field of the metadata that holds our tag."""

_STATES = {
    "completed": State.OVER,
    "expired": State.OVER,
    "cancelled": State.OVER,
    "failed": State.FAILED,
}
"""Words for a batch that nothing more comes of. Every other one is of a batch that goes on: taken for over without
being it, its requests would be sent, and paid, once more."""

_ENDS = {"batch_expired": End.EXPIRED, "batch_cancelled": End.CANCELED}


class OpenAIBatches:
    """`url` is the path that single requests go to, which each line repeats (`/v1/chat/completions`)."""

    most_rows = 50_000
    most_bytes = 190_000_000

    def __init__(self, calls: Calls, url: str) -> None:
        self._calls, self._url = calls, url

    async def upload(self, draft: Draft, lines: Sequence[Line]) -> str:
        """A file of one line for each request; its name holds the tag."""
        boundary = f"semprop{draft.tag}"
        url = orjson.dumps(self._url)
        data = b"\n".join(
            b'{"custom_id":%b,"method":"POST","url":%b,"body":%b}' % (orjson.dumps(line.custom_id), url, line.body)
            for line in lines
        )
        form = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_name(draft)}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        body = form + data + f"\r\n--{boundary}--\r\n".encode()
        sent = await self._calls.document("POST", "/files", body, f"multipart/form-data; boundary={boundary}")
        return _named(sent, self._calls)

    async def create(self, draft: Draft, lines: Sequence[Line]) -> Status:
        """A batch of the uploaded file."""
        asked = {
            "input_file_id": draft.file,
            "endpoint": self._url,
            "completion_window": "24h",
            "metadata": {META: draft.tag},
        }
        return _status(await self._calls.document("POST", "/batches", asked), self._calls)

    async def find(self, draft: Draft, others: Collection[str]) -> Found:
        """The batch whose metadata hold the tag. Without a file none can have been made."""
        if draft.file is None:
            return Found(None, is_none=True)
        async for document in self._listed("/batches", draft.at):
            metadata = document.get("metadata")
            if isinstance(metadata, dict) and metadata.get(META) == draft.tag:
                return Found(_status(document, self._calls))
        return Found(None)

    async def discard(self, draft: Draft) -> None:
        """Remove the files that are named after the tag."""
        unused = [
            _named(document, self._calls)
            async for document in self._listed("/files", draft.at, purpose="batch")
            if document.get("filename") == _name(draft)
        ]
        for name in unused:
            await self._calls.document("DELETE", f"/files/{name}")

    async def status(self, name: str) -> Status:
        return _status(await self._calls.document("GET", f"/batches/{name}"), self._calls)

    async def results(self, status: Status, take: Callable[[Row], None]) -> None:
        def line(data: bytes) -> bool:
            take(row(data, status.id, _read))
            return True

        for file in status.results:
            await self._calls.lines(f"/files/{file}/content", line)

    async def cancel(self, name: str) -> Status:
        return _status(await self._calls.document("POST", f"/batches/{name}/cancel"), self._calls)

    async def _listed(self, path: str, since: float, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """The entries of a list, the latest first, back to a time."""
        pages = Pages(self._calls, path, "after", query)
        while (entries := await pages.next()) is not None:
            for entry in entries:
                yield entry
            made = entries[-1].get("created_at") if entries else None
            if isinstance(made, int) and made < since - SKEW:
                return


def _name(draft: Draft) -> str:
    return f"semprop-{draft.tag}.jsonl"


def _named(document: Mapping[str, Any], calls: Calls) -> str:
    name = document.get("id")
    if not isinstance(name, str) or not name:
        raise RetryError(f"{calls.identity} named neither a file nor a batch in its answer", ErrorClass.TRANSIENT)
    return name


def _status(document: Mapping[str, Any], calls: Calls) -> Status:
    word = str(document.get("status"))
    state = _STATES.get(word, State.RUNNING)
    counts = document.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    files = [document.get(name) for name in ("output_file_id", "error_file_id")]
    errors = document.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else None
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    return Status(
        _named(document, calls),
        state,
        word,
        (count(counts.get("completed")) or 0) + (count(counts.get("failed")) or 0),
        count(counts.get("total")) or 0,
        tuple(file for file in files if isinstance(file, str) and file),
        str(first.get("code") or ""),
        str(first.get("message") or ""),
    )


def _read(line: object, data: bytes) -> Row | None:
    match line:
        case {"custom_id": str(name), "response": {"status_code": int(status), "body": body, **more}}:
            identifier = more.get("request_id")
            headers = {"x-request-id": identifier} if isinstance(identifier, str) else {}
            return Row(name, End.ANSWERED, Reply(status, headers, orjson.dumps(body)))
        case {"custom_id": str(name), "error": {"code": str(code), **more}}:
            if code in _ENDS:
                return Row(name, _ENDS[code], None)
            return Row(name, End.ANSWERED, Reply(500, {}, orjson.dumps({"error": {"code": code, **more}})))
        case {"custom_id": str(name)}:
            return Row(name, End.ANSWERED, Reply(500, {}, data))
    return None
