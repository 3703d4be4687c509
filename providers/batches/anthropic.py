"""Anthropic's message batches: all requests in one call, one file of results once the batch is over.

Source: the service's own reference of /v1/messages/batches. There are no metadata and no names of our own but the
custom ids, which only the results show: a batch that was perhaps created is told from others of its time and size by
reading the first line of its results, once it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from semprop.providers.batches.calls import Calls
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.pages import Pages
from semprop.providers.batches.service import NOBODY, SKEW, End, Found, Line, Row, State, Status, row
from semprop.providers.errors import ErrorClass, RetryError
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.reading import count

_PATH = "/messages/batches"
_DONE = ("succeeded", "errored", "canceled", "expired")
_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that a single request would have got with an error of this type."""


class AnthropicBatches:
    """See `Service`."""

    most_rows = 100_000
    most_bytes = 240_000_000

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def upload(self, draft: Draft, lines: Sequence[Line]) -> None:
        """There is no such step."""

    async def create(self, draft: Draft, lines: Sequence[Line]) -> Status:
        rows = b",".join(b'{"custom_id":%b,"params":%b}' % (orjson.dumps(line.custom_id), line.body) for line in lines)
        return _status(await self._calls.document("POST", _PATH, b'{"requests":[%b]}' % rows), self._calls)

    async def find(self, draft: Draft, others: Collection[str]) -> Found:
        unsure = False
        pages = Pages(self._calls, _PATH, "after_id")
        while (entries := await pages.next()) is not None:
            for entry in entries:
                status = _status(entry, self._calls)
                if status.id in others or status.total != len(draft.keys) or _made(entry) < draft.at - SKEW:
                    continue
                if status.state is State.RUNNING:
                    unsure = True
                elif await self._is_ours(status, draft):
                    return Found(status)
            if entries and _made(entries[-1]) < draft.at - SKEW:
                break
        return Found(None, unsure)

    async def discard(self, draft: Draft) -> None:
        """There are no files."""

    async def status(self, name: str) -> Status:
        return _status(await self._calls.document("GET", f"{_PATH}/{name}"), self._calls)

    async def results(self, status: Status, take: Callable[[Row], None]) -> None:
        def line(data: bytes) -> bool:
            take(row(data, status.id, _read))
            return True

        await self._calls.lines(f"{_PATH}/{status.id}/results", line)

    async def cancel(self, name: str) -> Status:
        return _status(await self._calls.document("POST", f"{_PATH}/{name}/cancel"), self._calls)

    async def _is_ours(self, status: Status, draft: Draft) -> bool:
        if not status.results:
            return False  # Archived: what it held is gone.
        first: list[str] = []

        def line(data: bytes) -> bool:
            name = row(data, status.id, _read).custom_id
            if name != NOBODY:
                first.append(name)
            return not first

        await self._calls.lines(f"{_PATH}/{status.id}/results", line)
        return bool(first) and first[0].startswith(f"{draft.tag}-")


def _made(document: Mapping[str, Any]) -> float:
    """When a batch was made, in seconds since 1970; infinite if it does not say."""
    try:
        return datetime.fromisoformat(str(document.get("created_at"))).timestamp()
    except (ValueError, OverflowError):
        return float("inf")


def _status(document: Any, calls: Calls) -> Status:
    match document:
        case {"id": str(name), "processing_status": str(word), "request_counts": dict() as counts}:
            done = sum(count(counts.get(kind)) or 0 for kind in _DONE)
            total = done + (count(counts.get("processing")) or 0)
            results = document.get("results_url")
            state = State.OVER if word == "ended" else State.RUNNING
            return Status(name, state, word, done, total, (results,) if isinstance(results, str) else ())
    raise RetryError(f"{calls.identity} answered with no message batch", ErrorClass.TRANSIENT)


def _read(line: object, data: bytes) -> Row | None:
    match line:
        case {"custom_id": str(name), "result": {"type": "succeeded", "message": dict() as message}}:
            return Row(name, End.ANSWERED, Reply(200, {}, orjson.dumps(message)))
        case {"custom_id": str(name), "result": {"type": "expired"}}:
            return Row(name, End.EXPIRED, None)
        case {"custom_id": str(name), "result": {"type": "canceled"}}:
            return Row(name, End.CANCELED, None)
        case {"custom_id": str(name), "result": {"type": "errored", "error": dict() as error}}:
            inner = error.get("error")
            inner = inner if isinstance(inner, dict) else error
            status = _STATUSES.get(str(inner.get("type")), 500)
            return Row(name, End.ANSWERED, Reply(status, {}, orjson.dumps({"type": "error", "error": inner})))
        case {"custom_id": str(name)}:
            return Row(name, End.ANSWERED, Reply(500, {}, data))
    return None
